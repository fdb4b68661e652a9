"""Readers that open files in C++: seen like those that open them in Python."""

import os

import h5py
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.fs
import pyarrow.json
import pyarrow.parquet
import pytest
from polars import read_csv as polars_before
from pyarrow.csv import read_csv as csv_before
from pyarrow.parquet import read_table as captured_before

from nbflow.probe.files import StatMemo
from nbflow.probe.recorder import Recorder


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    before = os.getcwd()
    os.chdir(folder)
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_parquet("a.parquet")
    frame.to_feather("a.feather")
    frame.to_orc("a.orc")
    frame.to_csv("a.csv", index=False)
    pl.DataFrame({"a": [1]}).write_ndjson("a.ndjson")
    os.makedirs("parts/k=1")
    frame.to_parquet("parts/k=1/one.parquet")
    frame.to_parquet("parts/two.parquet")
    with h5py.File("a.h5", "w") as file:
        file["x"] = [1, 2]
    yield folder
    os.chdir(before)


def seen(read):
    recorder = Recorder()
    with recorder.watching():
        read()
    return {(os.path.relpath(mark.path), mark.kind) for mark in recorder.take(StatMemo()).marks}


def imported_inside():
    from pyarrow import parquet

    parquet.read_table("a.parquet")


def os_file():
    with pa.OSFile("a.feather") as stream:
        pa.ipc.open_file(stream).read_all()


READS = {
    "pyarrow, OSFile": (os_file, "a.feather"),
    "pyarrow, a stream": (
        lambda: pa.parquet.read_table(pa.fs.LocalFileSystem().open_input_file("a.parquet")),
        "a.parquet",
    ),
    "pyarrow, below a folder": (
        lambda: pa.parquet.read_table(
            "two.parquet", filesystem=pa.fs.SubTreeFileSystem("parts", pa.fs.LocalFileSystem())
        ),
        "parts/two.parquet",
    ),
    "pyarrow, csv captured before": (lambda: csv_before("a.csv"), "a.csv"),
    "polars, captured before": (lambda: polars_before("a.csv"), "a.csv"),
    "polars, sql": (lambda: pl.sql("select * from read_csv('a.csv')").collect(), "a.csv"),
    "pandas, parquet": (lambda: pd.read_parquet("a.parquet"), "a.parquet"),
    "pandas, parquet by a path": (lambda: pd.read_parquet(__import__("pathlib").Path("a.parquet")), "a.parquet"),
    "pandas, feather": (lambda: pd.read_feather("a.feather"), "a.feather"),
    "pandas, orc": (lambda: pd.read_orc("a.orc"), "a.orc"),
    "pandas, csv by pyarrow": (lambda: pd.read_csv("a.csv", engine="pyarrow"), "a.csv"),
    "pandas, csv in C": (lambda: pd.read_csv("a.csv", engine="c"), "a.csv"),
    "pyarrow, parquet": (lambda: pa.parquet.read_table("a.parquet"), "a.parquet"),
    "pyarrow, parquet captured before": (lambda: captured_before("a.parquet"), "a.parquet"),
    "pyarrow, parquet imported inside": (imported_inside, "a.parquet"),
    "pyarrow, ParquetFile": (lambda: pa.parquet.ParquetFile("a.parquet").read(), "a.parquet"),
    "pyarrow, schema": (lambda: pa.parquet.read_schema("a.parquet"), "a.parquet"),
    "pyarrow, csv": (lambda: pa.csv.read_csv("a.csv"), "a.csv"),
    "pyarrow, csv by name": (lambda: pa.csv.read_csv(input_file="a.csv"), "a.csv"),
    "pyarrow, feather": (lambda: pa.feather.read_table("a.feather"), "a.feather"),
    "pyarrow, dataset": (lambda: pa.dataset.dataset("a.parquet").to_table(), "a.parquet"),
    "pyarrow, memory_map": (lambda: pa.memory_map("a.csv").close(), "a.csv"),
    "pyarrow, json": (lambda: pa.json.read_json("a.ndjson"), "a.ndjson"),
    "polars, parquet": (lambda: pl.read_parquet("a.parquet"), "a.parquet"),
    "polars, csv": (lambda: pl.read_csv("a.csv"), "a.csv"),
    "polars, lazy": (lambda: pl.scan_parquet("a.parquet").collect(), "a.parquet"),
    "polars, lazy csv": (lambda: pl.scan_csv("a.csv").collect(), "a.csv"),
    "polars, ndjson": (lambda: pl.read_ndjson("a.ndjson"), "a.ndjson"),
    "h5py": (lambda: h5py.File("a.h5", "r").close(), "a.h5"),
    "h5py by pandas' path": (lambda: h5py.File(name="a.h5", mode="r").close(), "a.h5"),
}


@pytest.mark.parametrize("name", READS)
def test_a_file_that_is_read_in_another_language_is_seen(name):
    read, path = READS[name]
    assert (path, "file") in seen(read)


PARTS = {
    ("parts", "listing"),
    ("parts/k=1", "listing"),
    ("parts/k=1/one.parquet", "file"),
    ("parts/two.parquet", "file"),
}


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: pa.dataset.dataset("parts").to_table(), id="dataset"),
        pytest.param(lambda: pd.read_parquet("parts"), id="read_parquet"),
    ],
)
def test_of_a_folder_all_files_and_their_names_are_seen(read):
    assert seen(read) >= PARTS


def test_of_a_pattern_the_folder_and_all_files_are_seen():
    assert seen(lambda: pl.read_parquet("parts/*.parquet")) >= {("parts", "listing"), ("parts/two.parquet", "file")}


def test_readers_that_are_told_still_say_what_they_take():
    with Recorder().watching():
        pass
    assert "columns" in str(__import__("inspect").signature(pa.parquet.read_table))
    assert pl.read_parquet.__name__ == "read_parquet"

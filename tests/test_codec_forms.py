"""Which form a value is kept in, and that it comes back as it was: the same id, dtype, order, index and labels."""

import datetime as dt
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from nbflow.codecs import digest_of, seal, unseal
from nbflow.identity.code import CodeIds
from nbflow.identity.hashing import noted_hashes
from nbflow.probe.packages import Packages
from nbflow.probe.sources import Sources

KEY = b"k" * 16
ROWS = 20_000
identify = CodeIds(Sources(), Packages(), is_input=lambda value: False, called_by_name=lambda value: None).identifier


def there_and_back(value):
    sealed = seal(value)
    data = bytearray().join(sealed.parts)
    assert len(data) == sealed.size_bytes
    assert digest_of(sealed.codec, KEY, data) == sealed.digest(KEY)
    return sealed, unseal(sealed.codec, data)


class Sub(np.ndarray):
    pass


def structured():
    array = np.zeros(ROWS, dtype=[("a", "<i4"), ("b", ">f8"), ("c", "U3"), ("d", "i1", (2, 2))])
    array["b"] = np.arange(ROWS)
    return array


ARRAYS = {
    "plain": (np.arange(ROWS, dtype=float), "npy"),
    "matrix": (np.arange(ROWS).reshape(100, -1), "npy"),
    "fortran order": (np.asfortranarray(np.arange(ROWS).reshape(100, -1)), "npy"),
    "fortran order in three dimensions": (np.asfortranarray(np.arange(ROWS).reshape(10, 20, -1)), "npy"),
    "with gaps": (np.arange(4 * ROWS)[::3], "npy"),
    "backwards": (np.arange(ROWS)[::-1], "npy"),
    "axes exchanged": (np.arange(ROWS).reshape(10, 20, -1).transpose(1, 0, 2), "npy"),
    "bool": (np.arange(5 * ROWS) % 3 == 0, "npy"),
    "complex": (np.arange(ROWS) * 1j, "npy"),
    "other byte order": (np.arange(ROWS, dtype=">i8"), "npy"),
    "half": (np.arange(4 * ROWS, dtype="f2"), "npy"),
    "long double": (np.arange(ROWS, dtype=np.longdouble), "npy"),
    "times": (np.arange(ROWS).astype("M8[ms]"), "npy"),
    "spans": (np.arange(ROWS).astype("m8[25us]"), "npy"),
    "texts": (np.array(["abc", "ü\0x"] * ROWS), "npy"),
    "bytes": (np.array([b"abc", b"d"] * ROWS), "npy"),
    "records": (structured(), "npy"),
    "records with gaps": (np.zeros(ROWS, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)), None),
    "nan with other bits": (np.full(ROWS, 0x7FF8000000000001, dtype="u8").view("f8"), "npy"),
    "small": (np.arange(10), "pickle5"),
    "without items": (np.zeros((0, 10**6)), "pickle5"),
    "a single number": (np.array(5.0), "pickle5"),
    "objects": (np.array([1, "a", None] * ROWS, dtype=object), "pickle5"),
    "a subclass": (np.arange(ROWS).view(Sub), "pickle5"),
    "masked": (np.ma.masked_equal(np.arange(ROWS), 3), "pickle5"),
    "dtype with metadata": (np.arange(ROWS).astype(np.dtype("i8", metadata={"unit": "m"})), "pickle5"),
    "texts of any length": (np.array(["abc", "d"] * ROWS, dtype=np.dtypes.StringDType()), "pickle5"),
}


@pytest.mark.filterwarnings("ignore:metadata on a dtype:UserWarning")
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name):
    value, form = ARRAYS[name]
    sealed, back = there_and_back(value)
    assert form is None or sealed.codec.partition(" ")[0] == form
    assert type(back) is type(value)
    assert (back.dtype, back.shape, repr(back.dtype)) == (value.dtype, value.shape, repr(value.dtype))
    if value.flags.c_contiguous or value.flags.f_contiguous:
        assert back.flags.f_contiguous == value.flags.f_contiguous
    assert back.flags.writeable
    if type(value) is np.ndarray:
        assert identify(back) == identify(value)
        assert back.tobytes() == value.tobytes() or value.dtype.hasobject or value.dtype.kind == "T"
    np.testing.assert_array_equal(back, value)


@pytest.mark.parametrize("name", [name for name, (_, form) in ARRAYS.items() if form == "npy"])
def test_numpy_opens_what_was_written(name):
    value, _ = ARRAYS[name]
    opened = np.load(io.BytesIO(b"".join(seal(value).parts)))
    assert opened.tobytes() == value.tobytes()


def test_a_record_of_hundreds_of_fields():
    value = np.zeros(100, dtype=[(f"a long name of a field {i}", "f8") for i in range(3000)])
    _, back = there_and_back(value)
    assert back.dtype == value.dtype


def frame(**columns):
    return pd.DataFrame({name: column for name, column in columns.items()})


NUMBERS = np.arange(ROWS, dtype=float)
FRAMES = {
    "numbers": (frame(a=NUMBERS, b=np.arange(ROWS), c=np.arange(ROWS, dtype="i1")), "arrow"),
    "nan": (frame(a=np.where(NUMBERS % 2 == 0, np.nan, NUMBERS)), "arrow"),
    "bool": (frame(a=NUMBERS, b=NUMBERS > 5), "arrow"),
    "times": (frame(t=pd.date_range("2024", periods=ROWS, freq="s"), a=NUMBERS), "arrow"),
    "missing times": (frame(t=pd.Series([pd.NaT, pd.Timestamp("2024-01-01")] * (ROWS // 2))), "arrow"),
    "spans": (frame(t=pd.to_timedelta(np.arange(ROWS), unit="s"), a=NUMBERS), "arrow"),
    "texts": (frame(s=["a", "ü", None, "d\0"] * (ROWS // 4), a=NUMBERS), "arrow"),
    "arrow columns": (frame(a=NUMBERS, b=pd.array(range(ROWS), dtype="int64[pyarrow]")), "arrow"),
    "labels of many kinds": (pd.DataFrame({0: NUMBERS, "a": NUMBERS, (1, 2): NUMBERS, None: NUMBERS}), "arrow"),
    "labels twice": (pd.concat([frame(a=NUMBERS)] * 2, axis=1), "arrow"),
    "named labels": (frame(a=NUMBERS, b=NUMBERS).rename_axis(columns="kind"), "arrow"),
    "labels on levels": (pd.DataFrame({("x", 1): NUMBERS, ("y", 2): NUMBERS}), "arrow"),
    "an index with steps": (frame(a=NUMBERS).set_axis(pd.RangeIndex(5, 5 + 3 * ROWS, 3, name="n")), "arrow"),
    "attributes": (frame(a=NUMBERS), "arrow"),
    "an index of times": (frame(a=NUMBERS).set_axis(pd.date_range("2024", periods=ROWS, freq="s")), "pickle5"),
    "an index of texts": (frame(a=NUMBERS).set_axis([f"r{i}" for i in range(ROWS)]), "pickle5"),
    "time zones": (frame(t=pd.date_range("2024", periods=ROWS, freq="s", tz="Europe/Berlin")), "pickle5"),
    "categories": (frame(c=pd.Categorical(["a", "b"] * (ROWS // 2)), a=NUMBERS), "pickle5"),
    "masked": (frame(a=pd.array([1, None] * (ROWS // 2), dtype="Int64")), "pickle5"),
    "periods": (frame(p=pd.period_range("2024", periods=ROWS, freq="D")), "pickle5"),
    "intervals": (frame(i=pd.arrays.IntervalArray.from_breaks(range(ROWS + 1))), "pickle5"),
    "objects": (frame(o=[dt.date(2024, 1, 1), None] * (ROWS // 2), a=NUMBERS), "pickle5"),
    "complex": (frame(a=NUMBERS * 1j), "pickle5"),
    "small": (frame(a=[1, 2]), "pickle5"),
    "no columns": (pd.DataFrame(index=range(ROWS)), "pickle5"),
    "a series": (pd.Series(NUMBERS, name="s"), "pickle5"),
}  # fmt: skip
FRAMES["attributes"][0].attrs = {"source": ["a", 1]}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(name):
    value, form = FRAMES[name]
    sealed, back = there_and_back(value)
    assert sealed.codec.partition(" ")[0] == form
    compare = pd.testing.assert_series_equal if isinstance(value, pd.Series) else pd.testing.assert_frame_equal
    compare(back, value, check_freq=True, check_flags=True)
    assert type(back.index) is type(value.index)
    assert back.attrs == value.attrs
    assert identify(back) == identify(value)


@pytest.mark.parametrize("name", [name for name, (_, form) in FRAMES.items() if form == "arrow"])
def test_frames_can_be_changed_like_any_other(name):
    _, back = there_and_back(FRAMES[name][0])
    if back.columns.is_unique and back.columns.nlevels == 1:
        back.iloc[0, 0] = back.iloc[1, 0]
        back["new"] = 1
        assert back.iloc[0, 0] is back.iloc[1, 0] or back.iloc[0, 0] == back.iloc[1, 0] or pd.isna(back.iloc[1, 0])


def test_arrow_opens_what_was_written():
    value = frame(a=NUMBERS, s=["x", None] * (ROWS // 2))
    table = pa.ipc.open_file(b"".join(seal(value).parts)).read_all()
    assert table.column_names == ["a", "s"]
    assert table.column("a").to_pylist() == list(NUMBERS)


TABLES = {
    "plain": (pa.table({"a": NUMBERS, "s": ["x", None] * (ROWS // 2)}), "arrow"),
    "in pieces": (pa.concat_tables([pa.table({"a": NUMBERS})] * 3), "arrow"),
    "a part": (pa.table({"a": NUMBERS, "b": NUMBERS > 3}).slice(7, 15_000), "arrow"),
    "metadata": (pa.table({"a": NUMBERS}).replace_schema_metadata({"unit": "m"}), "arrow"),
    "decimals and times": (
        pa.table({"t": pa.array(range(ROWS), pa.timestamp("us", "UTC")), "d": pa.array(range(ROWS)).cast(pa.decimal128(20))}),
        "arrow",
    ),
    "dictionaries": (pa.table({"a": pa.array(["x", "y"] * ROWS).dictionary_encode(), "b": pa.array([1, 2] * ROWS)}), "pickle5"),
    "lists": (pa.table({"a": [[1, 2]] * ROWS}), "pickle5"),
    "small": (pa.table({"a": [1]}), "pickle5"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables(name):
    value, form = TABLES[name]
    sealed, back = there_and_back(value)
    assert sealed.codec.partition(" ")[0] == form
    assert back.equals(value, check_metadata=True)
    assert identify(back) == identify(value)


WITHOUT = """
import sys
sys.modules["pyarrow"] = None
import numpy as np, pandas as pd
from nbflow.codecs import seal, unseal
frame = pd.DataFrame({"a": np.arange(20_000.0)})
sealed = seal(frame)
assert unseal(sealed.codec, bytearray().join(sealed.parts)).equals(frame)
print(sealed.codec)
"""


def test_without_pyarrow_frames_are_pickled():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout == "pickle5\n"


@pytest.mark.parametrize(
    "value", [ARRAYS["matrix"][0], ARRAYS["fortran order"][0], FRAMES["numbers"][0], TABLES["plain"][0]]
)
def test_large_buffers_are_used_where_they_lie(value):
    sealed = seal(value)
    held = {
        np.ndarray: lambda: [value.T if value.flags.f_contiguous else value],
        pd.DataFrame: lambda: [value[name].to_numpy() for name in value],
        pa.Table: lambda: [np.frombuffer(value.column("a").chunk(0).buffers()[1], dtype=float)],
    }[type(value)]()
    parts = [np.frombuffer(part, dtype="u1") for part in sealed.parts if len(part) > 1000]
    for array in held:
        assert any(np.shares_memory(part, array) for part in parts)


@pytest.mark.parametrize("at", [0, 7, 30, 127, 128, 5000, 160_127])
def test_a_flipped_bit_changes_the_digest(at):
    sealed = seal(NUMBERS)
    data = bytearray().join(sealed.parts)
    data[at] ^= 16
    assert digest_of(sealed.codec, KEY, data) != sealed.digest(KEY)


@pytest.mark.parametrize("codec", ["npy 0", "npy 64", "npy 129", "npy", "pickle5"])
def test_the_digest_covers_the_form(codec):
    sealed = seal(NUMBERS)
    assert digest_of(codec, KEY, bytearray().join(sealed.parts)) != sealed.digest(KEY)


def test_an_array_is_hashed_once_for_its_id_and_its_digest(monkeypatch):
    hashed = []
    monkeypatch.setattr("nbflow.codecs.arrays.buffer_hash", lambda data: hashed.append(data) or b"h" * 16)
    with noted_hashes() as hashes:
        identify(NUMBERS)
    sealed = seal(NUMBERS, hashes)
    assert hashed == []
    assert sealed.digest(KEY) == digest_of(sealed.codec, KEY, bytearray().join(sealed.parts))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


PLAIN = {
    "nan": [float("nan"), {"x": float("-inf")}],
    "huge numbers": [10**5000, -(10**20_000)],
    "lone surrogates": ["\ud800", {"\udfff": "\0"}],
    "zero bytes": ["\0", b"\0" * 100],
    "deep nesting": nested(150),
    "no items": [np.zeros((3, 0)), pd.DataFrame(), b"", ""],
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_of_all_kinds(name):
    sealed, back = there_and_back(PLAIN[name])
    assert sealed.codec == "pickle5"
    assert repr(identify(back)) == repr(identify(PLAIN[name]))


MEMORY = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from nbflow import Flow, task

count = int(sys.argv[1]) // 8
store = Path(tempfile.mkdtemp()) / "store"

@task
def make(count):
    return np.arange(count, dtype=float)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

with Flow("memory", store=store) as flow:
    make(1000)
flow.run()
before = peak()
with Flow("memory", store=store) as flow:
    make(count)
flow.run()
print((peak() - before) / (count * 8))
flow.store.clear()
"""


def test_a_large_output_needs_no_second_copy_in_memory(tmp_path):
    command = [sys.executable, "-c", MEMORY, str(400_000_000)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"TMPDIR": str(tmp_path), "PATH": ""}
    )
    assert float(done.stdout) < 1.2

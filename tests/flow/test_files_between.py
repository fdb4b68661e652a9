"""Tasks that pass a file on without an argument that says so."""

import warnings

import pytest

from nbflow import Flow, task


@task
def save(number, path):
    path.write_text(str(number))
    return path


@task
def read(path):
    return path.read_text()


@pytest.fixture
def run(tmp_path):
    """Runs a flow that saves a number, and gives what was told; joined: the reader gets the writer's result."""
    path = tmp_path / "number.txt"
    path.write_text("0")

    def running(number, *, joined):
        with Flow("files", store=tmp_path / "store") as flow:
            if joined:
                read(save(number, path))
            else:
                read(path)
                save(number, path)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            flow.run()
        return [str(warning.message) for warning in told]

    return running


def test_a_file_that_was_written_after_it_was_read_is_told_with_the_way_out(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(1, joined=False)
    run(1, joined=False)
    (told,) = run(2, joined=False)
    assert "read: file number.txt changed: save wrote it anew, and nothing says that read comes after save" in told
    assert "let read read `save`" in told


def test_nothing_is_told_where_an_argument_says_what_comes_first(run):
    assert [run(number, joined=True) for number in (1, 2)] == [[], []]


def test_a_task_that_writes_what_the_one_before_it_read_is_told(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1")

    @task
    def clean(text):
        path.write_text(text + "!")

    with Flow("in place", store=tmp_path / "store") as flow:
        clean(read(path))
    with pytest.warns(UserWarning, match="clean wrote it anew after read had read it.*let clean write another file"):
        flow.run()

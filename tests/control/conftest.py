"""What the tests of control flow share: a store, and tasks that note their calls."""

import pytest

from nbflow import task


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def calls():
    """What the tasks of a test were called with, in order."""
    return []


@pytest.fixture
def noted(calls):
    """A decorator for tasks that note (name, *arguments) in `calls`; that list does not count for their ids."""

    def decorate(function=None, **options):
        def make(fn):
            def wrapped(*args, **kwargs):
                calls.append((fn.__name__, *args, *kwargs.values()))
                return fn(*args, **kwargs)

            wrapped.__name__ = fn.__name__
            wrapped.__annotations__ = getattr(fn, "__annotations__", {})
            wrapped.__wrapped__ = fn
            return task(ignore=["calls"], **options)(wrapped)

        return make(function) if function is not None else make

    return decorate

"""What the tests of the store share."""

import time

import pytest

from nbflow.codecs import seal
from nbflow.store import VALUE, Entry, Store


@pytest.fixture
def told():
    return []


@pytest.fixture
def store(tmp_path, told):
    made = Store.open(tmp_path / "store", told.append)
    yield made
    if not made.closed:
        made.close()


@pytest.fixture
def make_entry():
    def make(value, key=b"k" * 16, **changes):
        fields = {
            "key": key, "trace": b"", "out": b"o" * 16, "members": b"", "kind": VALUE, "sealed": seal(value),
            "seconds": 0.5, "made_ns": time.time_ns(), "expires_ns": None, "session": None, "task": "t",
        }  # fmt: skip
        return Entry(**{**fields, **changes})

    return make

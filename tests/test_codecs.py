"""Values to sealed bytes and back."""

import threading

import numpy as np
import pandas as pd
import pytest

from nbflow.codecs import seal, unseal
from nbflow.errors import NotStorable


def there_and_back(value):
    sealed = seal(value)
    data = bytearray().join(sealed.parts)
    assert len(data) == sealed.size_bytes
    return unseal(sealed.codec, data)


@pytest.mark.parametrize("value", [None, 1, "text", [1, {"a": (2, 3)}], {1, 2}, b"", float("inf")])
def test_plain_values(value):
    assert there_and_back(value) == value


def test_frames_keep_dtypes_and_index():
    frame = pd.DataFrame({"a": [1, None], "b": ["x", None], "c": pd.Categorical(["p", "q"])}, index=["i", "j"])
    pd.testing.assert_frame_equal(there_and_back(frame), frame)


def test_large_buffers_are_not_copied():
    array = np.arange(100_000)
    parts = [part for part in seal(array).parts if isinstance(part, memoryview)]
    assert any(np.shares_memory(np.frombuffer(part, dtype=array.dtype), array) for part in parts)


def test_arrays_are_aligned_and_can_be_changed():
    back = there_and_back([np.arange(3, dtype="int8"), np.arange(5.0), np.arange(7)])
    for array in back:
        assert array.flags.aligned
        array[:] = 0


@pytest.mark.parametrize("value", [threading.Lock(), (x for x in ()), [threading.Lock()]])
def test_what_cannot_be_kept_says_why(value):
    with pytest.raises(NotStorable, match="cannot be pickled"):
        seal(value)


def test_a_value_whose_own_methods_fail_is_not_storable():
    class Broken:
        def __reduce__(self):
            raise RuntimeError("no")

    with pytest.raises(NotStorable, match=r"Broken cannot be pickled \(no\)"):
        seal(Broken())


def test_an_unknown_form_is_an_error():
    with pytest.raises(NotStorable, match="'other'"):
        unseal("other", b"")


def test_the_digest_covers_the_key():
    sealed = seal([1])
    assert sealed.digest(b"a") != sealed.digest(b"b")
    assert sealed.digest(b"a") == seal([1]).digest(b"a")

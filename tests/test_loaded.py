"""Libraries that are asked for without being imported."""

import sys
import types
from importlib.machinery import ModuleSpec

from nbflow.loaded import loaded, space_of


class Lazy(types.ModuleType):
    """As importlib.util.LazyLoader makes them: the first question imports it."""

    def __getattribute__(self, name):
        raise AssertionError("it was to be imported later")


class Library:
    """As cffi makes them: it lies among the modules, says that it is one, and is none."""

    __class__ = types.ModuleType


def test_a_module_that_waits_to_be_imported_is_left_to_wait():
    assert space_of(Lazy("lazy"))["__name__"] == "lazy"


def test_what_only_says_that_it_is_a_module_has_no_names():
    assert isinstance(Library(), types.ModuleType)
    assert space_of(Library()) is space_of(None) is None


def test_a_module_that_another_thread_imports_just_now_is_none_yet(monkeypatch):
    half = types.ModuleType("half")
    half.__spec__ = ModuleSpec("half", None)
    monkeypatch.setitem(sys.modules, "half", half)
    assert loaded("half") is half
    half.__spec__._initializing = True
    assert loaded("half") is None

"""Value ids: what must be equal, and what must differ."""

import array
import collections
import copyreg
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import os
import pathlib
import re
import subprocess
import sys
import threading
import types
import uuid
import weakref
from importlib.machinery import ModuleSpec

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tblib.pickling_support
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow import task
from nbflow.codecs.pickled import seal, unseal
from nbflow.errors import UnidentifiableError
from nbflow.identity.copies import private_copy
from nbflow.identity.encoding import dict_id, list_id, tuple_id
from nbflow.identity.immutable import is_immutable
from nbflow.identity.named import opaque
from nbflow.identity.value import Identifier


def resolve(thing):
    return (getattr(thing, "__qualname__", None) or thing.__name__).encode()[-16:].rjust(16, b"_")


identify = Identifier(resolve)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class IntSub(int):
    pass


@dataclasses.dataclass
class Config:
    n: int
    how: str = "mean"


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    n: int


class Plain:
    def __init__(self, **values):
        self.__dict__.update(values)

    def method(self):
        return 1


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b


class Hooked:
    def __init__(self, key, noise):
        self.key, self.noise = key, noise

    def __nbflow_id__(self):
        return self.key


Point = collections.namedtuple("Point", "x y")


def add(a, b=1):
    return a + b


def cyclic():
    value = [1]
    value.append({"self": value})
    return value


def in_place_of(value):
    """An equal value whose parts are shared with nothing."""
    return [list(value), list(value)]


shared = [1, 2]
frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})
strings = pd.Series(["a", "bb", None, "dddd"], dtype="string")

EQUAL = {
    "numbers": (lambda: [1, 2.5, 3j], lambda: [1, 2.5, 3j]),
    "NaN": (lambda: float("nan"), lambda: -float("nan")),
    "NaN in arrays": (lambda: np.array([np.nan, 1]), lambda: np.array([-np.nan, 1])),
    "huge int": (lambda: 10**5000, lambda: 10**5000),
    "lone surrogate": (lambda: "\ud800", lambda: "\ud800"),
    "sets": (lambda: {"a", "b", "c"}, lambda: {"c", "b", "a"}),
    "frozensets": (lambda: frozenset("abc"), lambda: frozenset("cba")),
    "shared and equal parts": (lambda: [shared, shared], lambda: in_place_of(shared)),
    "dataclass": (lambda: Config(1), lambda: Config(1, "mean")),
    "slots": (lambda: Slotted(1, [2]), lambda: Slotted(1, [2])),
    "attributes in another order": (lambda: Plain(a=1, b=2), lambda: Plain(b=2, a=1)),
    "cycles": (cyclic, cyclic),
    "hook": (lambda: Hooked("k", 1), lambda: Hooked("k", 2)),
    "array": (lambda: np.arange(6), lambda: np.array([0, 1, 2, 3, 4, 5])),
    "strides": (lambda: np.arange(12).reshape(3, 4).T, lambda: np.arange(12).reshape(3, 4).T.copy()),
    "slice of a larger array": (lambda: np.arange(10)[2:5], lambda: np.array([2, 3, 4])),
    "object array": (lambda: np.array(["a", None], dtype=object), lambda: np.array(["a", None], dtype=object)),
    "frame": (lambda: frame, lambda: frame.copy()),
    "frame of other blocks": (lambda: pd.DataFrame({"a": [1], "b": [2]}), lambda: pd.DataFrame({"a": [1]}).assign(b=2)),
    "slice of strings": (lambda: strings[1:3].reset_index(drop=True), lambda: pd.Series(["bb", None], dtype="string")),
    "masked ints with garbage": (
        lambda: pd.Series([1, None], dtype="Int64"),
        lambda: pd.Series([1, 7], dtype="Int64").where([True, False]),
    ),
    "categorical": (lambda: pd.Categorical(["a", "b"]), lambda: pd.Categorical(["a", "b"])),
    "arrow chunks": (lambda: pa.chunked_array([[1, 2], [3]]), lambda: pa.chunked_array([[1], [2, 3]])),
    "arrow slice": (lambda: pa.array(["x", "yy", "z"])[1:], lambda: pa.array(["yy", "z"])),
    "generator of numbers": (lambda: np.random.default_rng(1), lambda: np.random.default_rng(1)),
    "partial": (lambda: functools.partial(add, b=2), lambda: functools.partial(add, b=2)),
    "method": (lambda: Plain(a=1).method, lambda: Plain(a=1).method),
    "timestamp": (lambda: pd.Timestamp("2020-01-01"), lambda: pd.Timestamp("2020-01-01")),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_values_have_equal_ids(name):
    one, other = EQUAL[name]
    assert identify(one()) == identify(other())


GROUPS = {
    "atoms": [1, True, 1.0, "1", b"1", None, "None", 0, -0.0, 0.0, False, "", b"", 1 + 0j, ..., NotImplemented],
    "near numbers": [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, 10**400 + 1, 1e308, float("inf")],
    "texts": ["a", "b", "a\0", "\ud800", "é", "e\u0301", "a\0b"],
    "containers": [[], (), {}, set(), frozenset(), [[]], [()], {"a": 1}, {"a": 2}, {"b": 1}, {1, 2}, frozenset({1, 2})],
    "nesting": [[1, 2, 3], [1, [2, 3]], [[1, 2], 3], (1, 2, 3), ["1", "2", "3"]],
    "dict order": [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    "subclasses": [1, IntSub(1), [1], collections.deque([1]), collections.deque([1], maxlen=3), Point(1, 2), (1, 2)],
    "mappings": [
        {"a": 1}, collections.OrderedDict(a=1), collections.Counter(a=1), collections.defaultdict(int, a=1),
        types.MappingProxyType({"a": 1}), types.SimpleNamespace(a=1),
    ],
    "buffers": [bytearray(b"a"), b"a", memoryview(b"a"), array.array("b", b"a"), array.array("B", b"a")],
    "ranges": [range(3), range(0, 3, 2), slice(3), slice(0, 3), [0, 1, 2]],
    "enums": [Colour.RED, Colour.BLUE, 1],
    "objects": [Config(1), Config(2), Config(1, "max"), Frozen(1), Plain(n=1), Plain(n=2), Plain(m=1), Slotted(1, 2), Slotted(2, 1)],
    "times": [
        dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.date(2020, 1, 1), dt.timedelta(1),
        dt.timedelta(days=2), dt.time(1), pd.Timestamp("2020-01-01"), np.datetime64("2020-01-01"),
    ],
    "numbers of other kinds": [decimal.Decimal("1"), decimal.Decimal("1.0"), fractions.Fraction(1), 1],
    "paths": [pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), pathlib.Path("b"), "a"],
    "patterns": [re.compile("a"), re.compile("a", re.IGNORECASE), re.compile("b"), re.compile(b"a")],
    "arrays": [
        np.zeros((2, 3)), np.zeros((3, 2)), np.zeros(6), np.zeros(6, dtype="int64"), np.zeros(6, dtype="float32"),
        np.zeros(6, dtype=">f8"), np.array(0.0), np.float64(0.0), 0.0, np.ma.masked_array(np.zeros(6), mask=[1, 0, 0, 0, 0, 0]),
        np.zeros(6, dtype="datetime64[s]"), np.zeros(6, dtype="datetime64[ns]"), np.zeros(6, dtype=[("a", "f8")]),
    ],
    "frames": [
        pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1]}, index=[5]),
        pd.DataFrame({"a": [1]}, index=["0"]), pd.Series([1], name="a"), pd.Series([1]), pd.Series([1], dtype="Int64"),
        pd.DataFrame({"a": ["1"]}), pd.DataFrame({"a": pd.Categorical(["1"])}),
    ],
    "indexes": [
        pd.Index([0, 1]), pd.RangeIndex(2), pd.Index([0, 1], name="n"), pd.MultiIndex.from_tuples([(0, 1)]),
        pd.date_range("2020", periods=2), pd.DatetimeIndex(["2020-01-01", "2020-01-02"]),
    ],
    "strings with nothing in them": [
        pd.Series(["a", None], dtype="string"), pd.Series(["a", ""], dtype="string"), pd.Series([None, "a"], dtype="string"),
    ],
    "lengths of strings": [pd.Series(["ab", "c"], dtype="string"), pd.Series(["a", "bc"], dtype="string")],
    "missing": [pd.NaT, pd.NA, None, float("nan")],
    "arrow": [pa.array([1]), pa.array([1.0]), pa.array(["1"]), pa.array([None, 1]), pa.table({"a": [1]}), pa.table({"b": [1]})],
    "functions": [functools.partial(add, b=2), functools.partial(add, b=3), functools.partial(add, 2), add],
    "methods": [Plain(a=1).method, Plain(a=2).method, [].append, [1].append],
    "uuids": [uuid.UUID(int=1), uuid.UUID(int=2), 1],
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPS)
def test_values_that_differ_have_different_ids(name):
    ids = [identify(value) for value in GROUPS[name]]
    same = [(i, j) for i in range(len(ids)) for j in range(i) if ids[i] == ids[j]]
    assert same == [], [(GROUPS[name][i], GROUPS[name][j]) for i, j in same]


UNIDENTIFIABLE = {
    "generator": (lambda: (x for x in ()), "value"),
    "reference in a dict": (lambda: {"db": weakref.ref(Exception)}, 'value["db"]'),
    "file in a list": (lambda: [1, io.TextIOWrapper(io.BytesIO())], "value[1]"),
    "iterator in an attribute": (lambda: Plain(rows=iter([1])), "value.rows"),
    "view of a dict": (lambda: {}.keys(), "value"),
}


@pytest.mark.parametrize("name", UNIDENTIFIABLE)
def test_what_has_no_identity_is_named_by_its_path(name):
    make, path = UNIDENTIFIABLE[name]
    with pytest.raises(UnidentifiableError) as caught:
        identify(make())
    assert caught.value.path.startswith(path)
    assert "nbflow.opaque" in str(caught.value)
    assert "ignore=[...]" in str(caught.value)


def reopened(value):
    """A value after it lay in a store."""
    return unseal(bytearray().join(seal(value).parts))


def test_very_deep_nesting_is_an_error_and_no_crash():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnidentifiableError, match="nested too deeply"):
        identify(value)


def test_opaque_values_count_by_the_id_they_are_given():
    one, other = opaque(threading.Lock(), id="a"), opaque(threading.Lock(), id="a")
    assert identify([one]) == identify([other])
    assert identify(opaque(threading.Lock(), id="b")) != identify(one)


def test_ids_of_sets_do_not_depend_on_the_hash_seed():
    script = (
        "from nbflow.identity.value import Identifier\n"
        "print(Identifier(lambda x: bytes(16))([{'a', 'b', 'c', 'd'}, frozenset({'x', 'y', 'z'}), {'k': {'m', 'n'}}]).hex())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


@pytest.mark.parametrize(
    "value", [1, "a", (1, "b"), frozenset({1}), Colour.RED, np.float64(1), pathlib.Path("a"), None]
)
def test_immutable_values_need_no_second_look(value):
    assert is_immutable(value)


@pytest.mark.parametrize("value", [[1], {}, ([1],), np.zeros(2), pd.Series([1]), Plain(), bytearray(b"a"), set()])
def test_values_that_can_be_changed_in_place_are_known(value):
    assert not is_immutable(value)


ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=20), st.dates(), st.decimals()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def rebuilt(value):
    """The same value, made anew from its atoms."""
    if isinstance(value, list):
        return [rebuilt(each) for each in value]
    if isinstance(value, tuple):
        return tuple(rebuilt(each) for each in value)
    if isinstance(value, dict):
        return {key: rebuilt(each) for key, each in value.items()}
    return value


# How long values take to draw says something about the machine only.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(VALUES)
def test_a_value_built_anew_has_the_same_id(value):
    assert identify(value) == identify(rebuilt(value))


@settings(deadline=None)
@given(st.lists(VALUES, max_size=5))
def test_containers_are_made_of_their_members_ids(values):
    ids = identify.ids(values, "values")
    assert ids == [identify(value) for value in values]
    assert identify(values) == list_id(ids)
    assert identify(tuple(values)) == tuple_id(ids)
    assert identify.members(values) == tuple(ids)
    keyed = dict(enumerate(values))
    assert identify(keyed) == dict_id((identify(key), identify(value)) for key, value in keyed.items())


def tagged(value):
    """A form in which values that must differ do: with types, and floats by their bits."""
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(tagged, value))
    if isinstance(value, dict):
        return ("dict", *((tagged(key), tagged(each)) for key, each in value.items()))
    if isinstance(value, float):
        return ("float", "nan" if value != value else value.hex())
    return (type(value).__name__, repr(value))


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_ids_are_equal_exactly_when_values_are(one, other):
    assert (identify(one) == identify(other)) == (tagged(one) == tagged(other))


def test_what_lies_between_the_fields_of_a_structured_array_makes_no_difference():
    aligned = np.dtype([("small", "u1"), ("large", "f8")], align=True)
    one, other = np.zeros(3, aligned), np.zeros(3, aligned)
    other.view(np.uint8)[1] = 7
    assert identify(one) == identify(other)
    assert identify(one[0]) == identify(other[0])
    other["large"][1] = 1
    assert identify(one) != identify(other)


def test_an_attribute_that_is_an_address_makes_no_difference():
    def noted(words, address):
        return types.SimpleNamespace(words=words, words_id=address)

    one, other = ["a"], ["a"]
    assert identify(noted(one, id(one))) == identify(noted(other, id(other)))
    assert identify(noted(one, 1)) != identify(noted(one, 2))


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (io.BytesIO(b"a"), io.BytesIO(b"a"), io.BytesIO(b"b")),
        (io.StringIO("a"), io.StringIO("a"), io.StringIO("b")),
        (list[int], list[int], list[str]),
        (functools.lru_cache(len), functools.lru_cache(len), functools.lru_cache(max)),
        (functools.cached_property(len), functools.cached_property(len), functools.cached_property(max)),
    ],
    ids=["BytesIO", "StringIO", "list[int]", "lru_cache", "cached_property"],
)
def test_what_wraps_something_counts_with_what_is_inside(one, same, other):
    assert identify(one) == identify(same)
    assert identify(one) != identify(other)


def test_a_lazy_frame_reads_its_files_later_and_is_refused():
    import polars as pl

    with pytest.raises(UnidentifiableError, match="LazyFrame.*collect it"):
        identify(pl.DataFrame({"n": [1]}).lazy())


def test_what_is_drawn_has_no_identity_and_is_named_where_it_lies():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    drawn = {
        "figure": figure,
        "axes": axes,
        "lines": axes.plot([1, 2]),
        "bars": axes.bar([1], [2]),
        "text": axes.text(0, 0, "t"),
    }
    paths = {}
    for name, value in drawn.items():
        with pytest.raises(UnidentifiableError) as caught:
            identify({"kept": value})
        paths[name] = caught.value.path
    # Ten thousand objects lie behind each of them: the path would lead to one of those.
    assert paths == {
        "figure": 'value["kept"]',
        "axes": 'value["kept"]',
        "lines": 'value["kept"][0]',
        "bars": 'value["kept"] part 1[0]',
        "text": 'value["kept"]',
    }


def test_an_exception_is_the_same_after_somebody_looked_at_its_attributes():
    error, looked_at = ValueError("x"), ValueError("x")
    vars(looked_at)
    assert identify(error) == identify(looked_at)
    looked_at.place = 3
    assert identify(error) != identify(looked_at)


@pytest.mark.parametrize("error", [ValueError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), SystemExit(3)])
def test_an_exception_is_pickled_copied_and_identified_in_its_own_way(error):
    id_, text = identify([error]), str(error)
    reducers = dict(copyreg.dispatch_table)
    tblib.pickling_support.install()
    try:
        assert identify([error]) == id_
        for again in (reopened([error]), private_copy([error])):
            assert str(again[0]) == text
            assert identify(again) == id_
    finally:
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(reducers)


class Told:
    def __init__(self, how=""):
        self.how = how


@pytest.mark.parametrize("beside", [lambda: None, lambda: lambda: 1], ids=["by name", "by content"])
def test_how_a_class_is_pickled_is_what_copyreg_was_told_last(beside):
    reducers = dict(copyreg.dispatch_table)
    tblib.pickling_support.install()
    try:
        for how in ("first", "second"):
            copyreg.pickle(Told, lambda _, how=how: (Told, (how,)))
            told, *_ = reopened([Told(), ValueError("x"), beside()])
            assert told.how == how
    finally:
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(reducers)


def test_an_exception_beside_what_goes_by_content_keeps_its_text():
    reducers = dict(copyreg.dispatch_table)
    tblib.pickling_support.install()
    try:
        error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")
        again, _ = reopened([error, lambda: 1])
        assert str(again) == str(error)
    finally:
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(reducers)


def test_values_are_told_apart_while_another_thread_imports_numpy(monkeypatch):
    half = types.ModuleType("numpy")
    half.__spec__ = ModuleSpec("numpy", None)
    half.__spec__._initializing = True
    value = [fractions.Fraction(1, 3), pathlib.Path("a"), {"b": 2}]
    id_ = identify(value)
    monkeypatch.setitem(sys.modules, "numpy", half)
    monkeypatch.setitem(sys.modules, "pandas", half)
    assert identify(value) == id_
    assert identify([*value, 1]) != id_
    assert reopened(value) == private_copy(value) == value
    assert task(len).map([value, value]).mapped

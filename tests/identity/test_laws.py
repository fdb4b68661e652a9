"""Laws of value ids: the same value built in two ways has one id, in every process; what differs has another."""

import copy
import dataclasses
import decimal
import json
import os
import pickle
import subprocess
import sys
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nbflow.identity.code import CodeIds
from nbflow.identity.encoding import atom_id, flat_id
from nbflow.identity.named import OPAQUE, opaque
from nbflow.identity.value import Identifier
from nbflow.probe.packages import Packages
from nbflow.probe.sources import Sources

identify = CodeIds(Sources(), Packages()).identifier

# Values of the standard library, each built twice.

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=2**62), st.floats(), st.binary(max_size=9),
    st.text(st.characters(exclude_categories=[]), max_size=9), st.sampled_from(["", "\0", "a\0", "\ud800", -0.0, 10**400]),
    st.decimals(), st.fractions(), st.dates(), st.datetimes(), st.timedeltas(), st.uuids(), st.complex_numbers(),
)  # fmt: skip
HASHABLE = st.one_of(st.integers(), st.text(max_size=5), st.binary(max_size=5), st.tuples(st.integers(), st.text()))
VALUES = st.recursive(
    ATOMS | st.frozensets(HASHABLE, max_size=5) | st.sets(HASHABLE, max_size=5),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.lists(inner, max_size=2).map(lambda members: [members, members]),
    ),
    max_leaves=10,
)


def built_otherwise(value):
    """The same value made in another way: other insertion orders, nothing shared, no string interned."""
    kind = type(value)
    if kind is list:
        made = []
        for each in value:
            made.append(built_otherwise(each))
        return made
    if kind is tuple:
        return (*map(built_otherwise, value),)
    if kind is dict:
        return dict([(built_otherwise(key), built_otherwise(each)) for key, each in value.items()])
    if kind in (set, frozenset):
        grown = set(range(100, 200))  # its table stays large, so that its members lie elsewhere
        grown.update(sorted(map(built_otherwise, value), key=repr, reverse=True))
        grown.difference_update(set(range(100, 200)) - value)
        return kind(grown) if kind is frozenset else grown
    if kind is str:
        return "".join([each for each in value])
    return pickle.loads(pickle.dumps(value))


@settings(max_examples=80, deadline=None)
@given(VALUES)
def test_a_value_built_in_another_way_has_the_same_id(value):
    assert identify(value) == identify(built_otherwise(value))
    assert identify(value) == identify(copy.deepcopy(value))


@settings(max_examples=80, deadline=None)
@given(st.lists(VALUES, max_size=6))
def test_the_fast_ways_agree_with_the_general_way(values):
    general = [identify.__class__(identify.resolve)(value) for value in values]
    with mock.patch.dict(OPAQUE, clear=True):
        assert identify.ids(values, "values") == general
        # With one opaque value about, no short cut is taken.
        opaque(values, id="any")
        assert identify.ids(values, "values") == general
    assert list(identify.members(values)) == general
    assert all(quick in (None, exact) for quick, exact in zip(map(flat_id, values), general, strict=True))
    assert all(quick in (None, exact) for quick, exact in zip(map(atom_id, values), general, strict=True))


def told(value):
    """A form in which values are equal exactly when they must have one id."""
    kind = type(value)
    if kind in (list, tuple):
        return (kind.__name__, *map(told, value))
    if kind is dict:
        return ("dict", *((told(key), told(each)) for key, each in value.items()))
    if kind in (set, frozenset):
        return (kind.__name__, *sorted(map(repr, map(told, value))))
    if kind is float:
        return ("float", "nan" if value != value else value.hex())
    if kind is complex:
        return ("complex", told(value.real), told(value.imag))
    return (kind.__name__, repr(value))


@settings(max_examples=80, deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=8))
def test_ids_are_equal_exactly_when_values_are(values):
    ids, forms = [identify(value) for value in values], [repr(told(value)) for value in values]
    assert [i == j for i in ids for j in ids] == [one == other for one in forms for other in forms]


# Arrays.

DTYPES = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="?"), hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(), hnp.datetime64_dtypes(), hnp.timedelta64_dtypes(), hnp.unicode_string_dtypes(max_len=4),
    hnp.byte_string_dtypes(max_len=4), st.sampled_from([np.dtype("f8"), np.dtype("g"), np.dtype("O")]),
    hnp.array_dtypes(hnp.integer_dtypes() | hnp.floating_dtypes(), max_size=3, allow_subarrays=True),
)  # fmt: skip
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=None if dtype != "O" else ATOMS,
    )
)


def laid_out_otherwise(array):
    """The same array in other places of memory."""
    wide = np.empty((*array.shape, 2), dtype=array.dtype)
    wide[..., 0] = array
    backwards = np.flip(array.copy()) if array.ndim else array.copy()
    ways = [
        array.copy(order="F"),
        wide[..., 0],
        np.flip(backwards),
        array.T.copy().T,
        np.concatenate([array.reshape(-1)[:1], array.reshape(-1)])[1:].reshape(array.shape),
    ]
    return [np.asarray(each, dtype=array.dtype) for each in ways]


@settings(max_examples=100, deadline=None)
@given(ARRAYS)
def test_how_an_array_lies_in_memory_makes_no_difference(array):
    assert {identify(each) for each in laid_out_otherwise(array)} == {identify(array)}


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(st.sampled_from(["f2", "f4", "f8", ">f8", "c8", "c16", "i4", "M8[s]"]), st.integers(1, 8)))
def test_another_dtype_shape_or_bit_is_another_array(array):
    other = array.copy()
    other.view(np.uint8)[-1 if other.dtype.byteorder != ">" else 0] ^= 0x80  # the sign of the last, or first, number
    changed = [array.reshape(1, -1), array.astype(array.dtype.newbyteorder()), np.append(array, array[:1]), list(array)]
    same_nan = np.array_equal(np.isnan(array), np.isnan(other)) and np.isnan(
        array[-1 if other.dtype.byteorder != ">" else 0]
    )
    ids = [identify(each) for each in (array, *changed, *([] if same_nan else [other]))]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "g", "c8", "c16"])
@pytest.mark.parametrize("at", [0, 70_000, 299_999])
def test_all_nans_are_one_wherever_they_stand(dtype, at):
    ids = set()
    for payload in (np.nan, -np.nan):
        array = np.ones(300_000, dtype=dtype)
        array[at] = payload
        ids.add(identify(array))
    assert len(ids) == 1
    assert identify(np.ones(300_000, dtype=dtype)) not in ids


def test_nan_in_one_part_of_a_complex_number_hides_nothing_of_the_other():
    values = [complex(np.nan, 1), complex(np.nan, 2), complex(1, np.nan), complex(np.nan, np.nan)]
    assert len({identify(np.array([each])) for each in values}) == 4


# Tables: the same one built in several ways.

COLUMNS = st.fixed_dictionaries(
    {
        "i": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4),
        "f": st.lists(st.floats(), min_size=4, max_size=4),
        "s": st.lists(st.text(max_size=4) | st.none(), min_size=4, max_size=4),
        "b": st.lists(st.booleans(), min_size=4, max_size=4),
    }
)


@settings(max_examples=25, deadline=None)
@given(COLUMNS)
def test_a_pandas_frame_built_in_another_way_has_the_same_id(columns):
    frame = pd.DataFrame(columns, columns=list("ifsb"))
    one_by_one = pd.DataFrame(index=range(4))
    for name in frame:
        one_by_one[name] = pd.Series(columns[name], dtype=frame[name].dtype)
    ways = [
        one_by_one,
        pd.concat([frame[:2], frame[2:]]),
        pd.concat([frame[["i", "f"]], frame[["s", "b"]]], axis=1),
        frame.copy().iloc[::-1].iloc[::-1],
        frame.assign(extra=1).drop(columns="extra"),
        pickle.loads(pickle.dumps(frame)),
    ]
    for each in ways:
        each.index, each.columns = frame.index, frame.columns
    assert {identify(each) for each in ways} == {identify(frame)}


@settings(max_examples=25, deadline=None)
@given(COLUMNS, st.integers(0, 4))
def test_arrow_and_polars_chunks_make_no_difference(columns, cut):
    table = pa.table(columns)
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    padded = pa.concat_tables([table, table]).slice(4)
    assert identify(table) == identify(pieces) == identify(padded) == identify(pickle.loads(pickle.dumps(table)))
    frame = pl.DataFrame(columns, schema=dict(i=pl.Int64, f=pl.Float64, s=pl.String, b=pl.Boolean))
    halves = pl.concat([frame[:cut], frame[cut:]], rechunk=False)
    assert identify(frame) == identify(halves) == identify(pl.concat([frame, frame], rechunk=False)[4:])


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


def redefined():
    @dataclasses.dataclass
    class Local:
        x: int

    return Local(1)


def a_view_of_garbage(dtype):
    """Zeros whose padding is left over from something else."""
    array = np.frombuffer(bytearray(range(1, 1 + 4 * np.dtype(dtype).itemsize)), dtype=dtype)
    for name in array.dtype.names:
        array[name] = 0
    return array


ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
nested = pa.array([{"a": [1, 2], "b": None}, None, {"a": [], "b": "x"}])
masked = np.ma.masked_array([1, 2, 3], mask=[0, 1, 0])
nulls = pd.array([1, None, 3], dtype="Int64")

SAME = {
    "class redefined": [redefined, redefined],
    "padding between fields": [lambda: np.zeros(4, ALIGNED), lambda: a_view_of_garbage(ALIGNED)],
    "long doubles": [lambda: np.full(3, 1.5, "g"), lambda: np.array(["1.5"] * 3, dtype="g")],
    "array from a file": [lambda: np.arange(4.0), lambda: mapped(np.arange(4.0))],
    "strings of numpy 2": [
        lambda: np.array(["a", "b" * 50], dtype=np.dtypes.StringDType()),
        lambda: np.array(["b" * 50, "a"], dtype=np.dtypes.StringDType())[::-1],
    ],
    "nested arrow": [lambda: nested, lambda: pa.concat_arrays([nested, nested])[3:]],
    "nested arrow in chunks": [
        lambda: pa.chunked_array([nested]),
        lambda: pa.chunked_array([nested[:1], nested[1:]]),
    ],
    "arrow times": [
        lambda: pa.array([1, None, 3], pa.time64("ns")),
        lambda: pa.array([0, 1, None, 3], pa.int64()).view(pa.time64("ns"))[1:],
    ],
    "garbage under nulls": [lambda: nulls, lambda: pd.Series([1, 7, 3], dtype="Int64").where([True, False, True]).array],
    "categories of polars": [
        lambda: pl.Series(["a", "b"], dtype=pl.Categorical),
        lambda: pl.Series(["b", "a", "b"], dtype=pl.Categorical)[1:],
    ],
    "sparse": [
        lambda: scipy.sparse.csr_matrix(([1, 2], ([0, 1], [1, 0])), shape=(2, 2)),
        lambda: scipy.sparse.csr_matrix(np.array([[0, 1], [2, 0]])),
    ],
    "multi index": [
        lambda: pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
        lambda: pd.MultiIndex.from_tuples([(1, "a"), (2, "b"), (3, "c")])[:2],
    ],
    "attributes": [
        lambda: with_attrs(pd.DataFrame({"a": [1]}), {"unit": "m"}),
        lambda: with_attrs(pd.DataFrame({"a": [1]}), {"unit": "".join(["m"])}),
    ],
}  # fmt: skip


def mapped(array):
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        array.tofile(file.name)
        return np.memmap(file.name, dtype=array.dtype, mode="r", shape=array.shape)


def with_attrs(frame, attrs):
    frame.attrs.update(attrs)
    return frame


@pytest.mark.parametrize("name", SAME)
def test_equal_values_of_libraries_have_one_id(name):
    one, other = SAME[name]
    assert identify(one()) == identify(other())


frame = pd.DataFrame({"a": [1, 2]})
DIFFERENT = {
    "dtypes of fields": [np.zeros(2, [("a", "i4")]), np.zeros(2, [("b", "i4")]), np.zeros(2, [("a", "u4")]), np.zeros(2, ALIGNED)],
    "dtypes": [np.dtype("i4"), np.dtype(">i4"), np.dtype(("i4", 2)), np.dtype(("f4", 2)), np.dtype("V8"), np.dtype("M8[s]"), np.dtype("M8[ms]")],
    "arrays of one buffer": [np.zeros(0), np.zeros((0, 2)), np.zeros((2, 0)), np.zeros(0, "f4"), np.zeros((), "f8"), np.zeros(1)],
    "arrays of numpy": [np.array([[1]]), np.asmatrix([[1]]), np.rec.array([(1,)]), np.ma.masked_array([[1]]), np.char.array(["1"])],
    "masked": [masked, np.ma.masked_array([1, 2, 3]), np.ma.masked_array([1, 2, 3], mask=[0, 1, 0], fill_value=7), np.ma.masked, np.ma.masked_array([1, 2, 4], mask=[0, 1, 0]), np.ma.masked_array([1, 9, 3], mask=[0, 1, 0])],
    "structured scalars": [np.array([(1, "a")], "i4,O")[0], np.array([(1, "b")], "i4,O")[0], np.array([(1, 2)], "i4,i4")[0]],
    "zeros": [0.0, -0.0, np.float64(0.0), np.float64(-0.0), np.float32(0.0), np.array([0.0]), np.array([-0.0]), 0j, complex(0, -0.0), complex(-0.0, 0)],
    "huge ints": [2**64, -(2**64), 2**64 + 1, 2**63, 10**5000, 10**5000 + 1, decimal.Decimal(2**64)],
    "texts": ["", "\0", "\0\0", "a", "a\0", "\ud800", "\udc00", "\ud800\udc00", "\U00010000", b"", b"\0", "\\0"],
    "columns": [
        frame, frame.rename(columns={"a": "b"}), frame.rename_axis(columns="n"), frame.rename_axis(index="n"), frame.astype("f8"),
        frame.astype("Int64"), frame.astype("int64[pyarrow]"), frame.astype("category"), frame.astype(object), frame.astype(str), frame[::-1],
        frame.set_index("a", drop=False), frame["a"], with_attrs(frame.copy(), {"unit": "m"}), frame.set_axis([0], axis=1),
        frame.set_axis(["0"], axis=1), frame.set_axis(pd.Index([0], dtype="i1"), axis=1), frame.set_axis([0.0], axis=1), frame[:0], frame[[]],
    ],
    "categoricals": [
        pd.Categorical(["a"]), pd.Categorical(["a"], ordered=True), pd.Categorical(["a"], ["a", "b"]), pd.Categorical(["a"], ["b", "a"]),
        pd.CategoricalIndex(["a"]), pd.Categorical([None], ["a"]),
    ],
    "times": [
        pd.DatetimeIndex(["2020"]), pd.DatetimeIndex(["2020"], tz="UTC"), pd.DatetimeIndex(["2020"], tz="Europe/Paris"),
        pd.date_range("2020", periods=1, freq="D"), pd.date_range("2020", periods=1, freq="h"), pd.DatetimeIndex(["2020"]).as_unit("s"),
        pd.PeriodIndex(["2020"], freq="D"), pd.PeriodIndex(["2020"], freq="M"), pd.TimedeltaIndex([0]),
    ],
    "intervals": [
        pd.Interval(0, 1), pd.Interval(0, 1, closed="left"), pd.Interval(0.0, 1.0), pd.IntervalIndex.from_breaks([0, 1]),
        pd.IntervalIndex.from_breaks([0, 1], closed="both"), pd.arrays.IntervalArray.from_breaks([0, 1]),
    ],
    "multi indexes": [
        pd.MultiIndex.from_tuples([(0, 1)]), pd.MultiIndex.from_tuples([(0, 1)], names=["a", None]), pd.MultiIndex.from_tuples([(0, 1)], names=[None, "a"]),
        pd.MultiIndex.from_tuples([(0.0, 1)]), pd.MultiIndex.from_tuples([(1, 0)]), pd.Index([(0, 1)], tupleize_cols=False),
    ],
    "pandas sparse": [pd.arrays.SparseArray([0, 1]), pd.arrays.SparseArray([0, 1], fill_value=1), pd.array([0, 1]), pd.arrays.SparseArray([0.0, 1])],
    "missing": [pd.NA, pd.NaT, None, float("nan"), np.datetime64("NaT"), np.timedelta64("NaT"), np.datetime64("NaT", "s"), pa.NA],
    "arrow": [
        pa.array([1]), pa.array([1], pa.int32()), pa.chunked_array([[1]]), pa.array([1, None]), pa.array([None, 1]), pa.nulls(1), pa.nulls(2),
        pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("ms")), pa.array([1], pa.timestamp("s", "UTC")), pa.array([1], pa.duration("s")),
        pa.array([1], pa.time32("s")), pa.array([1], pa.date32()), pa.array([True]), pa.array([1.0]), pa.array([b"1"]), pa.array(["1"]), pa.array(["1"], pa.large_string()),
    ],
    "nested arrow": [
        pa.array([[1], [2]]), pa.array([[1, 2], []]), pa.array([[], [1, 2]]), pa.array([[1, 2], None]), pa.array([[1, 2, None]]), pa.array([[1, 2]]),
        pa.array([[1, 2]], pa.list_(pa.int64(), 2)), pa.array([{"a": 1}]), pa.array([{"b": 1}]), pa.array([{"a": 1}, None]), pa.array([{"a": 1}, {"a": None}]),
    ],
    "dictionaries of arrow": [
        pa.array(["a"]), pa.array(["a"]).dictionary_encode(), pa.DictionaryArray.from_arrays([0], ["a", "b"]), pa.DictionaryArray.from_arrays([1], ["b", "a"]),
    ],
    "tables": [
        pa.table({"a": [1]}), pa.table({"b": [1]}), pa.record_batch({"a": [1]}), pa.table({"a": [1]}).replace_schema_metadata({"k": "v"}),
        pa.table({"a": [1]}, schema=pa.schema([pa.field("a", pa.int64(), nullable=False)])), pa.table({"a": [1], "b": [2]}), pa.table({"b": [2], "a": [1]}),
    ],
    "polars": [
        pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]}), pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": ["1"]}), pl.Series([1]), pl.Series("a", [1]),
        pl.DataFrame({"a": [1, None]}), pl.DataFrame({"a": [None, 1]}), pl.DataFrame({"a": [[1]]}), pl.DataFrame({"a": [1], "b": [2]}),
        pl.DataFrame({"b": [2], "a": [1]}), pl.DataFrame({"a": [1]}, schema={"a": pl.Int128}), pl.DataFrame({"a": [2]}, schema={"a": pl.Int128}),
        pl.Series(["a"], dtype=pl.Categorical), pl.Series(["b"], dtype=pl.Categorical), pl.Series(["a"], dtype=pl.Enum(["a"])), pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
    ],
    "scipy": [
        scipy.sparse.csr_matrix(np.eye(2)), scipy.sparse.csc_matrix(np.eye(2)), scipy.sparse.csr_array(np.eye(2)), scipy.sparse.coo_matrix(np.eye(2)),
        scipy.sparse.csr_matrix(np.eye(2, dtype="f4")), scipy.sparse.csr_matrix(2 * np.eye(2)), scipy.sparse.csr_matrix(np.eye(2), shape=(2, 2))[::-1],
    ],
    "objects": [Point(1), Point(2), Point(1, 1), Point(1, True), Point(1, Point(1)), redefined()],
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_values_of_libraries_that_differ_have_different_ids(name):
    ids = [identify(value) for value in DIFFERENT[name]]
    assert [(i, j) for i in range(len(ids)) for j in range(i) if ids[i] == ids[j]] == []


# Across processes.


def test_ids_are_the_same_in_another_process_with_another_hash_seed():
    assert in_another_process("4242") == all_ids()
    assert len(all_ids()) > 150


def in_another_process(seed):
    script = f"import runpy, json; print(json.dumps(runpy.run_path({__file__!r})['all_ids']()))"
    env = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def all_ids():
    """The ids of every value in the tables here, and of some whose order in memory depends on the hash seed."""
    values = [value for group in DIFFERENT.values() for value in group if not isinstance(value, Point)]
    values += [make() for ways in SAME.values() for make in ways if make is not redefined]
    words = [f"word {i}" for i in range(50)]
    values += [
        set(words),
        frozenset(words),
        {word: {word, word * 2} for word in words},
        [frozenset(words[:i]) for i in range(9)],
    ]
    plain = Identifier(lambda thing: getattr(thing, "__qualname__", str(thing)).encode()[-16:].rjust(16, b"_"))
    return [plain(value).hex() for value in values if not isinstance(value, type(redefined()))]

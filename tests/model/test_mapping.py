"""Sources of a map, taken apart."""

import numpy as np
import pandas as pd
import pytest

from nbflow.errors import MapError, UnequalLengths
from nbflow.model.mapping import common_length, items_of


@pytest.mark.parametrize(
    ("source", "values", "index"),
    [
        ([1, 2], [1, 2], None),
        ((1, 2), [1, 2], None),
        (range(2), [0, 1], None),
        ({"a": 1, "b": 2}, [1, 2], ["a", "b"]),
        (iter([1, 2]), [1, 2], None),
        ((x for x in "ab"), ["a", "b"], None),
        (pd.Series([1.5, 2.5], index=["p", "q"]), [1.5, 2.5], ["p", "q"]),
        (pd.DataFrame({"k": [1, 2], "v": ["x", "y"]}), [{"k": 1, "v": "x"}, {"k": 2, "v": "y"}], [0, 1]),
        ([], [], None),
    ],
    ids=["list", "tuple", "range", "dict", "iterator", "generator", "Series", "DataFrame", "empty"],
)
def test_each_kind_of_source_gives_its_values_and_labels(source, values, index):
    items = items_of(source, "x")
    assert list(items.values) == values
    assert (None if items.index is None else list(items.index)) == index


def test_an_array_is_taken_along_its_first_axis():
    items = items_of(np.arange(6).reshape(3, 2), "x")
    assert [row.tolist() for row in items.values] == [[0, 1], [2, 3], [4, 5]]


def test_an_array_without_axis_cannot_be_mapped_over():
    with pytest.raises(MapError, match="no axis"):
        items_of(np.array(3), "x")


def test_the_shortest_counts_only_when_asked_for():
    assert common_length({"x": 3, "y": 2}, strict=False) == 2
    with pytest.raises(UnequalLengths):
        common_length({"x": 3, "y": 2}, strict=True)

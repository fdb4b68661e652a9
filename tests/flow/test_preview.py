"""What the detail pane shows of a value: short, in a form that JSON can hold, and never an error."""

import json

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from nbflow.flow.preview import preview

TABLE = pd.DataFrame(
    {"town": ["Bern", "Ulm"], "rain": [0.5, np.nan], "day": pd.to_datetime(["2024-01-02", "2024-01-03"])},
    index=["a", "b"],
)


def drawn():
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 3, 2])
    return figure


class Unwilling(pd.DataFrame):
    @property
    def iloc(self):
        raise RuntimeError("not now")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (TABLE, {"columns": ["", "town", "rain", "day"], "text": "2 rows × 3 columns"}),
        (TABLE, {"rows": [["a", "Bern", "0.5", "2024-01-02 00:00:00"], ["b", "Ulm", "nan", "2024-01-03 00:00:00"]]}),
        (pd.DataFrame({"x": [0.5, 2.0]}), {"kind": "table", "rows": [["0", "0.5"], ["1", "2.0"]]}),
        (pd.DataFrame({"x": range(1000)}), {"text": "1,000 rows × 1 columns"}),
        (pd.Series([1.5] * 9, name="x"), {"rows": [[str(i), "1.5"] for i in range(6)], "text": "9 values of float64"}),
        (np.zeros((20, 30), "f4"), {"text": "array of float32, 20 × 30\n" + ", ".join(["0.0"] * 8) + " …"}),
        (np.array(["2024-01-02"], "M8[D]"), {"text": "array of datetime64[D], 1\n2024-01-02"}),
        (np.array([True, False]), {"text": "array of bool, 2\nTrue, False"}),
        (drawn(), {"kind": "picture", "text": "figure"}),
        (drawn().axes[0], {"kind": "picture"}),
        (Unwilling({"x": [1]}), {"text": "DataFrame, which cannot be shown here: RuntimeError"}),
        ({"a": 1}, {"kind": "text", "text": "{'a': 1}"}),
        (list(range(1000)), {"text": "1,000 items, such as [0, 1, 2, 3, 4, 5, ...]"}),
    ],
    ids=range(13),
)
def test_a_value_is_shown_by_its_kind(value, told):
    shown = preview(value, "x")
    assert {key: shown[key] for key in told} == told
    assert len(json.dumps(shown)) < 200_000

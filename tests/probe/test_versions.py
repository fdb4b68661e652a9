"""Which packages are others here than somewhere else."""

import pandas as pd
import pytest

from nbflow.probe.versions import unlike_here


@pytest.mark.parametrize(
    ("there", "unlike"),
    [
        ({"pandas": pd.__version__}, {}),
        ({"pandas": "0.1"}, {"pandas": pd.__version__}),
        ({"no-such-package": "1.0", "no_such_one": "2.0"}, {"no-such-package": None, "no_such_one": None}),
        ({"python": "2.7", "nbflow": "0.0"}, {}),
        ({"no-such-package": "unknown"}, {}),
        ({"pandas": f"{pd.__version__}+cu121"}, {}),
    ],
    ids=["same", "other", "missing", "compared before", "unknown", "another build"],
)
def test_packages_of_other_versions_are_found(there, unlike):
    assert unlike_here(there) == unlike

"""Case 84: a line of a log in a helper is edited. The task runs again, which is safe; `accept` keeps the old results."""

SCRIPT = """
from nbflow import Flow, task

def helper(x):
    note = {text!r}
    return x + 1

@task
def a(x):
    print("RAN a")
    return helper(x)

@task
def b(xs):
    print("RAN b")
    return sum(xs)

with Flow("case", store="store", executor="sync") as flow:
    b(a.map([1, 2, 3]))
{then}
"""

RUN = 'print("VALUE", flow.run(check=True)["b"])'


def test_an_edited_log_line_runs_again(restart, tmp_path):
    restart(tmp_path, SCRIPT.format(text="one", then=RUN))
    after = restart(tmp_path, SCRIPT.format(text="two", then=RUN))
    assert (after.ran, after.value) == (["a", "a", "a"], "9")


def test_accepted_old_results_stay_across_restarts(restart, tmp_path):
    restart(tmp_path, SCRIPT.format(text="one", then=RUN))
    accepted = restart(tmp_path, SCRIPT.format(text="two", then='print("VALUE", flow.accept("a"))'))
    assert (accepted.ran, accepted.value) == ([], "a: 3 results adopted from before the edit (helper `helper` changed)")
    after = restart(tmp_path, SCRIPT.format(text="two", then=RUN))
    assert (after.ran, after.value) == ([], "9")
    why = restart(tmp_path, SCRIPT.format(text="two", then='print("VALUE", flow.why("a").splitlines()[2].strip())'))
    assert why.value.startswith("accepted on ")
    assert why.value.endswith("after an edit: helper `helper` changed")
    # Another edit counts again, and so does another input.
    assert restart(tmp_path, SCRIPT.format(text="three", then=RUN)).ran == ["a", "a", "a"]
    more = SCRIPT.format(text="two", then=RUN).replace("[1, 2, 3]", "[1, 2, 3, 4]")
    assert restart(tmp_path, more).ran == ["a", "b"]


def test_history_and_compare_know_runs_of_earlier_processes(restart, tmp_path):
    restart(tmp_path, SCRIPT.format(text="one", then=RUN))
    restart(tmp_path, SCRIPT.format(text="one", then=RUN).replace("x + 1", "x + 2"))
    told = restart(
        tmp_path,
        SCRIPT.format(text="one", then='print("VALUE", flow.compare().nodes["b"].lines, list(flow.history("a").why))'),
    )
    assert told.value == "('9 → 12',) ['it has not run before', 'helper `helper` changed']"

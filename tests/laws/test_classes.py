"""Classes and functions of a notebook or script in other processes: they do there what they do at home."""

import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def script(tmp_path):
    """Runs the text of a script as `__main__` on an executor; gives what it printed."""

    def run(text, executor, *more):
        (tmp_path / "script.py").write_text(
            "import sys\nfrom nbflow import Flow, task, unmapped\n" + textwrap.dedent(text)
        )
        command = [sys.executable, "script.py", executor, *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_type_variable_breaks_nothing(script, executor):
    text = """
        import dataclasses, typing
        T = typing.TypeVar("T")
        @dataclasses.dataclass
        class Box(typing.Generic[T]):
            v: T
        @task
        def box(x):
            return Box(x)
        @task
        def plain(x):
            return x + 1
        if __name__ == "__main__":
            for each, expected in ((box, [Box(1), Box(2)]), (plain, [2, 3]), (box, [Box(1), Box(2)])):
                with Flow("box", store="store", executor=sys.argv[1]) as flow:
                    each.map([1, 2])
                assert flow.run(check=True)[each.name] == expected
    """
    script(text, executor)


SLOTS = """
    import dataclasses
    @dataclasses.dataclass(slots=True)
    class Data:
        a: int
    @dataclasses.dataclass(slots=True, frozen=True)
    class Frozen:
        a: int
    class Plain:
        __slots__ = ("__secret", "a")
        def __init__(self, a):
            self.a = self.__secret = a
        def __eq__(self, other):
            return isinstance(other, Plain) and (self.a, self.__secret) == (other.a, other.__secret)
    class More(Plain):
        __slots__ = ("b",)
    @task
    def data(x):
        return Data(x), Frozen(x), Plain(x), More(x)
    @task
    def next_of(all):
        return [type(each)(each.a + 1) for each in all] + [hasattr(each, "__dict__") for each in all]
    if __name__ == "__main__":
        with Flow("slots", store="store", executor=sys.argv[1]) as flow:
            next_of.map(data.map([1]))
        run = flow.run(check=True)
        assert run["data"] == [(Data(1), Frozen(1), Plain(1), More(1))]
        assert [type(each) for each in run["data"][0]] == [Data, Frozen, Plain, More]
        assert run["next_of"] == [[Data(2), Frozen(2), Plain(2), More(2), False, False, False, False]]
        print(run.frame("data")["state"].tolist(), run.frame("next_of")["state"].tolist())
"""


def test_classes_with_slots_travel_both_ways_and_are_the_same_after_a_restart(script, executor):
    assert script(SLOTS, executor) == "['success'] ['success']\n"
    assert script(SLOTS, "threads") == "['cached'] ['cached']\n"

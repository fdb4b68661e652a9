"""The frame of all tables of edits: a program with two tasks, run, restarted, edited, and judged exactly."""

import textwrap
from dataclasses import dataclass, field

PROGRAM = """
import sys
from nbflow import Flow, task

{above}

@task
def a(x):
    print("RAN a")
{body}

@task
def b(y):
    print("RAN b")
    return type(y).__name__, repr(y).split(" at 0x")[0]

with Flow("case", store="store") as flow:
    b(a({x}))
run = flow.run(check=True)
print("VALUE", run["b"])
"""


@dataclass(frozen=True)
class Version:
    """above: what stands above the tasks; body: of task a; x: its argument; files: texts by name."""

    above: str
    body: str
    x: str
    files: dict = field(default_factory=dict)

    @property
    def program(self):
        return PROGRAM.format(above=textwrap.dedent(self.above), body=textwrap.indent(self.body, "    "), x=self.x)


@dataclass(frozen=True)
class Edit:
    """runs: the tasks that must run after it, and no other: "", "a" (b's input stays equal) or "ab"."""

    name: str
    before: Version
    after: Version
    runs: str

    def hold(self, restart, folder):
        """Asserts what runs at first, after a restart, after the edit; and that the value is that of an empty store."""
        before, after = self.before, self.after
        assert restart(folder, before.program, before.files).ran == ["a", "b"]
        assert restart(folder, before.program).ran == [], "nothing was edited"
        edited = restart(folder, after.program, after.files)
        assert edited.ran == list(self.runs)
        if self.runs:
            assert edited.value == restart(folder / "cold", after.program, after.files).value


def edit(
    name,
    above,
    old,
    new,
    runs,
    *,
    where="",
    body="return f(x)",
    x="1",
    files=None,
    after_body=None,
    after_x=None,
    after_files=None,
):
    """One edit: `old` becomes `new` above the tasks or in the file `where`; the `after_` ones replace a part whole."""
    files = files or {}
    assert old in (files[where] if where else above)
    changed = {where: files[where].replace(old, new)} if where else {}
    after = Version(
        above if where else above.replace(old, new),
        body if after_body is None else after_body,
        x if after_x is None else after_x,
        {**files, **changed, **(after_files or {})},
    )
    return Edit(name, Version(above, body, x, files), after, runs)

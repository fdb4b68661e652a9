"""A thousand heads and lines that nobody would write, in one shell: each is understood, or refused in a few lines."""

import os
import random
import re

import pytest

from nbflow.errors import NbflowError, TaskError
from tests.notebook.test_session import notebook

__all__ = ["notebook"]
HEADS, LINES = 700, 300
# Another number gives other cells.
SEED = int(os.environ.get("NBFLOW_FUZZ_SEED", "1"))
NAMES = [
    "a",
    "b",
    "out",
    "xs",
    "df",
    "größe",
    "_p",
    "class",
    "1x",
    "print",
    "In",
    "x" * 300,
    "a.b",
    "a[0]",
    "ﬁ",
    "日本",
    "🙂",
    "a-b",
    "",
]
SOURCES = [
    "xs",
    "[1, 2]",
    "range(2)",
    "zip(xs, xs)",
    "{1: 2}.items()",
    "unknown",
    "5",
    "'ab'",
    "open('x')",
    "(",
    "[1,",
    "xs)",
    "lambda: 0",
    "[]",
]
TARGETS = ["x", "a, b", "(a, *b)", "x.y", "x[0]", "()", "*a", "if", "x, x", "[p, q]"]
CONDITIONS = ["x", "x > 1", "True", "not", "(y := 2)", "await z", "yield", "n", "1 if", "len(xs)"]
OPTIONS = [
    "--retries 1",
    "--retries",
    "--retries x",
    "--retries=1=2",
    "--no-cache",
    "--cache yes",
    "--name 'a b'",
    "--name",
    "--seed 3",
]
OPTIONS += [
    "--bogus",
    "--",
    "---",
    "-x",
    "--trigger all_failed",
    "--trigger never",
    "--env A,",
    "--merge a,b",
    "--merge ,",
    "--lazy",
]
OPTIONS += [
    "--version '",
    "--max-age 1y",
    "--executor nowhere",
    "--timeout -1",
    "--loop-times 2",
    "-h",
    "# words",
    "— retries",
    "--loop-times 0",
]
BODIES = [
    "1",
    "a = 1",
    "xs",
    "x",
    "pass",
    "",
    "a = b = 2",
    "return 1",
    "a +",
    "1 / 0",
    "import no_such_module",
    "  1",
    "%flow",
    "del a",
    "out = x\nout",
]
NOISE = list("()[]{}'\"\\,:;=*#$%!?@&|~`^\t") + [
    "\N{NO-BREAK SPACE}",
    "\u200b",
    "é",
    "{xs}",
    "$xs",
    "for",
    "if",
    "in",
    "\\n",
    "<script>",
    "\x00",
]

# What is right comes often enough for whole heads to be right.
NAMES += ["a", "b", "out"] * 8
SOURCES += ["xs", "[1, 2]"] * 6
TARGETS += ["x"] * 12
CONDITIONS += ["x"] * 6
OPTIONS += ["--retries 1", "--no-cache"] * 8
BODIES += ["a = 1", "1", "b = a = 2\nb"] * 6


def mangled(chance, text):
    """The text with some of it left out, twice, in another place, or with noise in it."""
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 4])):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at] + text[at + 1 + chance.randrange(3) :]
            case 1:
                text = text[:at] + chance.choice(NOISE) + text[at:]
            case 2:
                text = text[:at] + text[max(0, at - 5) :]
            case _:
                text = text[at:] + " " + text[:at]
    return text


def head(chance):
    parts = [", ".join(chance.choices(NAMES, k=chance.choice([0, 1, 1, 1, 2, 3])))]
    for _ in range(chance.choice([0, 0, 1, 1, 2])):
        parts.append(f"for {chance.choice(TARGETS)} in {chance.choice(SOURCES)}")
    parts += [f"if {chance.choice(CONDITIONS)}"] * (chance.random() < 0.25)
    parts += chance.choices(OPTIONS, k=chance.choice([0, 0, 0, 1, 2]))
    return mangled(chance, " ".join(parts))


def cell_of(chance):
    body = chance.choice(BODIES)
    match chance.randrange(8):
        case 0:
            return (
                mangled(chance, f"# task: {chance.choice(['retries=1', 'cache=False, seed=2', 'name=3', ''])}")
                + f"\n{body}"
            )
        case 1:
            target, source = chance.choice(TARGETS), chance.choice(SOURCES)
            return f"# task\nout = [{chance.choice(['x', '1', 'a'])} for {target} in {source}]"
        case _:
            return f"%%task {head(chance)}\n{body}"


def line_of(chance, commands):
    words = [
        chance.choice([*commands, *NAMES, "rnu"]),
        *chance.choices([*NAMES, *OPTIONS, "xs[0]", "xs[oslo]", "[", "1", "9", "on"], k=chance.choice([0, 0, 1, 2, 3])),
    ]
    return "%flow " + mangled(chance, " ".join(words)).replace("\n", " ").replace("/", "")


def tasks(session):
    """What is declared, as everything that reads the flow sees it."""
    return sorted(session.build().graph.nodes), session.names(), session.outputs()


@pytest.fixture
def declared(notebook, monkeypatch):
    """The cells that were taken in."""
    taken = []
    declare = notebook.session.declare
    monkeypatch.setattr(notebook.session, "declare", lambda *args: taken.append(declare(*args)) or taken[-1])
    return taken


def complaint(cell, done):
    """What is wrong with an answer; "" for one that is in order."""
    # A cell that IPython itself cannot read never gets here: a task's own error is one of ours around it.
    ours = done.error is None or isinstance(done.error, (NbflowError, SyntaxError))
    lines = len(done.text.splitlines())
    if not ours:
        return f"{type(done.error).__name__} came out"
    if re.search(r"nbflow/\w+/|Traceback \(most recent|IllegalTransition|AssertionError", done.text):
        return "shows what is inside"
    return f"{lines} lines" if done.error is not None and lines > 25 else ""


def test_cells_of_tasks_are_taken_in_whole_or_refused_with_a_word(notebook, declared):
    chance = random.Random(SEED)
    notebook("# task\nxs = [1, 2]", "first")
    notebook("n = 1", "plain")
    refused, wrong = 0, []
    for number in range(HEADS):
        cell = cell_of(chance)
        before, count = tasks(notebook.session), len(declared)
        done = notebook(cell, f"c{number % 40}")
        is_task = cell.startswith("%%task ") or (cell.startswith("# task") and re.match(r"# task(:|\n)", cell))
        if is_task and len(declared) == count and "-h" not in cell:
            refused += 1
            if tasks(notebook.session) != before or done.error is None:
                wrong.append((cell, "was refused, and changed the flow", done.text))
        told = complaint(cell, done) if is_task else ""
        if told:
            wrong.append((cell, told, done.text))
    assert not wrong, wrong[:3]
    assert refused > HEADS / 4
    assert len(declared) > HEADS / 8
    assert notebook("# task\nsure = sum([1, 2])\nsure", "last").value == 3
    # What some cells need is not there any more; what is there can be drawn and told.
    assert notebook("%flow", "end").error is None
    assert notebook("%flow status", "end").error is None


def test_lines_of_flow_do_what_they_say_or_are_refused_with_a_word(notebook):
    chance = random.Random(-SEED)
    notebook("# task\nxs = [1, 2]", "first")
    notebook("%%task out for x in xs\nx", "second")
    said = notebook("%flow help", "plain").text
    commands = sorted(set(re.findall(r"^%flow (\w+)", said, re.MULTILINE)) - {"debug"})
    assert {"run", "plan", "lazy"} <= set(commands)
    wrong, refused = [], 0
    for _ in range(LINES):
        line = line_of(chance, commands)
        done = notebook(line, "plain")
        refused += isinstance(done.error, NbflowError) and not isinstance(done.error, TaskError)
        told = complaint(line, done) if line.startswith("%flow ") else ""
        if told:
            wrong.append((line, told, done.text))
        if "rm" in line:
            notebook("# task\nxs = [1, 2]", "first")
            notebook("%%task out for x in xs\nx", "second")
    assert not wrong, wrong[:3]
    assert refused > LINES / 3

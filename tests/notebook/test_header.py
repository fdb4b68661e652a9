"""The `%%task` line: what is read, and what an error says."""

import ast
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nbflow.errors import HeadError
from nbflow.notebook.header import head_help, parse_head, split_head

GENERATORS = {
    "daily for df in weather": [("df", "weather", [])],
    "w for path in sorted(glob('data/*.csv'))": [("path", "sorted(glob('data/*.csv'))", [])],
    "x for a, (b, *c) in pairs": [("(a, (b, *c))", "pairs", [])],
    "x for a in xs for b in a.parts if b if a": [("a", "xs", []), ("b", "a.parts", ["b", "a"])],
    "x for a in [y for y in ys if y > 2]": [("a", "[y for y in ys if y > 2]", [])],
    "x for a in [1, # one\n 2]": [("a", "[1, 2]", [])],
    "x for a in xs  # why": [("a", "xs", [])],
}


@pytest.mark.parametrize(("text", "wanted"), GENERATORS.items(), ids=list(GENERATORS))
def test_generators(text, wanted):
    found = parse_head(text).generators
    unparsed = [(ast.unparse(g.target), ast.unparse(g.source), [ast.unparse(c) for c in g.conditions]) for g in found]
    assert unparsed == wanted


def test_loop_variables_are_in_the_order_of_the_target():
    assert parse_head("x for (a, b), [*c, d] in xs").generators[0].names == ("a", "b", "c", "d")


NAMES = {"": (), "a": ("a",), " a , b,": ("a", "b"), "for x in xs": (), "café": ("café",), "format": ("format",)}


@pytest.mark.parametrize(("text", "wanted"), NAMES.items(), ids=list(NAMES))
def test_names(text, wanted):
    assert parse_head(text).names == wanted


def test_names_are_normalised_as_python_does():
    # The ligature is another character, and the same identifier.
    assert parse_head("ﬁle").names == ("file",)


OPTIONS = {
    "--retries 2 --retry-delay=1.5": {"retries": 2, "retry_delay_s": 1.5},
    "--cache": {"cache": True},
    "--no-cache --always": {"cache": False, "always": True},
    "--max-age 1d --seed 7": {"max_age": "1d", "seed": 7},
    "--ignore a, b --env HOME": {"ignore": ("a", "b"), "env": ("HOME",)},
    "--executor dask --resources GPU=1,MEMORY=4e9": {"executor": "dask", "resources": {"GPU": 1.0, "MEMORY": 4e9}},
    "--version 'two words'": {"version": "two words"},
}


@pytest.mark.parametrize(("text", "wanted"), OPTIONS.items(), ids=list(OPTIONS))
def test_options(text, wanted):
    assert parse_head(f"x for a in xs {text}").options.task == wanted


def test_the_name_is_no_option_of_the_task():
    options = parse_head('x --name "the days" --retries 1').options
    assert (options.name, options.task) == ("the days", {"retries": 1})


def test_the_first_two_minus_signs_begin_the_options_outside_brackets_and_quotes():
    assert parse_head("x for a in n--retries 2").options.task == {"retries": 2}
    head = parse_head("x for a in glob('a--b/*') if f(a, q--z) --seed 1")
    assert ast.unparse(head.generators[0].source) == "glob('a--b/*')"
    assert head.options.task == {"seed": 1}


SPLITS = {
    ("x", "body\n"): ("x", "body\n", 1),
    ("x for a in [", "1,\n2]\nbody"): ("x for a in [\n1,\n2]", "body", 3),
    ("x for a in f('(')", "body"): ("x for a in f('(')", "body", 1),
    ("x for a in [ # (", "1]\nbody"): ("x for a in [ # (\n1]", "body", 2),
    ("x --version (", "body"): ("x --version (", "body", 1),
}


@pytest.mark.parametrize(("given_", "wanted"), SPLITS.items(), ids=[line for line, _ in SPLITS])
def test_open_brackets_continue_on_the_next_line(given_, wanted):
    assert split_head(*given_) == wanted


# Head, what the message says, what stands above the caret.
ERRORS = [
    ("clean data for x in xs", "`clean, data`", "clean"),
    ("my-data", "write `my_data`", "my-data"),
    ("2x", "write `_2x`", "2x"),
    ("a, class", "write `class_`", "class"),
    ("a,,b", "a name is missing", ",b"),
    ("a, a", "stands twice", "a"),
    ("retries=2", "--retries VALUE", "retries=2"),
    ("a = f(x)", "into the body", "a = f(x)"),
    ("a -retries 2", "two minus signs", "-retries"),
    ("a —retries 2", "two minus signs", "—retries"),
    ("a if", "a condition is missing", "if"),
    ("a if b c", "the condition cannot be read", " b c"),
    ("a if await b", "a plain expression", " await b"),
    ("a if b for x in xs", "`for` stands before `if`", "if b"),
    ("a async for x in xs", "await in the body", "async"),
    ("a for x in xs] + [1", "closes no bracket", "] + [1"),
    ("a for x in (b", "never closed", "(b"),
    ("a for x in 'b", "quote is never closed", "'b"),
    ("a for x in", "cannot be read", None),
    ("a for x in b else c", "cannot be read", "else c"),
    ("a for x in [1,\n  2, foo bar]", "cannot be read", "foo bar]"),
    ("a for x in (yield)", "'yield' outside function", None),
    ("a for x in await f()", "make the source a task", "for x"),
    ("a for x in xs for x in ys", "two loop variables are called `x`", "for x"),
    ("a for x.y in xs", "write a plain name", "for x.y"),
    ("a for () in xs", "no loop variable", "for ()"),
    ("a --retrys 2", "did you mean '--retries'", "--retrys"),
    ("a --retries", "--retries needs a value: --retries N", "--retries"),
    ("a --retries two", "a whole number is needed", "--retries"),
    ("a --retries -1", "0 or more", "--retries"),
    ("a --retry-delay nan", "a number of seconds", "--retry-delay"),
    ("a --always yes", "put a value of several words in quotes", "yes"),
    ("a --always=yes", "takes no value", "--always"),
    ("a --cache --no-cache", "keep one of them", "--no-cache"),
    ("a --max-age 1y", '"90s"', "--max-age"),
    ("a --version 'x", "No closing quotation", "--version"),
    ("a --executor cloud", "'threads'", "--executor"),
    ("a --resources GPU", "as GPU=1", "--resources"),
    ("a --resources GPU=0", "amounts above 0", "--resources"),
    ("a --help", "%%task -h", "--help"),
]


@pytest.mark.parametrize(("text", "says", "at"), ERRORS, ids=[text for text, _, _ in ERRORS])
def test_an_error_says_what_and_points_to_the_place(text, says, at):
    with pytest.raises(HeadError) as caught:
        parse_head(text)
    message, line, caret = str(caught.value).split("\n")
    assert says in message
    assert caret.strip() == "^"
    if at is not None:
        assert line[caret.index("^") :].startswith(at)


def test_the_help_lists_every_option_that_is_read():
    options = [line.split()[0] for line in head_help().splitlines() if line.startswith("  --")]
    assert len(options) > 5
    for option in options:
        with pytest.raises(HeadError, match="keep one of them|needs a value"):
            parse_head(f"x {option} {option}")


PIECES = st.sampled_from(
    ["a", "b_1", "for", "in", "if", "async", "else", "await", "lambda", "(", ")", "[", "]", "{", "}", ",", "=", ":="]
    + ["--retries", "--version=", "--x", "-", "'", '"', "#", "\n", "\\", "\0", "2", "0x", "é", "\ud800", " ", "*", ":"]
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(st.one_of(st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join), st.text()))
@example("a for x in " + "(" * 500 + ")" * 500)
@example("a for x in " + "- " * 20_000 + "1")
@example("a for x in " + "9" * 5000)
def test_any_head_is_read_or_refused(text):
    head, _, _ = split_head(text, "1\n]\n)")
    # Any other error fails the test, and would end in a traceback of nbflow's own.
    with suppress(HeadError):
        parse_head(head)

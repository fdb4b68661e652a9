"""nbflow's own dataclasses are those of the standard library to whoever makes, compares, pickles and prints one."""

import copy
import dataclasses
import inspect
import pickle

import pytest

from nbflow import lean


def classes(dataclass, field):
    @dataclass(frozen=True, slots=True)
    class Span:
        first: int
        last: int = 9

    @dataclass(slots=True)
    class Basket:
        """Holds things."""

        things: list[int] = field(default_factory=list)
        name: str = "basket"

        @property
        def count(self):
            return len(self.things)

    @dataclass(slots=True, eq=False)
    class Unique:
        number: int

    @dataclass(frozen=True, slots=True)
    class Wide(Span):
        note: str = ""

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self):
            return self.name

    return {each.__name__: each for each in (Span, Basket, Unique, Wide, Nothing, Named)}


OURS, THEIRS = classes(lean.dataclass, lean.field), classes(dataclasses.dataclass, dataclasses.field)
# Pickle finds classes by module and name.
globals().update(OURS)
for each in OURS.values():
    each.__qualname__ = each.__name__
for each in THEIRS.values():
    each.__qualname__ = each.__name__


@pytest.mark.parametrize(
    "made",
    [
        "Span(1)", "Span(1, 2)", "Span(first=1, last=2)", "Span(last=2, first=1)", "Wide(1, note='x')", "Wide(1, 2, 'x')",
        "Basket()", "Basket([1])", "Basket([1], 'b').count", "Unique(1).number", "Nothing()", "Named('n')",
        "Span(1) == Span(1, 9)", "Span(1) == Span(2)", "Span(1) != Span(1)", "Span(1) == Wide(1)", "Wide(1) == Span(1)",
        "Span(1) == (1, 9)", "Basket() == Basket()", "Basket([1]) == Basket()", "Unique(1) == Unique(1)", "Nothing() == Nothing()",
        "Named('a') == Named('a')", "Named('a') == Named('b')", "Span(float('nan')) == Span(float('nan'))",
        "hash(Span(1)) == hash(Span(1))", "len({Span(1), Span(1), Span(2), Nothing(), Nothing()})",
        "Basket().things is Basket().things", "Basket.__doc__", "Span.__match_args__", "Wide.__match_args__",
        "Span.__slots__", "Wide.__slots__", "hasattr(Span(1), '__dict__')", "inspect.signature(Wide(1).__init__).parameters.keys()",
        "replace(Span(1), last=3)", "replace(Wide(1, 2, 'x'), note='y')", "replace(Basket([1]), name='b')",
        "copy.copy(Span(1, 2))", "copy.deepcopy(Basket([1]))", "copy.copy(Unique(4)).number",
    ],
)  # fmt: skip
def test_same_as_a_dataclass_of_the_standard_library(made):
    ours = eval(made, {**OURS, "replace": lean.replace, "copy": copy, "inspect": inspect})
    theirs = eval(made, {**THEIRS, "replace": dataclasses.replace, "copy": copy, "inspect": inspect})
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "wrong",
    ["Span()", "Span(1, 2, 3)", "Span(1, first=1)", "Span(1, other=1)", "hash(Basket())", "Span(1).__setattr__('first', 2)",
     "Span(1).__delattr__('first')", "Unique(1).__setattr__('other', 2)", "replace(Span(1), other=2)"],
)  # fmt: skip
def test_the_same_mistakes_are_refused(wrong):
    for known, replace in ((OURS, lean.replace), (THEIRS, dataclasses.replace)):
        with pytest.raises((TypeError, AttributeError)):
            eval(wrong, {**known, "replace": replace})


def test_nothing_of_a_frozen_one_changes_when_that_is_refused():
    span = OURS["Span"](1)
    with pytest.raises(AttributeError, match=r"^Span.first cannot be changed, the class is frozen$"):
        span.first = 2
    with pytest.raises(AttributeError):
        del span.first
    assert span.first == 1


@pytest.mark.parametrize("made", ["Span(1, 2)", "Wide(1, 2, 'x')", "Basket([1], 'b')", "Nothing()"])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_comes_back_from_its_pickle(made, protocol):
    one = eval(made, OURS)
    again = pickle.loads(pickle.dumps(one, protocol))
    assert again == one
    assert type(again) is type(one)


def test_frozen_ones_are_read_from_pickles_that_the_standard_library_wrote():
    # Stores hold such: the classes were dataclasses once.
    one, of_old = OURS["Span"](1, 2), THEIRS["Span"](1, 2)
    assert one.__reduce_ex__(4)[2] == of_old.__reduce_ex__(4)[2] == [1, 2]


def test_one_that_holds_itself_can_be_shown():
    one = OURS["Basket"]()
    one.things.append(one)
    assert repr(one) == "Basket(things=[...], name='basket')"


def test_match_by_position():
    match OURS["Span"](1, 2):
        case Span(first, last):  # noqa: F821 (one of OURS)
            assert (first, last) == (1, 2)
        case other:
            raise AssertionError(other)

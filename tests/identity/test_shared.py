"""Values whose parts are shared, or lead to each other: looked at once, or refused in a bounded time."""

from functools import cached_property

import pytest

from nbflow.errors import UnidentifiableError
from nbflow.identity.code import CodeIds
from nbflow.identity.value import Identifier
from nbflow.probe.packages import Packages
from nbflow.probe.sources import Sources

identify = Identifier(lambda thing: bytes(16))


class Box:
    def __init__(self, **parts):
        vars(self).update(parts)


def doubled(levels, make, first):
    """A value that holds its first part 2**levels times, though only `levels` objects were made."""
    for _ in range(levels):
        first = make(first)
    return first


@pytest.mark.parametrize(
    "make",
    [
        lambda part: [part, part],
        lambda part: (part, {"a": part}),
        lambda part: Box(left=part, right=part),
        lambda part: {"a": part, "b": [part]},
    ],
)
def test_what_is_shared_is_looked_at_once(make):
    assert identify(doubled(60, make, [1])) != identify(doubled(60, make, [2]))


def test_shared_or_equal_makes_no_difference():
    part = Box(numbers=[1, [2]])
    assert identify([part, part]) == identify([Box(numbers=[1, [2]]), Box(numbers=[1, [2]])])


def test_shared_or_equal_makes_no_difference_for_what_holds_itself():
    def ring():
        one, other = [], []
        one.append(other)
        other.append(one)
        return one, other

    one, other = ring()
    again, _ = ring()
    assert identify([one, other]) == identify([again, other])
    assert identify([other, one]) == identify([other, ring()[0]])


def test_functions_in_shared_parts_count_each_time():
    def first():
        return 1

    def second():
        return 2

    def code_id(*parts):
        def task():
            return len(parts)

        return CodeIds(Sources(), Packages()).identify(task).id

    pair, same = [first], [first]
    assert code_id(pair, pair) == code_id(pair, same)
    assert code_id(pair, pair, [second]) != code_id(pair, [second], [second])


def test_a_web_of_objects_is_refused_in_a_bounded_time():
    nodes = [Box() for _ in range(60)]
    for node in nodes:
        node.others = list(nodes)
    with pytest.raises(UnidentifiableError, match="its parts lead to each other in too many ways"):
        identify(nodes)


class Circle:
    def __init__(self, radius):
        self.radius = radius

    @cached_property
    def area(self):
        return 3 * self.radius**2


def test_what_is_computed_once_from_the_rest_is_no_part_of_an_object():
    looked_at = Circle(2)
    assert looked_at.area == 12
    assert identify(looked_at) == identify(Circle(2))
    assert identify(looked_at) != identify(Circle(3))

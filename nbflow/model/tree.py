"""Arguments that hold nodes inside lists, tuples, sets and dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTAINERS = frozenset({list, tuple, set, frozenset, dict})


def leaves(value: Any, kind: type) -> Iterator[Any]:
    """Every instance of kind inside exact lists, tuples, sets and dicts (keys too), in order, each container once.

    >>> list(leaves([1, {"a": (2.0, 3)}], int))
    [1, 3]
    """
    stack = [value]
    # Containers that were opened: one may hold itself.
    opened: set[int] = set()
    while stack:
        item = stack.pop()
        if isinstance(item, kind):
            yield item
        elif type(item) in CONTAINERS:
            if id(item) in opened:
                continue
            opened.add(id(item))
            parts = [part for pair in item.items() for part in pair] if type(item) is dict else list(item)
            stack.extend(reversed(parts))


def fill(value: Any, kind: type, replace: Callable[[Any], Any], rest: Callable[[Any], Any] = lambda part: part) -> Any:
    """The value with every instance of kind replaced; parts without one become what rest gives for them.

    >>> fill([1, {"a": 2.0}], float, lambda x: x + 1)
    [1, {'a': 3.0}]
    """
    if isinstance(value, kind):
        return replace(value)
    if type(value) not in CONTAINERS or next(leaves(value, kind), None) is None:
        return rest(value)
    if type(value) is dict:
        return {fill(k, kind, replace, rest): fill(v, kind, replace, rest) for k, v in value.items()}
    return type(value)(fill(item, kind, replace, rest) for item in value)


def pairs(value: Any, filled: Any, kind: type) -> Iterator[tuple[Any, Any]]:
    """Each instance of kind, and each part without one, beside what `fill` put there; not the members of sets.

    >>> list(pairs([1.0, ["b"]], ["a", ["b"]], float))
    [(1.0, 'a'), (['b'], ['b'])]
    """
    if isinstance(value, kind) or type(value) not in CONTAINERS or next(leaves(value, kind), None) is None:
        yield value, filled
    elif type(value) is dict:
        for before, after in zip(value.values(), filled.values(), strict=False):
            yield from pairs(before, after, kind)
    elif type(value) in {list, tuple}:
        for before, after in zip(value, filled, strict=True):
            yield from pairs(before, after, kind)

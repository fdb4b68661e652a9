"""Large pictures made small: boxes whose names differ in a number only are drawn as one stack."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from nbflow.draw.picture import Arrow, Box, Picture
from nbflow.lean import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# More boxes than this are more than an eye can follow, and more than a layout should take the time for.
MOST_BOXES = 300
# The first of these that occurs is the state of several boxes together.
_WORST_FIRST = (
    *("running", "retrying", "failed", "trigger_failed", "cancelled", "paused", "pending"),
    *("stale", "new", "unknown", "success", "cached", "fresh", "skipped"),
)
_DONE = {"success", "cached", "fresh"}


def collapse(picture: Picture, most: int = MOST_BOXES) -> tuple[Picture, dict[str, str]]:
    """A picture of few boxes, and the box that each one is drawn in; as it is where it is small enough.

    >>> boxes = tuple(Box(f"load {i}", f"load {i}", "task") for i in range(3))
    >>> small, homes = collapse(Picture("p", boxes, ()), most=2)
    >>> [box.label for box in small.boxes], homes["load 2"]
    (['load …'], 'load …')
    """
    homes = {box.name: box.name for box in picture.boxes}
    for name_of in (_without_number, _first_word):
        if len(set(homes.values())) <= most:
            break
        homes = _grouped(picture.boxes, name_of)
    if len(set(homes.values())) > most:
        homes = _by_level(picture, most)
    members: dict[str, list[Box]] = {}
    for box in picture.boxes:
        members.setdefault(homes[box.name], []).append(box)
    if len(members) == len(picture.boxes):
        return picture, homes
    boxes = tuple(_stack(name, each) for name, each in members.items())
    return replace(picture, boxes=boxes, arrows=_between(picture.arrows, homes)), homes


def worst(states: Sequence[str]) -> str:
    """The state of several boxes together."""
    return next((state for state in _WORST_FIRST if state in states), "")


def _grouped(boxes: Sequence[Box], name_of: Callable[[str], str]) -> dict[str, str]:
    keys = {box.name: (box.cluster, box.kind, name_of(box.name)) for box in boxes}
    sizes = Counter(keys.values())
    names = {box.name for box in boxes}
    homes = {}
    for name, key in keys.items():
        label = f"{key[2]} …" if key[2] else "…"
        while label in names:
            label += "…"
        homes[name] = label if sizes[key] > 1 else name
    return homes


def _by_level(picture: Picture, most: int) -> dict[str, str]:
    """Where names tell nothing: what stands equally deep is drawn together, some levels in one where they are many."""
    levels: dict[str, int] = {}
    above: dict[str, list[str]] = {}
    for arrow in picture.arrows:
        above.setdefault(arrow.head, []).append(arrow.tail)
    for box in picture.boxes:
        levels[box.name] = 1 + max((levels.get(tail, 0) for tail in above.get(box.name, ())), default=0)
    step = 1 + max(levels.values(), default=0) // most
    return {name: f"level {1 + (level - 1) // step}" for name, level in levels.items()}


def _between(arrows: Sequence[Arrow], homes: Mapping[str, str]) -> tuple[Arrow, ...]:
    moved = dict.fromkeys(
        (homes.get(arrow.tail, arrow.tail), homes.get(arrow.head, arrow.head), arrow.order) for arrow in arrows
    )
    return tuple(Arrow(tail, head, order=order) for tail, head, order in moved if tail != head)


def _stack(name: str, boxes: Sequence[Box]) -> Box:
    if len(boxes) == 1:
        return boxes[0]
    state = worst([box.state for box in boxes])
    done = sum(box.state in _DONE for box in boxes) if state else None
    first = boxes[0]
    return Box(name, name, first.kind, state, mapped=True, done=done, total=len(boxes), cluster=first.cluster)


def _without_number(name: str) -> str:
    return re.sub(r"[\W_]*\d+$", "", name)


def _first_word(name: str) -> str:
    return re.split(r"[\W_\d]", name, maxsplit=1)[0]

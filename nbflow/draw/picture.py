"""What is drawn: boxes and arrows, as pure data that the front door makes of a flow, a plan or a run."""

from __future__ import annotations

from nbflow.lean import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """One node. name: unique; kind: "task", "parameter", "input", "item", "merge", "resource"
    or "missing".

    state: of a run or a plan, or "".
    done, total: elements with a result, of all, for mapped nodes. detail: plain text shown on hovering; source: what
    its function looks like, shown on a click.
    cluster: the nested flows it belongs to, the outermost first.
    """

    name: str
    label: str
    kind: str
    state: str = ""
    mapped: bool = False
    done: int | None = None
    total: int | None = None
    detail: str = ""
    source: str = ""
    cluster: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """What flows from one box to another. order: nothing flows, it only comes before."""

    tail: str
    head: str
    label: str = ""
    order: bool = False
    mapped: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole graph. direction: "TB" or "LR"; caption: a sentence below it."""

    name: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    direction: str = "TB"
    caption: str = ""

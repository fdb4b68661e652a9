"""Pictures of flows. The front door makes a Picture; here it becomes DOT, SVG and text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    name: str
    label: str
    kind: str
    state: str = ""
    mapped: bool = False
    done: int | None = None
    total: int | None = None
    detail: str = ""
    cluster: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    tail: str
    head: str
    label: str = ""
    order: bool = False
    mapped: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    direction: str = "TB"
    caption: str = ""


def mime_bundle(picture: Picture) -> dict[str, str]:
    return {"text/plain": repr(picture)}

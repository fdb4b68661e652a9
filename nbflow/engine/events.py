"""What passes between the machine and its shell: events in, commands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from nbflow.model.node import Node
    from nbflow.model.state import State

Indices = Sequence[int]


# Events: what the shell tells.
@dataclass(frozen=True, slots=True)
class Sized:
    """The number of elements of a mapped node is known."""

    node: Node
    count: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A node cannot run at all: unequal lengths, a source that is not iterable."""

    node: Node


@dataclass(frozen=True, slots=True)
class Started:
    """Elements were handed to an executor."""

    node: Node
    indices: Indices


@dataclass(frozen=True, slots=True)
class Reused:
    """Elements whose result is known already."""

    node: Node
    indices: Indices


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Elements that ran to their end."""

    node: Node
    indices: Indices


@dataclass(frozen=True, slots=True)
class Failed:
    """An element that raised. retriable: whether its error is worth another attempt.

    anew: whether attempts are counted from here, since an iteration of its loop succeeded before. asked: whether
    it asked for another attempt itself. delay_s: seconds before that, where it said so.
    """

    node: Node
    index: int
    retriable: bool = True
    anew: bool = False
    asked: bool = False
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Elements that are not to run: a branch not taken, or said so themselves."""

    node: Node
    indices: Indices


@dataclass(frozen=True, slots=True)
class Paused:
    """An element that waits for somebody's approval."""

    node: Node
    index: int


@dataclass(frozen=True, slots=True)
class Expanded:
    """An element whose result consists of nodes: it ends when they have.

    children: the new nodes, each after its upstreams; leaves: those whose values it takes.
    """

    node: Node
    index: int
    children: Sequence[Node]
    leaves: Sequence[Node]


@dataclass(frozen=True, slots=True)
class Lost:
    """Stored results that proved missing, and the elements that were about to use them.

    user_indices: empty when it was the size of the user that needed them.
    """

    node: Node
    indices: Indices
    user: Node
    user_indices: Indices


@dataclass(frozen=True, slots=True)
class Discarded:
    """Elements that ran, but whose results cannot be trusted: they wait to be called again."""

    node: Node
    indices: Indices


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run ends here: what has not finished is cancelled, or did not run because of an error of the run itself."""

    error: Exception | None = None


Event = (
    Sized | Refused | Started | Reused | Succeeded | Failed | Skipped | Paused | Expanded | Lost | Discarded | Stopped
)


# Commands: what the shell is to do.
@dataclass(frozen=True, slots=True)
class Size:
    """Find out how many elements a mapped node has; answer Sized or Refused."""

    node: Node


@dataclass(frozen=True, slots=True)
class Resolve:
    """Look whether results are known; answer Reused, call the rest."""

    node: Node
    indices: Indices


@dataclass(frozen=True, slots=True)
class Submit:
    """Call these, without looking anything up. attempt: retries so far, for the delay before it."""

    node: Node
    indices: Indices
    attempt: int = 0
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Assemble:
    """The nodes that an element's result consists of have ended: answer Succeeded, Reused or Failed."""

    node: Node
    index: int


@dataclass(frozen=True, slots=True)
class Blame:
    """Elements that failed without being called. error: why."""

    node: Node
    indices: Indices
    error: Exception


@dataclass(frozen=True, slots=True)
class Changed:
    """Elements of a node whose changes somebody wants to hear of."""

    node: Node
    indices: Indices
    old: State
    new: State


Command = Size | Resolve | Submit | Assemble | Blame | Changed

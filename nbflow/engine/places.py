"""Places: where the elements of a node may be called, by what its code reaches and what it is given."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow.engine.ledger import LostValue
from nbflow.engine.pace import Pace, pace_of
from nbflow.identity.bound import MAKERS, PLAIN, bound_value, is_drawing
from nbflow.model.executor import Cluster
from nbflow.model.node import Node
from nbflow.model.resource import Resource
from nbflow.store.live import LIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.resolve import Resolver
    from nbflow.engine.track import Track
    from nbflow.executors.home import Home
    from nbflow.model.executor import Waiting
    from nbflow.model.node import Argument

# SYNC: the shell's own thread. HOME: the thread that asked for the run, which is the same one as long as the shell has
# not moved. OWN, NOTEBOOK: event loops.
SYNC, THREADS, HOME, OWN, NOTEBOOK = "sync", "threads", "home", "loop", "notebook"
PROCESSES = "processes"
# A cluster stands for itself.
Where = str | Cluster


def is_away(where: Where) -> bool:
    """Whether elements are called in other processes, with values of their own."""
    return where == PROCESSES or isinstance(where, Cluster)


def goes_on(where: Where) -> bool:
    """Whether a batch that is left behind there still ends by itself."""
    return where == THREADS or is_away(where)


class Place(NamedTuple):
    """Where elements are called, what bounds them, and whether nothing may run beside them: at all, in one process."""

    where: Where
    pace: Pace | None
    exclusive: bool
    alone: bool = False


class Places:
    """The places of the nodes of one run.

    default: the flow's executor; dask: the cluster that "dask" means; loop: the one that the flow gives async tasks;
    waiting: what is done while a cluster is waited for.
    """

    def __init__(
        self,
        ledger: Ledger,
        resolver: Resolver,
        home: Home,
        *,
        default: str,
        dask: Cluster,
        loop: str,
        waiting: Waiting | None = None,
    ) -> None:
        self._ledger = ledger
        self._resolver = resolver
        self._home = home
        self._default = default
        self._dask = dask
        self._loop = loop
        self._waiting = waiting
        self._bound: dict[int, str | None] = {}
        self._checked: set[tuple[Cluster, frozenset[tuple[str, float]]]] = set()

    def of(self, node: Node) -> Place:
        """The place of a node, once what it needs is there."""
        task = node.task
        options = task.options
        asked = self._asked(node)
        if is_away(asked) and not self._holds_handle(node, named=options.executor is not None):
            if options.resources and isinstance(asked, Cluster):
                self._check(asked, node)
            # Random numbers are seeded, and figures made, for a whole process; workers may have several threads.
            alone = isinstance(asked, Cluster) and (options.seed is not None or self._draws(task.fn))
            return Place(asked, pace_of(task), exclusive=False, alone=alone)
        if task.is_async and options.seed is None:
            notebook = (options.loop or self._loop) == "notebook" and self._home.has_loop
            where: Where = NOTEBOOK if notebook else OWN
        elif options.executor == SYNC or self._needs_home(node):
            where = HOME
        else:
            where = THREADS
        # Random numbers are seeded for the whole process; a flow that is "sync" does one thing after the other.
        exclusive = options.seed is not None or (options.executor is None and self._default == SYNC)
        return Place(where, pace_of(task), exclusive)

    def check_ahead(self, tracks: Iterable[Track]) -> None:
        """Raises ClusterError where what nodes need that are still to come is nowhere, as far as is known of them.

        Whether a branch is taken is not: what stands in one is checked when it is to be called.
        """
        doubtful: set[Node] = set()
        for track in tracks:
            node = track.node
            if track.finished or not track.wanted:
                continue
            if node.gate is not None or not doubtful.isdisjoint(node.upstreams):
                doubtful.add(node)
            elif node.task.options.resources and isinstance(asked := self._asked(node), Cluster):
                self._check(asked, node)

    def _check(self, cluster: Cluster, node: Node) -> None:
        """What nobody can do would wait there for ever; what somebody could is looked at once."""
        resources = node.task.options.resources
        asked = (cluster, frozenset(resources.items()))
        if asked not in self._checked:
            cluster.check(resources, node.name, self._waiting)
            self._checked.add(asked)

    def _asked(self, node: Node) -> Where:
        asked: Where = node.task.options.executor or self._default
        return self._dask if asked == "dask" else asked

    def _holds_handle(self, node: Node, *, named: bool) -> bool:
        """Whether a node that nobody sent away itself uses a handle, which cannot travel."""
        if named:
            return False
        bound = self._reaches(node.task.fn)
        if bound is not None and bound not in MAKERS and not self._draws(node.task.fn):
            return True
        return any(self._gives_bound(node, argument) for argument in node.arguments)

    def _needs_home(self, node: Node) -> bool:
        """Whether a node's code reaches, or is given, what only the thread may use that it belongs to."""
        bound = self._reaches(node.task.fn)
        # A connection that is the result of a node is for others; one that an element makes is mostly for itself.
        if bound is not None and not (node.mapped and bound in MAKERS):
            return True
        for argument in node.arguments:  # noqa: SIM110 (each node passes here; a generator costs as much as all else)
            if self._gives_bound(node, argument):
                return True
        return False

    def _draws(self, fn: Callable[..., Any]) -> bool:
        bound = self._reaches(fn)
        return bound is not None and is_drawing(bound)

    def _reaches(self, fn: Callable[..., Any]) -> str | None:
        try:
            return self._bound[id(fn)]
        except KeyError:
            bound = self._bound[id(fn)] = self._resolver.codes.bound(fn)
            return bound

    def _gives_bound(self, node: Node, argument: Argument) -> bool:
        """Whether an argument is a handle, told by what is there already: handles are never in the store alone."""
        source = argument.value
        if type(source) in PLAIN:
            return False
        if isinstance(source, Resource):
            # It is set up when it is wanted for a call, and not for being looked at.
            return self._reaches(source.kind.make) is not None
        if isinstance(source, Node):
            return bound_value(self._result(source)) is not None
        if not argument.mapped:
            return bound_value(source) is not None
        items = self._ledger.books[node].items.get(argument.name)
        first = items.values[0] if items is not None and isinstance(items.values, (list, tuple)) and items.values else 0
        return bound_value(first) is not None

    def _result(self, node: Node) -> Any:
        """The first value of a node, where it is there without being loaded or made."""
        book = self._ledger.books[node]
        if not book.values:
            return None
        row = book.rows[0]
        if row is not None and row.codec == LIVE:
            with suppress(LostValue):
                return self._ledger.value(node)
        return book.values[0]

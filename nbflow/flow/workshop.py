"""Puts together what a plan or a run needs: machine, ledger, resolver, store."""

from __future__ import annotations

import time
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nbflow.engine.collector import Collector
from nbflow.engine.ledger import Ledger
from nbflow.engine.machine import Machine
from nbflow.engine.resolve import Resolver
from nbflow.engine.run import session_id
from nbflow.errors import ParameterError, nearest
from nbflow.identity.code import CodeIds
from nbflow.identity.value import output_id
from nbflow.lean import dataclass
from nbflow.model.node import Node, Parameter
from nbflow.model.task import Task
from nbflow.probe.packages import Packages
from nbflow.probe.secrets import is_secret_name
from nbflow.probe.sources import Sources
from nbflow.store import Store, find_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from nbflow.engine.resolve import Forced
    from nbflow.probe.files import StatMemo

# One of each a process: what they remember stays true from run to run.
SOURCES = Sources()
PACKAGES = Packages()
_STORES: dict[Path, Store] = {}


@dataclass(slots=True)
class Workshop:
    """The collaborators of one plan or run."""

    nodes: list[Node]
    machine: Machine
    ledger: Ledger
    resolver: Resolver
    store: Store
    memo: StatMemo


def open_workshop(
    nodes: list[Node],
    store: Store,
    parameters: Mapping[str, Any],
    *,
    force: Forced = MappingProxyType({}),
    targets: Iterable[Node] | None = None,
    approved: Collection[Node] = (),
    memo: StatMemo | None = None,
) -> Workshop:
    """A workshop for the nodes, each after its upstreams, with the parameters given. Raises ParameterError.

    memo: how files are looked at; by default as the store knows them.
    """
    collector = Collector()
    collector.rest()
    try:
        return _opened(
            nodes, store, parameters, force=force, targets=targets, approved=approved, memo=memo or store.memo
        )
    finally:
        collector.wake()


def _opened(
    nodes: list[Node],
    store: Store,
    parameters: Mapping[str, Any],
    *,
    force: Forced,
    targets: Iterable[Node] | None,
    approved: Collection[Node],
    memo: StatMemo,
) -> Workshop:
    store.begin()
    memo.fresh()
    codes = CodeIds(SOURCES, PACKAGES, is_input=_is_node, called_by_name=_task_function)
    machine = Machine(nodes, targets=targets)
    ledger = Ledger(machine.tracks, store, partial(output_id, codes.identifier))
    resolver = Resolver(
        machine,
        ledger,
        codes,
        store,
        memo,
        session=session_id(),
        now_ns=time.time_ns(),
        force=force,
        approved=frozenset(approved),
    )
    _fill_parameters(nodes, parameters, ledger, resolver, store)
    return Workshop(nodes, machine, ledger, resolver, store, memo)


def store_at(place: str | Path | None) -> Store:
    """The store of a place, opened once a process. Raises StoreRefused."""
    root = find_store(place)
    if root not in _STORES or _STORES[root].closed:
        _STORES[root] = Store.open(root)
    return _STORES[root]


def check_parameters(known: Mapping[str, Parameter], given: Iterable[str], flow_name: str) -> None:
    """ParameterError for a name that the flow does not have."""
    for name in given:
        if name not in known:
            raise ParameterError(f"flow {flow_name!r} has no parameter {name!r}" + nearest(name, known))


def _fill_parameters(
    nodes: Sequence[Node], given: Mapping[str, Any], ledger: Ledger, resolver: Resolver, store: Store
) -> None:
    for node in nodes:
        if not isinstance(node, Parameter):
            continue
        value = given.get(node.name, node.default_value)
        if value is ...:
            raise ParameterError(
                f"parameter {node.name!r} has no default and was not given; pass it: flow.run({node.name}=...)"
            )
        book = ledger.books[node]
        book.values[0] = value
        out = resolver.codes.identifier(value, node.name)
        book.out[0] = store.salted(out) if is_secret_name(node.name) else out


def _is_node(value: object) -> bool:
    return isinstance(value, Node)


def _task_function(value: object) -> Any:
    return value.fn if isinstance(value, Task) else None

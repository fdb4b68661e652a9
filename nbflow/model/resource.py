"""Resources: something that is set up before the tasks that use it, and cleaned up whatever happened."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError
from nbflow.model.making import enter_block, leave_block, register
from nbflow.model.node import RESOURCE, Argument, Node
from nbflow.model.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable


class Resource(Node):
    """One use of a resource. `with cluster(4) as client:` the tasks inside may use `client`, and hold it open.

    It is set up when the first of them has to run (not at all when all are reused), on the thread that
    runs the flow, and cleaned up when the last has ended, also after a failure or an interrupt.
    """

    def __init__(self, kind: ResourceKind, arguments: tuple[Argument, ...], name: str | None) -> None:
        super().__init__(RESOURCE, arguments, name=name or kind.name)
        self.kind = kind

    def __enter__(self) -> Node:
        enter_block(resource=self)
        return self

    def __exit__(self, *exception: object) -> None:
        leave_block()


class ResourceKind:
    """What `@resource` gives: called inside a flow, it is one use of the resource."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make
        self.name = make.__name__
        self._manager = _manager_of(make)
        functools.update_wrapper(self, make, updated=())

    def __call__(self, *args: Any, name: str | None = None, **kwargs: Any) -> Resource:
        bound = Task(self.make, name=self.name).bind(args, kwargs)
        arguments = [Argument(n, value) for n, value in zip(bound.names, bound.args, strict=True)]
        arguments += [Argument(n, value, keyword=n) for n, value in bound.kwargs.items()]
        made = register(Resource(self, tuple(arguments), name))
        assert isinstance(made, Resource)
        return made

    def open(self, *args: Any, **kwargs: Any) -> contextlib.AbstractContextManager[Any]:
        """The resource itself as a context manager, outside any flow."""
        manager: contextlib.AbstractContextManager[Any] = self._manager(*args, **kwargs)
        return manager

    def __repr__(self) -> str:
        return f"<resource {self.name}>"


def resource(make: Callable[..., Any]) -> ResourceKind:
    """A resource from a generator function that yields once, or from a class with `setup` and `cleanup`.

    What stands before the `yield` sets up, what stands behind it cleans up. A class has `setup(self)`, which
    returns what tasks get, and `cleanup(self, value)`; context managers are taken as they are.

    >>> @resource
    ... def folder(name):
    ...     yield f"/tmp/{name}"
    >>> folder
    <resource folder>
    """
    if not callable(make):
        raise GraphError(f"@resource needs a generator function or a class, not {make!r}")
    return ResourceKind(make)


def _manager_of(make: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(make):
        return contextlib.contextmanager(make)
    if isinstance(make, type) and hasattr(make, "setup") and hasattr(make, "cleanup"):
        return lambda *args, **kwargs: _SetUp(make(*args, **kwargs))
    if isinstance(make, type) and not hasattr(make, "__enter__"):
        raise GraphError(f"@resource class {make.__name__}: it needs setup(self) and cleanup(self, value)")
    return make


class _SetUp:
    """A class with setup and cleanup as a context manager."""

    def __init__(self, made: Any) -> None:
        self._made = made
        self._value: Any = None

    def __enter__(self) -> Any:
        self._value = self._made.setup()
        return self._value

    def __exit__(self, *exception: object) -> None:
        self._made.cleanup(self._value)

"""Task: a function with options. Calling it makes a Node, never a call."""

from __future__ import annotations

import functools
import inspect
import os
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, overload

from nbflow.errors import BindError, GraphError, nearest
from nbflow.model.executor import Cluster, check_executor
from nbflow.model.rate import check_concurrency, read_rate
from nbflow.model.triggers import BUILT_IN, Trigger, all_successful

if TYPE_CHECKING:
    from nbflow.model.node import Node

Delay = float | Sequence[float] | Callable[[int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a task is run and kept.

    Failing: retries: further attempts after a failure, >= 0. retry_delay_s: seconds before each, a number, a list
    (the last one repeats) or a function of the attempt (from 1). retry_on: exception types worth another attempt.
    timeout_s: seconds after which an attempt fails. on_state: called with a StateChange at each change of state.

    Order: trigger: whether it runs, given how its upstreams ended (nbflow.triggers). skip_on_upstream_skip: False
    runs it although an upstream was skipped.

    Reuse: cache: True keeps results for good, False never, None (default) as long as nothing says that the
    result depends on the outside world. version: a text that counts in the key. max_age: how long a result is good
    for, such as "90s", "12h", "1d". always: runs every time; where its output is equal nothing behind it runs.
    seed: `random` and NumPy are seeded with it and the key before each call. by_position: with a seed, equal elements
    of a map are different draws, each known by its place. ignore: names of globals and closures that do not count.
    depends_on: objects, or names of modules, that count although the code does not show them: what is reached by a
    string that is made only as the code runs, through `getattr`, `globals()`, `import_module` or `eval`, is seen by
    nobody else (`depends_on=["mymodule", helper]`). env: names of environment variables that count. outputs: files or
    folders that it writes: paths, which may name arguments ("plots/{name}.png"), or functions of the arguments that
    give a path; where one was changed or deleted, the task runs again.

    Loops: max_loops: iterations after which a LOOP is a runaway. loop_times: runs it so many times (an int or a
    Parameter), each with `nbflow.loop.result` of the one before; loop_while: goes on while this function of the result
    is true. Both stand outside the key, so that a longer loop reuses a shorter one's iterations.

    Where: executor: "threads", "processes" for other processes of this machine, "dask" for the flow's Dask cluster, a
    DaskExecutor for another one, "sync" for the main thread, one at a time, or None for the flow's. resources: what of
    a cluster each call needs, as its workers offer it: {"GPU": 1}. loop: where an async task runs: "own" for nbflow's
    event loop, "notebook" for the one that runs where the flow is run, which clients made in other cells belong to;
    None for the flow's. concurrency: how many elements of the task run at once, at most (an async task's default: 100);
    rate: how many begin in a time, at most: "10/s", "100/min". Both hold across runs.

    nout: how many parts its result has, so that a node of it can be unpacked.
    """

    retries: int = 0
    retry_delay_s: Delay = 0.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    trigger: Trigger = all_successful
    skip_on_upstream_skip: bool = True
    cache: bool | None = None
    version: str = ""
    max_age: str | None = None
    always: bool = False
    seed: int | None = None
    by_position: bool = False
    ignore: tuple[str, ...] = ()
    depends_on: tuple[object, ...] = ()
    env: tuple[str, ...] = ()
    outputs: tuple[Any, ...] = ()
    executor: str | Cluster | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    loop: str | None = None
    concurrency: int | None = None
    rate: str | None = None
    nout: int | None = None
    max_loops: int = 1000
    loop_times: Any = None
    loop_while: Callable[[Any], Any] | None = None
    timeout_s: float | None = None
    on_state: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("ignore", "env"):
            _as_tuple(self, name, str)
        self._check_outputs()
        _as_tuple(self, "depends_on", object)
        if isinstance(self.retry_on, type):
            object.__setattr__(self, "retry_on", (self.retry_on,))
        if not isinstance(self.retries, int) or self.retries < 0:
            raise GraphError(f"retries={self.retries!r}: a whole number of further attempts is needed, 0 or more")
        if isinstance(self.trigger, str) and self.trigger in BUILT_IN:
            object.__setattr__(self, "trigger", BUILT_IN[self.trigger])
        if not callable(self.trigger):
            hint = nearest(self.trigger, BUILT_IN) if isinstance(self.trigger, str) else ""
            raise GraphError(f"trigger={self.trigger!r} is not callable; take one from nbflow.triggers{hint}")
        self._check_loops()
        if self.by_position and self.seed is None:
            raise GraphError("by_position=True tells equal elements of a seeded map apart; give seed=1 with it")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise GraphError(f"timeout_s={self.timeout_s!r}: a number of seconds above 0 is needed")
        if self.on_state is not None and not callable(self.on_state):
            raise GraphError(f"on_state={self.on_state!r} is not callable; it is called with each change of state")
        if self.max_age is not None:
            seconds_of(self.max_age)
        check_executor(self.executor)
        if self.loop not in {None, "own", "notebook"}:
            raise GraphError(f"loop={self.loop!r}" + nearest(str(self.loop), ["own", "notebook"]))
        _check_resources(self.resources)
        check_concurrency(self.concurrency)
        if self.rate is not None:
            read_rate(self.rate)

    def _check_outputs(self) -> None:
        if callable(self.outputs):
            object.__setattr__(self, "outputs", (self.outputs,))
        _as_tuple(self, "outputs", object)
        for output in self.outputs:
            if not isinstance(output, (str, os.PathLike)) and not callable(output):
                raise GraphError(f"outputs={output!r}: paths are needed, or functions of the arguments that give them")

    def _check_loops(self) -> None:
        for name in ("nout", "max_loops"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise GraphError(f"{name}={value!r}: a whole number, 1 or more, is needed")
        times = self.loop_times
        if isinstance(times, int) and (isinstance(times, bool) or times < 1):
            raise GraphError(f"loop_times={times!r}: a whole number, 1 or more, or a Parameter is needed")
        if self.loop_while is not None and not callable(self.loop_while):
            raise GraphError(f"loop_while={self.loop_while!r} is not callable; it is asked with each result")

    def delay_s(self, attempt: int) -> float:
        """Seconds to wait before the attempt-th retry, counted from 1."""
        delay = self.retry_delay_s
        if callable(delay):
            return float(delay(attempt))
        if isinstance(delay, Sequence):
            return float(delay[min(attempt, len(delay)) - 1]) if delay else 0.0
        return float(delay)


def seconds_of(age: str) -> float:
    """Seconds in a span such as "90s", "15m", "12h", "1d", "2w".

    >>> seconds_of("1.5h")
    5400.0
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", age) if isinstance(age, str) else None
    if match is None:
        raise GraphError(f'max_age={age!r}: write a number and a unit, such as "90s", "15m", "12h", "1d", "2w"')
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


class Task:
    """A function and its options.

    >>> @task
    ... def double(x):
    ...     return 2 * x
    >>> double.fn(4)
    8
    """

    def __init__(self, fn: Callable[..., Any], *, name: str | None = None, **options: Any) -> None:
        if not callable(fn):
            raise GraphError(f"@task needs a function, not {fn!r}; options go in brackets: @task(retries=2)")
        self.fn = fn
        self.name: str = name or str(getattr(fn, "__name__", type(fn).__name__))
        self.options = make_options(options, self.name)
        # Of a task that travelled by value: the id that its code had where it was made.
        self.frozen_code: bytes | None = None
        # The variables that an item of a mapped cell is unpacked to, and whether several `for` make all combinations.
        self.unpacks: tuple[str, ...] = ()
        self.crossed = False
        functools.update_wrapper(self, fn, updated=())  # gives help() and inspect what they look for

    @functools.cached_property
    def signature(self) -> inspect.Signature | None:
        """The function's parameters; None where Python cannot tell (some built-in functions)."""
        try:
            return inspect.signature(self.fn)
        except (ValueError, TypeError):
            return None

    @functools.cached_property
    def _positional(self) -> tuple[tuple[str, ...], int] | None:
        """(names, how many must be given) where all parameters may be given by position; None for any other."""
        parameters = list(self.signature.parameters.values()) if self.signature is not None else []
        kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
        if not all(each.kind in kinds for each in parameters):
            return None
        required = sum(each.default is inspect.Parameter.empty for each in parameters)
        return tuple(each.name for each in parameters), required

    @property
    def is_async(self) -> bool:
        """Whether a call gives a coroutine."""
        code = getattr(self.fn, "__code__", None)
        # inspect takes ten times as long to say the same.
        return inspect.iscoroutinefunction(self.fn) if code is None else bool(code.co_flags & inspect.CO_COROUTINE)

    @functools.cached_property
    def nout(self) -> int | None:
        """How many parts a result has: from `nout=`, or from an annotation such as `tuple[int, str]`."""
        if self.options.nout is not None:
            return self.options.nout
        hint = getattr(self.fn, "__annotations__", {}).get("return")
        if isinstance(hint, str):
            try:
                hint = inspect.get_annotations(self.fn, eval_str=True).get("return")
            # An annotation that only a type checker can read says nothing here.
            except (NameError, AttributeError, TypeError, SyntaxError):
                return None
        if typing.get_origin(hint) is tuple and Ellipsis not in typing.get_args(hint):
            return len(typing.get_args(hint)) or None
        return None

    def __call__(
        self, *args: Any, upstream: Node | Iterable[Node] = (), name: str | None = None, **kwargs: Any
    ) -> Node:
        """A node: one use of this task. Nothing runs yet.

        Arguments may hold nodes anywhere inside lists, tuples, sets and dicts. upstream: nodes that must
        have succeeded before, with no data passed; it orders and is not part of the key. name: how
        this use is called in the flow.
        """
        from nbflow.model.making import make_node

        return make_node(self, args, kwargs, upstream=upstream, name=name)

    def map(
        self,
        *args: Any,
        strict: bool = True,
        upstream: Node | Iterable[Node] = (),
        name: str | None = None,
        **kwargs: Any,
    ) -> Node:
        """A mapped node: the task once for each position of its arguments, like `zip`.

        Arguments: lists, tuples, ranges, generators (taken once), dicts (values; keys become the index),
        Series (values), DataFrames (rows as dicts), arrays (first axis) and nodes; `unmapped(x)` is
        passed whole to every element. strict: unequal lengths are an error; False stops at the shortest.
        """
        from nbflow.model.making import make_mapped

        return make_mapped(self, args, kwargs, strict=strict, upstream=upstream, name=name)

    def product(
        self,
        *args: Any,
        upstream: Node | Iterable[Node] = (),
        name: str | None = None,
        **kwargs: Any,
    ) -> Node:
        """A mapped node: the task once for each combination of its arguments' items, the last fastest.

        Arguments as for `map`; its frame has an index with a level for each.
        """
        from nbflow.model.making import make_mapped

        return make_mapped(self, args, kwargs, product=True, upstream=upstream, name=name)

    def with_options(self, **changes: Any) -> Task:
        """The same function under changed options (and `name=`)."""
        name = changes.pop("name", self.name)
        old = {f.name: getattr(self.options, f.name) for f in fields(Options)}
        return Task(self.fn, name=name, **{**old, **changes})

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """The arguments by name, in the order of the signature; BindError where they do not fit."""
        if self.signature is None:
            return Bound(args, kwargs, tuple(f"#{i}" for i in range(len(args))))
        plain = self._positional
        if not kwargs and plain is not None and plain[1] <= len(args) <= len(plain[0]):
            # What most calls are; inspect takes several times as long to say the same.
            return Bound(args, kwargs, plain[0][: len(args)])
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise BindError(f"{self.name}{self.signature}: {error}") from None
        return Bound(bound.args, bound.kwargs, _positional_names(self.signature, len(bound.args)))

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


@dataclass(frozen=True, slots=True)
class Bound:
    """A call's arguments as they will be passed; names: one for each positional argument."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: tuple[str, ...] = field(default=())


@overload
def task(fn: Callable[..., Any], /) -> Task: ...
@overload
def task(*, name: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Task]: ...
def task(
    fn: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any
) -> Task | Callable[[Callable[..., Any]], Task]:
    """A task from a function: `@task`, or `@task(retries=2, retry_delay_s=[1, 10])`.

    The options are those of `nbflow.model.task.Options`.
    """
    if fn is not None:
        return Task(fn, name=name, **options)
    return lambda function: Task(function, name=name, **options)


def make_options(options: dict[str, Any], task_name: str) -> Options:
    known = {f.name for f in fields(Options)}
    for name in options:
        if name not in known:
            raise GraphError(f"task {task_name!r} has no option {name!r}" + nearest(name, known))
    return Options(**options)


def _positional_names(signature: inspect.Signature, count: int) -> tuple[str, ...]:
    names: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            names.append(parameter.name)
    return tuple(names[:count])


def _check_resources(resources: Any) -> None:
    if not isinstance(resources, Mapping) or not all(
        isinstance(name, str) and isinstance(amount, (int, float)) and amount > 0 for name, amount in resources.items()
    ):
        raise GraphError(f'resources={resources!r}: names and amounts above 0 are needed, such as {{"GPU": 1}}')


def _as_tuple(options: Options, name: str, kind: type) -> None:
    value = getattr(options, name)
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        value = (value,)
    if not all(isinstance(item, kind) for item in value):
        raise GraphError(f"{name}={value!r}: a list of {kind.__name__} is needed")
    object.__setattr__(options, name, tuple(value))

"""Arithmetic and comparison on nodes: each gives a node that computes it when the flow runs."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nbflow.model.mapping import unmapped
from nbflow.model.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.model.node import Node


class Operators:
    """What nodes inherit. On a mapped node an operator works element by element, like an array's.

    `==` stays Python's, so that nodes can be found in lists and dicts; `node.eq(x)` builds a node.
    """

    name: str
    mapped: bool

    def __add__(self, other: Any) -> Node:
        return _binary(operator.add, "+", self, other)

    def __radd__(self, other: Any) -> Node:
        return _binary(operator.add, "+", other, self)

    def __sub__(self, other: Any) -> Node:
        return _binary(operator.sub, "-", self, other)

    def __rsub__(self, other: Any) -> Node:
        return _binary(operator.sub, "-", other, self)

    def __mul__(self, other: Any) -> Node:
        return _binary(operator.mul, "*", self, other)

    def __rmul__(self, other: Any) -> Node:
        return _binary(operator.mul, "*", other, self)

    def __truediv__(self, other: Any) -> Node:
        return _binary(operator.truediv, "/", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return _binary(operator.truediv, "/", other, self)

    def __floordiv__(self, other: Any) -> Node:
        return _binary(operator.floordiv, "//", self, other)

    def __rfloordiv__(self, other: Any) -> Node:
        return _binary(operator.floordiv, "//", other, self)

    def __mod__(self, other: Any) -> Node:
        return _binary(operator.mod, "%", self, other)

    def __rmod__(self, other: Any) -> Node:
        return _binary(operator.mod, "%", other, self)

    def __pow__(self, other: Any) -> Node:
        return _binary(operator.pow, "**", self, other)

    def __rpow__(self, other: Any) -> Node:
        return _binary(operator.pow, "**", other, self)

    def __matmul__(self, other: Any) -> Node:
        return _binary(operator.matmul, "@", self, other)

    def __and__(self, other: Any) -> Node:
        return _binary(operator.and_, "&", self, other)

    def __rand__(self, other: Any) -> Node:
        return _binary(operator.and_, "&", other, self)

    def __or__(self, other: Any) -> Node:
        return _binary(operator.or_, "|", self, other)

    def __ror__(self, other: Any) -> Node:
        return _binary(operator.or_, "|", other, self)

    def __lt__(self, other: Any) -> Node:
        return _binary(operator.lt, "<", self, other)

    def __le__(self, other: Any) -> Node:
        return _binary(operator.le, "<=", self, other)

    def __gt__(self, other: Any) -> Node:
        return _binary(operator.gt, ">", self, other)

    def __ge__(self, other: Any) -> Node:
        return _binary(operator.ge, ">=", self, other)

    def eq(self, other: Any) -> Node:
        """A node that tells whether the values are equal (`==` compares the nodes themselves)."""
        return _binary(operator.eq, "==", self, other)

    def ne(self, other: Any) -> Node:
        """A node that tells whether the values differ."""
        return _binary(operator.ne, "!=", self, other)

    def __neg__(self) -> Node:
        return _unary(operator.neg, "-", self)

    def __pos__(self) -> Node:
        return _unary(operator.pos, "+", self)

    def __invert__(self) -> Node:
        return _unary(operator.invert, "~", self)

    def __abs__(self) -> Node:
        return _unary(operator.abs, "abs ", self)


_TASKS: dict[str, Task] = {}


def _task(function: Callable[..., Any]) -> Task:
    # The bracket: nodes of these tasks may share a name, and get numbers.
    name = f"[{function.__name__}]"
    if name not in _TASKS:
        _TASKS[name] = Task(function, name=name)
    return _TASKS[name]


def _binary(function: Callable[..., Any], symbol: str, left: Any, right: Any) -> Node:
    name = f"{_label(left)} {symbol} {_label(right)}"
    if any(getattr(side, "mapped", False) and isinstance(side, Operators) for side in (left, right)):
        return _task(function).map(_each(left), _each(right), name=name)
    return _task(function)(left, right, name=name)


def _unary(function: Callable[..., Any], symbol: str, operand: Operators) -> Node:
    each = _task(function).map if operand.mapped else _task(function)
    return each(operand, name=f"{symbol}{operand.name}")


def _each(side: Any) -> Any:
    return side if isinstance(side, Operators) and side.mapped else unmapped(side)


def _label(side: Any) -> str:
    if isinstance(side, Operators):
        return side.name
    text = repr(side)
    return text if len(text) <= 20 and "\n" not in text else type(side).__name__

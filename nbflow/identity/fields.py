"""Fields of dataclasses, attrs classes, named tuples and pydantic models: part by part, functions by content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.identity.encoding import framed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.identity.walk import Walk

_ATTRS = (
    *("default", "validator", "repr", "eq", "eq_key", "order", "order_key", "hash", "init", "metadata"),
    *("converter", "kw_only", "on_setattr", "alias", "type"),
)
# What pydantic keeps for itself; the rest is what the user wrote.
_PYDANTIC_LEFT_OUT = frozenset(
    {"_attributes_set", "_complete", "_original_assignment", "_original_annotation", "_final"}
)


def described_fields(cls: type) -> Iterator[tuple[str, Any]]:
    """(name, value) of what a class's fields consist of; nothing for a plain class."""
    own = vars(cls)
    yield from _dataclass(own)
    if "_field_defaults" in own:
        yield "tuple fields", (tuple(own["_fields"]), tuple(own["_field_defaults"].items()))
    for each in own.get("__attrs_attrs__", ()):
        yield f"attrs {each.name}", {name: getattr(each, name, None) for name in _ATTRS}
    yield from _pydantic(own)


def _dataclass(own: Any) -> Iterator[tuple[str, Any]]:
    fields = own.get("__dataclass_fields__")
    if fields is None:
        return
    yield "dataclass", repr(own.get("__dataclass_params__"))
    for name, each in fields.items():
        flags = (each.init, each.repr, each.hash, each.compare, each.kw_only)
        # Libraries build instances by what the type says: the type counts by content.
        yield f"field {name}", (flags, dict(each.metadata), each.type)
        yield f"default {name}", _or_none(each.default)
        yield f"factory {name}", _or_none(each.default_factory)


def _pydantic(own: Any) -> Iterator[tuple[str, Any]]:
    for name, each in (own.get("__pydantic_fields__") or {}).items():
        parts = {slot: getattr(each, slot, None) for slot in type(each).__slots__ if slot not in _PYDANTIC_LEFT_OUT}
        yield f"pydantic {name}", parts
    for name, each in (own.get("__private_attributes__") or {}).items():
        yield f"private {name}", (each.default, each.default_factory)
    decorators = own.get("__pydantic_decorators__")
    for group in sorted(vars(decorators)) if hasattr(decorators, "__dict__") else _slots(decorators):
        kept = getattr(decorators, group, None)
        if isinstance(kept, dict):
            # Which fields a validator is for, and whether it comes before or after.
            yield f"pydantic {group}", [(name, getattr(each, "info", None)) for name, each in kept.items()]


def _slots(value: Any) -> tuple[str, ...]:
    return tuple(getattr(type(value), "__slots__", ()))


def _or_none(value: Any) -> Any:
    return None if type(value).__name__ == "_MISSING_TYPE" else (value,)


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of what pydantic wraps a function in to check its arguments; None for its other values."""
    if type(value).__name__ != "ValidateCallWrapper":
        return None
    function = value.function
    # The wrapper also holds the namespace around the function, and a validator made from its annotations.
    parts = {
        "function": function,
        "annotations": getattr(function, "__annotations__", None),
        "validate_return": value.validate_return,
        "config": getattr(value.config_wrapper, "config_dict", None),
    }
    return framed("validated call", walk.resolve(type(value)), walk.id(parts, path))

"""What a class consists of, without what Python and libraries generate from it."""

from __future__ import annotations

import enum
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Set by Python for every class, by where it stands, or derived from the rest.
_LEFT_OUT = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__"}
    | {"_abc_impl", "__abstractmethods__", "__annotations__", "__dataclass_fields__", "__dataclass_params__"}
    | {"__match_args__", "__parameters__", "__orig_bases__", "__annotate__", "__annotate_func__", "__signature__"}
    | {"__annotations_cache__", "__replace__", "__attrs_attrs__", "__attrs_props__", "__hash__"}
    | {"_generate_next_value_", "_member_names_", "_member_map_", "_value2member_map_", "_unhashable_values_"}
    | {"_use_args_", "_value_repr_", "_new_member_", "_hashable_values_", "__new_member__", "_member_type_"}
    | {"_fields", "_field_defaults", "_make", "_replace", "_asdict", "__getnewargs__", "_unhashable_values_map_"}
)
_GENERATED_PREFIXES = ("__pydantic_", "__class_vars__", "__private_attributes__", "_sunder")


def class_parts(cls: type) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything of a class that counts, in an order that depends on the class alone."""
    yield "name", cls.__qualname__
    yield "bases", cls.__bases__
    if type(cls) is not type:
        yield "metaclass", type(cls)
    yield "annotations", tuple((name, _type_text(kind)) for name, kind in _annotations(cls))
    yield from _described_fields(cls)
    if issubclass(cls, enum.Enum):
        yield "members", tuple((name, member.value) for name, member in cls.__members__.items())
    for name in sorted(vars(cls)):
        value = vars(cls)[name]
        if counts(cls, name, value):
            yield name, value


def counts(cls: type, name: str, value: Any) -> bool:
    """Whether a class attribute was written by the user, as far as can be told."""
    if name in _LEFT_OUT or name.startswith(_GENERATED_PREFIXES):
        return False
    if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
        return False
    if issubclass(cls, enum.Enum) and (name in cls.__members__ or name.startswith("__reduce")):
        return False
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    return not (isinstance(code, types.CodeType) and _generated(code.co_filename))


def _generated(filename: str) -> bool:
    """Methods that dataclasses, attrs and named tuples write: they follow from the fields."""
    return filename == "<string>" or filename.startswith(("<attrs generated", "<frozen", "<collections"))


def _annotations(cls: type) -> list[tuple[str, Any]]:
    return list(vars(cls).get("__annotations__", {}).items())


def _type_text(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else repr(kind)


def _described_fields(cls: type) -> Iterator[tuple[str, Any]]:
    fields = vars(cls).get("__dataclass_fields__")
    if fields is not None:
        yield "dataclass", repr(vars(cls).get("__dataclass_params__"))
        for name, each in fields.items():
            flags = (each.init, each.repr, each.hash, each.compare, each.kw_only)
            yield f"field {name}", flags
            yield f"default {name}", _or_none(each.default)
            yield f"factory {name}", _or_none(each.default_factory)
    if "_field_defaults" in vars(cls):
        yield "tuple fields", (tuple(cls._fields), tuple(cls._field_defaults.items()))  # type: ignore[attr-defined]  # a named tuple has them
    for attribute in vars(cls).get("__attrs_attrs__", ()):
        yield f"attrs {attribute.name}", repr(attribute)
    for name, each in (vars(cls).get("__pydantic_fields__") or {}).items():
        yield f"pydantic {name}", repr(each)


def _or_none(value: Any) -> Any:
    return None if type(value).__name__ == "_MISSING_TYPE" else (value,)

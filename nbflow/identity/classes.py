"""What a class consists of, without what Python and libraries generate from it."""

from __future__ import annotations

import enum
import types
from typing import TYPE_CHECKING, Any

from nbflow.identity.fields import described_fields
from nbflow.lean import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

# Set by Python for every class, by where it stands, or derived from the rest.
_LEFT_OUT = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__"}
    | {"_abc_impl", "__abstractmethods__", "__annotations__", "__annotate__", "__annotate_func__", "__parameters__"}
    | {"__annotations_cache__", "__signature__", "__dataclass_fields__", "__dataclass_params__"}
    # Kept there by copyreg, from the first time that an instance is copied or pickled.
    | {"__slotnames__"}
    | {"__attrs_attrs__", "__attrs_props__", "__attrs_own_setattr__", "__class_vars__", "__private_attributes__"}
)
_OF_ENUMS = frozenset(
    {"_generate_next_value_", "_member_names_", "_member_map_", "_value2member_map_", "_unhashable_values_"}
    | {"_use_args_", "_value_repr_", "_new_member_", "_hashable_values_", "__new_member__", "_member_type_"}
    | {"_unhashable_values_map_"}
)
_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_hashable_values_"})
_OF_NAMED_TUPLES = frozenset(
    {"_fields", "_field_defaults", "_make", "_replace", "_asdict", "__getnewargs__", "__new__", "__replace__"}
)
_ADDRESS = pattern(r" at 0x[0-9a-fA-F]+")
_STANDS_IN = "_no_init_or_replace_init"
_GENERATED_PREFIXES = ("__pydantic_", "_sunder")


def class_parts(cls: type) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything of a class that counts, in an order that depends on the class alone."""
    yield "name", cls.__qualname__
    yield "bases", cls.__bases__
    if type(cls) is not type:
        yield "metaclass", type(cls)
    yield "annotations", tuple((name, _type_text(kind)) for name, kind in _annotations(cls))
    yield from described_fields(cls)
    if issubclass(cls, enum.Enum):
        yield "members", tuple((name, member.value, _own(member)) for name, member in cls.__members__.items())
        made = vars(cls).get("__new_member__")
        if isinstance(made, types.FunctionType):
            # The user's own `__new__` of an enum is kept there.
            yield "new member", made
    for name in sorted(vars(cls)):
        value = vars(cls)[name]
        if counts(cls, name, value):
            yield name, value


def _own(member: enum.Enum) -> dict[str, Any]:
    """What an enum's `__new__` or `__init__` set on a member, besides its name and value."""
    own = {name: value for name, value in vars(member).items() if name not in _OF_MEMBERS}
    return dict(sorted(own.items()))


def counts(cls: type, name: str, value: Any) -> bool:
    """Whether a class attribute was written by the user, as far as can be told."""
    if name in _LEFT_OUT or name.startswith(_GENERATED_PREFIXES) or (name == "__hash__" and value is None):
        return False
    if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
        return False
    if issubclass(cls, enum.Enum) and (
        name in _OF_ENUMS or name in cls.__members__ or name.startswith("__reduce") or value is enum.Enum.__new__
    ):
        return False
    if name in _OF_NAMED_TUPLES and "_field_defaults" in vars(cls):
        return False
    if name == "__init__" and "_is_protocol" in vars(cls) and _found_above(cls, value):
        # What implements a protocol is given the one that it inherits when its first instance is made.
        return False
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    return not (isinstance(code, types.CodeType) and _generated(code))


def _found_above(cls: type, init: Any) -> bool:
    """Whether an `__init__` is the first of the classes above that is none of those that protocols stand in with."""
    above = (vars(base)["__init__"] for base in cls.__mro__[1:] if "__init__" in vars(base))
    return next((each for each in above if getattr(each, "__name__", "") != _STANDS_IN), None) is init


def _generated(code: types.CodeType) -> bool:
    """Methods that dataclasses and attrs write: they follow from the fields."""
    return code.co_qualname.startswith("__create_fn__.") or code.co_filename.startswith(("<attrs generated", "<frozen"))


def _annotations(cls: type) -> list[tuple[str, Any]]:
    found = vars(cls).get("__annotations__")
    # A class of Cython's has a descriptor there.
    return list(found.items()) if isinstance(found, dict) else []


def _type_text(kind: Any) -> str:
    # Functions inside annotations show where they lie in memory.
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else _ADDRESS.sub("", repr(kind))

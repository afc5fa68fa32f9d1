"""What the compiled conditions call where a value is not plainly of its type: absent, a subclass, or wrong."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from secure_api.policy.schema import AttributeType

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _exactly(kind: type, name: str) -> Callable[[Any], Any]:
    def guarded(value: object) -> object:
        # Exact: a bool is an int to Python, and to no database.
        if value is None or type(value) is kind:
            return value
        raise TypeError(f"a value is not of type {name}")

    return guarded


def _string(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    raise TypeError("a value is not a string")


def _timestamp(value: object) -> object:
    # A naive datetime is unequal to every aware one: `!=` would be true.
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    raise TypeError("a value is not an aware timestamp")


_GUARD_OF: Mapping[AttributeType, Callable[[Any], Any]] = {
    AttributeType.INTEGER: _exactly(int, "integer"),
    AttributeType.BOOLEAN: _exactly(bool, "boolean"),
    AttributeType.UUID: _exactly(UUID, "UUID"),
    AttributeType.STRING: _string,
    AttributeType.TIMESTAMP: _timestamp,
}

# Expressions that bind a name to a value and are true where the value is plainly of the type.
FAST_CHECK: Mapping[AttributeType, str] = {
    AttributeType.INTEGER: "type({name} := {value}) is int",
    AttributeType.BOOLEAN: "type({name} := {value}) is bool",
    AttributeType.UUID: "type({name} := {value}) is UUID",
    AttributeType.STRING: "isinstance({name} := {value}, str)",
    AttributeType.TIMESTAMP: "type({name} := {value}) is datetime and {name}.tzinfo is not None",
}


def guard(kind: AttributeType) -> str:
    """The name, among `GUARDS`, of the function that passes None and values of the type and raises on others."""
    return f"guard_{kind.value.lower()}"


GUARDS: Mapping[str, object] = {
    "type": type,
    "isinstance": isinstance,
    "int": int,
    "bool": bool,
    "str": str,
    "UUID": UUID,
    "datetime": datetime,
    "Exception": Exception,
    **{guard(kind): function for kind, function in _GUARD_OF.items()},
}


def compared(symbol: str, kind: AttributeType) -> Callable[[Any, Any], bool]:
    """The comparison in full: false where a side is absent, TypeError where one has another type."""
    guarded, compare = _GUARD_OF[kind], _OPERATORS[symbol]

    def comparison(left: object, right: object) -> bool:
        first, second = guarded(left), guarded(right)
        return first is not None and second is not None and compare(first, second)

    return comparison


def contained(kind: AttributeType, *, negated: bool) -> Callable[[Any, Container[Any]], bool]:
    """Membership in full: an absent item is in no list, and outside none either, not even an empty one."""
    guarded = _GUARD_OF[kind]

    def membership(item: object, container: Container[Any]) -> bool:
        value = guarded(item)
        return value is not None and (value in container) is not negated

    return membership

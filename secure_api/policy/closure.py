"""Conditions as Python closures that answer "definitely true" for one row.

The input is a normal form (`normal_form.holds` or `fails`): it holds no `Not`. A closure raises
TypeError on a value of the wrong type and KeyError on a row without a path it reads; the caller
denies. It never guesses: `"7" != 7` would be true, and a deny rule would not fire.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from secure_api.policy.schema import AttributeType, RequestAttributes
from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Container,
    Literal,
    LiteralList,
    Membership,
    Not,
    Operand,
    Or,
    Presence,
    Presentable,
    PrincipalAttribute,
    RelationPath,
    RequestAttribute,
    ResourcePath,
    Truth,
)
from secure_api.principal import Principal


@dataclass(slots=True, eq=False)
class Facts:
    """What one evaluation looks at. `row` maps dotted paths to values; `roles` are the effective ones."""

    row: Mapping[str, object]
    principal: Principal
    request: RequestAttributes
    roles: frozenset[str]


Test = Callable[[Facts], bool]
Fetch = Callable[[Facts], Any]

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXACT: Mapping[AttributeType, type] = {
    AttributeType.INTEGER: int,  # exact: a bool is an int to Python, and to no database
    AttributeType.BOOLEAN: bool,
    AttributeType.UUID: UUID,
}


def compile_condition(condition: Condition) -> Test:
    """The closure of a normal form: true where the condition is definitely true."""
    match condition:
        case Always(negated):
            return lambda _: not negated
        case And(terms):
            return _all(tuple(compile_condition(term) for term in terms))
        case Or(terms):
            return _any(tuple(compile_condition(term) for term in terms))
        case Comparison(symbol, left, right):
            return _comparison(_OPERATORS[symbol], fetch_of(left), fetch_of(right))
        case Membership(item, container, negated):
            return _membership(fetch_of(item), _container(container), negated=negated)
        case Presence(subject, negated):
            return _presence(subject, negated=negated)
        case Truth(subject, negated):
            fetch, wanted = fetch_of(subject), not negated
            return lambda facts: fetch(facts) is wanted
        case Not():
            raise TypeError("not a normal form")
        case _:
            assert_never(condition)


def _all(tests: tuple[Test, ...]) -> Test:
    def every(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs more than the comparison itself
            if not test(facts):
                return False
        return True

    return every


def _any(tests: tuple[Test, ...]) -> Test:
    def some(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - as above
            if test(facts):
                return True
        return False

    return some


def _comparison(compare: Callable[[Any, Any], bool], left: Fetch, right: Fetch) -> Test:
    def compared(facts: Facts) -> bool:
        first, second = left(facts), right(facts)
        return first is not None and second is not None and compare(first, second)

    return compared


def _membership(item: Fetch, container: Fetch, *, negated: bool) -> Test:
    def contained(facts: Facts) -> bool:
        value = item(facts)
        # An absent item is in no list, and outside none either: not even outside an empty one.
        return value is not None and (value in container(facts)) is not negated

    return contained


def _presence(subject: Presentable, *, negated: bool) -> Test:
    if isinstance(subject, RelationPath | ResourcePath):
        key, holder = ".".join(subject.path), ".".join(subject.path[:-1])
        if not negated:
            return lambda facts: facts.row[key] is not None
        if holder:
            return lambda facts: facts.row[holder] is not None and facts.row[key] is None
        return lambda facts: facts.row[key] is None
    fetch = fetch_of(subject)
    return lambda facts: (fetch(facts) is None) is negated


def _container(container: Container) -> Fetch:
    if isinstance(container, LiteralList):
        values = frozenset(container.values)
        return lambda _: values
    return fetch_of(container)


def fetch_of(operand: Operand) -> Fetch:
    """The closure that gives an operand's value, None where it is absent.

    The closure raises TypeError if the value is not of the operand's type.
    """
    match operand:
        case Literal(value, _):
            return lambda _: value
        case ResourcePath(path, kind):
            return _from_row(".".join(path), kind)
        case PrincipalAttribute("roles", _):
            return operator.attrgetter("roles")
        case RequestAttribute("time", kind):
            return _guarded(operator.attrgetter("request.time"), kind)
        case PrincipalAttribute(name, kind) | RequestAttribute(name, kind):
            # `request.credential` and `request.acr` are the principal's: one truth for both names.
            return _guarded(operator.attrgetter(f"principal.{name}"), kind)
        case _:
            assert_never(operand)


def _from_row(key: str, kind: AttributeType) -> Fetch:
    exact = _EXACT.get(kind)
    if exact is None:
        return _guarded(lambda facts: facts.row[key], kind)

    # As `_guarded` would, with two calls less: this runs for every row.
    def fetch(facts: Facts) -> object:
        value = facts.row[key]
        if type(value) is exact or value is None:
            return value
        raise TypeError(f"{key} is not of type {kind.value}")

    return fetch


def _guarded(get: Fetch, kind: AttributeType) -> Fetch:
    """The values that `get` gives, which are None or of the type; TypeError on anything else."""
    exact = _EXACT.get(kind)

    def fetch(facts: Facts) -> object:
        value = get(facts)
        if type(value) is exact or value is None:
            return value
        raise TypeError(f"a value is not of type {kind.value}")

    def fetch_string(facts: Facts) -> object:
        value = get(facts)
        if value is None or isinstance(value, str):
            return value
        raise TypeError("a value is not a string")

    def fetch_timestamp(facts: Facts) -> object:
        value = get(facts)
        # A naive datetime is unequal to every aware one: `!=` would be true.
        if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
            return value
        raise TypeError("a value is not an aware timestamp")

    if exact is not None:
        return fetch
    return fetch_string if kind is AttributeType.STRING else fetch_timestamp

"""The typed tree of a condition. Frozen; the checker builds it, the normal form and both back-ends read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from secure_api.policy.schema import AttributeType

Scalar = int | str | bool | UUID | datetime


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, already converted to its type."""

    value: Scalar
    type: AttributeType


@dataclass(frozen=True, slots=True)
class LiteralList:
    """A list of constants of one type; never empty."""

    values: tuple[Scalar, ...]
    type: AttributeType


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """An attribute of the row, or of the row that to-one relations lead to."""

    path: tuple[str, ...]
    type: AttributeType


@dataclass(frozen=True, slots=True)
class RelationPath:
    """A to-one relation; it can only be asked for its presence."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrincipalAttribute:
    """An attribute of the caller."""

    name: str
    type: AttributeType


@dataclass(frozen=True, slots=True)
class RequestAttribute:
    """An attribute of the request."""

    name: str
    type: AttributeType


Operand = Literal | ResourcePath | PrincipalAttribute | RequestAttribute
Container = LiteralList | PrincipalAttribute
Presentable = ResourcePath | RelationPath | PrincipalAttribute | RequestAttribute


@dataclass(frozen=True, slots=True)
class Always:
    """`when: always`; its negation is never true."""

    negated: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands of one type. Unknown where either is absent."""

    operator: str  # == != < <= > >=
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Membership:
    """`item in container`. Unknown where the item is absent, in an empty container too."""

    item: Operand
    container: Container
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Presence:
    """`has(subject)`. Unknown where the row that should hold the subject is absent."""

    subject: Presentable
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean attribute standing alone."""

    subject: ResourcePath
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All terms."""

    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any term."""

    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The negation of a term; the normal form holds none."""

    term: Condition


Leaf = Always | Comparison | Membership | Presence | Truth
Condition = Leaf | And | Or | Not


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Every leaf, from left to right."""
    match condition:
        case And(terms) | Or(terms):
            for term in terms:
                yield from leaves_of(term)
        case Not(term):
            yield from leaves_of(term)
        case _:
            yield condition


def row_paths_of(condition: Condition) -> Iterator[tuple[str, ...]]:
    """Every path of the row that an evaluation may look at.

    `has(a.b)` looks at `a` as well: without the row `a` the answer is unknown, not false.
    """
    for leaf in leaves_of(condition):
        match leaf:
            case Comparison(_, left, right):
                yield from (side.path for side in (left, right) if isinstance(side, ResourcePath))
            case Membership(ResourcePath(path), _) | Truth(ResourcePath(path)):
                yield path
            case Presence(ResourcePath(path) | RelationPath(path)):
                yield path
                if len(path) > 1:
                    yield path[:-1]
            case _:
                pass

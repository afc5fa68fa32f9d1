"""Policy conditions as SQL: the WHERE clause that keeps to the rows a principal may reach.

The second back-end of the condition language; `policy/closure.py` is the first, and a property test
holds the two equal. Every node here is true exactly where the normal form is definitely true, never
NULL-as-true; so AND and OR are plain, and NOT stands only before EXISTS and IS NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    and_,
    bindparam,
    exists,
    false,
    inspect,
    literal_column,
    or_,
    true,
)
from sqlalchemy import types as sql_types
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, False_, True_
from sqlalchemy.types import TypeDecorator, TypeEngine

from secure_api.policy.closure import Facts, compile_condition, fetch_of
from secure_api.policy.decision import FunctionDecision
from secure_api.policy.schema import Attribute, AttributeType, RequestAttributes, ResourceSchema
from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Leaf,
    LiteralList,
    Membership,
    Not,
    Operand,
    Or,
    Presence,
    RelationPath,
    ResourcePath,
    Truth,
)
from secure_api.principal import Principal

Predicate = ColumnElement[bool]

_COMPARE: Mapping[str, Callable[[Any, Any], Predicate]] = {
    "==": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}


def scope_expression(
    grant: FunctionDecision,
    model: Any,
    principal: Principal,
    request: RequestAttributes,
    *,
    with_unmet_step_up: bool = False,
) -> Predicate:
    """True for exactly the rows for which `grant.decide` allows; never NULL-as-true; false() if nothing allows.

    Args:
        grant: the function decision of this principal.
        model: the mapped class, or an alias of it.
        principal: the caller.
        request: what else conditions may ask.
        with_unmet_step_up: count rows in that only a stronger login would open. For a point read that
            then answers 401 instead of 404; never for a list.

    Raises:
        TypeError: if an attribute of the principal is not of its declared type. Nothing is read then.
    """
    if not grant.allowed:
        return false()
    build = _Builder(model, Facts({}, principal, request, grant.roles))
    usable = [
        rule
        for rule in grant.candidates
        if with_unmet_step_up or rule.step_up is None or rule.step_up.is_met(principal, request)
    ]
    allowed = _any([build.predicate(rule.normal) for rule in usable])
    return _all([allowed, *(build.predicate(rule.normal) for rule in grant.denies)])


def _all(terms: list[Predicate]) -> Predicate:
    """AND, with constants folded so that the database sees none."""
    if any(isinstance(term, False_) for term in terms):
        return false()
    varying = [term for term in terms if not isinstance(term, True_)]
    return and_(*varying) if varying else true()


def _any(terms: list[Predicate]) -> Predicate:
    """OR, folded likewise. No term at all is false."""
    if any(isinstance(term, True_) for term in terms):
        return true()
    varying = [term for term in terms if not isinstance(term, False_)]
    return or_(*varying) if varying else false()


@dataclass(frozen=True, slots=True)
class _Row:
    """A place in the statement where columns come from: the entity itself, or the alias of a related table."""

    mapper: Mapper[Any]
    entity: Any  # mapped class or ORM alias; None for a related table
    table: FromClause | None

    def column(self, key: str) -> ColumnElement[Any]:
        if self.table is None:
            attribute: ColumnElement[Any] = getattr(self.entity, key)
            return attribute
        return self.table.c[str(self.mapper.column_attrs[key].columns[0].key)]


class _Builder:
    def __init__(self, model: Any, facts: Facts) -> None:
        self._root = _Row(inspect(model).mapper, model, None)
        self._facts = facts

    def predicate(self, condition: Condition) -> Predicate:
        """SQL that is true exactly where a normal form is definitely true."""
        match condition:
            case And(terms):
                return _all([self.predicate(term) for term in terms])
            case Or(terms):
                return _any([self.predicate(term) for term in terms])
            case Not():
                raise TypeError("not a normal form")
            case _:
                return self._leaf(condition)

    def _leaf(self, leaf: Leaf) -> Predicate:
        match leaf:
            case Always(negated):
                return false() if negated else true()
            case Comparison(_, ResourcePath(first), ResourcePath(second)):
                return self._within(
                    first[:-1],
                    lambda left: self._within(
                        second[:-1],
                        lambda right: _COMPARE[leaf.operator](left.column(first[-1]), right.column(second[-1])),
                    ),
                )
            case Comparison(symbol, ResourcePath(path), other):
                return self._against(path, other, _COMPARE[symbol])
            case Comparison(symbol, other, ResourcePath(path)):
                compare = _COMPARE[symbol]
                return self._against(path, other, lambda column, value: compare(value, column))
            case Membership(ResourcePath(path), container, negated):
                values = container.values if isinstance(container, LiteralList) else tuple(sorted(self._facts.roles))
                return self._within(path[:-1], lambda row: _membership(row.column(path[-1]), values, negated=negated))
            case Presence(ResourcePath(path), negated):
                return self._within(path[:-1], lambda row: _presence(row.column(path[-1]), negated=negated))
            case Presence(RelationPath(path), negated):
                return self._related(path, negated=negated)
            case Truth(ResourcePath(path), negated):
                # IS, not =: a plain column as a condition renders as `= 1` on SQLite, and NULL stays NULL.
                wanted = false() if negated else true()
                return self._within(path[:-1], lambda row: row.column(path[-1]).is_(wanted))
            case Comparison() | Membership() | Presence():
                # No side is of the row: the outcome is known now, and by the same closure.
                return true() if compile_condition(leaf)(self._facts) else false()
            case _:
                assert_never(leaf)

    def _against(self, path: tuple[str, ...], other: Operand, compare: Callable[[Any, Any], Predicate]) -> Predicate:
        value = fetch_of(other)(self._facts)
        if value is None:
            # Unknown. `column == None` would render IS NULL and match the rows that have no owner.
            return false()
        return self._within(path[:-1], lambda row: compare(row.column(path[-1]), _bind(row.column(path[-1]), value)))

    def _within(self, relations: tuple[str, ...], inner: Callable[[_Row], Predicate]) -> Predicate:
        """`inner` on the row that the relations lead to; false where there is none."""
        return self._step(self._root, relations, inner)

    def _related(self, path: tuple[str, ...], *, negated: bool) -> Predicate:
        """Whether the last relation of a path leads to a row, given that all before it do."""

        def last(row: _Row) -> Predicate:
            present = self._step(row, path[-1:], lambda _: true())
            return ~present if negated else present

        return self._within(path[:-1], last)

    def _step(self, row: _Row, relations: tuple[str, ...], inner: Callable[[_Row], Predicate]) -> Predicate:
        if not relations:
            return inner(row)
        relation = row.mapper.relationships[relations[0]]
        # A plain table, not the mapped class: the related resource's own scope must not narrow this rule.
        table = relation.mapper.local_table.alias()
        join = [
            row.column(row.mapper.get_property_by_column(local).key) == table.c[str(remote.key)]
            for local, remote in relation.local_remote_pairs or ()
        ]
        target = _Row(relation.mapper, None, table)
        found = exists(literal_column("1")).select_from(table).where(*join, self._step(target, relations[1:], inner))
        # Everything but its own table belongs to the enclosing statement, at whatever depth.
        return found.correlate_except(table)


def _bind(column: ColumnElement[Any], value: object) -> ColumnElement[Any]:
    """A parameter of its own name, typed as the column is.

    An integer is bound as 64 bits: a 32-bit parameter type would overflow on PostgreSQL, where the
    comparison itself has an answer.
    """
    kind: TypeEngine[Any] = BigInteger() if type(value) is int else column.type
    return bindparam(None, value, type_=kind, unique=True)


def _membership(column: ColumnElement[Any], values: tuple[object, ...], *, negated: bool) -> Predicate:
    if not values:
        # `NOT IN ()` is true of NULL as well; an absent item is not definitely outside an empty list.
        return column.is_not(None) if negated else false()
    # One parameter per element and occurrence: an expanding one that occurs twice over-grants on PostgreSQL.
    bound = [_bind(column, value) for value in values]
    return column.not_in(bound) if negated else column.in_(bound)


def _presence(column: ColumnElement[Any], *, negated: bool) -> Predicate:
    return column.is_(None) if negated else column.is_not(None)


# --- schemas ---------------------------------------------------------------------------------------

_MAX_RELATION_DEPTH = 2
_PLAIN_TEXT = (sql_types.String, sql_types.Text, sql_types.VARCHAR, sql_types.TEXT, sql_types.Unicode)
_BY_PYTHON_TYPE: Mapping[type, AttributeType] = {
    int: AttributeType.INTEGER,
    bool: AttributeType.BOOLEAN,
    UUID: AttributeType.UUID,
    datetime: AttributeType.TIMESTAMP,
}


def schema_from_model(model: Any) -> ResourceSchema:
    """What policy files may say about a mapped class: its columns, and its to-one relations two levels deep.

    A column whose type compares differently in Python and in a database is opaque: it may stand in
    field lists, not in conditions. Relations that do not lead to a primary key, or that have
    conditions of their own, are left out of conditions as well.
    """
    return _schema(inspect(model).mapper, _MAX_RELATION_DEPTH)


def _schema(mapper: Mapper[Any], depth: int) -> ResourceSchema:
    attributes = {}
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        attributes[attribute.key] = Attribute(_attribute_type(column.type), bool(getattr(column, "nullable", True)))
    followed = [relation for relation in mapper.relationships if _is_plain_to_one(relation)]
    others = frozenset(relation.key for relation in mapper.relationships) - {relation.key for relation in followed}
    relations = {relation.key: _schema(relation.mapper, depth - 1) for relation in followed} if depth else {}
    return ResourceSchema(mapper.local_table.description, attributes, relations, others)


def _attribute_type(kind: TypeEngine[Any]) -> AttributeType:
    if isinstance(kind, sql_types.String):
        # CHAR pads, an enumeration checks, a collation folds: equality would not be Python's.
        is_plain = type(kind) in _PLAIN_TEXT and kind.collation is None
        return AttributeType.STRING if is_plain else AttributeType.OPAQUE
    try:
        python_type = (kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type
    except NotImplementedError:
        return AttributeType.OPAQUE
    found = _BY_PYTHON_TYPE.get(python_type, AttributeType.OPAQUE)
    # A plain DateTime comes back naive from SQLite; only a type of our own can promise UTC. Of any
    # other type of our own, nothing is known about how its stored form compares.
    if isinstance(kind, TypeDecorator) is not (found is AttributeType.TIMESTAMP):
        return AttributeType.OPAQUE
    return found


def _is_plain_to_one(relation: RelationshipProperty[Any]) -> bool:
    """True if the relation leads by equal columns to a primary key: then it names at most one row."""
    pairs = relation.local_remote_pairs or []
    comparisons = [part for part in visitors.iterate(relation.primaryjoin) if isinstance(part, BinaryExpression)]
    return (
        relation.direction is RelationshipDirection.MANYTOONE
        and relation.secondary is None
        and relation.mapper.inherits is None
        and {remote for _, remote in pairs} == set(relation.mapper.primary_key)
        and len(comparisons) == len(pairs)
        and all(part.operator is operators.eq for part in comparisons)
    )

"""Policy conditions as SQL: the WHERE clause that keeps to the rows a principal may reach.

The second back-end of the condition language; `policy/closure.py` is the first, and a property test
holds the two equal. Every node here is true exactly where the normal form is definitely true, never
NULL-as-true; so AND and OR are plain, and NOT stands only before EXISTS and IS NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    and_,
    exists,
    false,
    inspect,
    literal_column,
    or_,
    true,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import False_, True_

from secure_api.db.policy_schema import schema_from_model
from secure_api.db.policy_templates import Predicate, PreparedSql, parameter
from secure_api.policy.closure import compile_condition, fetch_of
from secure_api.policy.decision import FunctionDecision
from secure_api.policy.schema import RequestAttributes
from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Leaf,
    Literal,
    LiteralList,
    Membership,
    Not,
    Operand,
    Or,
    Presence,
    PrincipalAttribute,
    RelationPath,
    RequestAttribute,
    ResourcePath,
    Truth,
    leaves_of,
    row_paths_of,
)
from secure_api.principal import Principal

__all__ = ["Predicate", "schema_from_model", "scope_expression"]

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
    plan: _Plan = grant.prepared.get(_Plan) or grant.prepared.setdefault(_Plan, _Plan(grant))
    usable = tuple(
        with_unmet_step_up or rule.step_up is None or rule.step_up.is_met(principal, request)
        for rule in grant.candidates
    )
    shape, values = plan.shape_and_values(usable, principal, request)
    if not isinstance(model, type):
        # An alias belongs to one statement; remembered, it would never be used again.
        return plan.template(model, shape).filled(values)
    template: PreparedSql | None = grant.prepared.get((model, shape))
    if template is None:
        template = grant.prepared[model, shape] = plan.template(model, shape)
    return template.filled(values)


@dataclass(frozen=True, slots=True)
class _Shape:
    """All that a caller and a request decide about the form of the SQL; callers with one shape share it."""

    usable: tuple[bool, ...]  # which candidates open rows at all
    outcomes: tuple[bool, ...]  # of the leaves that read no row
    absent: tuple[bool, ...]  # which of the values are None


class _Plan:
    """What has to be asked about a caller and a request before the SQL of a decision's rules is known."""

    def __init__(self, grant: FunctionDecision) -> None:
        self._grant = grant
        leaves = [leaf for rule in (*grant.candidates, *grant.denies) for leaf in leaves_of(rule.normal)]
        self._constant = tuple(dict.fromkeys(leaf for leaf in leaves if _reads_no_row(leaf)))
        self._tests = tuple(map(compile_condition, self._constant))
        self._operands = tuple(dict.fromkeys(side for leaf in leaves for side in _compared_values(leaf)))
        self._fetches = tuple(map(fetch_of, self._operands))

    def shape_and_values(
        self, usable: tuple[bool, ...], principal: Principal, request: RequestAttributes
    ) -> tuple[_Shape, tuple[Any, ...]]:
        """The shape, and the value of each operand that stands opposite a column."""
        roles = self._grant.roles
        outcomes = tuple(test({}, principal, request, roles) for test in self._tests)
        values = tuple(fetch({}, principal, request, roles) for fetch in self._fetches)
        return _Shape(usable, outcomes, tuple(value is None for value in values)), values

    def template(self, model: Any, shape: _Shape) -> PreparedSql:
        """The SQL of a shape, with a parameter for each place where a value of the caller belongs."""
        build = _Builder(
            model,
            self._grant.roles,
            dict(zip(self._constant, shape.outcomes, strict=True)),
            dict(zip(self._operands, shape.absent, strict=True)),
        )
        candidates = zip(self._grant.candidates, shape.usable, strict=True)
        allowed = _any([build.predicate(rule.normal) for rule, usable in candidates if usable])
        expression = _all([allowed, *(build.predicate(rule.normal) for rule in self._grant.denies)])
        return PreparedSql(expression, [(bind, self._operands.index(operand)) for bind, operand in build.places])


def _reads_no_row(leaf: Leaf) -> bool:
    return not isinstance(leaf, Always) and not any(row_paths_of(leaf))


def _compared_values(leaf: Leaf) -> Iterator[PrincipalAttribute | RequestAttribute]:
    """The values of the caller or the request that stand opposite a column."""
    if isinstance(leaf, Comparison) and any(row_paths_of(leaf)):
        sides = (leaf.left, leaf.right)
        yield from (side for side in sides if isinstance(side, PrincipalAttribute | RequestAttribute))


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
    def __init__(
        self,
        model: Any,
        roles: frozenset[str],
        outcomes: Mapping[Leaf, bool],
        absent: Mapping[PrincipalAttribute | RequestAttribute, bool],
    ) -> None:
        self._root = _Row(inspect(model).mapper, model, None)
        self._roles = tuple(sorted(roles))
        self._outcomes = outcomes
        self._absent = absent
        self.places = list[tuple[BindParameter[Any], Operand]]()

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
                values = container.values if isinstance(container, LiteralList) else self._roles
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
                # No side is of the row: the outcome was known before the statement, by the same closure.
                return true() if self._outcomes[leaf] else false()
            case _:
                assert_never(leaf)

    def _against(self, path: tuple[str, ...], other: Operand, compare: Callable[[Any, Any], Predicate]) -> Predicate:
        if isinstance(other, PrincipalAttribute | RequestAttribute) and self._absent[other]:
            # Unknown. `column == None` would render IS NULL and match the rows that have no owner.
            return false()

        def compared(row: _Row) -> Predicate:
            column = row.column(path[-1])
            if isinstance(other, Literal):
                return compare(column, _bind(column, other.value))
            bind = parameter(column.type, None)
            self.places.append((bind, other))
            return compare(column, bind)

        return self._within(path[:-1], compared)

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


def _bind(column: ColumnElement[Any], value: object) -> BindParameter[Any]:
    """A parameter of its own name, typed as the column is.

    An integer is bound as 64 bits: a 32-bit parameter type would overflow on PostgreSQL, where the
    comparison itself has an answer.
    """
    return parameter(BigInteger() if type(value) is int else column.type, value)


def _membership(column: ColumnElement[Any], values: tuple[object, ...], *, negated: bool) -> Predicate:
    if not values:
        # `NOT IN ()` is true of NULL as well; an absent item is not definitely outside an empty list.
        return column.is_not(None) if negated else false()
    # One parameter per element and occurrence: an expanding one that occurs twice over-grants on PostgreSQL.
    bound = [_bind(column, value) for value in values]
    return column.not_in(bound) if negated else column.in_(bound)


def _presence(column: ColumnElement[Any], *, negated: bool) -> Predicate:
    return column.is_(None) if negated else column.is_not(None)

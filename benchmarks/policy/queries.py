"""Scope building, scoped queries, and the reduction of rows to the fields that a caller may read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from benchmarks.policy.decisions import ENGINE, HAND, Disagreement
from benchmarks.policy.world import ANNA, MANAGER, OWN_FIELDS, REQUEST, database, policies
from secure_api.db.policy_sql import scope_expression
from secure_api.db.scoping import policy_columns, row_values, scoped_select
from secure_api.policy.decision import FunctionDecision
from secure_api.principal import Principal
from secure_api.resources.orders.model import Order

Subjects = dict[str, Callable[[], object]]
PAGE = 20


def scope_subjects() -> Iterator[tuple[str, Subjects]]:
    """Only the WHERE clause."""
    table = policies()
    own, read, everything = (
        table.function_decision(principal, "orders", action)
        for principal, action in ((ANNA, "list"), (ANNA, "read"), (MANAGER, "list"))
    )
    yield (
        "scope: own orders",
        {
            ENGINE: lambda: scope_expression(own, Order, ANNA, REQUEST),
            HAND: lambda: Order.customer_id == ANNA.customer_id,
        },
    )
    yield (
        "scope: own orders that are not archived",
        {
            ENGINE: lambda: scope_expression(read, Order, ANNA, REQUEST),
            HAND: lambda: (Order.customer_id == ANNA.customer_id) & Order.archived.is_(False),
        },
    )
    yield "scope: every order", {ENGINE: lambda: scope_expression(everything, Order, MANAGER, REQUEST)}


@contextmanager
def query_subjects() -> Iterator[Iterator[tuple[str, Subjects]]]:
    """Whole queries on SQLite, from the building of the statement to the rows."""
    with database() as (engine, order_id), Session(engine) as session:
        yield _queries(session, order_id)


def _queries(session: Session, order_id: UUID) -> Iterator[tuple[str, Subjects]]:
    table = policies()
    own = table.function_decision(ANNA, "orders", "list")
    read = table.function_decision(ANNA, "orders", "read")
    everything = table.function_decision(MANAGER, "orders", "list")
    yield (
        "query: a page of own orders",
        _agreeing(
            session,
            lambda: _page(_scoped(own, ANNA)),
            lambda: _page(_selected(own).where(Order.customer_id == ANNA.customer_id)),
        ),
    )
    yield (
        "query: one own order, not archived",
        _agreeing(
            session,
            lambda: _scoped(read, ANNA).where(Order.id == order_id),
            lambda: _selected(read).where(
                Order.customer_id == ANNA.customer_id, Order.archived.is_(False), Order.id == order_id
            ),
        ),
    )
    yield (
        "query: a page of every order",
        _agreeing(session, lambda: _page(_scoped(everything, MANAGER)), lambda: _page(_selected(everything))),
    )
    yield "fields: a page of 20 rows", _projection(session, own)


def _scoped(grant: FunctionDecision, principal: Principal) -> Select[Any]:
    """As `pipeline/scope.py` builds it."""
    columns = policy_columns(Order, grant.readable_fields, grant.condition_paths)
    return scoped_select(Order, scope_expression(grant, Order, principal, REQUEST), columns)


def _selected(grant: FunctionDecision) -> Select[Any]:
    """The same columns, chosen by hand."""
    columns: list[Any] = [
        Order.id,
        Order.status,
        Order.total_minor,
        Order.currency,
        Order.note,
        Order.created_at,
        Order.updated_at,
        Order.customer_id,
    ]
    if grant.action == "read":
        columns.append(Order.archived)
    elif "internal_note" in grant.readable_fields:
        columns += [Order.internal_note, Order.archived]
    return select(*columns)


def _page(statement: Select[Any]) -> Select[Any]:
    return statement.order_by(Order.created_at.desc(), Order.id).limit(PAGE).offset(0)


def _agreeing(session: Session, ours: Callable[[], Select[Any]], by_hand: Callable[[], Select[Any]]) -> Subjects:
    """The two as subjects, after both have given the same rows."""
    first, second = session.execute(ours()).all(), session.execute(by_hand()).all()
    if not first or [row._mapping["id"] for row in first] != [row._mapping["id"] for row in second]:
        raise Disagreement("the two queries give different rows, or none")
    return {ENGINE: lambda: session.execute(ours()).all(), HAND: lambda: session.execute(by_hand()).all()}


def _projection(session: Session, grant: FunctionDecision) -> Subjects:
    rows = session.execute(_page(_scoped(grant, ANNA))).all()
    readable_by_hand = frozenset(OWN_FIELDS)

    def ours() -> object:
        """As `pipeline/fields.py` does it: every row is decided once more, then reduced."""
        shown = []
        for row in rows:
            decision = grant.decide(row_values(row, grant.condition_paths), ANNA, REQUEST)
            readable = decision.read_fields if decision.allowed else frozenset()
            shown.append({name: getattr(row, name) for name in OWN_FIELDS if name in readable})
        return shown

    def by_hand() -> object:
        shown = []
        for row in rows:
            readable = readable_by_hand if row.customer_id == ANNA.customer_id else frozenset()
            shown.append({name: getattr(row, name) for name in OWN_FIELDS if name in readable})
        return shown

    def trusting() -> object:
        return [{name: getattr(row, name) for name in OWN_FIELDS} for row in rows]

    if not ours() == by_hand() == trusting():
        raise Disagreement("different fields")
    return {ENGINE: ours, HAND: by_hand, f"{HAND}, without a check of the row": trusting}

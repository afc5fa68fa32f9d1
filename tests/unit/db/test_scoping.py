"""Guarded tables: read through the policy's scope or a named system road, and refused in every other way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import (
    Engine,
    Table,
    column,
    create_engine,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    text,
    union_all,
    update,
)
from sqlalchemy.orm import Session, aliased, joinedload

from secure_api.db import begin_write
from secure_api.db.base import prepare_engine
from secure_api.db.scoping import guard_engine, policy_columns, row_values, scoped_select, system_select
from secure_api.errors import UnscopedRead
from secure_api.resources.categories.model import Category
from secure_api.resources.customers.model import Customer
from secure_api.resources.orders.model import Order, OrderItem
from secure_api.resources.products.model import Product
from secure_api.seed import demo_id

ORDERS: Table = Order.__table__  # type: ignore[assignment]
ALICE = demo_id("customer", "Alice Ahlberg")
Read = Callable[[Session], Any]


@pytest.fixture
def guarded(tmp_path: Path, seeded_database: Path) -> Iterator[Engine]:
    """The demo shop behind the guard."""
    file = tmp_path / "guarded.sqlite3"
    file.write_bytes(seeded_database.read_bytes())
    engine = create_engine(f"sqlite:///{file}")
    prepare_engine(engine)
    guard_engine(engine)
    yield engine
    engine.dispose()


ALIAS = aliased(Order)
UNSCOPED: dict[str, Read] = {
    "ORM entity": lambda s: s.execute(select(Order)),
    "ORM column": lambda s: s.execute(select(Order.id)),
    "ORM scalar": lambda s: s.scalar(select(Order.total_minor).limit(1)),
    "legacy query": lambda s: s.query(Order).all(),
    "legacy query of a column": lambda s: s.query(Order.id).first(),
    "count of rows": lambda s: s.query(Order).count(),
    "get by key": lambda s: s.get(Order, demo_id("order", "Alice Ahlberg/1")),
    "Core table": lambda s: s.execute(select(ORDERS)),
    "Core column": lambda s: s.execute(select(ORDERS.c.id)),
    "Core on a connection": lambda s: s.connection().execute(select(ORDERS.c.id)),
    "aggregate": lambda s: s.execute(select(func.count()).select_from(ORDERS)),
    "aggregate of a column": lambda s: s.execute(select(func.sum(Order.total_minor))),
    "join by ON": lambda s: s.execute(select(Customer.id).join(Order, Order.customer_id == Customer.id)),
    "outer join": lambda s: s.execute(select(Customer.id).outerjoin(Order, Order.customer_id == Customer.id)),
    "join of tables": lambda s: s.execute(select(Customer.id).select_from(Customer.__table__.join(ORDERS))),
    "join from it": lambda s: s.execute(select(Customer.id).select_from(Order).join(Order.customer)),
    "eager load from it": lambda s: s.execute(select(Order).options(joinedload(Order.customer))),
    "second FROM": lambda s: s.execute(select(Customer.id).where(Order.customer_id == Customer.id)),
    "scalar subquery": lambda s: s.execute(
        select(Customer.id, select(func.count(Order.id)).where(Order.customer_id == Customer.id).scalar_subquery())
    ),
    "IN a subquery": lambda s: s.execute(select(Customer.id).where(Customer.id.in_(select(Order.customer_id)))),
    "EXISTS": lambda s: s.execute(select(Customer.id).where(exists().where(Order.customer_id == Customer.id))),
    "NOT EXISTS": lambda s: s.execute(select(Customer.id).where(~exists().where(Order.customer_id == Customer.id))),
    "relationship any": lambda s: s.execute(select(Order.id).where(Order.customer.has(Customer.name == "x"))),
    "FROM a subquery": lambda s: s.execute(select(select(Order.id).subquery())),
    "CTE": lambda s: s.execute(select(select(Order.id).cte("c"))),
    "lateral": lambda s: s.execute(select(Customer.id, select(Order.id).limit(1).scalar_subquery())),
    "aliased entity": lambda s: s.execute(select(ALIAS)),
    "aliased column": lambda s: s.execute(select(ALIAS.id)),
    "aliased table": lambda s: s.execute(select(ORDERS.alias("o").c.id)),
    "aliased subquery": lambda s: s.execute(select(aliased(Order, select(Order).subquery()))),
    "table sample": lambda s: s.execute(select(ORDERS.tablesample(10).c.id)),
    "union": lambda s: s.execute(union_all(select(Customer.id), select(Order.id))),
    "half scoped union": lambda s: s.execute(
        union_all(scoped_select(Order, Order.customer_id == ALICE, [Order.id]), select(Order.id))
    ),
    "ORDER BY": lambda s: s.execute(select(Customer.id).order_by(select(func.max(Order.id)).scalar_subquery())),
    "HAVING": lambda s: s.execute(
        select(Customer.city).group_by(Customer.city).having(exists(select(literal(1)).select_from(ORDERS)))
    ),
    "other guarded table": lambda s: s.execute(select(Product.id)),
    "marked inside only": lambda s: s.execute(
        select(scoped_select(Order, Order.customer_id == ALICE, [Order.id]).subquery())
    ),
    "lock": lambda s: s.execute(select(Order).with_for_update()),
    "yield_per": lambda s: s.execute(select(Order).execution_options(yield_per=1)).first(),
    "refresh": lambda s: s.refresh(_loaded(s)),
    "expired attribute": lambda s: _expired(s).status,
}


def _loaded(session: Session) -> Order:
    order: Order = session.scalars(scoped_select(Order, Order.customer_id == ALICE)).first()
    return order


def _expired(session: Session) -> Order:
    order = _loaded(session)
    session.expire(order)
    return order


@pytest.mark.parametrize("read", UNSCOPED.values(), ids=UNSCOPED.keys())
def test_a_view_cannot_read_a_guarded_table_without_a_scope(guarded: Engine, read: Read) -> None:
    """A forgotten scope is a failed request and never a leak."""
    with Session(guarded) as session:
        assert len(session.execute(scoped_select(Order, Order.customer_id == ALICE)).all()) == 3
        with pytest.raises(UnscopedRead, match=r"guarded table (orders|products)"):
            read(session)


def test_a_refused_read_reaches_no_database(guarded: Engine) -> None:
    with Session(guarded) as session:
        with pytest.raises(UnscopedRead):
            session.execute(select(Order))
        # The transaction is as it was: what follows still works.
        assert session.scalar(system_select(func.count(Order.id), reason="test")) == 19


def test_a_scoped_read_sees_the_rows_of_its_scope(guarded: Engine) -> None:
    with Session(guarded) as session:
        rows = session.execute(scoped_select(Order, Order.customer_id == ALICE, [Order.customer_id])).all()
        objects = session.scalars(scoped_select(Order, Order.customer_id == ALICE)).all()
    assert {row.customer_id for row in rows} == {ALICE}
    assert len(objects) == 3


def test_a_scoped_read_may_be_narrowed_ordered_and_paged(guarded: Engine) -> None:
    statement = scoped_select(Order, Order.customer_id == ALICE, [Order.id])
    with Session(guarded) as session:
        paged = statement.where(Order.status != "cancelled").order_by(Order.created_at.desc()).limit(1).offset(1)
        assert len(session.execute(paged).all()) == 1
        assert session.execute(statement.where(Order.id == uuid4())).one_or_none() is None


def test_a_system_read_names_its_reason(guarded: Engine) -> None:
    statement = system_select(func.count(Order.id), reason="deletion of what expired")
    assert "system: deletion of what expired" in statement.get_execution_options().values()
    with Session(guarded) as session:
        assert session.scalar(statement) == 19
    with pytest.raises(TypeError):
        system_select(Order.id)  # type: ignore[call-arg]


def test_other_tables_need_no_scope(guarded: Engine) -> None:
    with Session(guarded) as session:
        assert session.scalar(select(func.count(Customer.id))) == 5
        assert session.scalar(select(func.count(OrderItem.id)))
        assert session.scalar(select(func.count(Category.id))) == 4


def test_the_unit_of_work_writes_guarded_tables(guarded: Engine) -> None:
    with Session(guarded) as session:
        begin_write(session)
        order = _loaded(session)
        order.note = "changed"
        added = Order(id=uuid4(), customer_id=ALICE, total_minor=1, currency="EUR")
        session.add(added)
        session.flush()
        session.delete(added)
        session.flush()
        session.commit()


WRITES_THAT_READ: dict[str, Read] = {
    "DELETE RETURNING": lambda s: s.execute(delete(Order).returning(Order.id)).all(),
    "DELETE by a subquery of itself": lambda s: s.execute(
        delete(Order).where(Order.id.in_(select(Order.id).where(Order.archived))),
        execution_options={"synchronize_session": False},
    ),
    "UPDATE with a subquery": lambda s: s.execute(
        update(Category).values(name=select(Order.internal_note).limit(1).scalar_subquery()),
        execution_options={"synchronize_session": False},
    ),
    "nameless table": lambda s: s.execute(select(column("internal_note")).select_from(table("orders"))).all(),
    "literal column": lambda s: s.execute(select(literal_column("(SELECT internal_note FROM orders)"))).all(),
    "UPDATE RETURNING": lambda s: s.execute(update(Order).values(note="x").returning(Order.internal_note)).all(),
    "INSERT FROM SELECT": lambda s: s.execute(
        insert(Category).from_select(["id", "name"], select(Order.id, Order.internal_note))
    ),
    "DELETE by a subquery": lambda s: s.execute(
        delete(OrderItem).where(OrderItem.order_id.in_(select(Order.id).where(Order.archived)))
    ),
    "text": lambda s: s.execute(text("SELECT internal_note FROM orders")).all(),
    "text in a SELECT": lambda s: s.execute(select(text("internal_note")).select_from(text("orders"))).all(),
    "quoted text": lambda s: s.execute(text('SELECT * FROM main."Orders"')).all(),
    "driver text": lambda s: s.connection().exec_driver_sql("SELECT internal_note FROM orders").all(),
}


@pytest.mark.parametrize("run", WRITES_THAT_READ.values(), ids=WRITES_THAT_READ.keys())
def test_a_view_cannot_pass_the_guard_by_another_kind_of_statement(guarded: Engine, run: Read) -> None:
    """Bulk writes and plain text know no scope either."""
    with Session(guarded) as session:
        assert len(session.execute(scoped_select(Order, Order.customer_id == ALICE)).all()) == 3
        with pytest.raises(UnscopedRead):
            run(session)


# --- what a decision needs of a row -------------------------------------------------------------------


def selected(engine: Engine, fields: list[str], paths: list[str]) -> Any:
    with Session(engine) as session:
        columns = policy_columns(Order, fields, paths)
        statement = scoped_select(Order, Order.id == demo_id("order", "Alice Ahlberg/1"), columns)
        return session.execute(statement).one()


def test_a_decision_selects_the_listed_columns_and_nothing_else(guarded: Engine) -> None:
    row = selected(guarded, ["id", "status"], ["customer_id", "status"])
    assert row._fields == ("id", "status", "customer_id")
    assert row_values(row, ["customer_id"]) == {"customer_id": ALICE}


def test_a_path_through_a_relation_is_read_with_the_row(guarded: Engine) -> None:
    row = selected(guarded, ["id"], ["customer.city", "customer.phone"])
    assert row_values(row, ["customer.city", "customer.phone"]) == {"customer.city": "Malmö", "customer.phone": None}


def test_a_path_through_a_relation_names_the_row_of_each_object(guarded: Engine) -> None:
    """The subquery is tied to its own order: each order has the city of its own customer."""
    columns = policy_columns(Order, ["customer_id"], ["customer.city"])
    with Session(guarded) as session:
        rows = session.execute(scoped_select(Order, Order.archived.is_(False), columns)).all()
        cities = {row.id: row.city for row in session.execute(select(Customer.id, Customer.city))}
    assert len({row.customer_id for row in rows}) == 5
    assert all(row._mapping["customer.city"] == cities[row.customer_id] for row in rows)


def test_a_path_that_ends_in_a_relation_tells_whether_there_is_a_row(guarded: Engine) -> None:
    """`has(resource.customer)`, and what `has(resource.customer.city)` asks first: the row, not its columns."""
    row = selected(guarded, ["id"], ["customer", "customer.city"])
    assert row_values(row, ["customer", "customer.city"]) == {"customer": 1, "customer.city": "Malmö"}
    order_id = demo_id("order", "Alice Ahlberg/1")
    with Session(guarded) as session:
        session.connection().exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        order = session.scalars(scoped_select(Order, Order.id == order_id)).one()
        assert row_values(order, ["customer", "customer.city"]) == {"customer": 1, "customer.city": "Malmö"}
        order.customer_id = uuid4()
        session.flush()
        assert row_values(order, ["customer", "customer.city"]) == {"customer": None, "customer.city": None}


def test_a_relation_that_is_a_field_is_not_a_column(guarded: Engine) -> None:
    assert selected(guarded, ["id", "customer"], [])._fields == ("id",)


def test_a_mapped_object_gives_the_same_values_as_its_row(guarded: Engine) -> None:
    paths = ["customer_id", "archived", "customer.city"]
    statement = scoped_select(Order, Order.id == demo_id("order", "Alice Ahlberg/1"))
    with Session(guarded) as session:
        order = session.scalars(statement.options(joinedload(Order.customer))).one()
        assert row_values(order, paths) == row_values(selected(guarded, [], paths), paths)


def test_a_column_that_a_row_lacks_is_a_failure_and_not_an_absence(guarded: Engine) -> None:
    """None would be "the row has no owner"; a missing column must never look like it."""
    with pytest.raises(KeyError):
        row_values(selected(guarded, ["id"], []), ["customer_id"])

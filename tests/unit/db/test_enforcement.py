"""A session that acts for a caller: whatever a service asks of it stays inside what the policy allows.

The policy here: Alice reads her own orders that are not archived, changes those that are new and deletes those
that are paid; she has her own customer record, and reads cheap products. The demo shop gives her three orders:
one is new, one is paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from sqlalchemy import (
    Engine,
    Table,
    create_engine,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    tablesample,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, joinedload, load_only, outerjoin, selectinload, subqueryload

from secure_api.db import begin_write
from secure_api.db.base import engine_options, prepare_engine
from secure_api.db.enforcement import Enforcement, enforce, system_writes
from secure_api.db.migrate import upgrade
from secure_api.db.policy_sql import schema_from_model
from secure_api.db.scoping import SCOPED_BY, guard_engine, scoped_select, system_select
from secure_api.errors import PermissionDenied, UnscopedRead
from secure_api.policy.decision import Decision
from secure_api.policy.loader import load_policies
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import CredentialKind, Principal, PrincipalKind
from secure_api.resources.categories.model import Category
from secure_api.resources.customers.model import Customer
from secure_api.resources.orders.model import Order, OrderItem
from secure_api.resources.products.model import Product
from secure_api.seed import demo_id, seed_demo
from tests.support.shop import open_store
from tests.unit.conftest import ISSUER

ORDERS: Table = Order.__table__  # type: ignore[assignment]
ALICE, BOB = demo_id("customer", "Alice Ahlberg"), demo_id("customer", "Bob Brandt")
MINE, PAID, BOBS = (demo_id("order", name) for name in ("Alice Ahlberg/1", "Alice Ahlberg/2", "Bob Brandt/1"))
CALLER = Principal(
    PrincipalKind.USER, CredentialKind.SESSION, roles=frozenset({"customer"}), scopes=None, customer_id=ALICE
)
Use = Callable[[Session], Any]

HEAD = "version: 1\nresource: {}\nactions: [list, read, create, update, delete, refund, ship]\nrules:\n"
RULES = {
    "orders": (
        ("own", "list, read, create, refund", "resource.customer_id == principal.customer_id", "write: [note]"),
        ("new", "update", 'resource.customer_id == principal.customer_id && resource.status == "new"', ""),
        ("paid", "delete", 'resource.customer_id == principal.customer_id && resource.status == "paid"', ""),
        ("city", "ship", 'resource.customer.city == "Moved"', ""),
    ),
    "customers": (("own", "list, read, update", "resource.id == principal.customer_id", ""),),
    "products": (("cheap", "list, read", "resource.price_minor < 2000", ""),),
}
DENY = "  - {id: orders.archived, effect: deny, roles: ['*'], actions: [list, read], when: resource.archived}\n"


class Shop(NamedTuple):
    """The demo shop behind the guard, and how a session there begins to act for Alice."""

    engine: Engine
    policies: PolicySet

    def enforcement(self, action: str = "read", principal: Principal = CALLER) -> Enforcement:
        return Enforcement(
            policies=self.policies,
            principal=principal,
            attributes=RequestAttributes(time=datetime.now(UTC)),
            grant=self.policies.function_decision(principal, "orders", action),
            read_grant=self.policies.function_decision(principal, "orders", "read"),
            require_allowed=_require,
        )

    def session(self, action: str = "read", principal: Principal = CALLER) -> Session:
        session = Session(self.engine, autoflush=False, expire_on_commit=False)
        begin_write(session)
        enforce(session, self.enforcement(action, principal))
        return session


def _require(decision: Decision) -> None:
    if not decision.allowed:
        raise PermissionDenied(log_detail=decision.rule_id)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))], scope="module")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("enforcement")
    with pytest.MonkeyPatch.context() as patch, open_store(request.param, folder) as store:
        patch.setattr(Customer, "policy_resource", "customers")
        engine = create_engine(store.database_url, **engine_options(store.database_url))
        prepare_engine(engine)
        upgrade(engine)
        with Session(engine, autoflush=False) as session:
            seed_demo(session, ISSUER)
        guard_engine(engine)
        yield Shop(engine, _policies(folder))
        engine.dispose()


@pytest.fixture
def alice(shop: Shop) -> Iterator[Session]:
    """A session that acts for Alice, and keeps nothing."""
    with shop.session() as session:
        yield session


def _policies(folder: Path) -> PolicySet:
    files = folder / "policies"
    files.mkdir()
    (files / "roles.yaml").write_text("version: 1\nroles:\n  customer: {description: buys}\n", encoding="utf-8")
    for resource, rules in RULES.items():
        lines = [HEAD.format(resource)]
        for name, actions, when, more in rules:
            scopes = ", ".join(f"{action}: none" for action in actions.split(", "))
            lines.append(
                f"  - {{id: {resource}.{name}, effect: allow, roles: [customer], actions: [{actions}], "
                f"scopes: {{{scopes}}}, when: '{when}', read: [id]{', ' + more if more else ''}}}\n"
            )
        lines.append(DENY if resource == "orders" else "")
        (files / f"{resource}.yaml").write_text("".join(lines), encoding="utf-8")
    models = (Order, Customer, Product)
    schemas = {str(model.policy_resource): schema_from_model(model) for model in models}
    return load_policies(files, schemas, known_scopes=["none"])


def size(found: Any) -> int:
    return len(list(found))


A = aliased(Order)

# What a service writes without a thought about policies → what it gets: three orders of nineteen.
CONFINED: dict[str, tuple[Use, object]] = {
    "entity": (lambda s: size(s.scalars(select(Order))), 3),
    "column": (lambda s: size(s.scalars(select(Order.id))), 3),
    "legacy query": (lambda s: s.query(Order).count(), 3),
    "alias": (lambda s: size(s.scalars(select(A))), 3),
    "column of an alias": (lambda s: size(s.scalars(select(A.id))), 3),
    "join of two aliases": (
        lambda s: size(s.execute(select(Order.id, A.id).join(A, A.customer_id == Order.customer_id))),
        9,
    ),
    "count": (lambda s: s.scalar(select(func.count(Order.id))), 3),
    "count of the entity": (lambda s: s.scalar(select(func.count()).select_from(Order)), 3),
    "count of a subquery": (lambda s: s.scalar(select(func.count()).select_from(select(Order).subquery())), 3),
    "foreign rows by EXISTS": (lambda s: s.scalar(select(exists().where(Order.customer_id == BOB))), False),
    "own rows by EXISTS": (lambda s: s.scalar(select(exists().where(Order.customer_id == ALICE))), True),
    "union": (lambda s: size(s.execute(union_all(select(Order.id), select(A.id)))), 6),
    "CTE": (lambda s: size(s.execute(select(select(Order.id).cte()))), 3),
    "alias of a subquery": (lambda s: size(s.scalars(select(aliased(Order, select(Order).subquery())))), 3),
    "IN a subquery": (
        lambda s: size(s.scalars(select(Customer.id).where(Customer.id.in_(select(Order.customer_id))))),
        1,
    ),
    "second FROM": (lambda s: s.scalar(select(func.count(Order.id)).where(OrderItem.order_id == Order.id)), 6),
    "join of a relation": (lambda s: size(s.execute(select(Order.id, Customer.id).join(Order.customer))), 3),
    "join by ON": (
        lambda s: s.scalar(select(func.count(OrderItem.id)).join(Order, Order.id == OrderItem.order_id)),
        6,
    ),
    "outer join": (
        lambda s: s.scalar(
            select(func.count(Order.id)).select_from(OrderItem).outerjoin(Order, Order.id == OrderItem.order_id)
        ),
        6,
    ),
    "left side of an outer join": (
        lambda s: size(
            s.execute(select(OrderItem.id).select_from(outerjoin(Order, OrderItem, Order.id == OrderItem.order_id)))
        ),
        6,
    ),
    "correlated subquery": (
        lambda s: sorted(
            s.scalars(select(select(func.count(Order.id)).where(Order.customer_id == Customer.id).scalar_subquery()))
        ),
        [3],
    ),
    "joined load": (lambda s: s.scalars(select(Order).options(joinedload(Order.customer))).all()[0].customer.id, ALICE),
    "select-in load": (
        lambda s: s.scalars(select(Order).options(selectinload(Order.customer))).all()[0].customer.id,
        ALICE,
    ),
    "subquery load": (
        lambda s: s.scalars(select(Order).options(subqueryload(Order.customer))).all()[0].customer.id,
        ALICE,
    ),
    "get own": (lambda s: s.get(Order, MINE).id, MINE),
    "get foreign": (lambda s: s.get(Order, BOBS), None),
    "refresh": (lambda s: s.refresh(s.get(Order, MINE)), None),
    "expired": (lambda s: (s.expire(s.get(Order, MINE)), s.get(Order, MINE).status)[1], "new"),
    "deferred": (
        lambda s: s.scalars(select(Order).options(load_only(Order.id)).where(Order.id == MINE)).one().status,
        "new",
    ),
    "rows one by one": (lambda s: size(s.scalars(select(Order).execution_options(yield_per=1))), 3),
    "another resource": (lambda s: s.scalar(select(func.max(Product.price_minor))), 1900),
    "an unguarded one": (lambda s: s.scalar(select(func.count(Category.id))), 4),
    "bulk UPDATE": (lambda s: s.execute(update(Order).values(note="x")).rowcount, 1),
    "bulk UPDATE, evaluated": (
        lambda s: (s.get(Order, MINE), _run(s, _update("evaluate")).rowcount, s.get(Order, MINE).note)[1:],
        (1, "x"),
    ),
    "bulk UPDATE, fetched": (lambda s: _run(s, _update("fetch")).rowcount, 1),
    "bulk UPDATE RETURNING": (lambda s: s.scalars(update(Order).values(note="x").returning(Order.id)).all(), [MINE]),
    "bulk UPDATE by a subquery": (
        lambda s: s.execute(update(Order).values(note="x").where(Order.id.in_(select(A.id)))).rowcount,
        1,
    ),
    "legacy bulk UPDATE": (lambda s: s.query(Order).update({"note": "x"}), 1),
    "bulk DELETE": (lambda s: (s.execute(delete(OrderItem)), s.execute(delete(Order)).rowcount)[1], 1),
    "bulk DELETE of others by a subquery": (
        lambda s: s.execute(delete(OrderItem).where(OrderItem.order_id.in_(select(Order.id)))).rowcount,
        6,
    ),
}


def _run(session: Session, statement: Any) -> Any:
    return session.execute(statement)


def _update(synchronize: str) -> Any:
    return update(Order).values(note="x").execution_options(synchronize_session=synchronize)


@pytest.mark.parametrize(("use", "expected"), CONFINED.values(), ids=CONFINED.keys())
def test_a_service_reaches_only_what_the_policy_allows_its_caller(alice: Session, use: Use, expected: object) -> None:
    assert use(alice) == expected


NEW = {"customer_id": ALICE, "total_minor": 1, "currency": "EUR"}
REFUSED: dict[str, Use] = {
    "Core table": lambda s: s.execute(select(ORDERS)),
    "Core column": lambda s: s.execute(select(ORDERS.c.id)),
    "Core in a subquery": lambda s: s.execute(select(Order.id).where(Order.id.in_(select(ORDERS.c.id)))),
    "Core alias beside the entity": lambda s: s.execute(select(Order.id).join(o := ORDERS.alias(), o.c.id == Order.id)),
    "Core on the connection": lambda s: s.connection().execute(select(Order.id)),
    "marked by hand": lambda s: s.connection().execute(
        select(Order.id).execution_options(**{SCOPED_BY: "policy"}),
    ),
    "FULL JOIN": lambda s: s.execute(
        select(Order.id).select_from(OrderItem).outerjoin(Order, Order.id == OrderItem.order_id, full=True)
    ),
    "sample": lambda s: s.execute(select(tablesample(Order, 100).c.id)),
    "nameless table": lambda s: s.execute(
        select(Order.id).where(exists(select(literal(1)).select_from(table("orders"))))
    ),
    "text": lambda s: s.execute(text("SELECT * FROM orders")),
    "text as the statement": lambda s: s.scalars(select(Order).from_statement(text("SELECT * FROM orders"))).all(),
    "text in WHERE": lambda s: s.scalars(select(Order.id).where(text("EXISTS (SELECT 1 FROM orders)"))),
    "literal column": lambda s: s.execute(select(Order.id, literal_column("(SELECT count(*) FROM orders)"))),
    "text for the driver": lambda s: s.connection().exec_driver_sql("SELECT * FROM orders"),
    "other table in a scoped read": lambda s: s.execute(scoped_select(Order, true(), [Order.id]).join(Product, true())),
    "other table in a scoped read's WHERE": lambda s: s.execute(
        scoped_select(Order, true(), [Order.id]).where(exists().where(Product.price_minor > 1))
    ),
    "INSERT": lambda s: s.execute(insert(Order).values(**NEW)),
    "INSERT of many": lambda s: s.execute(insert(Order), [NEW]),
    "INSERT FROM SELECT": lambda s: s.execute(
        insert(Category).from_select(["id", "name"], select(Order.id, Order.internal_note))
    ),
    "bulk save": lambda s: s.bulk_save_objects([Order(**NEW)]),
    "bulk insert": lambda s: s.bulk_insert_mappings(Order, [NEW]),
    "bulk update": lambda s: s.bulk_update_mappings(Order, [{"id": BOBS, "note": "x"}]),
    "bulk UPDATE by key": lambda s: s.execute(update(Order), [{"id": BOBS, "note": "x"}]),
    "bulk UPDATE of what a rule reads": lambda s: s.execute(update(Order).values(status="paid")),
    "bulk UPDATE of the owner": lambda s: s.execute(update(Order).values({Order.customer_id: BOB})),
    "Core UPDATE": lambda s: s.execute(update(ORDERS).values(note="x")),
    "Core DELETE": lambda s: s.connection().execute(delete(ORDERS)),
}


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED.keys())
def test_a_service_cannot_use_a_statement_that_no_scope_confines(alice: Session, use: Use) -> None:
    """What the criteria do not reach is not run at all."""
    assert size(alice.scalars(select(Order))) == 3
    with pytest.raises(UnscopedRead, match=r"guarded table|bulk UPDATE"):
        use(alice)


# --- loaded objects ------------------------------------------------------------------------------------------


WIDE: dict[str, Any] = {
    "scope too wide": scoped_select(Order, true()),
    "system read of objects": system_select(Order, reason="test"),
}


@pytest.mark.parametrize("statement", WIDE.values(), ids=WIDE.keys())
def test_a_row_from_outside_the_scope_stops_the_request(alice: Session, statement: Any) -> None:
    """The closure is asked about every loaded object: a defect in the SQL would be seen here."""
    assert size(alice.scalars(statement.where(Order.customer_id == ALICE))) == 3
    with pytest.raises(UnscopedRead, match="outside its scope"):
        alice.scalars(statement).all()


def test_a_warm_session_does_not_answer_for_an_earlier_caller(shop: Shop) -> None:
    """Objects that the session holds are found by key without a query: they must not outlive their caller."""
    with Session(shop.engine, autoflush=False) as session:
        held = session.scalars(system_select(Order, reason="test").where(Order.id.in_([MINE, BOBS]))).all()
        assert session.get(Order, BOBS) in held
        enforce(session, shop.enforcement())
        assert session.get(Order, BOBS) is None
        assert session.get(Order, MINE) is not None


def test_a_caller_without_the_role_reaches_nothing(shop: Shop) -> None:
    nobody = Principal(PrincipalKind.USER, CredentialKind.SESSION, scopes=None, customer_id=ALICE)
    with shop.session(principal=nobody) as session:
        assert session.scalars(select(Order)).all() == []


# --- flushes -------------------------------------------------------------------------------------------------


def order(**values: Any) -> Order:
    return Order(**{"id": uuid4(), **NEW, **values})


def loaded(session: Session, row_id: Any = MINE) -> Order:
    found = session.get(Order, row_id)
    assert found is not None
    return found


def without_items(session: Session) -> Session:
    session.execute(delete(OrderItem))
    return session


def not_new(session: Session) -> Order:
    return session.scalars(select(Order).where(Order.status != "new")).first()  # type: ignore[return-value]


WRITES: dict[str, tuple[str, Use, Use]] = {
    # action, what passes, what is refused
    "INSERT for another": ("create", lambda s: s.add(order()), lambda s: s.add(order(customer_id=BOB))),
    "UPDATE of what was not allowed": (
        "update",
        lambda s: setattr(loaded(s), "note", "x"),
        lambda s: setattr(not_new(s), "note", "x"),
    ),
    "UPDATE into reach": (
        "update",
        lambda s: setattr(loaded(s), "note", "x"),
        lambda s: setattr(not_new(s), "status", "new"),
    ),
    "UPDATE out of reach": (
        "update",
        lambda s: setattr(loaded(s), "note", "x"),
        lambda s: setattr(loaded(s), "customer_id", BOB),
    ),
    "UPDATE under another action": (
        "create",
        lambda s: setattr(loaded(s), "note", "x"),
        lambda s: setattr(not_new(s), "note", "x"),
    ),
    "UPDATE of another resource": (
        "update",
        lambda s: setattr(loaded(s), "note", "x"),
        lambda s: setattr(s.scalars(select(Product)).first(), "stock", 0),
    ),
    "UPDATE under the resource's own action": (
        "refund",
        lambda s: setattr(not_new(s), "note", "x"),
        lambda s: setattr(not_new(s), "customer_id", BOB),
    ),
    "DELETE of what was not allowed": (
        "delete",
        lambda s: without_items(s).delete(loaded(s, PAID)),
        lambda s: without_items(s).delete(loaded(s)),
    ),
}


@pytest.mark.parametrize(("action", "passes", "fails"), WRITES.values(), ids=WRITES.keys())
def test_a_service_cannot_flush_what_its_caller_may_not_write(shop: Shop, action: str, passes: Use, fails: Use) -> None:
    """Whatever the service does with its objects, each row is judged where it is written."""
    with shop.session(action) as session:
        passes(session)
        session.flush()
    with shop.session(action) as session:
        fails(session)
        with pytest.raises(PermissionDenied):
            session.flush()


def test_old_rows_are_judged_before_anything_of_the_flush_is_written(shop: Shop) -> None:
    """Two changes in one flush: the first must not prepare the ground for the second."""
    with shop.session("ship") as session:
        customer = session.get(Customer, ALICE)
        assert customer is not None
        customer.city = "Moved"
        session.flush()
        loaded(session).note = "x"
        session.flush()
    with shop.session("ship") as session:
        customer = session.get(Customer, ALICE)
        assert customer is not None
        customer.city = "Moved"
        loaded(session).note = "x"
        with pytest.raises(PermissionDenied):
            session.flush()


def test_what_a_request_made_it_may_change_and_take_back(shop: Shop) -> None:
    """A new row is judged by the rule of creating, however many flushes its making takes."""
    with shop.session("create") as session:
        made = order()
        session.add(made)
        session.flush()
        made.status = "paid"
        session.flush()
        made.customer_id = BOB
        with pytest.raises(PermissionDenied):
            session.flush()
    with shop.session("create") as session:
        session.add(made := order())
        session.flush()
        session.delete(made)
        session.flush()


def test_what_follows_from_an_action_is_written_with_a_reason(shop: Shop) -> None:
    """The application's own writes are named; before and after them the caller's grants count."""
    with shop.session("update") as session:
        product = session.scalars(select(Product)).first()
        assert product is not None
        with system_writes(session, reason="the stock that an order takes"):
            product.stock -= 1
        product.stock -= 1
        with pytest.raises(PermissionDenied), system_writes(session, reason="not what was before"):
            pass


REFUSED_FLUSHES: dict[str, Use] = {
    "for the old row": lambda s: setattr(not_new(s), "note", "x"),
    "for the new row": lambda s: setattr(loaded(s), "customer_id", BOB),
    "by the database": lambda s: s.add(order(id=BOBS)),
}


@pytest.mark.parametrize("write", REFUSED_FLUSHES.values(), ids=REFUSED_FLUSHES.keys())
def test_a_refused_flush_opens_no_way_past_the_checks(shop: Shop, write: Use) -> None:
    """After a rollback the session works as before, and still refuses rows that no flush brings."""
    with shop.session("update") as session:
        write(session)
        with pytest.raises((PermissionDenied, IntegrityError)):
            session.flush()
        session.rollback()
        with pytest.raises(UnscopedRead):
            session.bulk_update_mappings(Order, [{"id": BOBS, "note": "x"}])
        session.rollback()
        loaded(session).note = "x"
        session.flush()


def test_a_flush_opens_no_way_past_the_checks(shop: Shop) -> None:
    with shop.session("update") as session:
        loaded(session).note = "x"
        session.flush()
        with pytest.raises(UnscopedRead):
            session.connection().execute(update(ORDERS).values(note="x"))

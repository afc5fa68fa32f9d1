"""The demo shop: the same at each seed, never added twice, and owned as it should be."""

from __future__ import annotations

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, UserRole, find_account
from secure_api.resources.orders.model import Order, OrderItem, OrderStatus
from secure_api.resources.products.model import Product
from secure_api.seed import demo_id, seed_demo

ISSUER = "https://idp.example"


def test_a_seed_fills_an_empty_database_once(session: Session) -> None:
    assert seed_demo(session, ISSUER) == {"products": 32, "customers": 5, "people": 7, "orders": 19}
    assert seed_demo(session, ISSUER) == {}
    assert session.scalar(select(func.count(User.id))) == 7


def test_a_database_with_a_user_is_left_as_it_is(session: Session) -> None:
    session.add(User(issuer=ISSUER, subject="somebody"))
    session.commit()
    assert seed_demo(session, ISSUER) == {}
    assert session.scalar(select(func.count(Product.id))) == 0


def test_two_seeds_are_the_same_shop(session: Session, engine: Engine) -> None:
    seed_demo(session, ISSUER)
    assert session.get(Order, demo_id("order", "Alice Ahlberg/1")) is not None
    assert demo_id("order", "Alice Ahlberg/1") == demo_id("order", "Alice Ahlberg/1")
    assert demo_id("order", "x") != demo_id("product", "x")


def test_each_person_has_one_role_and_each_customer_orders_of_its_own(session: Session) -> None:
    seed_demo(session, ISSUER)
    roles = dict(session.execute(select(UserRole.role, func.count()).group_by(UserRole.role)).all())
    assert roles == {"customer": 5, "manager": 1, "admin": 1}
    alice = find_account(session, ISSUER, "usr_01J9ALICE7Q2M")
    assert alice is not None
    assert alice.customer_id == demo_id("customer", "Alice Ahlberg")
    owners = session.scalars(select(Order.customer_id).distinct()).all()
    assert len(owners) == 5


def test_totals_are_those_of_the_lines(session: Session) -> None:
    seed_demo(session, ISSUER)
    sums = select(func.sum(OrderItem.quantity * OrderItem.unit_price_minor)).where(OrderItem.order_id == Order.id)
    wrong = select(func.count(Order.id)).where(Order.total_minor != sums.scalar_subquery())
    assert session.scalar(wrong) == 0
    assert set(session.scalars(select(Order.status))) == set(OrderStatus)

"""What a policy says, as a request meets it: rules that the shipped files do not have yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from secure_api.db import database
from secure_api.db.base import prepare_engine
from secure_api.db.migrate import upgrade
from secure_api.resources.orders.model import Order
from secure_api.resources.products.model import Product
from secure_api.seed import demo_id, seed_demo
from secure_api.settings import PROJECT_ROOT
from tests.support.shop import open_store
from tests.unit.conftest import ISSUER
from tests.unit.pipeline.callers import Callers, policy_folder

AtShop = Callable[..., Callers]
ALICES = demo_id("order", "Alice Ahlberg/1")
BOBS = demo_id("order", "Bob Brandt/1")
ORDER = f"/api/v1/orders/{ALICES}"
NEW = {"sku": "NEW-1", "name": "New", "price_minor": 500, "currency": "EUR"}

PRODUCTS = """
version: 1
resource: products
actions: [list, read, create, update, delete]
rules:
  - {id: products.all, effect: allow, roles: [anonymous], actions: [list, read], when: always, read: [id, sku, stock]}
"""
CREATE_BY_TWO_RULES = f"""{PRODUCTS}
  - id: products.cheap
    effect: allow
    roles: [manager]
    actions: [create]
    scopes: {{create: none}}
    when: resource.price_minor <= 1000
    write: [sku, name, price_minor, currency]
  - id: products.stocked
    effect: allow
    roles: [manager]
    actions: [create]
    scopes: {{create: none}}
    when: resource.stock > 0
    write: [sku, name, price_minor, currency, stock, cost_price_minor]
"""
CREATE_AFTER_STEP_UP = f"""{PRODUCTS}
  - id: products.create
    effect: allow
    roles: [manager]
    actions: [create]
    scopes: {{create: none}}
    when: always
    step_up: {{acr: mfa, max_age_seconds: 300}}
    write: [sku, name, price_minor, currency]
"""


def rule(name: str, actions: str, rest: str, *, when: str = "always") -> str:
    """A rule for managers that asks no scope."""
    scopes = ", ".join(f"{action}: none" for action in actions.split(", "))
    return (
        f"id: orders.{name}, effect: allow, roles: [manager], actions: [{actions}], scopes: {{{scopes}}}, "
        f"when: {when}, {rest}"
    )


def orders_policy(*rules: str) -> str:
    head = "version: 1\nresource: orders\nactions: [list, read, create, update, delete]\nrules:\n"
    return head + "".join(f"  - {{{each}}}\n" for each in rules)


FRESH_MFA = "step_up: {acr: mfa, max_age_seconds: 300}"
READ = rule("read", "list, read", "read: [id, status, note]")
STRICT_READ = rule("read", "list, read", f"read: [id, status, note], {FRESH_MFA}")


@pytest.fixture
def under(callers_at: AtShop, tmp_path: Path) -> Callable[..., Callers]:
    """Callers at a shop whose policy files are replaced."""

    def make(**files: str) -> Callers:
        return callers_at(policies=policy_folder(tmp_path, PROJECT_ROOT / "policies", **files))

    return make


# --- creating ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({}, 201),
        ({"stock": 3, "cost_price_minor": 100, "price_minor": 2000}, 201),
        ({"stock": 3, "cost_price_minor": 100}, 201),  # both rules match, and their members add up
        ({"cost_price_minor": 100}, 403),  # a member of the rule that does not match
        ({"stock": 0}, 403),
        ({"price_minor": 2000}, 403),  # no rule matches
        ({"description": "x"}, 403),  # a member of no rule
    ],
)
def test_a_creator_cannot_set_the_members_of_a_rule_that_does_not_match(
    under: Callable[..., Callers], members: dict[str, Any], status: int
) -> None:
    """Members are judged by the rules that match the proposed row, not by all that might have."""
    callers = under(products=CREATE_BY_TWO_RULES)
    answer = callers.call("POST", "/api/v1/products", callers.session_of("mia"), json={**NEW, **members})
    assert answer.status_code == status, answer.text
    with Session(callers.engine) as session:
        assert session.scalar(select(func.count()).where(Product.sku == "NEW-1")) == (status == 201)
    (event,) = callers.events()
    assert event.event == ("sensitive_create" if status == 201 else "authz_fail")


# --- step-up ------------------------------------------------------------------------------------------------

STRONG = {"acr": "mfa"}
WEAK: list[dict[str, Any]] = [{}, {"acr": "pwd"}, {"acr": "mfa", "age": timedelta(minutes=6)}]


@pytest.mark.parametrize("sign_in", WEAK, ids=["no acr", "other acr", "too old"])
@pytest.mark.parametrize(
    ("method", "path", "files", "options"),
    [
        ("POST", "/api/v1/products", {"products": CREATE_AFTER_STEP_UP}, {"json": NEW}),
        (
            "GET",
            "/api/v1/orders",
            {"orders": orders_policy(STRICT_READ)},
            {},
        ),
        ("GET", ORDER, {"orders": orders_policy(STRICT_READ)}, {}),
        (
            "PATCH",
            ORDER,
            {
                "orders": orders_policy(READ, rule("change", "update", f"write: [internal_note], {FRESH_MFA}")),
            },
            {"json": {"internal_note": "x"}},
        ),
    ],
    ids=["create", "list", "read", "update"],
)
def test_a_weak_or_old_sign_in_cannot_do_what_needs_a_stronger_one(
    under: Callable[..., Callers], sign_in: dict[str, Any], method: str, path: str, files: dict[str, str], options: Any
) -> None:
    """401 with what is wanted, so that the client can send the person to sign in again (RFC 9470)."""
    callers = under(**files)
    strong = callers.call(method, path, callers.session_of("mia", **STRONG), **options)
    assert strong.status_code in {200, 201}, strong.text
    if method == "POST":
        options = {"json": {**NEW, "sku": "NEW-2"}}
    answer = callers.call(method, path, callers.session_of("mia", **sign_in), **options)
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication", acr_values="mfa", max_age="300"' in challenge


def test_one_rule_that_is_content_needs_no_step_up(under: Callable[..., Callers]) -> None:
    """Of a collection such a caller sees what that rule shows, and nothing of the stricter one."""
    mild = rule("mild", "list, read", "read: [id, status]", when='resource.status == "new"')
    strict = rule("strict", "list, read", f"read: [id, status], {FRESH_MFA}")
    callers = under(orders=orders_policy(mild, strict))
    weak = callers.call("GET", "/api/v1/orders?limit=100", callers.session_of("mia")).get_json()["data"]
    strong = callers.call("GET", "/api/v1/orders?limit=100", callers.session_of("mia", **STRONG)).get_json()["data"]
    assert {order["status"] for order in weak} == {"new"}
    assert len(strong) == 19 > len(weak)


# --- updating -----------------------------------------------------------------------------------------------


def test_a_writer_cannot_move_an_object_out_of_the_rules_reach(under: Callable[..., Callers]) -> None:
    """The row as it would be is judged as well as the row as it was."""
    change = rule("change", "update", "write: [status, internal_note]", when='resource.status == "new"')
    callers = under(orders=orders_policy(READ, change))
    cookie = callers.session_of("mia")
    assert callers.call("PATCH", ORDER, cookie, json={"internal_note": "x"}).status_code == 200
    assert callers.call("PATCH", ORDER, cookie, json={"internal_note": "y", "status": "paid"}).status_code == 403
    order = callers.row(Order, ALICES)
    assert (order.status, order.internal_note) == ("new", "x")


def test_an_answer_shows_nothing_of_a_row_that_its_reader_may_not_read(under: Callable[..., Callers]) -> None:
    """A write that hides the row from its writer answers with no member of it."""
    read = rule("read", "list, read", "read: [id, status]", when='resource.status == "new"')
    change = rule("change", "update", "write: [status]")
    callers = under(orders=orders_policy(read, change))
    answer = callers.call("PATCH", ORDER, callers.session_of("mia"), json={"status": "paid"})
    assert (answer.status_code, answer.get_json()) == (200, {})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))])
def by_city(request: pytest.FixtureRequest, callers_at: AtShop, tmp_path: Path) -> Iterator[Callers]:
    """A shop whose orders are guarded by the customer's city, on each database."""
    in_malmo = 'resource.customer.city == "Malmö"'
    rules = [
        rule("read", "list, read", "read: [id, status]", when=in_malmo),
        rule("change", "update, delete", "write: [internal_note]", when=in_malmo),
    ]
    folder = policy_folder(tmp_path, PROJECT_ROOT / "policies", orders=orders_policy(*rules))
    with open_store(request.param, tmp_path) as store:
        engine = create_engine(store.database_url)
        prepare_engine(engine)
        upgrade(engine)
        with Session(engine, autoflush=False) as session:
            seed_demo(session, ISSUER)
        engine.dispose()
        callers = callers_at(policies=folder, database_url=store.database_url)
        yield callers
        callers.close()
        with callers.app.app_context():
            database.engine.dispose()


def test_a_rule_may_look_at_a_related_record(by_city: Callers) -> None:
    """Listing, reading, changing and deleting by an attribute of the order's customer."""
    cookie = by_city.session_of("mia")
    listed = by_city.call("GET", "/api/v1/orders?limit=100", cookie).get_json()["data"]
    assert len(listed) == 3
    foreign = f"/api/v1/orders/{BOBS}"
    for method, options, status in (
        ("GET", {}, 200),
        ("PATCH", {"json": {"internal_note": "x"}}, 200),
        ("DELETE", {}, 204),
    ):
        assert by_city.call(method, ORDER, cookie, **options).status_code == status
        assert by_city.call(method, foreign, cookie, **options).status_code == 404
    assert by_city.row(Order, ALICES) is None
    assert by_city.row(Order, BOBS) is not None

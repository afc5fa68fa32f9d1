"""A row is judged where it is read and where it is written, by rules that look at relations too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from secure_api.settings import PROJECT_ROOT
from tests.support.shop import ADA, ALICE, BOB, MIA, Shop, open_store

ORDERS = """
version: 1
resource: orders
actions: [list, read, create, update, delete]
rules:
  - id: orders.of-malmo
    effect: allow
    roles: [manager]
    scopes: {list: orders:read, read: orders:read}
    actions: [list, read]
    when: has(resource.customer) && resource.customer.city == "Malmö"
    read: [id, status, internal_note]
  - id: orders.process
    effect: allow
    roles: [manager]
    scopes: {update: orders:write}
    actions: [update]
    when: has(resource.customer.city) && resource.status == "new"
    write: [status, internal_note]
  - id: orders.remove
    effect: allow
    roles: [admin]
    scopes: {delete: orders:delete}
    actions: [delete]
    when: has(resource.customer)
  - id: orders.archived
    effect: deny
    roles: ["*"]
    actions: [update, delete]
    when: resource.archived || !has(resource.customer)
"""
PRODUCTS = """
version: 1
resource: products
actions: [list, read, create, update, delete]
rules:
  - id: products.public
    effect: allow
    roles: [anonymous]
    actions: [list, read]
    when: always
    read: [id, sku, stock]
  - id: products.create
    effect: allow
    roles: [admin]
    scopes: {create: products:write}
    actions: [create]
    when: resource.price_minor <= 1000
    write: [sku, name, price_minor, currency]
  - id: products.few
    effect: allow
    roles: [manager]
    scopes: {update: products:write}
    actions: [update]
    when: resource.stock < 100
    write: [stock]
"""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))])
def malmo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop where staff see the orders of Malmö, process new ones, and keep few and cheap products."""
    folder = tmp_path_factory.mktemp("malmo")
    policies: Path = folder / "policies"
    policies.mkdir()
    roles = (PROJECT_ROOT / "policies" / "roles.yaml").read_text(encoding="utf-8")
    for name, content in (("roles", roles), ("orders", ORDERS), ("products", PRODUCTS)):
        (policies / f"{name}.yaml").write_text(content, encoding="utf-8")
    with open_store(request.param, folder) as store, Shop.started(store, SECURE_API_POLICIES=str(policies)) as shop:
        yield shop


def test_manager_cannot_reach_an_order_of_another_city(malmo: Shop) -> None:
    """Alice's order is listed, read, changed and deleted; Bob's, of Bremen, is 404 for all of it."""
    own, foreign = malmo.add_order(ALICE), malmo.add_order(BOB)
    listed = malmo.call("GET", "/api/v1/orders?limit=100", malmo.token(MIA)).json()["data"]
    assert str(own) in {order["id"] for order in listed}
    assert str(foreign) not in {order["id"] for order in listed}
    note = {"internal_note": "checked"}
    for method, user, options, status in (("GET", MIA, {}, 200), ("PATCH", MIA, {"json": note}, 200),
                                          ("DELETE", ADA, {}, 204)):  # fmt: skip
        assert malmo.call(method, f"/api/v1/orders/{own}", malmo.token(user), **options).status_code == status
        assert malmo.call(method, f"/api/v1/orders/{foreign}", malmo.token(user), **options).status_code == 404
    assert malmo.order_status(own) is None
    assert malmo.order_status(foreign) == "new"


def test_manager_cannot_move_an_order_out_of_the_rules_reach(malmo: Shop) -> None:
    """The row as it would be is judged as well as the row as it was; nothing of the change is kept."""
    order_id = malmo.add_order(ALICE)
    path, token = f"/api/v1/orders/{order_id}", malmo.token(MIA)
    assert malmo.call("PATCH", path, token, json={"internal_note": "first"}).status_code == 200
    refused = malmo.call("PATCH", path, token, json={"internal_note": "second", "status": "paid"})
    assert refused.status_code == 403
    assert [(event["event"], event["action"]) for event in malmo.events_of(refused)] == [
        ("authz_fail", "orders:update")
    ]
    assert malmo.call("GET", path, token).json()["internal_note"] == "first"
    assert malmo.order_status(order_id) == "new"


def test_manager_cannot_change_an_archived_order_of_its_own_city(malmo: Shop) -> None:
    """A deny rule that looks at a relation fires for what it names, and for nothing else."""
    open_id, archived_id = malmo.add_order(ALICE), malmo.add_order(ALICE, archived=True)
    note = {"internal_note": "x"}
    assert malmo.call("PATCH", f"/api/v1/orders/{open_id}", malmo.token(MIA), json=note).status_code == 200
    refused = malmo.call("PATCH", f"/api/v1/orders/{archived_id}", malmo.token(MIA), json=note)
    assert refused.status_code == 403
    [event] = malmo.events_of(refused)
    assert event["rule"] == "orders.archived"


def test_admin_cannot_make_a_product_that_no_rule_allows(malmo: Shop) -> None:
    """The proposed row is judged with what the database made of it; the refused one is not there."""
    token = malmo.token(ADA)
    skus = [f"SKU-{uuid4().hex[:8].upper()}" for _ in range(2)]
    for sku, price, status in zip(skus, (1000, 1001), (201, 403), strict=True):
        body = {"sku": sku, "name": "x", "price_minor": price, "currency": "EUR"}
        assert malmo.call("POST", "/api/v1/products", token, json=body).status_code == status
    listed = malmo.call("GET", "/api/v1/products?limit=100").json()["data"]
    assert {product["sku"] for product in listed} & set(skus) == {skus[0]}


def test_manager_cannot_stock_more_than_the_rule_allows(malmo: Shop) -> None:
    """A limit in a rule holds for the value that is written, not only for the one that was there."""
    product = malmo.call("GET", "/api/v1/products?limit=1").json()["data"][0]
    path, token = f"/api/v1/products/{product['id']}", malmo.token(MIA)
    assert malmo.call("PATCH", path, token, json={"stock": 99}).status_code == 200
    assert malmo.call("PATCH", path, token, json={"stock": 100}).status_code == 403
    assert malmo.call("GET", path).json()["stock"] == 99

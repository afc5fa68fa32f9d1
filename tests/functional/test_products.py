"""Products over HTTP: open to read, changed by staff, cost prices never outside it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.shop import ADA, ALICE, MIA, Shop


def new_product(**values: Any) -> dict[str, Any]:
    """A valid product with a SKU of its own."""
    product = {"sku": f"T-{uuid4().hex[:12].upper()}", "name": "Test kettle", "price_minor": 1999, "currency": "EUR"}
    return {**product, **values}


def add_product(shop: Shop) -> str:
    answer = shop.call("POST", "/api/v1/products", shop.token(ADA), json=new_product(stock=3))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_anyone_reads_products(shop: Shop) -> None:
    """No credential is needed, and the list is bounded."""
    answer = shop.call("GET", "/api/v1/products?limit=100")
    assert answer.status_code == 200
    assert len(answer.json()["data"]) >= 32
    one = answer.json()["data"][0]
    assert shop.call("GET", one["links"]["self"]).json() == one


@pytest.mark.parametrize(("user", "sees_cost"), [(None, False), (ALICE, False), (MIA, True), (ADA, True)])
def test_cost_price_is_for_staff(shop: Shop, user: str | None, sees_cost: bool) -> None:
    """Who is not staff gets no such member, in the list and in the single product."""
    token = shop.token(user) if user else None
    listed = shop.call("GET", "/api/v1/products?limit=1", token).json()["data"][0]
    single = shop.call("GET", listed["links"]["self"], token).json()
    assert ("cost_price_minor" in listed) is sees_cost
    assert ("cost_price_minor" in single) is sees_cost


def test_bad_token_is_401_even_where_no_token_is_needed(shop: Shop) -> None:
    """A credential that is sent must be good: it is never quietly ignored."""
    assert shop.call("GET", "/api/v1/products", shop.token(ALICE)).status_code == 200
    assert shop.call("GET", "/api/v1/products", "not-a-token").status_code == 401


def test_admin_creates_and_deletes_a_product(shop: Shop) -> None:
    """201 with Location; the address works; after the deletion it is 404."""
    body = new_product(stock=5, cost_price_minor=900)
    answer = shop.call("POST", "/api/v1/products", shop.token(ADA), json=body)
    assert answer.status_code == 201, answer.text
    location = answer.headers["Location"]
    assert shop.call("GET", location).json()["sku"] == body["sku"]
    assert [event["event"] for event in shop.events_of(answer)] == ["sensitive_create"]
    assert shop.call("DELETE", location, shop.token(ADA)).status_code == 204
    assert shop.call("GET", location).status_code == 404


def test_admin_puts_a_product_on_a_shelf(shop: Shop) -> None:
    """A category that exists is taken, one that does not is a conflict."""
    shelf = shop.call("GET", "/api/v1/products?limit=1").json()["data"][0]["category_id"]
    good = shop.call("POST", "/api/v1/products", shop.token(ADA), json=new_product(category_id=shelf))
    assert good.status_code == 201, good.text
    assert good.json()["category_id"] == shelf
    absent = new_product(category_id=str(uuid4()))
    assert shop.call("POST", "/api/v1/products", shop.token(ADA), json=absent).status_code == 409


def test_admin_cannot_create_a_product_with_a_taken_sku(shop: Shop) -> None:
    """The second one is a conflict, decided by the database."""
    body = new_product()
    assert shop.call("POST", "/api/v1/products", shop.token(ADA), json=body).status_code == 201
    assert shop.call("POST", "/api/v1/products", shop.token(ADA), json=body).status_code == 409


def test_admin_cannot_delete_a_product_that_was_sold(shop: Shop) -> None:
    """What an order holds stays on record."""
    assert shop.call("DELETE", f"/api/v1/products/{add_product(shop)}", shop.token(ADA)).status_code == 204
    answer = shop.call("GET", "/api/v1/products?limit=100").json()["data"]
    kettle = next(product for product in answer if product["name"] == "Kettle")
    assert shop.call("DELETE", kettle["links"]["self"], shop.token(ADA)).status_code == 409


def test_manager_changes_price_and_stock(shop: Shop) -> None:
    """Both together, and what is not sent stays as it was."""
    path = f"/api/v1/products/{add_product(shop)}"
    answer = shop.call("PATCH", path, shop.token(MIA), json={"price_minor": 2500})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["price_minor"], answer.json()["stock"]) == (2500, 3)
    assert shop.call("GET", path).json()["price_minor"] == 2500


@pytest.mark.parametrize("user", [ALICE, MIA, None])
def test_others_cannot_create_a_product(shop: Shop, user: str | None) -> None:
    """An admin's act: 403 for a customer and a manager, 401 for a caller without a credential."""
    assert shop.call("POST", "/api/v1/products", shop.token(ADA), json=new_product()).status_code == 201
    token = shop.token(user) if user else None
    answer = shop.call("POST", "/api/v1/products", token, json=new_product())
    assert answer.status_code == (403 if user else 401)


def test_customer_cannot_change_a_price(shop: Shop) -> None:
    """403, and the price is what it was."""
    path = f"/api/v1/products/{add_product(shop)}"
    assert shop.call("PATCH", path, shop.token(MIA), json={"price_minor": 1}).status_code == 200
    assert shop.call("PATCH", path, shop.token(ALICE), json={"price_minor": 0}).status_code == 403
    assert shop.call("GET", path).json()["price_minor"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"price_minor": 5, "price_minor": 1}', 400),
        (b'{"price_minor": NaN}', 400),
        (b'{"price_minor": 99999999999999999999999}', 400),
        (b'{"price_minor"', 400),
        (b'{"price_minor": "5"}', 422),
        (b'{"price_minor": 5.0}', 422),
        (b'{"price_minor": true}', 422),
        (b'{"price_minor": -1}', 422),
        (b'{"price_minor": null}', 422),
    ],
)
def test_manager_cannot_send_a_body_that_parsers_read_differently(shop: Shop, body: bytes, status: int) -> None:
    """Duplicate members, NaN, huge integers and silent conversions are refused; the price stays."""
    path = f"/api/v1/products/{add_product(shop)}"
    headers = {"Content-Type": "application/json"}
    good = shop.call("PATCH", path, shop.token(MIA), data=b'{"price_minor": 7}', headers=headers)
    assert good.status_code == 200
    answer = shop.call("PATCH", path, shop.token(MIA), data=body, headers=headers)
    assert answer.status_code == status
    assert shop.call("GET", path).json()["price_minor"] == 7


def test_manager_cannot_send_another_media_type(shop: Shop) -> None:
    """Only application/json is read: 415 for everything else."""
    path = f"/api/v1/products/{add_product(shop)}"
    assert shop.call("PATCH", path, shop.token(MIA), json={"stock": 1}).status_code == 200
    answer = shop.call("PATCH", path, shop.token(MIA), data='{"stock": 2}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert shop.call("GET", path).json()["stock"] == 1


def test_caller_cannot_send_a_body_over_the_limit(shop: Shop) -> None:
    """413 for a body over `max_body_bytes`."""
    body = new_product(description="x" * 70_000)
    assert shop.call("POST", "/api/v1/products", shop.token(ADA), json=new_product()).status_code == 201
    assert shop.call("POST", "/api/v1/products", shop.token(ADA), json=body).status_code == 413

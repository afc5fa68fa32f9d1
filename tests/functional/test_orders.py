"""Orders over HTTP: who sees which, who changes what, and what is written down about it."""

from __future__ import annotations

import http.client
from uuid import uuid4

import pytest

from tests.support.shop import ADA, ALICE, BOB, MIA, Shop

CUSTOMER_MEMBERS = {"id", "status", "total_minor", "currency", "note", "created_at", "updated_at", "links"}
STAFF_MEMBERS = CUSTOMER_MEMBERS | {"customer_id", "internal_note", "archived"}


def test_customer_lists_its_own_orders_only(shop: Shop) -> None:
    """Alice's list and Bob's have no order in common, and staff see both."""
    alice = shop.call("GET", "/api/v1/orders?limit=100", shop.token(ALICE)).json()["data"]
    bob = shop.call("GET", "/api/v1/orders?limit=100", shop.token(BOB)).json()["data"]
    everyone = shop.call("GET", "/api/v1/orders?limit=100", shop.token(MIA)).json()["data"]
    assert alice
    assert bob
    assert not {order["id"] for order in alice} & {order["id"] for order in bob}
    assert {order["id"] for order in alice + bob} < {order["id"] for order in everyone}


@pytest.mark.parametrize(("user", "members"), [(ALICE, CUSTOMER_MEMBERS), (MIA, STAFF_MEMBERS), (ADA, STAFF_MEMBERS)])
def test_order_shows_the_members_of_the_role(shop: Shop, user: str, members: set[str]) -> None:
    """The internal note is for staff; a customer's order does not have the member at all."""
    order_id = shop.add_order(ALICE)
    answer = shop.call("GET", f"/api/v1/orders/{order_id}", shop.token(user))
    assert answer.status_code == 200
    assert answer.json().keys() == members
    assert ("only for staff" in answer.text) == (user != ALICE)
    listed = shop.call("GET", "/api/v1/orders?limit=1", shop.token(user)).json()["data"][0]
    assert listed.keys() == members


def test_collection_pages_follow_each_other(shop: Shop) -> None:
    """`links.next` leads through every order once; the last page has none."""
    expected = [order["id"] for order in shop.call("GET", "/api/v1/orders?limit=100", shop.token(BOB)).json()["data"]]
    found: list[str] = []
    path: str | None = "/api/v1/orders?limit=2"
    while path is not None:
        page = shop.call("GET", path, shop.token(BOB)).json()
        found += [order["id"] for order in page["data"]]
        path = page["links"].get("next")
    assert len(found) > 2
    assert found == expected


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=x", "offset=-1", "offset=99999", "x=1",
                                   "limit=1&limit=2", "access_token=abc"])  # fmt: skip
def test_caller_cannot_use_a_query_that_is_not_declared(shop: Shop, query: str) -> None:
    """Unknown, repeated and unbounded parameters are 400 with the parameter's name, never ignored."""
    assert shop.call("GET", "/api/v1/orders?limit=1", shop.token(ALICE)).status_code == 200
    answer = shop.call("GET", f"/api/v1/orders?{query}", shop.token(ALICE))
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert query.split("=")[0] in answer.text


def test_manager_changes_a_status_one_step_at_a_time(shop: Shop) -> None:
    """new → paid → shipped works; new → delivered is a conflict and changes nothing."""
    order_id = shop.add_order(status="new")
    jump = shop.call("PATCH", f"/api/v1/orders/{order_id}", shop.token(MIA), json={"status": "delivered"})
    assert jump.status_code == 409
    assert shop.order_status(order_id) == "new"
    for status in ("paid", "shipped"):
        answer = shop.call("PATCH", f"/api/v1/orders/{order_id}", shop.token(MIA), json={"status": status})
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == status == shop.order_status(order_id)


def test_a_change_and_its_event_say_the_same(shop: Shop) -> None:
    """The event names actor, rule with file and line, policy digest, and the members that changed, not their values."""
    order_id = shop.add_order(status="new")
    answer = shop.call(
        "PATCH", f"/api/v1/orders/{order_id}", shop.token(MIA), json={"status": "paid", "internal_note": "canary-7141"}
    )
    assert answer.status_code == 200, answer.text
    [event] = shop.events_of(answer)
    assert event["event"] == "sensitive_update"
    assert event["outcome"] == "success"
    assert event["actor"]["roles"] == ["manager"]
    assert event["actor"]["client_id"] == "example-cli"
    assert event["resource_id"] == str(order_id)
    assert event["rule"] == "orders.process"
    assert event["rule_source"].startswith("policies/orders.yaml:")
    assert len(event["policy_digest"]) == 64
    assert set(event["changed"]) >= {"status", "internal_note"}
    assert "canary-7141" not in str(event)


def test_admin_deletes_an_order(shop: Shop) -> None:
    """Deleting answers 204 without a body; then the order is gone for everyone."""
    order_id = shop.add_order()
    answer = shop.call("DELETE", f"/api/v1/orders/{order_id}", shop.token(ADA))
    assert answer.status_code == 204
    assert answer.content == b""
    assert shop.order_status(order_id) is None
    assert [event["event"] for event in shop.events_of(answer)] == ["sensitive_delete"]
    assert shop.call("GET", f"/api/v1/orders/{order_id}", shop.token(ADA)).status_code == 404


@pytest.mark.parametrize("user", [ALICE, MIA])
def test_customer_and_manager_cannot_delete_an_order(shop: Shop, user: str) -> None:
    """Only an admin deletes; the refusal is 403 before any row is read, for a present and an absent order alike."""
    allowed, order_id = shop.add_order(), shop.add_order()
    assert shop.call("DELETE", f"/api/v1/orders/{allowed}", shop.token(ADA)).status_code == 204
    for target in (order_id, uuid4()):
        answer = shop.call("DELETE", f"/api/v1/orders/{target}", shop.token(user))
        assert answer.status_code == 403
        assert answer.json()["type"].endswith("/problems/permission-denied")
    assert shop.order_status(order_id) == "new"
    [event] = shop.events_of(answer)
    assert (event["event"], event["reason"], event["action"]) == ("authz_fail", "role", "orders:delete")


def test_manager_cannot_change_an_archived_order(shop: Shop) -> None:
    """A deny rule wins over the manager's allow: the order is readable, so the refusal is 403 and not 404."""
    open_id, archived_id = shop.add_order(), shop.add_order(archived=True)
    change = {"internal_note": "checked"}
    assert shop.call("PATCH", f"/api/v1/orders/{open_id}", shop.token(MIA), json=change).status_code == 200
    assert shop.call("GET", f"/api/v1/orders/{archived_id}", shop.token(MIA)).status_code == 200
    answer = shop.call("PATCH", f"/api/v1/orders/{archived_id}", shop.token(MIA), json=change)
    assert answer.status_code == 403
    [event] = shop.events_of(answer)
    assert event["rule"] == "orders.archived"


BAD_BODIES = [{"total_minor": 1}, {"customer_id": str(uuid4())}, {"archived": True}, {"id": "x"},
              {"status": "paid", "role": "admin"}, {"status": 1}, {"status": "gone"}, [], "paid"]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES)
def test_manager_cannot_write_members_that_are_not_declared(shop: Shop, body: object) -> None:
    """Unknown members and wrong types are refused as a whole: the good half of a body is not applied."""
    order_id = shop.add_order(status="new")
    answer = shop.call("PATCH", f"/api/v1/orders/{order_id}", shop.token(MIA), json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert shop.order_status(order_id) == "new"
    assert shop.call("PATCH", f"/api/v1/orders/{order_id}", shop.token(MIA), json={"status": "paid"}).status_code == 200


def test_client_cannot_read_orders_without_the_scope(shop: Shop) -> None:
    """Same person, same client, other scope: 403 `insufficient_scope` that names the scope to ask for."""
    assert shop.call("GET", "/api/v1/orders", shop.token(ALICE, "orders:read")).status_code == 200
    answer = shop.call("GET", "/api/v1/orders", shop.token(ALICE, "products:read"))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="orders:read"' in answer.headers["WWW-Authenticate"]
    [event] = shop.events_of(answer)
    assert (event["event"], event["reason"]) == ("authz_fail", "scope")


def test_client_cannot_send_two_authorization_headers(shop: Shop) -> None:
    """Two explicit credentials are ambiguous: 400, whichever of them is good (RFC 6750 §2)."""
    token = shop.token(ALICE)
    assert shop.call("GET", "/api/v1/orders", token).status_code == 200
    host, _, port = shop.api.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.putrequest("GET", "/api/v1/orders")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


def test_methods_that_are_not_declared_are_405_with_allow(shop: Shop) -> None:
    """The Allow header says what there is (RFC 9110 §15.5.6)."""
    answer = shop.call("PUT", "/api/v1/orders", shop.token(MIA), json={})
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) >= {"GET"}
    assert answer.headers["Content-Type"] == "application/problem+json"

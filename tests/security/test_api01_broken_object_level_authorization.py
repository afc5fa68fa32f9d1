"""API1:2023 and API1:2019, broken object level authorization: nobody reaches an object of somebody else.

Every denial first sees its allowed twin: the same object, the same kind of credential, success.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
import requests

from tests.support.shop import ALICE, BOB, MIA, Shop

ABSENT = uuid4()
METHODS = [("GET", None), ("HEAD", None), ("PATCH", {"status": "paid"}), ("DELETE", None)]


def without_request_id(answer: requests.Response) -> dict[str, object]:
    """The problem document but for its request id."""
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def test_customer_cannot_read_a_foreign_order(shop: Shop) -> None:
    """Bob reads his order, Alice does not; her answer equals that for an absent order, but for the request id."""
    order_id = shop.add_order(BOB)
    assert shop.call("GET", f"/api/v1/orders/{order_id}", shop.token(BOB)).status_code == 200
    foreign = shop.call("GET", f"/api/v1/orders/{order_id}", shop.token(ALICE))
    absent = shop.call("GET", f"/api/v1/orders/{ABSENT}", shop.token(ALICE))
    assert foreign.status_code == absent.status_code == 404
    assert without_request_id(foreign) == without_request_id(absent)
    hidden = {"Date", "X-Request-ID"}
    assert {k: v for k, v in foreign.headers.items() if k not in hidden} == {
        k: v for k, v in absent.headers.items() if k not in hidden
    }


def test_customer_cannot_find_a_foreign_order_with_head(shop: Shop) -> None:
    """HEAD tells no more than GET."""
    order_id = shop.add_order(BOB)
    assert shop.call("HEAD", f"/api/v1/orders/{order_id}", shop.token(BOB)).status_code == 200
    assert shop.call("HEAD", f"/api/v1/orders/{order_id}", shop.token(ALICE)).status_code == 404


def test_customer_cannot_list_a_foreign_order(shop: Shop) -> None:
    """No page of Alice's list holds Bob's order; Bob's own list does."""
    order_id = str(shop.add_order(BOB))

    def listed(user: str) -> set[str]:
        answer = shop.call("GET", "/api/v1/orders?limit=100", shop.token(user))
        assert answer.status_code == 200
        return {order["id"] for order in answer.json()["data"]}

    assert order_id in listed(BOB)
    assert order_id in listed(MIA)
    assert order_id not in listed(ALICE)


@pytest.mark.parametrize("query", ["customer_id={bob}", "filter[customer_id]={bob}", "id={order}", "ids={order}",
                                   "user_id={bob}", "offset=0&customer_id={bob}"])  # fmt: skip
def test_customer_cannot_widen_the_list_by_a_filter(shop: Shop, query: str) -> None:
    """A filter by another owner is refused, not obeyed and not ignored."""
    order_id = shop.add_order(BOB)
    assert shop.call("GET", "/api/v1/orders?offset=0", shop.token(ALICE)).status_code == 200
    answer = shop.call("GET", f"/api/v1/orders?{query.format(bob=uuid4(), order=order_id)}", shop.token(ALICE))
    assert answer.status_code == 400
    assert str(order_id) not in answer.text


@pytest.mark.parametrize("member", ["customer_id", "id"])
def test_manager_cannot_move_an_order_to_another_customer(shop: Shop, member: str) -> None:
    """Ownership is not a member that a body can set, for staff either."""
    order_id = shop.add_order(BOB)
    path = f"/api/v1/orders/{order_id}"
    assert shop.call("PATCH", path, shop.token(MIA), json={"internal_note": "seen"}).status_code == 200
    assert shop.call("PATCH", path, shop.token(MIA), json={member: str(uuid4())}).status_code == 422
    assert shop.call("GET", path, shop.token(BOB)).status_code == 200


SPELLINGS = ["{id}/", "{id}%00", "{id}%2f", "%2e%2e/orders/{id}", "{upper}", "{hex}", "{{{id}}}",
             "{id}?customer_id=1", "{id}.json", "{id}%20"]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_customer_cannot_reach_a_foreign_order_by_another_spelling(shop: Shop, spelling: str) -> None:
    """However the id is written, the answer is a refusal, never the order."""
    order_id: UUID = shop.add_order(BOB)
    assert shop.call("GET", f"/api/v1/orders/{order_id}", shop.token(BOB)).status_code == 200
    path = spelling.format(id=order_id, upper=str(order_id).upper(), hex=order_id.hex)
    answer = shop.call("GET", f"/api/v1/orders/{path}", shop.token(ALICE))
    assert answer.status_code in {400, 404}
    assert "total_minor" not in answer.text


def test_refused_read_makes_one_event_that_names_the_actor(shop: Shop) -> None:
    """Probing for foreign ids leaves a trace: who, which id, why."""
    order_id = shop.add_order(BOB)
    answer = shop.call("GET", f"/api/v1/orders/{order_id}", shop.token(ALICE))
    assert answer.status_code == 404
    [event] = shop.events_of(answer)
    assert event["event"] == "authz_fail"
    assert event["actor"]["roles"] == ["customer"]
    assert event["resource_id"] == str(order_id)
    assert event["address"] == "127.0.0.1"

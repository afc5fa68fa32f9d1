"""What a request leaves in the audit log; and that without a trace nothing is done and nothing is answered."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from secure_api.resources.orders.model import Order
from secure_api.resources.products.model import Product
from secure_api.seed import demo_id
from tests.unit.pipeline.callers import Callers

ORDER = demo_id("order", "Alice Ahlberg/1")
ARCHIVED = demo_id("order", "Erin Eriksen/1")
PATH = f"/api/v1/orders/{ORDER}"
NEW = {"sku": "NEW-1", "name": "New", "price_minor": 500, "currency": "EUR"}

CHANGES = [
    ("PATCH", PATH, "mia", {"json": {"internal_note": "canary-value"}}, 200, "sensitive_update"),
    ("DELETE", PATH, "ada", {}, 204, "sensitive_delete"),
    ("POST", "/api/v1/products", "ada", {"json": NEW}, 201, "sensitive_create"),
]


@pytest.mark.parametrize(("method", "path", "who", "options", "status", "event"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_change_leaves_one_event_that_says_who_what_and_why(
    callers: Callers, method: str, path: str, who: str, options: dict[str, Any], status: int, event: str
) -> None:
    cookie = callers.session_of(who)
    answer = callers.call(method, path, cookie, **options)
    assert answer.status_code == status, answer.text
    (record,) = callers.events()
    body = record.body
    assert (record.event, record.outcome, record.request_id) == (event, "success", answer.headers["X-Request-ID"])
    assert record.user_id == demo_id("user", {"mia": "Mia Moreau", "ada": "Ada Adeyemi"}[who])
    assert body["action"].partition(":")[0] in path
    assert body["actor"]["credential"] == "session"
    assert body["rule"].startswith(body["resource"])
    assert body["rule_source"].partition(":")[0].endswith(f"{body['resource']}.yaml")
    assert len(body["policy_digest"]) == 64
    assert body["address"] == "127.0.0.1"
    assert body["resource_id"] == (answer.get_json()["id"] if method == "POST" else str(ORDER))
    if method == "PATCH":
        assert "internal_note" in body["changed"]
    assert "canary" not in str(body)
    assert cookie not in str(body)


@pytest.mark.parametrize(("method", "path", "who", "options", "status", "event"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_change_without_a_trace_is_not_made(
    callers: Callers, method: str, path: str, who: str, options: dict[str, Any], status: int, event: str
) -> None:
    """503, and the database is as it was."""
    cookie = callers.session_of(who)
    _break_audit(callers)
    answer = callers.call(method, path, cookie, **options)
    assert answer.status_code == 503
    assert "audit" not in answer.text
    order = callers.row(Order, ORDER)
    assert order is not None
    assert order.internal_note != "canary-value"
    product_page = callers.call("GET", "/api/v1/products?limit=1").get_json()["data"][0]
    assert product_page["sku"] != "NEW-1"


REFUSALS = [
    ("no credential", "GET", PATH, None, {}, 401, "authz_fail", "no_credential"),
    ("bad token", "GET", PATH, None, {"headers": {"Authorization": "Bearer x"}}, 401, "authn_token_refused", None),
    ("role", "DELETE", PATH, "alice", {}, 403, "authz_fail", "role"),
    ("foreign", "GET", f"/api/v1/orders/{ARCHIVED}", "alice", {}, 404, "authz_fail", "absent or not readable"),
    ("absent", "GET", f"/api/v1/orders/{uuid4()}", "mia", {}, 404, "authz_fail", "absent or not readable"),
    ("object", "PATCH", f"/api/v1/orders/{ARCHIVED}", "mia", {"json": {}}, 403, "authz_fail", "orders.archived"),
    ("field", "POST", "/api/v1/products", "mia", {"json": NEW}, 403, "authz_fail", "role"),
    ("csrf", "PATCH", PATH, "mia", {"headers": {"X-CSRF": "1"}}, 403, "authz_fail", "no Sec-Fetch-Site, no Origin"),
]


@pytest.mark.parametrize(
    ("name", "method", "path", "who", "options", "status", "event", "reason"), REFUSALS, ids=[r[0] for r in REFUSALS]
)
def test_a_refusal_leaves_one_event_with_its_reason(
    callers: Callers,
    name: str,
    method: str,
    path: str,
    who: str | None,
    options: dict[str, Any],
    status: int,
    event: str,
    reason: str | None,
) -> None:
    cookie = callers.session_of(who) if who else None
    answer = callers.call(method, path, cookie, **options)
    assert answer.status_code == status, answer.text
    (record,) = callers.events()
    assert (record.event, record.outcome, record.request_id) == (event, "failure", answer.headers["X-Request-ID"])
    if reason is not None:
        assert reason in record.body["reason"]
        assert reason == "role" or reason not in answer.text
    if path.startswith("/api/v1/orders/"):
        assert record.body["resource_id"] == path.rpartition("/")[2]


@pytest.mark.parametrize(
    ("name", "method", "path", "who", "options", "status", "event", "reason"), REFUSALS, ids=[r[0] for r in REFUSALS]
)
def test_a_refusal_without_a_trace_is_no_answer(
    callers: Callers,
    name: str,
    method: str,
    path: str,
    who: str | None,
    options: dict[str, Any],
    status: int,
    event: str,
    reason: str | None,
) -> None:
    """Who breaks the log could otherwise try as often as he likes, unseen."""
    cookie = callers.session_of(who) if who else None
    _break_audit(callers)
    assert callers.call(method, path, cookie, **options).status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/api/v1/orders", {}, 200),
        ("GET", PATH, {}, 200),
        ("GET", "/api/v1/orders?x=1", {}, 400),
        ("PATCH", PATH, {"data": "{"}, 415),
        ("PATCH", PATH, {"json": {"status": "nonsense"}}, 422),
        ("PATCH", PATH, {"json": {"status": "delivered"}}, 409),
        ("PATCH", PATH, {"data": b"x" * 70_000, "content_type": "application/json"}, 413),
        ("GET", "/api/v1/orders/no-uuid", {}, 404),
        ("PUT", PATH, {}, 405),
    ],
)
def test_reads_and_mistakes_leave_no_security_event(
    callers: Callers, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    assert callers.call(method, path, callers.session_of("mia"), **options).status_code == status
    assert callers.events() == []


def test_a_change_that_fails_late_is_undone_with_its_event(callers: Callers) -> None:
    """The answer of a conflict is made after the view ran."""
    cookie = callers.session_of("ada")
    assert callers.call("POST", "/api/v1/products", cookie, json=NEW).status_code == 201
    assert callers.call("POST", "/api/v1/products", cookie, json=NEW).status_code == 409
    assert [record.event for record in callers.events()] == ["sensitive_create"]


def test_a_body_that_a_row_cannot_hold_is_refused_before_the_database(callers: Callers) -> None:
    cookie = callers.session_of("mia")
    for note in ('"\\u0000"', '"\\ud800"', f'"{"x" * 501}"', "5", "[]", "{}"):
        answer = callers.call(
            "PATCH", PATH, cookie, data=f'{{"internal_note": {note}}}', content_type="application/json"
        )
        assert answer.status_code in {400, 422}, note
    answer = callers.call("PATCH", PATH, cookie, data='{"\\ud800": 1}', content_type="application/json")
    assert answer.status_code == 400


def test_a_mistake_is_explained_without_repeating_the_value(callers: Callers) -> None:
    body = {"status": "canary-value", "canary-member": 1, "internal_note": 5}
    answer = callers.call("PATCH", PATH, callers.session_of("mia"), json=body)
    assert answer.status_code == 422
    pointers = {error["pointer"] for error in answer.get_json(force=True)["errors"]}
    assert pointers == {"/status", "/canary-member", "/internal_note"}
    assert "canary-value" not in answer.text


def test_a_product_in_an_order_stays(callers: Callers) -> None:
    sold = demo_id("product", "Kettle")
    answer = callers.call("DELETE", f"/api/v1/products/{sold}", callers.session_of("ada"))
    assert answer.status_code == 409
    assert callers.row(Product, sold) is not None


def _break_audit(callers: Callers) -> None:
    with callers.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_events RENAME TO elsewhere")

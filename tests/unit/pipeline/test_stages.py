"""The order of the request path, as a table and as a caller meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from secure_api.pipeline.stages import STAGES
from secure_api.resources.orders.model import Order
from secure_api.seed import demo_id
from tests.unit.outbound.loopback_server import LoopbackServer, running_server
from tests.unit.pipeline.callers import Callers, access_token, publish_keys

ORDER = demo_id("order", "Alice Ahlberg/1")
FOREIGN = demo_id("order", "Bob Brandt/1")
ARCHIVED = demo_id("order", "Erin Eriksen/1")


@pytest.fixture(scope="module")
def issuer() -> Iterator[LoopbackServer]:
    with running_server() as server:
        publish_keys(server)
        yield server


@pytest.fixture
def callers(callers_at: Callable[..., Callers], issuer: LoopbackServer, tmp_path: Path) -> Callers:
    """A shop that trusts the issuer on loopback; the demo's people are its."""
    file = tmp_path / "issuer.toml"
    file.write_text(
        f'[providers.mock]\nissuer = "{issuer.url}"\nprofile = "rfc9068"\naudiences = ["http://127.0.0.1:8000"]\n'
    )
    callers = callers_at(identity_providers=file)
    with callers.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET issuer = ?", (issuer.url,))
    return callers


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_request_path_is_in_the_order_of_the_design() -> None:
    assert [stage.name for stage in STAGES] == [
        "limit-address",
        "authenticate",
        "limit-principal",
        "authorize-function",
        "validate-query",
        "scope",
        "authorize-object",
        "validate-body",
        "fields-in",
        "view",
        "check-written",
        "fields-out",
        "respond",
        "record",
    ]


# Each request has the fault of its line and of every line after it: the first one must be answered.
FAULTS: list[tuple[str, str, str, dict[str, Any], int]] = [
    ("no credential", "", f"/api/v1/orders/{ARCHIVED}?x=1", {"data": "{"}, 401),
    ("a bad credential", "broken", f"/api/v1/orders/{ARCHIVED}?x=1", {"data": "{"}, 401),
    ("an unknown person", "nobody", f"/api/v1/orders/{ARCHIVED}?x=1", {"data": "{"}, 403),
    ("a role without the function", "alice", f"/api/v1/orders/{ARCHIVED}?x=1", {"data": "{"}, 403),
    ("a missing scope", "mia", f"/api/v1/orders/{ARCHIVED}?x=1", {"data": "{"}, 403),
    ("an unknown query parameter", "mia+", f"/api/v1/orders/{uuid4()}?x=1", {"data": "{"}, 400),
    ("an absent object", "mia+", f"/api/v1/orders/{uuid4()}", {"data": "{"}, 404),
    ("an object that refuses", "mia+", f"/api/v1/orders/{ARCHIVED}", {"data": "{"}, 403),
    ("a body of another type", "mia+", f"/api/v1/orders/{ORDER}", {"data": "{"}, 415),
    ("a malformed body", "mia+", f"/api/v1/orders/{ORDER}", {"data": "{", "content_type": "application/json"}, 400),
    ("an unknown member", "mia+", f"/api/v1/orders/{ORDER}", {"json": {"total_minor": 1}}, 422),
    ("a state that forbids", "mia+", f"/api/v1/orders/{ORDER}", {"json": {"status": "delivered"}}, 409),
    ("nothing wrong", "mia+", f"/api/v1/orders/{ORDER}", {"json": {"internal_note": "x"}}, 200),
]


@pytest.mark.parametrize(("name", "who", "path", "options", "status"), FAULTS, ids=[row[0] for row in FAULTS])
def test_the_first_fault_in_the_order_of_refusals_is_answered(
    callers: Callers, issuer: LoopbackServer, name: str, who: str, path: str, options: dict[str, Any], status: int
) -> None:
    """What comes later must tell a caller nothing: no row is read before the function is allowed."""
    scope = "orders:read orders:write" if who.endswith("+") else "orders:read"
    token = "broken" if who == "broken" else access_token(issuer.url, who.rstrip("+"), scope)
    answer = callers.call("PATCH", path, headers=bearer(token) if who else None, **options)
    assert answer.status_code == status, answer.text
    order = callers.row(Order, ORDER)
    assert (order.internal_note == "x") is (status == 200)


def test_a_customer_cannot_tell_a_foreign_order_from_an_absent_one(callers: Callers, issuer: LoopbackServer) -> None:
    """The two answers differ in nothing but the request id."""
    headers = bearer(access_token(issuer.url, "alice"))
    assert callers.call("GET", f"/api/v1/orders/{ORDER}", headers=headers).status_code == 200
    answers = [callers.call("GET", f"/api/v1/orders/{row_id}", headers=headers) for row_id in (FOREIGN, uuid4())]
    first, second = [{**answer.get_json(force=True), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert first == second
    headers_of = [{k: v for k, v in answer.headers.items() if k != "X-Request-ID"} for answer in answers]
    assert headers_of[0] == headers_of[1]


@pytest.mark.parametrize("claims", [{"sub": "cli"}, {"sub": "usr_01J9MIAAA8H4P", "client_id": "usr_01J9MIAAA8H4P"}])
def test_a_client_that_acts_for_itself_cannot_act_as_a_user(
    callers: Callers, issuer: LoopbackServer, claims: dict[str, str]
) -> None:
    """A client-credentials token has no roles, whatever its subject is called (RFC 9700 §4.15)."""
    assert callers.call("GET", "/api/v1/orders", headers=bearer(access_token(issuer.url, "mia"))).status_code == 200
    token = access_token(issuer.url, "mia", **claims)
    assert callers.call("GET", "/api/v1/orders", headers=bearer(token)).status_code == 403


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer {token}", 200),
        ("bearer {token}", 200),
        ("BEARER  {token}", 200),
        ("Bearer {token}, Bearer {token}", 400),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("", 401),
        ("Basic YTpi", 401),
        ("{token}", 401),
        ("DPoP {token}", 401),
        ("Bearer\t{token}", 401),
        ("Bearer {token}x", 401),
        ("Bearer {token} x", 401),
    ],
)
def test_a_credential_has_one_form(callers: Callers, issuer: LoopbackServer, header: str, status: int) -> None:
    token = access_token(issuer.url, "alice")
    answer = callers.call("GET", "/api/v1/orders", headers={"Authorization": header.format(token=token)})
    assert answer.status_code == status


@pytest.mark.parametrize("header", ["Bearer broken", "Basic YTpi", "Bearer ", ""])
def test_a_header_makes_the_cookie_ignored(callers: Callers, header: str) -> None:
    """A bad token must not fall back on somebody's session."""
    cookie = callers.session_of("alice")
    assert callers.call("GET", "/api/v1/orders", cookie).status_code == 200
    assert callers.call("GET", "/api/v1/orders", cookie, headers={"Authorization": header}).status_code == 401


def test_a_token_with_a_header_needs_no_csrf_proof(callers: Callers, issuer: LoopbackServer) -> None:
    """A browser sends a cookie by itself, and never an Authorization header."""
    token = access_token(issuer.url, "mia", "orders:write orders:read")
    headers = {**bearer(token), "Cookie": "__Host-session=x", "Sec-Fetch-Site": "cross-site"}
    answer = callers.call("PATCH", f"/api/v1/orders/{ORDER}", headers=headers, json={"internal_note": "x"})
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["access_token", "token", "api_key"])
def test_a_token_cannot_come_in_the_address(callers: Callers, issuer: LoopbackServer, name: str) -> None:
    """Addresses end up in logs and histories."""
    token = access_token(issuer.url, "alice")
    assert callers.call("GET", "/api/v1/orders", headers=bearer(token)).status_code == 200
    assert callers.call("GET", f"/api/v1/orders?{name}={token}").status_code == 401
    assert callers.call("GET", f"/api/v1/orders?{name}={token}", headers=bearer(token)).status_code == 400

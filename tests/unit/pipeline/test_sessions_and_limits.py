"""Session callers, query bounds and rate limits, as a request meets them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from secure_api.credentials.accounts import User
from secure_api.credentials.sessions import BrowserSession
from secure_api.db import utc_now
from secure_api.resources.orders.model import Order
from secure_api.seed import demo_id
from tests.unit.conftest import BASE_URL
from tests.unit.pipeline.callers import WRITE, Callers

ORDER = demo_id("order", "Alice Ahlberg/1")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (WRITE, 200),
        ({"X-CSRF": "1", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": BASE_URL}, 403),
        ({"X-CSRF": "1"}, 403),
        ({"X-CSRF": "1", "Origin": "https://evil.example"}, 403),
        ({"X-CSRF": "1", "Sec-Fetch-Site": "same-site"}, 403),
        ({}, 403),
    ],
)
def test_another_site_cannot_write_with_a_persons_session(
    callers: Callers, headers: dict[str, str], status: int
) -> None:
    """Both walls stand before any row is read."""
    cookie = callers.session_of("mia")
    path = f"/api/v1/orders/{ORDER}"
    answer = callers.call("PATCH", path, cookie, headers=headers, json={"internal_note": "forged"})
    assert answer.status_code == status
    assert (callers.row(Order, ORDER).internal_note == "forged") is (status == 200)
    if status == 403:
        (event,) = callers.events()
        assert event.event == "authz_fail"


def test_reading_with_a_session_needs_no_proof(callers: Callers) -> None:
    cookie = callers.session_of("alice")
    answer = callers.call("GET", "/api/v1/orders", cookie, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200


def _idle(callers: Callers) -> None:
    with callers.engine.begin() as connection:
        connection.execute(update(BrowserSession).values(last_used_at=utc_now() - timedelta(days=1)))


def _over(callers: Callers) -> None:
    with callers.engine.begin() as connection:
        connection.execute(update(BrowserSession).values(expires_at=utc_now()))


def _disabled(callers: Callers) -> None:
    with callers.engine.begin() as connection:
        connection.execute(update(User).values(disabled=True))


def _roleless(callers: Callers) -> None:
    with callers.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM user_roles")


@pytest.mark.parametrize(("change", "status"), [(_idle, 401), (_over, 401), (_disabled, 401), (_roleless, 403)])
def test_a_session_that_is_over_or_a_revoked_role_counts_at_once(
    callers: Callers, change: Callable[[Callers], None], status: int
) -> None:
    """Nothing about the person is kept between two requests."""
    cookie = callers.session_of("alice")
    assert callers.call("GET", "/api/v1/orders", cookie).status_code == 200
    change(callers)
    assert callers.call("GET", "/api/v1/orders", cookie).status_code == status


def test_a_session_in_use_stays_alive_and_a_fresh_one_is_not_written(callers: Callers) -> None:
    cookie = callers.session_of("alice")
    fresh = _last_use(callers)
    callers.call("GET", "/api/v1/orders", cookie)
    assert _last_use(callers) == fresh
    with callers.engine.begin() as connection:
        connection.execute(update(BrowserSession).values(last_used_at=utc_now() - timedelta(minutes=5)))
    callers.call("GET", "/api/v1/orders", cookie)
    assert utc_now() - _last_use(callers) < timedelta(minutes=1)


def _last_use(callers: Callers) -> Any:
    with callers.engine.connect() as connection:
        return connection.execute(BrowserSession.__table__.select()).one().last_used_at


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("limit=1", 200),
        ("limit=100&offset=10000", 200),
        ("limit=0", 400),
        ("limit=-1", 400),
        ("limit=101", 400),
        ("limit=99999999999999999999", 400),
        ("limit=" + "9" * 2000, 400),
        ("limit=1e2", 400),
        ("limit=x", 400),
        ("limit=", 400),
        ("limit=1&limit=2", 400),
        ("offset=-1", 400),
        ("offset=10001", 400),
        ("offset=NaN", 400),
        ("Limit=1", 400),
        ("limit[]=1", 400),
        ("sort=cost_price_minor", 400),
        ("fields=internal_note", 400),
        ("expand=customer", 400),
        ("customer_id=x", 400),
        ("x=%ff", 400),
        ("x=%00", 400),
    ],
)
def test_a_collection_has_bounds_and_no_unknown_parameters(callers: Callers, query: str, status: int) -> None:
    answer = callers.call("GET", f"/api/v1/products?{query}")
    assert answer.status_code == status
    if status == 200:
        assert len(answer.get_json()["data"]) <= 100


def test_pages_of_a_collection_meet_without_gap_or_overlap(callers: Callers) -> None:
    cookie = callers.session_of("mia")
    path, seen = "/api/v1/orders?limit=4", []
    while path:
        page = callers.call("GET", path, cookie).get_json()
        seen += [order["id"] for order in page["data"]]
        path = page["links"].get("next")
    assert len(seen) == len(set(seen)) == 19


@pytest.fixture
def limits(tmp_path: Path) -> Callable[..., Path]:
    def make(*, address: int = 1000, read: int = 1000) -> Path:
        file = tmp_path / "limits.toml"
        classes = "\n".join(f'{name} = ["{read}/hour"]' for name in ("read", "write", "page", "login"))
        file.write_text(f'address = ["{address}/hour"]\n[classes]\n{classes}\n', encoding="utf-8")
        return file

    return make


@pytest.mark.parametrize("path", ["/api/v1/products", "/nowhere", "/sign-in", "/problems/not-found"])
def test_an_address_cannot_ask_without_end(
    callers_at: Callable[..., Callers], limits: Callable[..., Path], path: str
) -> None:
    """Also where there is nothing, and whatever the caller says about its address."""
    callers = callers_at(rate_limits=limits(address=3))
    assert [callers.call("GET", path).status_code for _ in range(3)].count(429) == 0
    for headers in ({}, {"X-Forwarded-For": "192.0.2.99"}, {"Forwarded": "for=192.0.2.99"}, {"X-Real-IP": "1.2.3.4"}):
        answer = callers.call("GET", path, headers=headers)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0


def test_a_flood_of_bad_tokens_is_stopped_before_authentication(
    callers_at: Callable[..., Callers], limits: Callable[..., Path]
) -> None:
    """The fourth bad token costs no signature check, and the log is bounded."""
    callers = callers_at(rate_limits=limits(address=3))
    bad = {"Authorization": "Bearer broken"}
    assert [callers.call("GET", "/api/v1/orders", headers=bad).status_code for _ in range(3)] == [401] * 3
    assert {callers.call("GET", "/api/v1/orders", headers=bad).status_code for _ in range(20)} == {429}
    events = [event.event for event in callers.events()]
    assert events.count("authn_token_refused") == 3
    assert events.count("excess_rate_limit_exceeded") <= 2  # folded: two, if the minute turned meanwhile


def test_a_person_has_a_quota_whatever_browser_asks(
    callers_at: Callable[..., Callers], limits: Callable[..., Path]
) -> None:
    callers = callers_at(rate_limits=limits(read=2))
    for cookie in (callers.session_of("alice"), callers.session_of("alice")):
        assert callers.call("GET", "/api/v1/orders", cookie).status_code == 200
    assert callers.call("GET", "/api/v1/orders", callers.session_of("alice")).status_code == 429
    assert callers.call("GET", "/api/v1/orders", callers.session_of("bob")).status_code == 200


def test_probes_are_not_limited(callers_at: Callable[..., Callers], limits: Callable[..., Path]) -> None:
    callers = callers_at(rate_limits=limits(address=1))
    assert {callers.call("GET", path).status_code for path in ("/healthz", "/readyz") * 5} == {200}

"""Security headers and request ids: on every response, whatever its status."""

from __future__ import annotations

import pytest
from flask import Flask, Response

from tests.unit.conftest import MakeApp

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# One path for each status that callers meet; `/fails` is a view with a defect.
ANSWERS = [
    ("GET", "/healthz", 200),
    ("GET", "/api/v1/products", 200),
    ("GET", "/sign-in", 200),
    ("GET", "/assets/pages.css", 200),
    ("OPTIONS", "/api/v1/products", 200),
    ("HEAD", "/api/v1/products", 200),
    ("GET", "/", 303),
    ("GET", "/api/v1/products?x=1", 400),
    ("GET", "/auth/login/nobody", 400),
    ("GET", "/api/v1/orders", 401),
    ("GET", "/nowhere", 404),
    ("GET", "/account/nowhere", 404),
    ("PUT", "/api/v1/orders", 405),
    ("GET", "/auth/logout", 405),
    ("GET", "/fails", 500),
]


@pytest.fixture
def failing_app(app: Flask) -> Flask:
    def fails() -> Response:
        raise RuntimeError("a defect")

    app.add_url_rule("/fails", endpoint="fails", view_func=fails)
    return app


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_response_has_the_security_headers(failing_app: Flask, method: str, path: str, status: int) -> None:
    answer = failing_app.test_client().open(path, method=method, buffered=True)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    policy = answer.headers["Content-Security-Policy"]
    for directive in ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert directive in policy
    assert "unsafe" not in policy
    assert "geolocation=()" in answer.headers["Permissions-Policy"]
    assert len(answer.headers.getlist("X-Request-ID")) == 1
    assert "Cache-Control" in answer.headers
    assert "Strict-Transport-Security" not in answer.headers  # plain http on loopback
    assert len(answer.headers.getlist("Server")) == 0


@pytest.mark.parametrize(("method", "path", "status"), [row for row in ANSWERS if row[1] != "/fails"])
def test_every_response_over_tls_pins_tls(make_app: MakeApp, method: str, path: str, status: int) -> None:
    app = make_app(base_url="https://api.example.com")
    answer = app.test_client().open(path, method=method, base_url="https://api.example.com", buffered=True)
    assert answer.status_code == status
    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"


@pytest.mark.parametrize("headers", [{"X-Forwarded-Proto": "https"}, {"X-Forwarded-Proto": "http"}])
def test_a_caller_cannot_decide_about_tls_by_a_header(make_app: MakeApp, headers: dict[str, str]) -> None:
    """HSTS and the cookies' flags come from the configuration."""
    plain = make_app().test_client().get("/healthz", headers=headers)
    assert "Strict-Transport-Security" not in plain.headers
    assert plain.status_code == 200


@pytest.mark.parametrize(("path", "expected"), [("/api/v1/products", "no-store"), ("/sign-in", "no-store")])
def test_what_a_caller_may_see_is_not_kept_by_caches(app: Flask, path: str, expected: str) -> None:
    assert app.test_client().get(path).headers["Cache-Control"] == expected


def test_pages_may_load_their_own_files_and_submit_to_the_provider_only(app: Flask) -> None:
    policy = app.test_client().get("/sign-in").headers["Content-Security-Policy"]
    assert "style-src 'self'" in policy
    assert "form-action 'self' https://idp.example;" in policy + ";"
    assert "object-src 'none'" in policy


def test_api_answers_may_load_and_submit_nothing(app: Flask) -> None:
    policy = app.test_client().get("/api/v1/products").headers["Content-Security-Policy"]
    assert "form-action 'none'" in policy
    assert "'self'" not in policy


def test_every_request_has_an_id_of_its_own(app: Flask) -> None:
    client = app.test_client()
    ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5
    assert all(len(value) == 32 for value in ids)


@pytest.mark.parametrize("name", ["X-Request-ID", "X-Correlation-ID", "Request-Id", "traceparent"])
def test_a_caller_cannot_choose_the_request_id(app: Flask, name: str) -> None:
    """An id of the caller's choice could be that of somebody else's request in the log."""
    theirs = "0123456789abcdef0123456789abcdef"
    answer = app.test_client().get("/nowhere", headers={name: theirs})
    assert answer.headers["X-Request-ID"] != theirs
    assert answer.get_json(force=True)["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "TRACK", "PROPFIND"])
@pytest.mark.parametrize("path", ["/api/v1/orders", "/healthz", "/account"])
def test_a_caller_cannot_use_an_undeclared_method(app: Flask, method: str, path: str) -> None:
    """What no view declares is 405 with the methods that are there."""
    answer = app.test_client().open(path, method=method, buffered=True)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_caller_cannot_change_the_method_by_a_header(shop_app: Flask, name: str) -> None:
    """The method of the request line counts."""
    answer = shop_app.test_client().get("/api/v1/products", headers={name: "POST"})
    assert answer.status_code == 200
    assert answer.get_json()["data"]

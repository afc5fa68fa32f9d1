"""Errors as responses: what leaves, in which form, and that an unforeseen one leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, abort, request

from secure_api import errors
from secure_api.web.problems import register_problems
from secure_api.web.request_ids import register_request_ids
from tests.unit.conftest import BASE_URL

METADATA = f"{BASE_URL}/.well-known/oauth-protected-resource"


def app_that_raises(error: Exception) -> Flask:
    app = Flask("problems")
    app.config["MAX_CONTENT_LENGTH"] = 10
    register_request_ids(app)
    register_problems(app, BASE_URL, METADATA)

    @app.post("/raise")
    def view() -> Response:
        raise error

    @app.put("/raise")
    def put() -> Response:
        request.get_data()
        return Response()

    @app.get("/abort/<int:code>")
    def aborts(code: int) -> Response:
        abort(code, description="canary-description")

    return app


def problem_of(error: Exception) -> tuple[Any, dict[str, Any]]:
    answer = app_that_raises(error).test_client().post("/raise")
    assert answer.content_type == "application/problem+json"
    return answer, answer.get_json(force=True)


def test_an_error_of_ours_is_a_problem_with_its_public_part_only() -> None:
    error = errors.Conflict("It is shipped.", log_detail="canary-log", extensions={"state": "shipped"})
    answer, problem = problem_of(error)
    assert answer.status_code == 409
    assert problem == {
        "type": f"{BASE_URL}/problems/conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "It is shipped.",
        "state": "shipped",
        "request_id": answer.headers["X-Request-ID"],
    }


def test_an_error_without_a_public_text_has_no_detail() -> None:
    _, problem = problem_of(errors.NotFound(log_detail="canary-log"))
    assert "detail" not in problem


@pytest.mark.parametrize(
    "error",
    [
        ValueError("canary-secret"),
        KeyError("canary-secret"),
        RecursionError("canary-secret"),
        errors.SecureApiError(log_detail="canary-secret"),
        errors.UnscopedRead(log_detail="canary-secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_error_tells_the_caller_nothing_but_the_request_id(error: Exception) -> None:
    answer, problem = problem_of(error)
    assert answer.status_code == 500
    assert problem == {
        "type": f"{BASE_URL}/problems/internal-error",
        "title": "Internal error",
        "status": 500,
        "request_id": answer.headers["X-Request-ID"],
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [("GET", "/nowhere", 404, "not-found"), ("PUT", "/raise", 413, "payload-too-large")],
)
def test_an_error_of_the_framework_is_a_problem_too(method: str, path: str, status: int, slug: str) -> None:
    client = app_that_raises(ValueError()).test_client()
    answer = client.open(path, method=method, data=b"x" * 11)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.get_json(force=True)["type"] == f"{BASE_URL}/problems/{slug}"


def test_a_wrong_method_is_answered_with_the_right_ones() -> None:
    answer = app_that_raises(ValueError()).test_client().delete("/raise")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "OPTIONS, POST, PUT"


@pytest.mark.parametrize(
    ("code", "status"),
    [(400, 400), (403, 400), (404, 404), (405, 405), (410, 400), (413, 413), (415, 415), (418, 400), (500, 500)]
    + [(code, 500) for code in (501, 502, 503, 504)],
)
def test_no_text_of_the_framework_leaves(code: int, status: int) -> None:
    answer = app_that_raises(ValueError()).test_client().get(f"/abort/{code}")
    assert answer.status_code == status
    assert b"canary" not in answer.data


@pytest.mark.parametrize(
    ("error", "status", "challenge"),
    [
        (errors.AuthenticationRequired(), 401, f'Bearer resource_metadata="{METADATA}"'),
        (errors.InvalidToken("expired"), 401, f'Bearer error="invalid_token", resource_metadata="{METADATA}"'),
        (
            errors.InsufficientScope(["orders:write"]),
            403,
            f'Bearer error="insufficient_scope", scope="orders:write", resource_metadata="{METADATA}"',
        ),
        (
            errors.StepUpRequired(extensions={"acr_values": ["mfa"], "max_age": 300}),
            401,
            'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300", '
            f'resource_metadata="{METADATA}"',
        ),
        (errors.PermissionDenied(), 403, None),
        (errors.NotFound(), 404, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_carries_the_challenge_of_its_kind(
    error: errors.SecureApiError, status: int, challenge: str | None
) -> None:
    answer, _ = problem_of(error)
    assert (answer.status_code, answer.headers.get("WWW-Authenticate")) == (status, challenge)


def test_the_reason_of_a_refused_token_is_not_told() -> None:
    """Which check stopped a token would tell an attacker what to change."""
    answers = [problem_of(errors.InvalidToken(reason, log_detail=f"x {reason}")) for reason in ("expired", "unsigned")]
    first, second = [{**problem, "request_id": ""} for _, problem in answers]
    assert first == second


def test_a_limit_says_when_to_come_back() -> None:
    answer, problem = problem_of(errors.RateLimited(17))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "17")
    assert "17" not in str(problem["detail"])


@pytest.mark.parametrize(
    "error",
    [errors.LoginFailed("x", "Because <b>&", log_detail="canary-log"), ValueError("canary-secret")],
    ids=["ours", "unforeseen"],
)
def test_a_person_at_a_browser_gets_a_page(app: Flask, error: Exception) -> None:
    def fails() -> Response:
        raise error

    app.add_url_rule("/account/fails", endpoint="pages.fails", view_func=fails)
    answer = app.test_client().get("/account/fails")
    assert answer.mimetype == "text/html"
    assert answer.status_code == (400 if isinstance(error, errors.LoginFailed) else 500)
    assert b"canary" not in answer.data
    assert b"<b>" not in answer.data
    assert answer.headers["X-Request-ID"].encode() in answer.data


def test_a_person_who_is_not_signed_in_is_led_to_the_sign_in_page_and_back(app: Flask) -> None:
    answer = app.test_client().get("/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?return_to=/account")


def test_an_api_caller_is_never_led_to_a_page(app: Flask) -> None:
    answer = app.test_client().get("/api/v1/orders", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")


def test_every_problem_type_has_a_page(app: Flask) -> None:
    """The `type` of a problem is an address that explains it (RFC 9457 §3.1.1)."""
    client = app.test_client()
    kinds = [errors.SecureApiError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    slugs = {kind.slug for kind in kinds if not issubclass(kind, errors.StartupError)}
    assert len(slugs) > 15
    missing = {slug for slug in slugs if client.get(f"/problems/{slug}").status_code != 200}
    assert missing == set()


@pytest.mark.parametrize("slug", ["nowhere", "..%2f..%2fREADME", "%2e%2e", "Not-Found", "not-found.md", "not_found"])
def test_a_caller_cannot_read_another_file_as_a_problem_page(app: Flask, slug: str) -> None:
    """Only names of problem types are looked up."""
    assert app.test_client().get("/problems/not-found").status_code == 200
    assert app.test_client().get(f"/problems/{slug}").status_code == 404

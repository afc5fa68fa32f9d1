"""The second wall behind the SQL: a row that the closure does not allow stops the request, however it came."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import true

from secure_api.pipeline import scope
from secure_api.policy.decision import Decision, FunctionDecision
from secure_api.resources.orders.model import Order
from secure_api.seed import demo_id
from tests.unit.pipeline.callers import Callers

MINE, BOBS = demo_id("order", "Alice Ahlberg/1"), demo_id("order", "Bob Brandt/1")


@pytest.mark.parametrize("path", ["/api/v1/orders", f"/api/v1/orders/{BOBS}"])
def test_a_caller_cannot_get_a_row_that_a_defect_in_the_sql_let_through(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The request fails as a whole and shows nothing: the SQL and the closure must agree on every row."""
    cookie = callers.session_of("alice")
    assert callers.call("GET", "/api/v1/orders", cookie).status_code == 200
    monkeypatch.setattr(scope, "scope_expression", _everything)
    answer = callers.call("GET", path, cookie)
    assert answer.status_code == 500
    assert str(BOBS) not in answer.get_data(as_text=True)
    assert callers.call("GET", f"/api/v1/orders/{MINE}", cookie).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_caller_cannot_write_a_row_that_a_defect_in_the_sql_let_through(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What is loaded for a write is an object of the session, checked as every other."""
    cookie = callers.session_of("ada")
    options: dict[str, Any] = {"json": {"internal_note": "x"}} if method == "PATCH" else {}
    assert callers.call(method, f"/api/v1/orders/{MINE}", cookie, **options).status_code < 300
    monkeypatch.setattr(scope, "scope_expression", _everything)
    monkeypatch.setattr("secure_api.db.enforcement.Enforcement.decide", _refuse)
    assert callers.call(method, f"/api/v1/orders/{BOBS}", cookie, **options).status_code == 500
    order = callers.row(Order, BOBS)
    assert order is not None
    assert order.internal_note != "x"


def _everything(*_args: object, **_options: object) -> Any:
    return true()


def _refuse(_enforcement: object, grant: FunctionDecision, _values: object) -> Decision:
    return Decision(False, "default-deny", "", grant.policy_digest, missing="object")

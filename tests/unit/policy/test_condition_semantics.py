"""Three truth values: each trap that broke a prototype, as a small table."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from types import FunctionType
from uuid import UUID

import pytest

from secure_api.policy.closure import compile_condition
from secure_api.policy.normal_form import fails, holds
from secure_api.principal import Principal

from .conditions import CALLER, NOW, REQUEST, truth, typed

ONE, TWO = UUID(int=1), UUID(int=2)
STAFF = replace(CALLER, roles=frozenset({"manager"}), customer_id=ONE, acr="mfa")

CASES: list[tuple[str, dict[str, object], Principal, bool | None]] = [
    ("resource.total == 5", {"total": 5}, CALLER, True),
    ("resource.total == 5", {"total": 6}, CALLER, False),
    ("resource.total == 5", {"total": None}, CALLER, None),
    ("resource.total != 5", {"total": None}, CALLER, None),
    ("!(resource.total == 5)", {"total": None}, CALLER, None),
    ("!(resource.total < 5)", {"total": 5}, CALLER, True),
    ("!(resource.total < 5)", {"total": None}, CALLER, None),
    ("!(resource.total <= 5)", {"total": 5}, CALLER, False),
    # De Morgan, with unknown on one side
    ("!(resource.total == 5 && resource.archived)", {"total": 6, "archived": None}, CALLER, True),
    ("!(resource.total == 5 && resource.archived)", {"total": 5, "archived": None}, CALLER, None),
    ("!(resource.total == 5 || resource.archived)", {"total": 6, "archived": None}, CALLER, None),
    ("!(resource.total == 5 || resource.archived)", {"total": 6, "archived": False}, CALLER, True),
    ("resource.total == 5 || resource.archived", {"total": 5, "archived": None}, CALLER, True),
    # booleans
    ("resource.archived", {"archived": None}, CALLER, None),
    ("!resource.archived", {"archived": None}, CALLER, None),
    ("!resource.archived", {"archived": False}, CALLER, True),
    ("!!resource.archived", {"archived": True}, CALLER, True),
    ("resource.archived != true", {"archived": False}, CALLER, True),
    # an absent attribute of the caller matches no NULL
    ("resource.customer_id == principal.customer_id", {"customer_id": None}, CALLER, None),
    ("resource.customer_id != principal.customer_id", {"customer_id": ONE}, CALLER, None),
    ("resource.customer_id == principal.customer_id", {"customer_id": ONE}, STAFF, True),
    ("resource.customer_id == principal.customer_id", {"customer_id": TWO}, STAFF, False),
    # lists
    ("resource.total in [1, 2]", {"total": None}, CALLER, None),
    ("!(resource.total in [1, 2])", {"total": 3}, CALLER, True),
    ("!(resource.status in principal.roles)", {"status": None}, CALLER, None),
    ("!(resource.status in principal.roles)", {"status": "x"}, CALLER, True),
    ("resource.status in principal.roles", {"status": "x"}, CALLER, False),
    ('"manager" in principal.roles', {}, STAFF, True),
    ('"manager" in principal.roles', {}, CALLER, False),
    # presence
    ("has(resource.total)", {"total": None}, CALLER, False),
    ("has(resource.total)", {"total": 0}, CALLER, True),
    ("!has(resource.total)", {"total": None}, CALLER, True),
    ("has(principal.acr)", {}, CALLER, False),
    ("!has(principal.acr)", {}, STAFF, False),
    ("has(resource.customer.name)", {"customer": None, "customer.name": None}, CALLER, None),
    ("!has(resource.customer.name)", {"customer": None, "customer.name": None}, CALLER, None),
    ("!has(resource.customer.name)", {"customer": object(), "customer.name": None}, CALLER, True),
    ("!has(resource.customer)", {"customer": None}, CALLER, True),
    ("has(resource.customer)", {"customer": object()}, CALLER, True),
    # text is compared by code point
    ('resource.status == "a"', {"status": "A"}, CALLER, False),
    ('resource.status == "a"', {"status": "a "}, CALLER, False),
    # instants
    ("resource.created_at <= request.time", {"created_at": NOW}, CALLER, True),
    ("resource.created_at < request.time", {"created_at": NOW - timedelta(microseconds=1)}, CALLER, True),
    ('resource.created_at == timestamp("2026-03-01T14:00:00+02:00")', {"created_at": NOW}, CALLER, True),
    ('request.credential == "session" && principal.kind == "user"', {}, CALLER, True),
    ('request.acr == "mfa"', {}, STAFF, True),
    ('request.acr == "mfa"', {}, CALLER, None),
    ("always", {}, CALLER, True),
]


@pytest.mark.parametrize(("text", "row", "principal", "expected"), CASES)
def test_truth(text: str, row: dict[str, object], principal: Principal, expected: bool | None) -> None:
    """True, false or unknown, and never two of them."""
    assert truth(text, row, principal) is expected


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("resource.total != 7", {"total": "7"}),
        ("resource.total != 7", {"total": True}),
        ("resource.total != 7", {"total": 7.5}),
        ('resource.status != "a"', {"status": b"a"}),
        ("resource.customer_id != principal.customer_id", {"customer_id": str(ONE)}),
        ("resource.created_at != request.time", {"created_at": NOW.replace(tzinfo=None)}),
        ("resource.archived != true", {"archived": 0}),
        ("!resource.archived", {"archived": 0}),
    ],
)
def test_a_value_of_another_type_is_an_error_not_an_inequality(text: str, row: dict[str, object]) -> None:
    """`"7" != 7` would be true: a wrong type must stop the decision."""
    with pytest.raises(TypeError):
        compile_condition(holds(typed(text)))(row, STAFF, REQUEST, STAFF.roles)


def test_a_row_without_a_path_that_is_read_is_an_error() -> None:
    """A forgotten column is not NULL."""
    with pytest.raises(KeyError):
        truth("resource.total == 5", {})


def test_the_normal_form_holds_no_negation() -> None:
    """Every NOT has moved into a leaf, so both back-ends refuse to see one."""
    condition = typed("!(resource.total == 5 && !(resource.archived || !has(resource.status)))")
    for form in (holds(condition), fails(condition)):
        assert "Not(" not in str(form)
    with pytest.raises(TypeError):
        compile_condition(condition)


def test_what_a_policy_file_says_never_becomes_source() -> None:
    """Text enters the compiled function as a constant; it has no builtins, and names nothing but its arguments."""
    hostile = "\"] or __import__('os').system('false') or [\""
    text = f'resource.status == {json.dumps(hostile)} || resource.status in [{json.dumps(hostile)}, "k0"]'
    assert truth(text, {"status": hostile}) is True
    assert truth(text, {"status": "k0"}) is True
    assert truth(text, {"status": "other"}) is False
    function = compile_condition(holds(typed(text)))
    assert isinstance(function, FunctionType)
    assert function.__globals__["__builtins__"] == {}
    assert all(name in ("isinstance", "str") or re.fullmatch(r"k\d+", name) for name in function.__code__.co_names)

"""The policy files of this repository, against the real models. Each denial has its allowed twin first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from secure_api.db.policy_sql import schema_from_model
from secure_api.policy.loader import load_policies
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import ANONYMOUS, CredentialKind, Principal, PrincipalKind
from secure_api.resources.orders.model import Order
from secure_api.resources.products.model import Product

FOLDER = Path(__file__).parents[2] / "policies"
SCOPES = {"orders:read", "orders:write", "orders:delete", "products:read", "products:write", "products:delete"}
REQUEST = RequestAttributes(datetime(2026, 3, 1, tzinfo=UTC))
ALICE = Principal(
    PrincipalKind.USER,
    CredentialKind.ACCESS_TOKEN,
    customer_id=UUID(int=1),
    roles=frozenset({"customer"}),
    scopes=frozenset(SCOPES),
)
MANAGER = replace(ALICE, customer_id=None, roles=frozenset({"manager"}))
ADMIN = replace(MANAGER, roles=frozenset({"admin"}))


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    schemas = {"orders": schema_from_model(Order), "products": schema_from_model(Product)}
    return load_policies(FOLDER, schemas, known_scopes=SCOPES)


def order(customer: int = 1, *, archived: bool = False) -> dict[str, object]:
    return {"customer_id": UUID(int=customer), "archived": archived}


def test_customer_cannot_read_foreign_order(policies: PolicySet) -> None:
    """Own order: yes; the same action on another customer's: no."""
    for action in ("list", "read"):
        grant = policies.function_decision(ALICE, "orders", action)
        assert grant.decide(order(1), ALICE, REQUEST).allowed
        assert not grant.decide(order(2), ALICE, REQUEST).allowed


def test_customer_cannot_read_internal_note_or_cost_price(policies: PolicySet) -> None:
    """A manager reads both; they are in no list that a customer's decision could give."""
    manager = policies.function_decision(MANAGER, "orders", "read").decide(order(2), MANAGER, REQUEST)
    assert "internal_note" in manager.read_fields
    assert "cost_price_minor" in policies.function_decision(MANAGER, "products", "read").readable_fields
    assert "internal_note" not in policies.function_decision(ALICE, "orders", "read").readable_fields
    for caller in (ALICE, ANONYMOUS):
        assert "cost_price_minor" not in policies.function_decision(caller, "products", "read").readable_fields


@pytest.mark.parametrize(("action", "scope"), [("update", "orders:write"), ("delete", "orders:delete")])
def test_token_without_write_scope_cannot_change_order(policies: PolicySet, action: str, scope: str) -> None:
    """The scope is asked for by name."""
    assert policies.function_decision(ADMIN, "orders", action).allowed
    weak = replace(ADMIN, scopes=frozenset(SCOPES - {scope}))
    refused = policies.function_decision(weak, "orders", action)
    assert (refused.missing, refused.required_scopes) == ("scope", (scope,))


def test_manager_cannot_delete_order(policies: PolicySet) -> None:
    """Deleting is the admin's."""
    assert policies.function_decision(ADMIN, "orders", "delete").allowed
    assert policies.function_decision(MANAGER, "orders", "delete").missing == "role"


def test_admin_cannot_change_archived_order(policies: PolicySet) -> None:
    """Deny overrides whatever else allows."""
    for action in ("update", "delete"):
        grant = policies.function_decision(ADMIN, "orders", action)
        assert grant.decide(order(), ADMIN, REQUEST).allowed
        refused = grant.decide(order(archived=True), ADMIN, REQUEST)
        assert (refused.allowed, refused.rule_id) == (False, "orders.archived")


def test_anonymous_cannot_list_orders(policies: PolicySet) -> None:
    """Products are public, orders are not."""
    assert policies.function_decision(ANONYMOUS, "products", "list").allowed
    assert policies.function_decision(ANONYMOUS, "orders", "list").missing == "role"


def test_manager_cannot_create_product(policies: PolicySet) -> None:
    """A manager keeps prices and stock; an admin creates."""
    assert policies.function_decision(ADMIN, "products", "create").allowed
    assert policies.function_decision(MANAGER, "products", "update").writable_fields == ("price_minor", "stock")
    assert policies.function_decision(MANAGER, "products", "create").missing == "role"

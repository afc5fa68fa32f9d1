"""Decisions: who may use a function, which rule decides about a row, and which fields follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from secure_api.errors import PolicyFault
from secure_api.policy.decision import row_values_from
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.roles import Roles, read_roles
from secure_api.policy.rule_reader import Vocabulary, read_resource
from secure_api.policy.yaml_nodes import read_table
from secure_api.principal import ANONYMOUS, CredentialKind, Principal, PrincipalKind

from .conditions import CALLER, NOW, REQUEST, SCHEMA

ROLES = """\
version: 1
roles:
  customer: {}
  manager: {}
  admin: {inherits: [manager]}
"""
ORDERS = """\
version: 1
resource: orders
actions: [list, read, update, refund, delete, purge]
rules:
  - id: orders.own
    effect: allow
    roles: [customer]
    scopes: {list: orders:read, read: orders:read}
    actions: [list, read]
    when: resource.customer_id == principal.customer_id
    read: [status]
  - id: orders.cheap
    effect: allow
    roles: [customer]
    scopes: {list: orders:browse}
    actions: [list]
    when: resource.total < 100
    read: [total]
  - id: orders.all
    effect: allow
    roles: [manager]
    scopes: {read: orders:read}
    actions: [read]
    when: always
    read: [total]
    write: [status]
  - id: orders.open
    effect: allow
    roles: [anonymous]
    actions: [read]
    when: resource.status == "public"
    read: [status]
  - id: orders.update
    effect: allow
    roles: [manager]
    credentials: [session]
    actions: [update]
    when: always
    write: [status]
  - id: orders.archived
    effect: deny
    roles: ["*"]
    actions: [update, read]
    when: resource.archived
  - id: orders.no-keys
    effect: deny
    roles: [manager]
    credentials: [api_key]
    actions: [delete]
    when: always
  - id: orders.delete
    effect: allow
    roles: [manager]
    scopes: {delete: none}
    actions: [delete]
    when: always
  - id: orders.refund-small
    effect: allow
    roles: [manager]
    scopes: {refund: orders:refund}
    actions: [refund]
    when: resource.total <= 50
    write: [status]
  - id: orders.refund
    effect: allow
    roles: [manager]
    scopes: {refund: orders:refund}
    actions: [refund]
    when: resource.total <= 5000
    step_up: {acr: mfa, max_age_seconds: 300}
    write: [total]
"""
ONE, TWO = UUID(int=1), UUID(int=2)
CUSTOMER = replace(CALLER, roles=frozenset({"customer"}), customer_id=ONE)
MANAGER = replace(CALLER, roles=frozenset({"manager"}))
ADMIN = replace(CALLER, roles=frozenset({"admin"}))


def token(principal: Principal, *scopes: str) -> Principal:
    """The same caller through a delegated token."""
    return replace(principal, credential=CredentialKind.ACCESS_TOKEN, scopes=frozenset(scopes))


def roles_from(text: str) -> Roles:
    faults: list[PolicyFault] = []
    table = read_table(text.encode(), "policies/roles.yaml", faults)
    assert table is not None
    roles = read_roles(table, faults)
    assert faults == []
    return roles


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    roles, faults = roles_from(ROLES), list[PolicyFault]()
    table = read_table(ORDERS.encode(), "policies/orders.yaml", faults)
    assert table is not None
    policy = read_resource(table, "orders", Vocabulary(SCHEMA, roles.names, None), faults)
    assert faults == []
    return PolicySet({"orders": policy}, roles, "digest")


# --- functions -------------------------------------------------------------------------------------


def test_a_customer_may_use_its_function_and_no_other(policies: PolicySet) -> None:
    """Without a rule for one of its roles nothing is allowed."""
    assert policies.function_decision(CUSTOMER, "orders", "list").allowed
    refused = policies.function_decision(CUSTOMER, "orders", "delete")
    assert (refused.allowed, refused.missing, refused.rule_id) == (False, "role", "default-deny")


@pytest.mark.parametrize(("resource", "action"), [("orders", "explode"), ("invoices", "list"), ("orders", "purge")])
def test_nobody_can_use_an_undeclared_function(policies: PolicySet, resource: str, action: str) -> None:
    """Default deny: unknown resources, unknown actions, and actions without a rule."""
    assert policies.function_decision(ADMIN, "orders", "delete").allowed
    refused = policies.function_decision(ADMIN, resource, action)
    assert (refused.allowed, refused.missing) == (False, "role")
    assert not refused.decide({}, ADMIN, REQUEST).allowed


def test_an_admin_inherits_the_managers_functions_and_a_manager_not_the_customers(policies: PolicySet) -> None:
    """Inheritance goes up only."""
    assert policies.function_decision(ADMIN, "orders", "update").allowed
    assert not policies.function_decision(MANAGER, "orders", "list").allowed


def test_a_token_without_the_scope_is_refused_and_told_one_scope(policies: PolicySet) -> None:
    """One matching rule's scope suffices, so only that is asked for."""
    assert policies.function_decision(token(CUSTOMER, "orders:read"), "orders", "list").allowed
    refused = policies.function_decision(token(CUSTOMER, "products:read"), "orders", "list")
    assert (refused.allowed, refused.missing, refused.required_scopes) == (False, "scope", ("orders:read",))


def test_a_scope_opens_only_the_rules_that_ask_for_it(policies: PolicySet) -> None:
    """The rule whose scope is missing adds neither rows nor fields."""
    both = policies.function_decision(token(CUSTOMER, "orders:read", "orders:browse"), "orders", "list")
    assert [rule.id for rule in both.candidates] == ["orders.own", "orders.cheap"]
    assert both.readable_fields == ("status", "total")
    one = policies.function_decision(token(CUSTOMER, "orders:browse"), "orders", "list")
    assert [rule.id for rule in one.candidates] == ["orders.cheap"]
    assert not one.decide({"total": 100}, CUSTOMER, REQUEST).allowed


def test_a_credential_of_the_wrong_kind_is_refused(policies: PolicySet) -> None:
    """`credentials` limits the rule to the kinds it names."""
    assert policies.function_decision(MANAGER, "orders", "update").allowed
    refused = policies.function_decision(token(MANAGER, "orders:write"), "orders", "update")
    assert (refused.allowed, refused.missing) == (False, "credential")


def test_a_deny_rule_for_every_row_closes_the_function(policies: PolicySet) -> None:
    """It is known before any row is read, and named."""
    assert policies.function_decision(token(MANAGER), "orders", "delete").allowed
    key = replace(MANAGER, credential=CredentialKind.API_KEY)
    refused = policies.function_decision(key, "orders", "delete")
    assert (refused.allowed, refused.missing, refused.rule_id) == (False, None, "orders.no-keys")
    assert refused.source == "policies/orders.yaml:45"


def test_an_anonymous_caller_uses_public_rules_only_and_needs_no_scope(policies: PolicySet) -> None:
    """Everybody holds the role `anonymous`; an anonymous principal holds no other, whatever it claims."""
    decision = policies.function_decision(ANONYMOUS, "orders", "read")
    assert [rule.id for rule in decision.candidates] == ["orders.open"]
    claiming = replace(ANONYMOUS, roles=frozenset({"admin"}))
    assert [rule.id for rule in policies.function_decision(claiming, "orders", "read").candidates] == ["orders.open"]
    assert "orders.open" in {
        rule.id for rule in policies.function_decision(token(MANAGER, "x"), "orders", "read").candidates
    }


def test_a_user_without_a_credential_is_refused(policies: PolicySet) -> None:
    """Only the application itself acts without one."""
    bare = replace(MANAGER, credential=CredentialKind.NONE)
    assert policies.function_decision(bare, "orders", "delete").missing == "credential"
    service = replace(bare, kind=PrincipalKind.SERVICE)
    assert policies.function_decision(service, "orders", "delete").allowed


def test_decisions_are_remembered_apart_for_each_kind_of_caller(policies: PolicySet) -> None:
    """A remembered decision must not serve another credential, scope set or role set."""
    first = policies.function_decision(MANAGER, "orders", "delete")
    assert policies.function_decision(replace(MANAGER, subject="other"), "orders", "delete") is first
    others = [
        token(MANAGER),
        replace(MANAGER, roles=frozenset()),
        replace(MANAGER, kind=PrincipalKind.ANONYMOUS),
        replace(MANAGER, credential=CredentialKind.API_KEY),
    ]
    assert all(policies.function_decision(other, "orders", "delete") is not first for other in others)


def test_the_memory_of_decisions_is_bounded(policies: PolicySet) -> None:
    """Scopes come from tokens: a caller must not fill the memory with them."""
    for number in range(5_000):
        policies.function_decision(token(CUSTOMER, f"s{number}"), "orders", "list")
    assert len(policies._remembered) <= 4_096


# --- rows ------------------------------------------------------------------------------------------


def test_the_deciding_rule_is_named(policies: PolicySet) -> None:
    """The audit log needs the rule, its place and the digest."""
    grant = policies.function_decision(CUSTOMER, "orders", "list")
    allowed = grant.decide({"customer_id": ONE, "total": 500}, CUSTOMER, REQUEST)
    assert (allowed.allowed, allowed.rule_id, allowed.source) == (True, "orders.own", "policies/orders.yaml:5")
    assert allowed.policy_digest == "digest"
    refused = grant.decide({"customer_id": TWO, "total": 500}, CUSTOMER, REQUEST)
    assert (refused.allowed, refused.rule_id, refused.missing) == (False, "default-deny", "object")


def test_fields_are_the_union_over_the_matching_rules_only(policies: PolicySet) -> None:
    """A rule that does not match this row adds no field to it."""
    grant = policies.function_decision(CUSTOMER, "orders", "list")

    def fields(customer_id: UUID, total: int) -> frozenset[str]:
        return grant.decide({"customer_id": customer_id, "total": total}, CUSTOMER, REQUEST).read_fields

    assert fields(ONE, 5) == {"status", "total"}
    assert fields(ONE, 500) == {"status"}
    assert fields(TWO, 5) == {"total"}
    assert fields(TWO, 500) == frozenset()


@pytest.mark.parametrize(("archived", "allowed"), [(False, True), (True, False), (None, False)])
def test_a_deny_rule_fires_unless_definitely_false(policies: PolicySet, archived: bool | None, allowed: bool) -> None:
    """An unknown condition denies."""
    grant = policies.function_decision(MANAGER, "orders", "update")
    decision = grant.decide({"archived": archived}, MANAGER, REQUEST)
    assert decision.allowed is allowed
    assert decision.rule_id == ("orders.update" if allowed else "orders.archived")


def test_a_decision_that_fails_denies_and_says_why(policies: PolicySet) -> None:
    """A missing path or a wrong type is a refusal, not an exception and not a guess."""
    grant = policies.function_decision(CUSTOMER, "orders", "list")
    for row in ({}, {"customer_id": str(ONE), "total": 5}):
        decision = grant.decide(row, CUSTOMER, REQUEST)
        assert not decision.allowed
        assert decision.failure
        assert decision.read_fields == frozenset()


def test_a_closed_function_allows_no_row(policies: PolicySet) -> None:
    """Whoever forgets to look at `allowed` still gets a refusal."""
    grant = policies.function_decision(token(CUSTOMER), "orders", "list")
    decision = grant.decide({"customer_id": ONE, "total": 5}, CUSTOMER, REQUEST)
    assert (decision.allowed, decision.missing) == (False, "scope")


# --- step-up ---------------------------------------------------------------------------------------

STRONG = replace(MANAGER, acr="mfa", auth_time=NOW - timedelta(seconds=300))


@pytest.mark.parametrize(
    ("caller", "met"),
    [
        (STRONG, True),
        (replace(STRONG, auth_time=NOW - timedelta(seconds=301)), False),
        (replace(STRONG, auth_time=NOW + timedelta(seconds=60)), True),
        (replace(STRONG, auth_time=NOW + timedelta(seconds=61)), False),
        (replace(STRONG, auth_time=None), False),
        (replace(STRONG, acr="pwd"), False),
        (replace(STRONG, acr=None), False),
    ],
)
def test_step_up_asks_for_strength_and_age(policies: PolicySet, caller: Principal, met: bool) -> None:
    """Only what is missing is a login: then the decision says which."""
    decision = policies.function_decision(caller, "orders", "refund").decide({"total": 500}, caller, REQUEST)
    assert decision.allowed is met
    assert decision.rule_id == "orders.refund"
    assert (decision.step_up is None, decision.missing) == (met, None if met else "step_up")
    if decision.step_up:
        assert (decision.step_up.acr_values, decision.step_up.max_age_seconds) == (("mfa",), 300)
        assert decision.write_fields == frozenset()


def test_a_matching_rule_without_step_up_suffices_and_gives_its_own_fields(policies: PolicySet) -> None:
    """The fields of the rule whose login is missing are not added."""
    grant = policies.function_decision(MANAGER, "orders", "refund")
    weak = grant.decide({"total": 5}, MANAGER, REQUEST)
    assert (weak.allowed, weak.step_up) == (True, None)
    assert weak.write_fields == {"status"}
    assert grant.decide({"total": 5}, STRONG, REQUEST).write_fields == {"status", "total"}


def test_no_login_is_asked_for_a_row_that_no_rule_opens(policies: PolicySet) -> None:
    """Otherwise the answer would tell that the row exists."""
    decision = policies.function_decision(MANAGER, "orders", "refund").decide({"total": 9999}, MANAGER, REQUEST)
    assert (decision.allowed, decision.step_up, decision.missing) == (False, None, "object")


def test_a_function_knows_whether_every_rule_asks_for_a_login(policies: PolicySet) -> None:
    """For lists, which would otherwise just be empty."""
    refund = policies.function_decision(MANAGER, "orders", "refund")
    assert refund.step_up_for(MANAGER, REQUEST) is None
    strict = replace(refund, candidates=refund.candidates[1:])
    assert strict.step_up_for(MANAGER, REQUEST) is not None
    assert strict.step_up_for(STRONG, REQUEST) is None


# --- values ----------------------------------------------------------------------------------------


class _Thing:
    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


def test_row_values_walk_relations_and_stop_at_an_absent_one() -> None:
    """None stands for what is behind an absent relation; a missing attribute is an error."""
    customer = _Thing(name="Ann")
    row = _Thing(total=5, customer=customer, agent=None)
    values = row_values_from(row, ["total", "customer", "customer.name", "agent", "agent.name"])
    assert values == {"total": 5, "customer": customer, "customer.name": "Ann", "agent": None, "agent.name": None}
    with pytest.raises(AttributeError):
        row_values_from(row, ["totl"])
    with pytest.raises(AttributeError):
        row_values_from(row, ["customer.nmae"])


def test_roles_are_closed_over_inheritance() -> None:
    """Through several levels, and over a diamond."""
    roles = roles_from(
        "version: 1\nroles:\n  top: {inherits: [left, right]}\n  left: {inherits: [base]}\n"
        "  right: {inherits: [base]}\n  base: {}\n"
    )
    holder = replace(CALLER, roles=frozenset({"top", "withdrawn"}))
    assert roles.held_by(holder) == {"top", "left", "right", "base", "anonymous", "authenticated"}
    assert roles.held_by(ANONYMOUS) == {"anonymous"}

"""Explanations: the decision tree says what the decision did, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings

from secure_api.db.policy_sql import schema_from_model
from secure_api.errors import PolicyFault
from secure_api.policy.checker import check_condition
from secure_api.policy.explanation import Explanation, RuleExplanation, explain, explained_paths
from secure_api.policy.parser import parse_condition
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.rendering import condition_text
from secure_api.policy.rule_reader import Vocabulary, read_resource
from secure_api.policy.source import SourceText
from secure_api.policy.yaml_nodes import read_table
from secure_api.principal import ANONYMOUS, CredentialKind, Principal
from tests.policies.condition_world import Item, Pair, conditions

from .conditions import NOW, REQUEST, SCHEMA, typed
from .test_policy_decision import ADMIN, CUSTOMER, MANAGER, ONE, ORDERS, ROLES, TWO, roles_from, token


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    roles, faults = roles_from(ROLES), list[PolicyFault]()
    table = read_table(ORDERS.encode(), "policies/orders.yaml", faults)
    assert table is not None
    policy = read_resource(table, "orders", Vocabulary(SCHEMA, roles.names, None), faults)
    return PolicySet({"orders": policy}, roles, "digest")


WORLD = schema_from_model(Item)


def rule(explanation: Explanation, rule_id: str) -> RuleExplanation:
    (found,) = (rule for rule in explanation.rules if rule.rule_id == rule_id)
    return found


FULL = {"customer_id": ONE, "total": 500, "status": "paid", "archived": False}


@pytest.mark.parametrize(
    "caller", [CUSTOMER, MANAGER, ADMIN, ANONYMOUS, token(CUSTOMER), token(MANAGER, "orders:read")]
)
@pytest.mark.parametrize("action", ["list", "read", "update", "refund", "delete", "purge", "explode"])
@pytest.mark.parametrize("row", [FULL, FULL | {"customer_id": TWO}, FULL | {"archived": None}, FULL | {"total": "5"}])
def test_the_explanation_ends_where_the_decision_ended(
    policies: PolicySet, caller: Principal, action: str, row: dict[str, object]
) -> None:
    """Effect, rule, place, what is missing and the fields are the decision's own; some rule accounts for it."""
    decision = policies.function_decision(caller, "orders", action).decide(row, caller, REQUEST)
    shown = explain(policies, caller, "orders", action, row, REQUEST)
    assert (shown.effect == "allow", shown.rule_id, shown.source) == (
        decision.allowed,
        decision.rule_id,
        decision.source,
    )
    assert (shown.missing, shown.failure) == (decision.missing, decision.failure)
    assert (shown.read_fields, shown.write_fields) == (decision.read_fields, decision.write_fields)
    statuses = [rule.status for rule in shown.rules]
    assert decision.allowed == ("matches" in statuses and not {"fires", "failed"} & set(statuses))


def test_a_foreign_row_is_explained_with_the_values_that_differ(policies: PolicySet) -> None:
    """Own row: the node is true. Foreign row: the same node is false, and both values are shown."""
    own = rule(explain(policies, CUSTOMER, "orders", "list", FULL, REQUEST), "orders.own")
    assert (own.status, own.condition.truth, own.missing) == ("matches", "true", None)
    refused = explain(policies, CUSTOMER, "orders", "list", FULL | {"customer_id": TWO}, REQUEST)
    foreign = rule(refused, "orders.own")
    assert (refused.effect, refused.missing) == ("deny", "object")
    assert (foreign.status, foreign.missing, foreign.condition.truth) == ("no_match", "object", "false")
    assert foreign.condition.text == "resource.customer_id == principal.customer_id"
    assert [(value.name, value.value) for value in foreign.condition.values] == [
        ("resource.customer_id", TWO),
        ("principal.customer_id", ONE),
    ]


def test_what_is_missing_is_named_for_each_rule(policies: PolicySet) -> None:
    """Role, scope, credential kind and sign-in, each where it is the obstacle."""
    weak = token(CUSTOMER, "orders:browse")
    listed = explain(policies, weak, "orders", "list", FULL, REQUEST)
    assert (rule(listed, "orders.own").missing, rule(listed, "orders.own").required_scope) == ("scope", "orders:read")
    assert rule(listed, "orders.cheap").missing == "object"
    assert rule(explain(policies, CUSTOMER, "orders", "delete", FULL, REQUEST), "orders.delete").missing == "role"
    key = replace(MANAGER, credential=CredentialKind.API_KEY)
    assert rule(explain(policies, key, "orders", "update", FULL, REQUEST), "orders.update").missing == "credential"
    refund = explain(policies, MANAGER, "orders", "refund", FULL, REQUEST)
    assert (refund.effect, refund.missing, refund.rule_id) == ("step_up", "step_up", "orders.refund")
    assert rule(refund, "orders.refund").status == "needs_step_up"
    strong = replace(MANAGER, acr="mfa", auth_time=NOW - timedelta(seconds=5))
    assert explain(policies, strong, "orders", "refund", FULL, REQUEST).effect == "allow"


def test_an_unknown_deny_is_shown_as_unknown_and_fires(policies: PolicySet) -> None:
    """The reader of an explanation sees why a NULL denied."""
    shown = explain(policies, MANAGER, "orders", "update", FULL | {"archived": None}, REQUEST)
    denied = rule(shown, "orders.archived")
    assert (shown.effect, shown.rule_id) == ("deny", "orders.archived")
    assert (denied.status, denied.condition.truth) == ("fires", "unknown")


def test_without_a_row_what_reads_it_depends_on_the_row(policies: PolicySet) -> None:
    """The function alone: allowed rows cannot be known, and a rule that reads no row is decided."""
    shown = explain(policies, MANAGER, "orders", "update", None, REQUEST)
    assert (shown.effect, shown.rule_id) == ("depends_on_row", "")
    assert rule(shown, "orders.archived").status == "depends_on_row"
    assert rule(shown, "orders.update").status == "matches"
    assert explain(policies, MANAGER, "orders", "delete", None, REQUEST).effect == "allow"
    assert explain(policies, CUSTOMER, "orders", "delete", None, REQUEST).missing == "role"


def test_paths_of_rules_for_others_are_explained_as_well(policies: PolicySet) -> None:
    """So that the row can be fetched with all that the tree shows."""
    assert explained_paths(policies, "orders", "read") == ("customer_id", "status", "archived")
    assert explained_paths(policies, "orders", "explode") == ()


def test_terms_are_explained_one_by_one() -> None:
    """Each node of a condition has its own truth value, also where a row is incomplete."""
    text = '!(resource.archived || resource.total > 5) && principal.acr == "mfa"'
    roles, faults = roles_from(ROLES), list[PolicyFault]()
    file = f"""\
version: 1
resource: orders
actions: [read]
rules:
  - id: orders.r
    effect: allow
    roles: [manager]
    scopes: {{read: none}}
    actions: [read]
    when: '{text}'
"""
    table = read_table(file.encode(), "policies/orders.yaml", faults)
    assert table is not None
    policy = read_resource(table, "orders", Vocabulary(SCHEMA, roles.names, None), faults)
    table_of_rules = PolicySet({"orders": policy}, roles, "digest")

    def node(row: dict[str, object] | None) -> list[str]:
        condition = explain(table_of_rules, MANAGER, "orders", "read", row, REQUEST).rules[0].condition
        negation, acr = condition.terms
        (either,) = negation.terms
        return [condition.truth, negation.truth, either.truth, *(term.truth for term in either.terms), acr.truth]

    assert node({"archived": False, "total": 7}) == ["false", "false", "true", "false", "true", "unknown"]
    assert node({"archived": None, "total": 3}) == ["unknown", "unknown", "unknown", "unknown", "false", "unknown"]
    assert node({"archived": 1, "total": 3})[3] == "failed"
    assert node({"archived": True}) == ["false", "false", "true", "true", "depends_on_row", "unknown"]
    assert node(None)[0] == "depends_on_row"


@pytest.mark.parametrize(
    "text",
    [
        "always",
        '!(resource.status in ["a\\"b\\\\", "c\\n"])',
        'resource.created_at > timestamp("2026-01-31T00:00:00.000001Z")',
        "(resource.archived || !has(resource.customer)) && resource.total != -5",
        f'resource.customer_id == "{UUID(int=7)}" || "manager" in principal.roles',
    ],
)
def test_a_condition_is_written_as_it_is_read(text: str) -> None:
    """The text of a tree parses to the same tree."""
    assert condition_text(typed(text)) == text


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(conditions())
def test_random_conditions_survive_the_way_to_text_and_back(pair: Pair) -> None:
    """Otherwise the explanation would show another condition than the one that decided."""

    def tree(text: str) -> object:
        source = SourceText(text)
        return check_condition(parse_condition(source), WORLD, source)

    first = tree(pair.ours)
    assert tree(condition_text(first)) == first  # type: ignore[arg-type]

"""Explanations: why a decision fell as it did, for an operator. None of it may reach a response.

Every truth value comes from the closures that decide (`closure.py`), node by node: a condition is true
where its normal form holds, false where that of its negation does, and unknown where neither does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from secure_api.policy.closure import compile_condition
from secure_api.policy.decision import Decision, FunctionDecision, Missing
from secure_api.policy.model import Effect, Rule, StepUp
from secure_api.policy.normal_form import fails, holds
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.rendering import condition_text, operand_text
from secure_api.policy.schema import RequestAttributes
from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Container,
    Leaf,
    Membership,
    Not,
    Operand,
    Or,
    Presence,
    PrincipalAttribute,
    RelationPath,
    RequestAttribute,
    ResourcePath,
    Truth,
    row_paths_of,
)
from secure_api.principal import Principal

Effective = Literal["allow", "deny", "step_up", "depends_on_row"]
TruthValue = Literal["true", "false", "unknown", "depends_on_row", "failed"]
RuleStatus = Literal[
    "not_open",  # the caller lacks what `missing` names, so the condition was not asked
    "matches",
    "no_match",
    "needs_step_up",  # the condition matches, the sign-in is too weak or too old
    "fires",
    "does_not_fire",
    "depends_on_row",
    "failed",  # an exception: the whole decision is a refusal
]


@dataclass(frozen=True, slots=True)
class ValueRead:
    """One value that a condition looked at; None stands for an absent one."""

    name: str  # "resource.customer_id", "principal.roles"
    value: object


@dataclass(frozen=True, slots=True)
class ConditionNode:
    """One node of a condition: its text, its truth value, what it read, and the nodes inside it."""

    text: str
    truth: TruthValue
    values: tuple[ValueRead, ...] = ()
    terms: tuple[ConditionNode, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """What one rule had to say. `required_scope` is set where a delegated token must carry one."""

    rule_id: str
    source: str
    effect: Effect
    status: RuleStatus
    missing: Missing | None
    required_scope: str | None
    step_up: StepUp | None
    condition: ConditionNode
    read: tuple[str, ...]
    write: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole decision tree. `effect`, `rule_id`, `source`, `missing` and `failure` are the decision's own.

    `depends_on_row` stands where no row was given and the rules read one.
    """

    resource: str
    action: str
    effect: Effective
    rule_id: str
    source: str
    policy_digest: str
    missing: Missing | None
    required_scopes: tuple[str, ...]
    step_up: StepUp | None
    read_fields: frozenset[str]
    write_fields: frozenset[str]
    failure: str
    roles: frozenset[str]
    rules: tuple[RuleExplanation, ...]  # every rule of the action, in the order of the file


def explained_paths(policies: PolicySet, resource: str, action: str) -> tuple[str, ...]:
    """The dotted paths of the row that the rules of an action read, rules of other callers included."""
    paths = (path for rule in _rules(policies, resource, action) for path in rule.paths)
    return tuple(dict.fromkeys(paths))


def explain(
    policies: PolicySet,
    principal: Principal,
    resource: str,
    action: str,
    row_values: Mapping[str, object] | None,
    request: RequestAttributes,
) -> Explanation:
    """The decision of `FunctionDecision.decide`, with the truth value of every node of every rule.

    Args:
        policies: the loaded table.
        principal: the caller.
        resource: as the files name it; an unknown one is denied to everybody.
        action: likewise.
        row_values: a value for each of `explained_paths`, None where it is absent. None as a whole asks
            about the function alone: what reads the row then "depends on the row".
        request: what else conditions may ask.
    """
    grant = policies.function_decision(principal, resource, action)
    open_question = row_values is None and grant.allowed and bool(grant.condition_paths)
    decision = grant.decide(row_values or {}, principal, request)
    return Explanation(
        resource=resource,
        action=action,
        effect="depends_on_row" if open_question else _effect(decision),
        rule_id="" if open_question else decision.rule_id,
        source="" if open_question else decision.source,
        policy_digest=grant.policy_digest,
        missing=None if open_question else decision.missing,
        required_scopes=grant.required_scopes,
        step_up=None if open_question else decision.step_up,
        read_fields=frozenset(grant.readable_fields) if open_question else decision.read_fields,
        write_fields=frozenset(grant.writable_fields) if open_question else decision.write_fields,
        failure="" if open_question else decision.failure,
        roles=grant.roles,
        rules=tuple(
            _RuleView(grant, principal, row_values, request).of(rule) for rule in _rules(policies, resource, action)
        ),
    )


def _rules(policies: PolicySet, resource: str, action: str) -> list[Rule]:
    policy = policies.resources.get(resource)
    return [rule for rule in policy.rules if action in rule.actions] if policy else []


def _effect(decision: Decision) -> Effective:
    return "step_up" if decision.step_up else "allow" if decision.allowed else "deny"


class _RuleView:
    def __init__(
        self,
        grant: FunctionDecision,
        principal: Principal,
        row_values: Mapping[str, object] | None,
        request: RequestAttributes,
    ) -> None:
        self._action = grant.action
        self._row = row_values if row_values is not None else {}
        self._principal = principal
        self._request = request
        self._roles = grant.roles

    def of(self, rule: Rule) -> RuleExplanation:
        missing, node = self._missing(rule), self._node(rule.condition)
        status: RuleStatus = "not_open" if missing else self._status(rule, node.truth)
        if status == "needs_step_up":
            missing = "step_up"
        elif status == "no_match":
            missing = "object"
        return RuleExplanation(
            rule.id,
            rule.source,
            rule.effect,
            status,
            missing,
            rule.scopes.get(self._action),
            rule.step_up,
            node,
            rule.read,
            rule.write,
        )

    def _missing(self, rule: Rule) -> Missing | None:
        if not rule.concerns(self._roles):
            return "role"
        if not rule.accepts_credential(self._principal):
            return "credential"
        return None if rule.accepts_scopes(self._principal, self._action) else "scope"

    def _status(self, rule: Rule, truth: TruthValue) -> RuleStatus:
        if truth in ("failed", "depends_on_row"):
            return truth
        if rule.effect is Effect.DENY:
            return "does_not_fire" if truth == "false" else "fires"
        if truth != "true":
            return "no_match"
        met = rule.step_up is None or rule.step_up.is_met(self._principal, self._request)
        return "matches" if met else "needs_step_up"

    # --- conditions ---

    def _node(self, condition: Condition) -> ConditionNode:
        match condition:
            case And(terms) | Or(terms):
                inner = tuple(map(self._node, terms))
                return ConditionNode(condition_text(condition), self._truth(condition, inner), (), inner)
            case Not(term):
                inner = (self._node(term),)
                return ConditionNode(condition_text(condition), self._truth(condition, inner), (), inner)
            case _:
                return ConditionNode(
                    condition_text(condition), self._truth(condition, ()), tuple(self._values(condition))
                )

    def _truth(self, condition: Condition, terms: tuple[ConditionNode, ...]) -> TruthValue:
        absent = any(".".join(path) not in self._row for path in row_paths_of(condition))
        if absent:
            return _settled(condition, {term.truth for term in terms})
        try:
            is_true, is_false = (
                compile_condition(form(condition))(self._row, self._principal, self._request, self._roles)
                for form in (holds, fails)
            )
        except Exception:  # as in `decide`: whatever it was, the decision is a refusal
            return "failed"
        return "true" if is_true else "false" if is_false else "unknown"

    def _values(self, leaf: Leaf) -> Iterator[ValueRead]:
        for side in _sides(leaf):
            name = operand_text(side)
            if isinstance(side, ResourcePath | RelationPath):
                if (key := ".".join(side.path)) in self._row:
                    yield ValueRead(name, self._row[key])
            elif isinstance(side, PrincipalAttribute) and side.name == "roles":
                yield ValueRead(name, tuple(sorted(self._roles)))
            elif isinstance(side, RequestAttribute) and side.name == "time":
                yield ValueRead(name, self._request.time)
            elif isinstance(side, PrincipalAttribute | RequestAttribute):
                yield ValueRead(name, getattr(self._principal, side.name))


def _settled(condition: Condition, terms: set[TruthValue]) -> TruthValue:
    """Where the row is not all there: what one term settles is settled, the rest depends on the row."""
    match condition:
        case And() if "false" in terms:
            return "false"
        case Or() if "true" in terms:
            return "true"
        case Not() if terms == {"true"}:
            return "false"
        case Not() if terms == {"false"}:
            return "true"
        case _:
            return "depends_on_row"


def _sides(leaf: Leaf) -> tuple[Operand | Container | RelationPath, ...]:
    match leaf:
        case Comparison(_, left, right):
            return (left, right)
        case Membership(item, container):
            return (item, container)
        case Presence(subject) | Truth(subject):
            return (subject,)
        case Always():
            return ()
        case _:
            assert_never(leaf)

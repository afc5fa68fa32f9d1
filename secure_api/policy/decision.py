"""Decisions: first about the function, before any row is read; then about each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from secure_api.policy.closure import Facts
from secure_api.policy.model import DEFAULT_DENY, Rule, StepUp
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import Principal

Missing = Literal["role", "credential", "scope", "object", "step_up"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome for one row. `allowed` is true only if nothing at all is missing.

    `rule_id` and `source` name the rule that decided: the first allow rule that matched, the deny
    rule that fired, or `default-deny`. Fields are the union over the matching allow rules. Where
    only a stronger login is missing, `allowed` is false and `step_up` says which. None of this may
    reach a response, except `step_up`.
    """

    allowed: bool
    rule_id: str
    source: str
    policy_digest: str
    read_fields: frozenset[str] = frozenset()
    write_fields: frozenset[str] = frozenset()
    step_up: StepUp | None = None
    missing: Missing | None = None
    failure: str = ""  # the exception that an evaluation ended with; for the log


@dataclass(frozen=True, slots=True)
class FunctionDecision:
    """Whether a principal may use a function at all, and the rules that decide about rows.

    `allowed` false means 403 before any row is read. `missing` then says why; None stands for a deny
    rule that fires for every row. Holds nothing of the principal but its effective roles, so it
    serves every principal with the same roles, scopes and kind of credential.
    """

    resource: str
    action: str
    allowed: bool
    missing: Missing | None
    rule_id: str
    source: str
    policy_digest: str
    roles: frozenset[str]
    required_scopes: tuple[str, ...] = ()  # what to name in the challenge where a scope is missing
    candidates: tuple[Rule, ...] = ()  # the allow rules open to this principal
    denies: tuple[Rule, ...] = ()
    condition_paths: tuple[str, ...] = ()  # dotted paths that `decide` needs in `row_values`
    readable_fields: tuple[str, ...] = ()  # union over the candidates: what a query has to select
    writable_fields: tuple[str, ...] = ()
    _outcomes: dict[int, Decision] = field(default_factory=dict, compare=False, repr=False)

    def decide(self, row_values: Mapping[str, object], principal: Principal, request: RequestAttributes) -> Decision:
        """The decision for one row. Deny overrides; nothing matching denies; so does any exception.

        Args:
            row_values: a value for each of `condition_paths`, None where it is absent.
            principal: the one that this function decision was made for.
            request: what else conditions may ask.
        """
        if not self.allowed:
            return self.refusal()
        try:
            facts = Facts(row_values, principal, request, self.roles)
            for rule in self.denies:
                if not rule.test(facts):
                    return self._denied_by(rule)
            matching, bit, unmet = 0, 1, None
            for rule in self.candidates:
                if rule.test(facts):
                    if rule.step_up is None or rule.step_up.is_met(principal, request):
                        matching |= bit
                    elif unmet is None:
                        unmet = rule
                bit <<= 1
            if matching:
                return self._outcomes.get(matching) or self._allowed_by(matching)
            return self._unmet(unmet) if unmet else self.refusal("object")
        except Exception as error:  # a decision that could not be made is a refusal
            return self.refusal("object", failure=f"{type(error).__name__}: {error}")

    def step_up_for(self, principal: Principal, request: RequestAttributes) -> StepUp | None:
        """The login to ask for where every rule demands a stronger one than this; None if one rule is content."""
        if any(rule.step_up is None or rule.step_up.is_met(principal, request) for rule in self.candidates):
            return None
        return next((rule.step_up for rule in self.candidates), None)

    def refusal(self, missing: Missing | None = None, *, failure: str = "") -> Decision:
        """The decision that refuses for want of something, or by the rule that closed the function."""
        return Decision(
            False, self.rule_id, self.source, self.policy_digest, missing=missing or self.missing, failure=failure
        )

    def _denied_by(self, rule: Rule) -> Decision:
        return Decision(False, rule.id, rule.source, self.policy_digest)

    def _unmet(self, rule: Rule) -> Decision:
        return Decision(False, rule.id, rule.source, self.policy_digest, step_up=rule.step_up, missing="step_up")

    def _allowed_by(self, matching: int) -> Decision:
        """The decision for a set of matching rules, kept: there are few sets, and many rows."""
        rules = [rule for index, rule in enumerate(self.candidates) if matching >> index & 1]
        decision = Decision(
            True,
            rules[0].id,
            rules[0].source,
            self.policy_digest,
            read_fields=frozenset(name for rule in rules for name in rule.read),
            write_fields=frozenset(name for rule in rules for name in rule.write),
        )
        self._outcomes[matching] = decision
        return decision


def row_values_from(row: object, paths: Iterable[str]) -> dict[str, object]:
    """The value of each dotted path, walking attributes; None behind an absent relation.

    Raises:
        AttributeError: if the object lacks an attribute that it should have.
    """
    return {path: getattr(row, path) if "." not in path else _walk(row, path) for path in paths}


def _walk(row: object, path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        if value is None:
            return None
        value = attrgetter(part)(value)
    return value


def open_function(
    resource: str,
    action: str,
    roles: frozenset[str],
    candidates: tuple[Rule, ...],
    denies: tuple[Rule, ...],
    digest: str,
) -> FunctionDecision:
    """The function decision that leaves the rest to the rows."""
    return FunctionDecision(
        resource=resource,
        action=action,
        allowed=True,
        missing=None,
        rule_id=DEFAULT_DENY,
        source="",
        policy_digest=digest,
        roles=roles,
        candidates=candidates,
        denies=denies,
        condition_paths=tuple(dict.fromkeys(path for rule in (*denies, *candidates) for path in rule.paths)),
        readable_fields=tuple(dict.fromkeys(name for rule in candidates for name in rule.read)),
        writable_fields=tuple(dict.fromkeys(name for rule in candidates for name in rule.write)),
    )

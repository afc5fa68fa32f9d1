"""Decisions: first about the function, before any row is read; then about each row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from secure_api.policy.model import DEFAULT_DENY, Rule, StepUp
from secure_api.policy.rows import RowFunction, row_function
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

    `decide(row_values, principal, request)` gives the `Decision` for one row. Deny overrides; nothing
    matching denies; so does any exception. `row_values` holds a value for each of `condition_paths`,
    None where it is absent. A path that ends in a relation, as `has(resource.customer)` reads it, holds
    None where there is no such row, and anything else where there is one.
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
    decide: RowFunction[Decision] = field(init=False, compare=False, repr=False)
    # What a back-end prepared for this decision, under keys of its own; see `db/policy_sql.py`.
    prepared: dict[object, Any] = field(init=False, compare=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decide", self._row_function() if self.allowed else self._closed())

    def step_up_for(self, principal: Principal, request: RequestAttributes) -> StepUp | None:
        """The login to ask for where every rule demands a stronger one than this; None if one rule is content."""
        if any(rule.step_up is None or rule.step_up.is_met(principal, request) for rule in self.candidates):
            return None
        return next((rule.step_up for rule in self.candidates), None)

    def _row_function(self) -> RowFunction[Decision]:
        return row_function(
            tuple(rule.normal for rule in self.denies),
            tuple((rule.normal, rule.step_up.is_met if rule.step_up else None) for rule in self.candidates),
            self.roles,
            denied=tuple(self._refused_by(rule) for rule in self.denies),
            unmet=tuple(
                self._refused_by(rule, step_up=rule.step_up, missing="step_up") if rule.step_up else None
                for rule in self.candidates
            ),
            matched=_Allowed(self.candidates, self.policy_digest),
            nothing=self._refusal("object"),
            failed=lambda error: self._refusal("object", failure=f"{type(error).__name__}: {error}"),
        )

    def _closed(self) -> RowFunction[Decision]:
        refusal = self._refusal(self.missing)
        return lambda _row, _principal, _request: refusal

    def _refusal(self, missing: Missing | None, *, failure: str = "") -> Decision:
        """The decision that refuses for want of something, or by the rule that closed the function."""
        return Decision(False, self.rule_id, self.source, self.policy_digest, missing=missing, failure=failure)

    def _refused_by(self, rule: Rule, step_up: StepUp | None = None, missing: Missing | None = None) -> Decision:
        return Decision(False, rule.id, rule.source, self.policy_digest, step_up=step_up, missing=missing)


class _Allowed(dict[int, Decision]):
    """The decision for each set of matching rules, made when it is first asked for: few sets, many rows."""

    def __init__(self, candidates: tuple[Rule, ...], digest: str) -> None:
        super().__init__()
        self._candidates = candidates
        self._digest = digest

    def __missing__(self, matching: int) -> Decision:
        rules = [rule for index, rule in enumerate(self._candidates) if matching >> index & 1]
        decision = Decision(
            True,
            rules[0].id,
            rules[0].source,
            self._digest,
            read_fields=frozenset(name for rule in rules for name in rule.read),
            write_fields=frozenset(name for rule in rules for name in rule.write),
        )
        self[matching] = decision
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

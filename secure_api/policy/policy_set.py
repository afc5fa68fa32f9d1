"""All policies of the application: one immutable table, replaced as a whole on reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secure_api.policy.decision import FunctionDecision, Missing, open_function
from secure_api.policy.model import DEFAULT_DENY, Effect, ResourcePolicy, Rule
from secure_api.policy.roles import Roles
from secure_api.principal import Principal

# Scopes come from tokens, so callers choose the keys: the table must not grow with them.
_MAX_REMEMBERED = 4_096


@dataclass(frozen=True)
class PolicySet:
    """Decides about functions. `digest` is the SHA-256 of the files it was loaded from."""

    resources: Mapping[str, ResourcePolicy]
    roles: Roles
    digest: str
    _remembered: dict[object, FunctionDecision] = field(default_factory=dict, compare=False, repr=False)

    @property
    def permissions(self) -> frozenset[str]:
        """Every `resource:action` that the files declare."""
        return frozenset(f"{name}:{action}" for name, policy in self.resources.items() for action in policy.actions)

    def all_fields(self, resource: str) -> frozenset[str]:
        """Every field that some rule lets someone read."""
        return frozenset(name for rule in self.resources[resource].rules for name in rule.read)

    def function_decision(self, principal: Principal, resource: str, action: str) -> FunctionDecision:
        """Whether the principal may use the function at all. An undeclared one is denied to everybody."""
        key = (resource, action, principal.roles, principal.scopes, principal.credential, principal.kind)
        found = self._remembered.get(key)
        if found is None:
            found = self._decide(principal, resource, action)
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _decide(self, principal: Principal, resource: str, action: str) -> FunctionDecision:
        roles = self.roles.held_by(principal)
        policy = self.resources.get(resource)
        rules = [rule for rule in policy.rules if action in rule.actions and rule.concerns(roles)] if policy else []
        denies = tuple(rule for rule in rules if rule.effect is Effect.DENY and rule.accepts_credential(principal))
        by_role = [rule for rule in rules if rule.effect is Effect.ALLOW]
        by_credential = [rule for rule in by_role if rule.accepts_credential(principal)]
        candidates = tuple(rule for rule in by_credential if rule.accepts_scopes(principal, action))

        def closed(missing: Missing | None, by: Rule | None = None, scopes: tuple[str, ...] = ()) -> FunctionDecision:
            rule_id, source = (by.id, by.source) if by else (DEFAULT_DENY, "")
            return FunctionDecision(resource, action, False, missing, rule_id, source, self.digest, roles, scopes)

        if not by_role:
            return closed("role")
        if not by_credential:
            return closed("credential")
        if not candidates:
            # One rule suffices, so the first one's scope is named: asking for all would be too much.
            return closed("scope", scopes=(by_credential[0].scopes[action],))
        for rule in denies:
            if rule.is_unconditional:
                return closed(None, by=rule)
        return open_function(resource, action, roles, candidates, denies, self.digest)

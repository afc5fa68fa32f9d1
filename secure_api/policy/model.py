"""The rules as loaded: frozen, typed, with their conditions compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from secure_api.policy.schema import RequestAttributes, ResourceSchema
from secure_api.policy.tree import Always, Condition
from secure_api.principal import CredentialKind, Principal, PrincipalKind

DEFAULT_DENY = "default-deny"
EVERY_ROLE = "*"
ANONYMOUS_ROLE = "anonymous"  # held by every principal, authenticated or not: what it may do is public
AUTHENTICATED_ROLE = "authenticated"  # held by every principal that is not anonymous
BUILT_IN_ROLES = frozenset({ANONYMOUS_ROLE, AUTHENTICATED_ROLE})

# A clock that runs ahead of ours by more than this has no say about how fresh a login is.
_CLOCK_SKEW_SECONDS = 60


class Effect(StrEnum):
    """What a rule does where it applies."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class StepUp:
    """The authentication that a rule demands (RFC 9470 §3): one of the acr values, recent enough."""

    acr_values: tuple[str, ...]
    max_age_seconds: int | None

    def is_met(self, principal: Principal, request: RequestAttributes) -> bool:
        """True if the principal authenticated strongly and recently enough; an unknown time is too old."""
        if self.acr_values and principal.acr not in self.acr_values:
            return False
        if self.max_age_seconds is None:
            return True
        if principal.auth_time is None:
            return False
        age_seconds = (request.time - principal.auth_time).total_seconds()
        return -_CLOCK_SKEW_SECONDS <= age_seconds <= self.max_age_seconds


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy file.

    `normal` is the condition in the normal form that both back-ends take. For an allow rule it says "the
    condition is definitely true". For a deny rule it says "definitely false": where that is not so, the
    rule fires.
    """

    id: str
    effect: Effect
    roles: frozenset[str]
    actions: frozenset[str]
    scopes: Mapping[str, str]  # action -> scope; an absent action needs none
    credentials: frozenset[CredentialKind] | None  # None: every authenticated kind
    condition: Condition
    normal: Condition
    paths: tuple[str, ...]  # what of the row the condition reads, dotted
    read: tuple[str, ...]
    write: tuple[str, ...]
    step_up: StepUp | None
    source: str  # "policies/orders.yaml:12"

    @property
    def is_unconditional(self) -> bool:
        """True if no row and no caller changes the outcome."""
        return isinstance(self.condition, Always)

    def concerns(self, roles: frozenset[str]) -> bool:
        """True if the rule is for one of these effective roles, or for everybody."""
        return EVERY_ROLE in self.roles or not self.roles.isdisjoint(roles)

    def accepts_credential(self, principal: Principal) -> bool:
        """True if the rule is open to the kind of credential that the principal came with."""
        if self.credentials is not None:
            return principal.credential in self.credentials
        if self.effect is Effect.DENY or ANONYMOUS_ROLE in self.roles:
            return True
        # Only this application itself acts without a credential and is still not anonymous.
        return principal.credential is not CredentialKind.NONE or principal.kind is PrincipalKind.SERVICE

    def accepts_scopes(self, principal: Principal, action: str) -> bool:
        """True if the credential carries the scope that the rule asks for this action."""
        scope = self.scopes.get(action)
        # An anonymous caller was delegated nothing, so nothing can be missing.
        return scope is None or principal.kind is PrincipalKind.ANONYMOUS or principal.holds_scope(scope)


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """All rules of one resource, in the order of the file."""

    name: str
    schema: ResourceSchema
    actions: tuple[str, ...]
    rules: tuple[Rule, ...]

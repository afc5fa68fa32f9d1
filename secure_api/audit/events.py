"""The names of security events: the OWASP logging vocabulary where it has one, in its style where it has none."""

from __future__ import annotations

from enum import StrEnum


class EventName(StrEnum):
    """What happened. Each member says when it is written."""

    AUTHN_LOGIN_SUCCESS = "authn_login_success"  # a browser session began
    AUTHN_LOGIN_FAIL = "authn_login_fail"  # a sign-in could not be completed, or was denied at the provider
    AUTHN_TOKEN_REFUSED = "authn_token_refused"  # noqa: S105  # nosec B105 - a credential was refused with 401
    SESSION_ENDED = "session_ended"  # a person signed out
    USER_CREATED = "user_created"  # an account was made at the first sign-in
    USER_UPDATED = "user_updated"  # a sign-in changed the roles of an account
    AUTHZ_FAIL = "authz_fail"  # the policy refused: role, scope, object, field, or cross-site request
    EXCESS_RATE_LIMIT_EXCEEDED = "excess_rate_limit_exceeded"  # a limit was met
    SENSITIVE_CREATE = "sensitive_create"  # a guarded record was made
    SENSITIVE_UPDATE = "sensitive_update"  # a guarded record was changed; the event names the members
    SENSITIVE_DELETE = "sensitive_delete"  # a guarded record was deleted
    SYS_SELF_ATTACK = "sys_self_attack"  # ALERT: the token verifier accepted a known-bad token; it must not serve
    SYS_POLICY_CHANGED = "sys_policy_changed"  # new policy files were announced to every worker
    SYS_POLICY_REFUSED = "sys_policy_refused"  # ALERT: policy files could not be loaded; the old rules stay


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    FAILURE = "failure"

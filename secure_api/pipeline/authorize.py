"""Stage `authorize`, in its two halves: may the principal call this at all, and on this object."""

from __future__ import annotations

from secure_api.db.scoping import row_values
from secure_api.errors import (
    AuthenticationRequired,
    InsufficientScope,
    PermissionDenied,
    SecureApiError,
    StepUpRequired,
)
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.declaration import Collection, Declaration, Item
from secure_api.pipeline.services import Services
from secure_api.policy.decision import Decision, FunctionDecision
from secure_api.policy.model import StepUp
from secure_api.principal import PrincipalKind


def authorize_function(_services: Services, context: RequestContext) -> None:
    """Fill `grant` and `read_grant`, or refuse before any row is read.

    Raises `InsufficientScope` (with the scopes to ask for), `PermissionDenied`, or for an anonymous
    caller `AuthenticationRequired`.
    """
    declaration = context.declaration
    context.grant = _granted(context, declaration.action)
    context.read_grant = (
        context.grant
        if declaration.action == _reading_action(declaration)
        else _granted(context, _reading_action(declaration))
    )


def authorize_object(_services: Services, context: RequestContext) -> None:
    """Fill `decision` for the loaded row: 403 if its rule refuses, 401 if the sign-in is too weak (RFC 9470).

    Who may not even read the row got 404 before this. Raises `PermissionDenied`, `StepUpRequired`.
    """
    if context.grant is None:
        return
    if not isinstance(context.declaration.objects, Item):
        # There is no row to decide on: ask for a stronger sign-in where every rule wants one.
        require_step_up(context.grant.step_up_for(context.principal, context.attributes))
        return
    values = row_values(context.row, context.grant.condition_paths)
    context.decision = context.grant.decide(values, context.principal, context.attributes)
    require_allowed(context.decision, "You may see this object, but not do this to it.")


def require_allowed(decision: Decision, public_detail: str) -> None:
    """Pass only if the rule allowed the row.

    Raises `StepUpRequired` where nothing but a stronger sign-in is missing, else `PermissionDenied`.
    """
    require_step_up(decision.step_up)
    if not decision.allowed:
        raise PermissionDenied(public_detail, log_detail=f"object_rule {decision.rule_id} {decision.failure}".strip())


def require_step_up(step_up: StepUp | None) -> None:
    """Pass only if there is nothing to ask for. Raises `StepUpRequired`."""
    if step_up is not None:
        raise StepUpRequired(
            "This action needs a stronger or more recent sign-in.",
            log_detail="step_up",
            extensions={"acr_values": list(step_up.acr_values), "max_age": step_up.max_age_seconds},
        )


def _reading_action(declaration: Declaration) -> str:
    return "list" if isinstance(declaration.objects, Collection) else "read"


def _granted(context: RequestContext, action: str) -> FunctionDecision:
    grant = context.policies.function_decision(context.principal, context.declaration.resource, action)
    if not grant.allowed:
        context.grant = grant  # the denial's audit event says what was missing
        raise _refusal(context, grant)
    return grant


def _refusal(context: RequestContext, grant: FunctionDecision) -> SecureApiError:
    if context.principal.kind is PrincipalKind.ANONYMOUS:
        return AuthenticationRequired("Send an access token, or sign in.", log_detail="anonymous")
    if grant.missing == "scope":
        return InsufficientScope(grant.required_scopes, log_detail="scope")
    return PermissionDenied("Your role does not include this action.", log_detail=str(grant.missing))

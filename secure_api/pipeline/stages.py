"""The request path, in order. Read this table first; each stage is one function in one module.

A stage passes or raises. The order is the order of refusals: 401 credential; 403 function, scope or
credential kind, before any row is read; 404 not readable; 403 this object; 401 step-up; then the body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import Response

from secure_api.audit import forget_recorded
from secure_api.errors import SecureApiError
from secure_api.pipeline.authenticate import authenticate
from secure_api.pipeline.authorize import authorize_function, authorize_object
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.fields import project_fields, refuse_unlisted_fields
from secure_api.pipeline.limit import limit_address, limit_principal
from secure_api.pipeline.record import record_denial, record_success
from secure_api.pipeline.respond import respond
from secure_api.pipeline.scope import check_written_row, load_scoped_rows
from secure_api.pipeline.services import Services
from secure_api.pipeline.validate import validate_body, validate_query


class Stage(NamedTuple):
    """One step of the request path."""

    name: str
    run: Callable[[Services, RequestContext], None]


def call_view(_services: Services, context: RequestContext) -> None:
    """Run the view: everything that it can reach has been allowed."""
    context.reply = context.view(context)


STAGES: tuple[Stage, ...] = (
    Stage("limit-address", limit_address),
    Stage("authenticate", authenticate),
    Stage("limit-principal", limit_principal),
    Stage("authorize-function", authorize_function),
    Stage("validate-query", validate_query),
    Stage("scope", load_scoped_rows),
    Stage("authorize-object", authorize_object),
    Stage("validate-body", validate_body),
    Stage("fields-in", refuse_unlisted_fields),
    Stage("view", call_view),
    Stage("check-written", check_written_row),
    Stage("fields-out", project_fields),
    Stage("respond", respond),
    Stage("record", record_success),
)


def run_stages(services: Services, context: RequestContext) -> Response:
    """Run every stage; a refusal undoes the transaction, is recorded, and is raised again."""
    try:
        for stage in STAGES:
            stage.run(services, context)
    except Exception as error:
        context.session.rollback()
        forget_recorded(context.session)
        if isinstance(error, SecureApiError):
            record_denial(services, context, error)
        raise
    if context.response is None:
        raise SecureApiError(log_detail="no stage made a response")
    return context.response

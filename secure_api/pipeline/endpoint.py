"""`endpoint()`: the only way from a route to a view. It declares everything and runs the stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Any, Literal

from flask import Response, current_app, request
from pydantic import BaseModel

from secure_api.db import database
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.declaration import Declaration, NoQuery, ObjectRule, Representation, StrictModel
from secure_api.pipeline.reply import Reply
from secure_api.pipeline.services import EXTENSION
from secure_api.pipeline.stages import run_stages
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import CredentialKind
from secure_api.web.request_ids import current_request_id

View = Callable[..., Reply]
DECLARATION = "declaration"

ANY_CREDENTIAL = frozenset(CredentialKind) - {CredentialKind.NONE}


def endpoint(
    permission: str,
    *,
    objects: ObjectRule,
    answer: Representation,
    rate_limit: str,
    authentication: Literal["required", "optional"] = "required",
    credentials: frozenset[CredentialKind] = ANY_CREDENTIAL,
    body: type[StrictModel] | None = None,
    query: type[BaseModel] = NoQuery,
    surface: Literal["api", "page"] = "api",
    body_attributes: Mapping[str, str] | None = None,
) -> Callable[[View], Callable[..., Response]]:
    """Declare an endpoint; the view then runs only after every stage before it has passed.

    `permission` is `<resource>:<action>` of a policy file, `objects` says which rows it works on,
    `answer` which members can be shown at all, `rate_limit` a class of `config/rate_limits.toml`.
    """
    declaration = Declaration(
        permission=permission,
        authentication=authentication,
        objects=objects,
        answer=answer,
        rate_limit=rate_limit,
        credentials=credentials,
        body=body,
        query=query,
        surface=surface,
        body_attributes=dict(body_attributes or {}),
    )

    def declare(view: View) -> Callable[..., Response]:
        @wraps(view)
        def guarded(*owner: Any, **path: Any) -> Response:  # `owner` is the class-based resource, if it is one
            context = RequestContext(
                request=request,
                declaration=declaration,
                view=partial(view, *owner),
                session=database.session,
                path=path,
                request_id=current_request_id(),
                address=request.remote_addr or "",
                attributes=RequestAttributes(time=datetime.now(UTC)),
            )
            return run_stages(current_app.extensions[EXTENSION], context)

        setattr(guarded, DECLARATION, declaration)
        return guarded

    return declare

"""Stage `fields`: only whitelisted members come in, only whitelisted members go out (OWASP API3:2023).

The policy lists model attributes per rule; a representation maps them to the members of its API version.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from secure_api.db.scoping import row_values
from secure_api.errors import FieldRefused
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.declaration import NewItem
from secure_api.pipeline.services import Services


def refuse_unlisted_fields(_services: Services, context: RequestContext) -> None:
    """Every member of the body must be one that the matching rule lets this caller write. Raises `FieldRefused`.

    Nothing is dropped silently: a caller that believes it wrote something must not be wrong.
    """
    if context.body is None or context.grant is None:
        return
    if isinstance(context.declaration.objects, NewItem):
        writable = frozenset(context.grant.writable_fields)
    else:
        writable = context.decision.write_fields if context.decision is not None else frozenset()
    refuse_members(context, writable)


def refuse_members(context: RequestContext, writable: Collection[str]) -> None:
    """Every member of the body must set one of the attributes in `writable`. Raises `FieldRefused`."""
    if context.body is None:
        return
    names = context.declaration.body_attributes
    refused = [member for member in sorted(context.body.model_fields_set) if names.get(member, member) not in writable]
    if refused:
        raise FieldRefused(
            "You may not set some members of this object.",
            log_detail=f"fields: {', '.join(refused)}",
            extensions={"errors": [{"pointer": f"/{member}", "detail": "not writable for you"} for member in refused]},
        )


def project_fields(_services: Services, context: RequestContext) -> None:
    """Fill `shown` with the reply's rows, reduced to what the policy lets this caller read of each."""
    reply = context.reply
    if reply is None:
        return
    if reply.rows is not None:
        context.shown = [_project(context, row) for row in reply.rows]
    elif reply.row is not None:
        context.shown = _project(context, reply.row)


def _project(context: RequestContext, row: Any) -> dict[str, Any]:
    grant, answer = context.read_grant, context.declaration.answer
    if grant is None:
        return {}
    decision = grant.decide(row_values(row, grant.condition_paths), context.principal, context.attributes)
    # A row that the rules do not allow shows nothing, even if a defect let it come this far.
    readable = decision.read_fields if decision.allowed else frozenset()
    shown = {member: getattr(row, attribute) for member, attribute in answer.members.items() if attribute in readable}
    if answer.links is not None and shown:
        shown["links"] = dict(answer.links(shown))
    return shown

"""Stage `scope`: rows come from the policy's own SQL and from nowhere else.

A point read is the list query plus `id = …`: there is no second rule to drift, and a row out of scope
is the same 404 as an absent one (ASVS v5.0.0-8.2.2).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, inspect
from sqlalchemy.orm import joinedload

from secure_api.db import Base, begin_write
from secure_api.db.policy_sql import scope_expression
from secure_api.db.scoping import policy_columns, row_values, scoped_select
from secure_api.errors import NotFound, PermissionDenied
from secure_api.pipeline.authorize import require_allowed
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.declaration import Collection, Item, NewItem
from secure_api.pipeline.fields import refuse_members
from secure_api.pipeline.services import Services
from secure_api.policy.decision import FunctionDecision


def load_scoped_rows(_services: Services, context: RequestContext) -> None:
    """Fill `rows` (a page of the collection) or `row` (the object of the path). Raises `NotFound`."""
    if context.writes:
        # Authentication may have waited for a key server; the write lock is taken only now.
        context.session.rollback()
        begin_write(context.session)
    objects = context.declaration.objects
    if isinstance(objects, Collection):
        _load_page(context, objects)
    elif isinstance(objects, Item):
        context.row = _load_item(context, objects)


def check_written_row(_services: Services, context: RequestContext) -> None:
    """The row as the view left it must still be one that the rule allows: INSERT and UPDATE alike.

    Stops a write that moves an object out of the caller's reach or makes one there. Raises
    `PermissionDenied`, `StepUpRequired`, `FieldRefused`.
    """
    objects = context.declaration.objects
    if not context.writes or context.grant is None or context.reply is None:
        return
    row = context.reply.row if isinstance(objects, NewItem) else context.row
    if row is None:
        return
    context.changed = _changed_attributes(row)
    if inspect(row).deleted or row in context.session.deleted:
        return
    context.session.flush()
    context.decision = context.grant.decide(
        row_values(row, context.grant.condition_paths), context.principal, context.attributes
    )
    require_allowed(context.decision, "The object may not be changed in that way.")
    if isinstance(objects, NewItem):
        # Only now is it known which rules match: another rule's members are not this caller's.
        refuse_members(context, context.decision.write_fields)


def _load_page(context: RequestContext, objects: Collection) -> None:
    grant, query = _reading(context), context.query
    statement = _visible(context, objects.model, grant, columns=True)
    if objects.narrow is not None:
        statement = statement.where(objects.narrow(context.principal))
    order = [getattr(objects.model, "created_at").desc(), getattr(objects.model, "id")]  # noqa: B009 - mixin attributes
    statement = statement.order_by(*order).limit(query.limit + 1).offset(query.offset)
    rows = context.session.execute(statement).all()
    context.rows = list(rows[: query.limit])
    context.has_more = len(rows) > query.limit


def _load_item(context: RequestContext, objects: Item) -> Any:
    identity: ColumnElement[bool] = getattr(objects.model, "id") == context.path[objects.parameter]  # noqa: B009
    statement = _visible(context, objects.model, _reading(context), columns=not context.writes).where(identity)
    if context.writes:
        row = context.session.execute(statement.with_for_update(of=objects.model)).scalar_one_or_none()
    else:
        row = context.session.execute(statement).one_or_none()
    if row is None:
        raise NotFound("There is no such object.", log_detail="absent or not readable")
    return row


def _visible(context: RequestContext, model: type[Base], grant: FunctionDecision, *, columns: bool) -> Select[Any]:
    # A row that only a stronger login would open is answered 401 later, not 404: point reads let it through.
    scope = scope_expression(
        grant,
        model,
        context.principal,
        context.attributes,
        with_unmet_step_up=isinstance(context.declaration.objects, Item),
    )
    if columns:
        return scoped_select(model, scope, policy_columns(model, grant.readable_fields, grant.condition_paths))
    return scoped_select(model, scope).options(*_relations(model, context))


def _relations(model: type[Base], context: RequestContext) -> list[Any]:
    """Load with the row the relations that the conditions walk: nothing is read later, outside this statement."""
    grants = [grant for grant in (context.grant, context.read_grant) if grant is not None]
    first = {path.split(".")[0] for grant in grants for path in grant.condition_paths if "." in path}
    return [joinedload(getattr(model, name)) for name in sorted(first)]


def _reading(context: RequestContext) -> FunctionDecision:
    if context.read_grant is None:
        raise PermissionDenied(log_detail="scope stage without a decision")
    return context.read_grant


def _changed_attributes(row: Any) -> tuple[str, ...]:
    state = inspect(row)
    return tuple(
        attribute.key for attribute in state.mapper.column_attrs if state.attrs[attribute.key].history.has_changes()
    )

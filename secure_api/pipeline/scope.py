"""Stage `scope`: rows come from the policy's own SQL and from nowhere else.

A point read is the list query plus `id = …`: there is no second rule to drift, and a row out of scope
is the same 404 as an absent one (ASVS v5.0.0-8.2.2). From here on the session itself is confined to
what the caller may reach (`db.enforcement`), whatever a service asks of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, inspect

from secure_api.db import Base, begin_write
from secure_api.db.enforcement import WITH_UNMET_STEP_UP, Enforcement, changed_attributes, enforce, enforcement_of
from secure_api.db.policy_sql import scope_expression
from secure_api.db.scoping import policy_columns, row_values, scoped_select
from secure_api.errors import NotFound, PermissionDenied
from secure_api.pipeline.authorize import require_allowed
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.declaration import Collection, Item, NewItem
from secure_api.pipeline.fields import refuse_members
from secure_api.pipeline.services import Services
from secure_api.policy.decision import Decision, FunctionDecision


def load_scoped_rows(_services: Services, context: RequestContext) -> None:
    """Fill `rows` (a page of the collection) or `row` (the object of the path). Raises `NotFound`."""
    if context.writes:
        # Authentication may have waited for a key server; the write lock is taken only now.
        context.session.rollback()
        begin_write(context.session)
    if context.grant is None or context.read_grant is None:
        raise PermissionDenied(log_detail="scope stage without a decision")
    enforcement = Enforcement(
        policies=context.policies,
        principal=context.principal,
        attributes=context.attributes,
        grant=context.grant,
        read_grant=context.read_grant,
        require_allowed=partial(_require_written, context),
    )
    enforce(context.session, enforcement)
    objects = context.declaration.objects
    if isinstance(objects, Collection):
        _load_page(context, enforcement, objects)
    elif isinstance(objects, Item):
        context.row = _load_item(context, enforcement, objects)


def check_written_row(_services: Services, context: RequestContext) -> None:
    """What the view changed is flushed, and thereby judged (`db.enforcement`): INSERT, UPDATE and DELETE alike.

    Stops a write that moves an object out of the caller's reach, makes one there, or touches another one.
    Raises `PermissionDenied`, `StepUpRequired`, `FieldRefused`.
    """
    objects, enforcement = context.declaration.objects, enforcement_of(context.session)
    if not context.writes or enforcement is None or context.reply is None:
        return
    row = context.reply.row if isinstance(objects, NewItem) else context.row
    unflushed = changed_attributes(row) if row is not None else ()
    context.session.flush()
    if row is None:
        return
    state = inspect(row)
    context.changed = tuple(dict.fromkeys([*unflushed, *sorted(enforcement.changed.get(state, ()))]))
    context.decision = enforcement.decisions.get(state, context.decision)
    if isinstance(objects, NewItem) and context.decision is not None:
        # Only now is it known which rules match: another rule's members are not this caller's.
        refuse_members(context, context.decision.write_fields)


def _require_written(context: RequestContext, decision: Decision) -> None:
    if not decision.allowed:
        context.decision = decision  # the denial's event names the rule
    require_allowed(decision, "The object may not be changed in that way.")


def _load_page(context: RequestContext, enforcement: Enforcement, objects: Collection) -> None:
    grant, query = enforcement.read_grant, context.query
    statement = _visible(context, objects.model, grant, columns=True)
    if objects.narrow is not None:
        statement = statement.where(objects.narrow(context.principal))
    order = [getattr(objects.model, "created_at").desc(), getattr(objects.model, "id")]  # noqa: B009 - mixin attributes
    statement = statement.order_by(*order).limit(query.limit + 1).offset(query.offset)
    rows = context.session.execute(statement).all()
    _require_readable(enforcement, rows, unmet_step_up=False)
    context.rows = list(rows[: query.limit])
    context.has_more = len(rows) > query.limit


def _load_item(context: RequestContext, enforcement: Enforcement, objects: Item) -> Any:
    identity: ColumnElement[bool] = getattr(objects.model, "id") == context.path[objects.parameter]  # noqa: B009
    grant = enforcement.read_grant
    statement = _visible(context, objects.model, grant, columns=not context.writes).where(identity)
    if context.writes:
        locked = statement.with_for_update(of=objects.model).execution_options(**{WITH_UNMET_STEP_UP: True})
        row = context.session.execute(locked).scalar_one_or_none()
    else:
        row = context.session.execute(statement).one_or_none()
        _require_readable(enforcement, [row] if row is not None else [], unmet_step_up=True)
    if row is None:
        raise NotFound("There is no such object.", log_detail="absent or not readable")
    return row


def _require_readable(enforcement: Enforcement, rows: Iterable[Row[Any]], *, unmet_step_up: bool) -> None:
    """The closure must agree with the SQL on every row, as it must on every object that the session loads."""
    grant = enforcement.read_grant
    for row in rows:
        enforcement.require_readable(grant, row_values(row, grant.condition_paths), unmet_step_up=unmet_step_up)


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
    return scoped_select(model, scope)

"""A session that acts for a caller is confined to what the policy allows the caller, whatever is asked of it.

`enforce` binds the caller's access to the session. From then on every ORM statement is narrowed to the
rows that the caller may read (bulk UPDATE and DELETE: may change), every object that is loaded is
checked once more by the Python closure, and every flush is checked row by row: INSERT the proposed
row, UPDATE the old and the new one, DELETE the old one. What cannot be confined is refused
(`db.scoping`). Services need not ask for any of this, and cannot forget it (ASVS v5.0.0-8.2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, TableClause, Update, and_, event, inspect, select
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    ORMExecuteState,
    QueryContext,
    Session,
    SessionTransaction,
    UOWTransaction,
    object_session,
)
from sqlalchemy.sql.visitors import iterate

from secure_api.db.base import AnySession, Base
from secure_api.db.confinement import ScopeOption
from secure_api.db.policy_sql import scope_expression
from secure_api.db.scoping import BY_POLICY, SCOPED_BY, confined, stored_values
from secure_api.errors import UnscopedRead
from secure_api.policy.decision import Decision, FunctionDecision
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import Principal

WITH_UNMET_STEP_UP = "secure_api_with_unmet_step_up"
_ENFORCEMENT = "secure_api_enforcement"
_OPERATIONS = frozenset({"create", "update", "delete"})
_STANDARD_ACTIONS = _OPERATIONS | {"list", "read"}


@dataclass(eq=False)
class Enforcement:
    """What one caller may do in one request, for every guarded model.

    `grant` and `read_grant` are those of the endpoint's own resource; for another resource the caller's
    own `read`, `create`, `update` and `delete` count. `require_allowed` gets each decision about a row
    that is written, and raises if it refuses.
    """

    policies: PolicySet
    principal: Principal
    attributes: RequestAttributes
    grant: FunctionDecision
    read_grant: FunctionDecision
    require_allowed: Callable[[Decision], None]
    decisions: dict[InstanceState[Any], Decision] = field(default_factory=dict)  # on rows as they were written
    changed: dict[InstanceState[Any], set[str]] = field(default_factory=dict)  # attributes, by all flushes
    # The state of the running flush, and what the request has made so far.
    created: set[InstanceState[Any]] = field(default_factory=set)
    checked: set[InstanceState[Any]] = field(default_factory=set)
    written: list[Base] = field(default_factory=list)
    system_reason: str | None = None

    def reading(self, model: type[Base]) -> FunctionDecision:
        """The grant that decides which rows of `model` may be loaded."""
        if model.policy_resource == self.read_grant.resource:
            return self.read_grant
        return self._own(model, "read")

    def writing(self, model: type[Base], operation: str) -> FunctionDecision:
        """The grant that decides about a row that is created, updated or deleted.

        An action of the resource's own, such as `refund`, stands for every operation that it takes; the
        standard ones stand for themselves: who may update an object may not therefore delete it.
        """
        action = self.grant.action
        if model.policy_resource == self.grant.resource and (action == operation or action not in _STANDARD_ACTIONS):
            return self.grant
        return self._own(model, operation)

    def scope_of(self, model: type[Base], *grants: FunctionDecision) -> ColumnElement[bool]:
        """The condition that confines a statement to the rows that all the grants allow."""
        scopes = [scope_expression(grant, model, self.principal, self.attributes) for grant in grants]
        return confined(model, and_(*scopes))

    def decide(self, grant: FunctionDecision, values: Mapping[str, object]) -> Decision:
        """The closure's decision about one row."""
        return grant.decide(values, self.principal, self.attributes)

    def require_readable(self, grant: FunctionDecision, values: Mapping[str, object], *, unmet_step_up: bool) -> None:
        """The closure must agree with the SQL that loaded a row. Raises `UnscopedRead`: a defect of ours."""
        decision = self.decide(grant, values)
        if not decision.allowed and not (unmet_step_up and decision.step_up is not None):
            raise UnscopedRead(log_detail=f"a row of {grant.resource} came from outside its scope {decision.failure}")

    def _own(self, model: type[Base], action: str) -> FunctionDecision:
        return self.policies.function_decision(self.principal, model.policy_resource or "", action)


def enforce(session: AnySession, enforcement: Enforcement) -> None:
    """From now on `session` acts for one caller. Guarded objects of an earlier one are not found in it."""
    for instance in list(session):
        if _is_guarded(inspect(instance).mapper):
            session.expunge(instance)
    session.info[_ENFORCEMENT] = enforcement


def enforcement_of(session: AnySession) -> Enforcement | None:
    """What `enforce` bound to the session; None if it acts for no caller."""
    found: Enforcement | None = session.info.get(_ENFORCEMENT)
    return found


@contextmanager
def system_writes(session: AnySession, reason: str) -> Iterator[None]:
    """What is flushed inside is the application's own doing and not judged by the caller's grants.

    For what follows from an allowed action, such as the stock that an order takes; `reason` says why, for
    whoever reviews the call. Objects are loaded under the caller's scope all the same.
    """
    enforcement = enforcement_of(session)
    session.flush()
    if enforcement is not None:
        enforcement.system_reason = reason
    try:
        yield
        session.flush()
    finally:
        if enforcement is not None:
            enforcement.system_reason = None


def _is_guarded(mapper: Mapper[Any]) -> bool:
    return issubclass(mapper.class_, Base) and mapper.class_.policy_resource is not None


def changed_attributes(instance: Base) -> tuple[str, ...]:
    """The mapped attributes that differ from what was loaded or last flushed."""
    state = inspect(instance)
    return tuple(item.key for item in state.mapper.column_attrs if state.attrs[item.key].history.has_changes())


# --- statements ---------------------------------------------------------------------------------------


@event.listens_for(Session, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    enforcement = enforcement_of(state.session)
    if enforcement is None or SCOPED_BY in state.execution_options:
        return
    models = _models_within_reach(state.statement)
    if not models or state.is_insert:
        return  # no check sees the rows that such a statement makes: the engine's hook refuses it
    target = state.bind_mapper.class_ if state.bind_mapper is not None and not state.is_select else None
    if state.is_column_load and state.bind_mapper is not None:
        # The rest of an object that is here already: criteria are not applied to that.
        state.statement = _refreshing(enforcement, state.statement, state.bind_mapper.class_)
        return
    criteria = []
    for model in models:
        grants = [enforcement.reading(model)]
        if model is target:
            grants.append(_bulk_grant(enforcement, model, state.statement))
        criteria.append(ScopeOption(model, enforcement.scope_of(model, *grants), include_aliases=True))
    statement: Any = state.statement
    if isinstance(statement, Select):
        # `select(exists(…))` names no entity of its own; the criteria need the ORM's compiler all the same.
        statement = statement._set_propagate_attrs(_orm_plugin(models[0]))
    state.statement = statement.options(*criteria).execution_options(**{SCOPED_BY: BY_POLICY})


def _orm_plugin(model: type[Base]) -> Any:
    return select(model)._propagate_attrs


def _refreshing(enforcement: Enforcement, statement: Any, model: type[Base]) -> Any:
    scope = enforcement.scope_of(model, enforcement.reading(model))
    return statement.where(scope).execution_options(**{SCOPED_BY: BY_POLICY})


def _bulk_grant(enforcement: Enforcement, model: type[Base], statement: Any) -> FunctionDecision:
    """The grant for a bulk UPDATE or DELETE. Raises `UnscopedRead` if it could move a row out of the rules' reach."""
    if not isinstance(statement, Update):
        return enforcement.writing(model, "delete")
    grant = enforcement.writing(model, "update")
    # No row is seen, so nothing may change that a rule looks at: then what allowed the old row allows the new one.
    columns = model.__mapper__.local_table.c
    given = {getattr(column, "key", column) for column in statement._values or columns}
    given |= {column.key for column in columns if column.onupdate is not None}
    if given & _columns_behind(model.__mapper__, grant.condition_paths):
        raise UnscopedRead(log_detail=f"bulk UPDATE of {model.policy_resource} sets what its rules read")
    return grant


def _columns_behind(mapper: Mapper[Any], paths: Iterable[str]) -> set[str]:
    """The keys of the table's own columns that decide what the paths give."""
    found: set[str] = set()
    for path in paths:
        first = path.partition(".")[0]
        if first in mapper.relationships:
            found |= {str(column.key) for column in mapper.relationships[first].local_columns}
        else:
            found |= {str(column.key) for column in mapper.column_attrs[first].columns}
    return found


def _models_within_reach(statement: Any) -> list[type[Base]]:
    """The guarded models that a statement names, or whose rows it could load along relations."""
    by_table = {mapper.local_table.description: mapper for mapper in Base.registry.mappers}
    named = {element.name for element in iterate(statement) if isinstance(element, TableClause)}
    found = {mapper for name in named if name in by_table for mapper in _related(by_table[name])}
    return sorted((mapper.class_ for mapper in found if _is_guarded(mapper)), key=lambda model: model.__name__)


@cache
def _related(mapper: Mapper[Any]) -> frozenset[Mapper[Any]]:
    """The mapper itself and every mapper that relations lead to, at any distance."""
    found, waiting = {mapper}, [mapper]
    while waiting:
        for relation in waiting.pop().relationships:
            if relation.mapper not in found:
                found.add(relation.mapper)
                waiting.append(relation.mapper)
    return frozenset(found)


# --- loaded objects -----------------------------------------------------------------------------------


@event.listens_for(Base, "load", propagate=True)
def _check_loaded(instance: Base, context: QueryContext | None) -> None:
    _require_readable(instance, context)


@event.listens_for(Base, "refresh", propagate=True)
def _check_refreshed(instance: Base, context: QueryContext | None, _attributes: Any) -> None:
    _require_readable(instance, context)


def _require_readable(instance: Base, context: QueryContext | None) -> None:
    """A second wall behind the SQL: were a scope lost on the way, its rows would stop the request here."""
    if context is None or instance.policy_resource is None:
        return  # without a query nothing came from the database: a merge, a bulk write's own values
    enforcement = enforcement_of(context.session)
    if enforcement is None:
        return
    grant, state = enforcement.reading(type(instance)), inspect(instance)
    paths = grant.condition_paths
    values: dict[str, object] | None
    if state.modified or any(path not in state.dict for path in paths):
        values = stored_values(context.session, state.mapper, state.identity, paths)
    else:
        values = {path: state.dict[path] for path in paths}
    if values is None:
        raise UnscopedRead(log_detail=f"a row of {grant.resource} is gone while it is loaded")
    open_to_step_up = bool(context.execution_options.get(WITH_UNMET_STEP_UP))
    enforcement.require_readable(grant, values, unmet_step_up=open_to_step_up)


# --- flushes ------------------------------------------------------------------------------------------


@event.listens_for(Session, "before_flush")
def _check_old_rows(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    """Before the first statement of the flush: what it changes first could let pass what it changes next."""
    if _ENFORCEMENT not in session.info:
        return
    for instance in session.deleted:
        _check_old_row(session, instance, "delete")
    for instance in session.dirty:
        if instance not in session.deleted and session.is_modified(instance):
            _check_old_row(session, instance, "update")


@event.listens_for(Base, "before_insert", propagate=True)
def _note_insert(_mapper: Mapper[Any], _connection: Connection, instance: Base) -> None:
    enforcement = _judge_of(instance)
    if enforcement is not None:
        enforcement.created.add(inspect(instance))
        enforcement.written.append(instance)


@event.listens_for(Base, "before_update", propagate=True)
def _note_update(_mapper: Mapper[Any], _connection: Connection, instance: Base) -> None:
    # Relations may change rows that nobody touched: those were not seen before the flush.
    session, enforcement = object_session(instance), _judge_of(instance)
    if enforcement is not None and session is not None and session.is_modified(instance):
        _check_old_row(session, instance, "update")
        enforcement.written.append(instance)


@event.listens_for(Base, "before_delete", propagate=True)
def _note_delete(_mapper: Mapper[Any], _connection: Connection, instance: Base) -> None:
    session = object_session(instance)
    if session is not None and _judge_of(instance) is not None:
        _check_old_row(session, instance, "delete")


@event.listens_for(Session, "after_flush")
def _check_new_rows(session: Session, _context: UOWTransaction) -> None:
    """The rows as the database now holds them: with its defaults, and with what relations set."""
    enforcement = enforcement_of(session)
    if enforcement is None:
        return
    written, enforcement.written = enforcement.written, []
    enforcement.checked.clear()
    for instance in written:
        state = inspect(instance)
        grant = enforcement.writing(type(instance), "create" if state in enforcement.created else "update")
        identity = state.mapper.primary_key_from_instance(instance)
        decision = _judged(enforcement, session, grant, state.mapper, identity)
        enforcement.decisions[state] = decision


@event.listens_for(Session, "after_soft_rollback")
def _forget_flush(session: Session, _transaction: SessionTransaction) -> None:
    enforcement = enforcement_of(session)
    if enforcement is not None:
        enforcement.written = []
        enforcement.checked.clear()


def _check_old_row(session: Session, instance: Base, operation: str) -> None:
    enforcement, state = _judge_of(instance), inspect(instance)
    if enforcement is None or state in enforcement.checked:
        return
    enforcement.checked.add(state)
    if operation == "update":
        enforcement.changed.setdefault(state, set()).update(changed_attributes(instance))
    if state not in enforcement.created:  # what this request made is judged by what becomes of it
        _judged(enforcement, session, enforcement.writing(type(instance), operation), state.mapper, state.identity)


def _judged(
    enforcement: Enforcement, session: Session, grant: FunctionDecision, mapper: Mapper[Any], identity: Any
) -> Decision:
    """The decision that allows a stored row. `require_allowed` raises if it does not."""
    values = stored_values(session, mapper, identity, grant.condition_paths, lock=True)
    decision = enforcement.decide(grant, values or {})  # without the row's values, no rule allows anything
    enforcement.require_allowed(decision)
    return decision


def _judge_of(instance: Base) -> Enforcement | None:
    """What judges a write of `instance`; None if no policy guards it or the application writes for itself."""
    session = object_session(instance)
    if session is None or instance.policy_resource is None:
        return None
    enforcement = enforcement_of(session)
    return enforcement if enforcement is not None and enforcement.system_reason is None else None

"""Reads of guarded tables: built here from the policy's answer, refused everywhere else.

A table is guarded if its model names a `policy_resource`. Two roads lead to its rows: the policy's own
condition (`scoped_select`, and `db.enforcement` for the statements that a service writes) and
`system_select`, for the few places that act for no caller (start-up, seeding, deletion of what
expired). Any other statement on a guarded table raises, so a forgotten scope is a failed request and
never a leak (ASVS v5.0.0-8.2.2). Rows are written by the unit of work only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    Delete,
    Engine,
    FromClause,
    Insert,
    Row,
    Select,
    TableClause,
    TextClause,
    Update,
    event,
    inspect,
    literal_column,
    select,
)
from sqlalchemy.orm import Mapper, Session, SessionTransaction, UOWTransaction, object_session
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate

from secure_api.db.base import Base
from secure_api.db.confinement import Confined, PolicyPart, confine_compiler, text_pattern, unconfined
from secure_api.errors import UnscopedRead
from secure_api.policy.decision import row_values_from

SCOPED_BY = "secure_api_scoped_by"
BY_POLICY = "policy"
_SESSION_INFO = "secure_api_session_info"
_FLUSHING = "secure_api_flushing"


def scoped_select(model: type[Base], scope: ColumnElement[bool], columns: Sequence[Any] | None = None) -> Select[Any]:
    """A SELECT of `columns` (default: the mapped objects) that sees only the rows inside `scope`."""
    statement: Select[Any] = select(*columns) if columns is not None else select(model)
    return statement.where(confined(model, scope)).execution_options(**{SCOPED_BY: BY_POLICY})


def confined(model: type[Base], scope: ColumnElement[bool]) -> Confined:
    """`scope` as the condition that confines `model` in a statement; nothing else passes for one."""
    return Confined(model, scope, model.__mapper__)


def system_select(*columns: Any, reason: str) -> Select[Any]:
    """A SELECT that acts for no caller; `reason` says why no policy applies, for whoever reviews the call."""
    return select(*columns).execution_options(**{SCOPED_BY: f"system: {reason}"})


def policy_columns(model: type[Base], fields: Iterable[str], paths: Iterable[str]) -> list[ColumnElement[Any]]:
    """The columns that a decision needs: whitelisted `fields` and the dotted `paths` that conditions read.

    Nothing else is selected, so nothing else can leak. A path through a relation becomes a scalar
    subquery with the path as its label; of a path that ends in a relation it tells only whether there is
    a row: 1 or NULL.
    """
    mapper, paths = model.__mapper__, tuple(paths)
    names = dict.fromkeys([*fields, *paths])
    columns: list[ColumnElement[Any]] = []
    for name in names:
        if name in mapper.column_attrs:
            columns.append(getattr(model, name))
        elif name in paths:
            columns.append(PolicyPart(_related_column(mapper, name.split("."))).label(name))
    return columns


def row_values(row: Any, paths: Sequence[str]) -> dict[str, object]:
    """What `decide` needs of a row that `policy_columns` selected, or of a mapped object.

    An object with a path through a relation is asked of the database: its relations are not loaded, and
    loaded ones would be narrowed by their own resource's scope. Flush before.
    """
    if isinstance(row, Row):
        mapping = row._mapping
        return {path: mapping[path] for path in paths}
    state = inspect(row)
    if state.session is None or all(path in state.mapper.column_attrs for path in paths):
        return row_values_from(row, paths)
    found = stored_values(state.session, state.mapper, state.identity, paths)
    if found is None:
        raise UnscopedRead(log_detail=f"a row of {state.mapper.local_table.description} is not stored")
    return found


def stored_values(
    session: Session, mapper: Mapper[Any], identity: Sequence[Any] | None, paths: Sequence[str], *, lock: bool = False
) -> dict[str, object] | None:
    """What the rules read of a row, as the transaction's database holds it; None if there is no such row."""
    if not paths:
        return {}
    if identity is None:
        return None
    statement = system_select(*policy_columns(mapper.class_, (), paths), reason="what the rules read of a row")
    statement = statement.where(*(column == value for column, value in zip(mapper.primary_key, identity, strict=True)))
    if lock:
        statement = statement.with_for_update(of=mapper.local_table)
    row = session.connection().execute(statement).one_or_none()
    return None if row is None else row_values(row, paths)


def _related_column(mapper: Mapper[Any], path: list[str]) -> ColumnElement[Any]:
    """A scalar subquery for what is at the end of to-one relations; NULL behind an absent one."""
    source: FromClause = mapper.local_table
    tables: list[FromClause] = []
    joins: list[ColumnElement[bool]] = []
    found: ColumnElement[Any] = literal_column("1")
    for name in path:
        if name in mapper.column_attrs:
            found = source.c[str(mapper.column_attrs[name].columns[0].key)]
            break
        relation = mapper.relationships[name]
        table = relation.mapper.local_table.alias()
        joins += [
            source.c[str(here.key)] == table.c[str(there.key)] for here, there in relation.local_remote_pairs or ()
        ]
        tables.append(table)
        source, mapper = table, relation.mapper
    return select(found).select_from(*tables).where(*joins).correlate_except(*tables).scalar_subquery()


def guard_engine(engine: Engine) -> None:
    """Refuse what could pass by the policy, before it reaches the database.

    That is a statement in any form on a guarded table that neither road marked, plain SQL text that names
    the table, a statement of the policy's road in which one of the tables is outside its scope, and a
    write that does not come from a flush.
    """
    guarded = {mapper.local_table.description for mapper in guarded_mappers()}
    in_text = text_pattern(guarded)
    confine_compiler(engine, guarded)

    def guarded_name(element: Any) -> str | None:
        """The guarded table that a part of a statement is or names; None if it names none."""
        if isinstance(element, TableClause):
            return element.name if element.name in guarded else None
        if isinstance(element, TextClause):
            found = in_text.search(element.text) if in_text else None
        elif isinstance(element, ColumnClause) and element.is_literal:
            found = in_text.search(element.name) if in_text else None
        else:
            return None
        return found.group() if found else None

    @event.listens_for(engine, "before_execute")
    def refuse_unscoped(
        _connection: Connection, statement: ClauseElement, _multi: Any, _params: Any, options: Mapping[str, Any]
    ) -> None:
        if SCOPED_BY in options or isinstance(statement, ExecutableDDLElement):
            return
        names = [name for element in iterate(statement) if (name := guarded_name(element)) is not None]
        if isinstance(statement, Insert | Update | Delete) and _comes_from_a_flush(statement, options):
            # The one table that it writes to is named once; any further mention reads.
            target = getattr(statement.table, "name", None)
            if target in names:
                names.remove(target)
        if names:
            raise UnscopedRead(log_detail=f"unscoped statement on guarded table {names[0]}")

    @event.listens_for(engine, "before_cursor_execute")
    def refuse_unconfined(
        connection: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        if context is None:
            return
        if context.compiled is not None:
            if context.execution_options.get(SCOPED_BY) == BY_POLICY and (name := unconfined(context.compiled)):
                raise UnscopedRead(log_detail=f"guarded table {name} would be read outside its scope")
        elif SCOPED_BY not in connection.get_execution_options() and in_text and (found := in_text.search(statement)):
            # Text for the driver: every other statement has passed the hook above.
            raise UnscopedRead(log_detail=f"unscoped statement on guarded table {found.group()}")


def guarded_mappers() -> list[Mapper[Any]]:
    """The mappers of every model that a policy guards."""
    return [
        mapper
        for mapper in Base.registry.mappers
        if issubclass(mapper.class_, Base) and mapper.class_.policy_resource is not None
    ]


def _comes_from_a_flush(statement: Insert | Update | Delete, options: Mapping[str, Any]) -> bool:
    # An INSERT returns what was just given; the unit of work uses that for server defaults.
    returns_rows = not isinstance(statement, Insert) and bool(statement.returning_column_descriptions)
    return not returns_rows and bool(options.get(_SESSION_INFO, {}).get(_FLUSHING))


# The engine has to know which statements a flush writes: what a flush writes, `db.enforcement` has checked.
# `Session.bulk_save_objects` and its like are no flush, so no event sees their rows: they are refused.


@event.listens_for(Session, "after_begin")
def _name_session(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    connection.execution_options(**{_SESSION_INFO: session.info})


@event.listens_for(Base, "before_insert", propagate=True)
@event.listens_for(Base, "before_update", propagate=True)
@event.listens_for(Base, "before_delete", propagate=True)
def _begin_flush(_mapper: Mapper[Any], _connection: Connection, instance: Base) -> None:
    # Not `before_flush`: a flush that is refused there ends without a further event, and the door stayed open.
    session = object_session(instance)
    if session is not None:
        session.info[_FLUSHING] = True


@event.listens_for(Session, "after_flush")
def _end_flush(session: Session, _context: UOWTransaction) -> None:
    session.info.pop(_FLUSHING, None)


@event.listens_for(Session, "after_soft_rollback")
def _end_failed_flush(session: Session, _transaction: SessionTransaction) -> None:
    session.info.pop(_FLUSHING, None)

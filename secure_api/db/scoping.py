"""Reads of guarded tables: built here from the policy's answer, refused everywhere else.

A table is guarded if its model names a `policy_resource`. Two roads lead to its rows: `scoped_select`,
whose WHERE clause is the policy's own condition, and `system_select`, for the few places that act for
no caller (start-up, seeding, deletion of what expired). Any other SELECT on a guarded table raises,
so a forgotten scope is a failed request and never a leak (ASVS v5.0.0-8.2.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    select,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate

from secure_api.db.base import Base
from secure_api.errors import UnscopedRead
from secure_api.policy.decision import row_values_from

SCOPED_BY = "secure_api_scoped_by"


def scoped_select(model: type[Base], scope: ColumnElement[bool], columns: Sequence[Any] | None = None) -> Select[Any]:
    """A SELECT of `columns` (default: the mapped objects) that sees only the rows inside `scope`."""
    statement: Select[Any] = select(*columns) if columns is not None else select(model)
    return statement.where(scope).execution_options(**{SCOPED_BY: "policy"})


def system_select(*columns: Any, reason: str) -> Select[Any]:
    """A SELECT that acts for no caller; `reason` says why no policy applies, for whoever reviews the call."""
    return select(*columns).execution_options(**{SCOPED_BY: f"system: {reason}"})


def policy_columns(model: type[Base], fields: Iterable[str], paths: Iterable[str]) -> list[ColumnElement[Any]]:
    """The columns that a decision needs: whitelisted `fields` and the dotted `paths` that conditions read.

    Nothing else is selected, so nothing else can leak. A path through a relation becomes a scalar
    subquery with the path as its label.
    """
    mapper = model.__mapper__
    names = dict.fromkeys([*fields, *paths])
    columns: list[ColumnElement[Any]] = []
    for name in names:
        if "." in name:
            columns.append(_related_column(mapper, name.split(".")).label(name))
        elif name in mapper.column_attrs:
            columns.append(getattr(model, name))
    return columns


def row_values(row: Any, paths: Iterable[str]) -> dict[str, object]:
    """What `decide` needs of a row that `policy_columns` selected, or of a mapped object."""
    if isinstance(row, Row):
        mapping = row._mapping
        return {path: mapping[path] for path in paths}
    return row_values_from(row, paths)


def _related_column(mapper: Mapper[Any], path: list[str]) -> ColumnElement[Any]:
    """A scalar subquery for the attribute at the end of to-one relations; NULL behind an absent one."""
    source: FromClause = mapper.local_table
    tables: list[FromClause] = []
    joins: list[ColumnElement[bool]] = []
    for relation_name in path[:-1]:
        relation = mapper.relationships[relation_name]
        table = relation.mapper.local_table.alias()
        joins += [
            source.c[str(here.key)] == table.c[str(there.key)] for here, there in relation.local_remote_pairs or ()
        ]
        tables.append(table)
        source, mapper = table, relation.mapper
    column = source.c[str(mapper.column_attrs[path[-1]].columns[0].key)]
    return select(column).select_from(*tables).where(*joins).correlate_except(*tables).scalar_subquery()


def guard_engine(engine: Engine) -> None:
    """Refuse every read of a guarded table that neither road marked, before it reaches the database.

    That is a SELECT in any form, another statement that reads through a subquery or RETURNING, and plain
    SQL text that names the table. What the unit of work writes row by row passes.
    """
    guarded = {
        mapper.local_table.description
        for mapper in Base.registry.mappers
        if issubclass(mapper.class_, Base) and mapper.class_.policy_resource is not None
    }
    in_text = re.compile(rf"\b({'|'.join(map(re.escape, sorted(guarded)))})\b", re.IGNORECASE) if guarded else None

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
        _connection: Connection, statement: ClauseElement, _multi: Any, _params: Any, options: dict[str, Any]
    ) -> None:
        if SCOPED_BY in options or isinstance(statement, ExecutableDDLElement):
            return
        names = [name for element in iterate(statement) if (name := guarded_name(element)) is not None]
        if isinstance(statement, Insert | Update | Delete) and not _returns_rows(statement):
            # The one table that it writes to is named once; any further mention reads.
            target = getattr(statement.table, "name", None)
            if target in names:
                names.remove(target)
        if names:
            raise UnscopedRead(log_detail=f"unscoped read of guarded table {names[0]}")

    @event.listens_for(engine, "before_cursor_execute")
    def refuse_unscoped_text(
        connection: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        # Only text for the driver: every other statement has passed the hook above.
        if context is None or context.compiled is not None or SCOPED_BY in connection.get_execution_options():
            return
        if in_text and (found := in_text.search(statement)):
            raise UnscopedRead(log_detail=f"unscoped read of guarded table {found.group()}")


def _returns_rows(statement: Insert | Update | Delete) -> bool:
    # An INSERT returns what was just given; the unit of work uses that for server defaults.
    return not isinstance(statement, Insert) and bool(statement.returning_column_descriptions)

"""Rows that only the first may make: the database decides who that was, whatever number of workers try."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Table, inspect
from sqlalchemy.dialects import postgresql, sqlite

from secure_api.db import AnySession, Base


def insert_once(session: AnySession, model: type[Base], **values: Any) -> bool:
    """True if the row was made now, False if its key was taken; of many who try at once, one gets True.

    Decided by the unique index and not by a look before: two requests would both find nothing.
    """
    table = cast(Table, inspect(model).local_table)
    dialect = session.connection().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    result = session.execute(insert(table).values(**values).on_conflict_do_nothing().returning(*table.primary_key))
    return result.first() is not None

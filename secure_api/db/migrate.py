"""Migrations: bring a database to the newest schema, or back."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from secure_api.db.base import WRITES, Base
from secure_api.db.scoping import SCOPED_BY

FOLDER = Path(__file__).parent / "migrations"
_OPTIONS = {WRITES: True, SCOPED_BY: "system: a migration acts for no caller"}


def upgrade(engine: Engine, revision: str = "head") -> None:
    """The database has the schema of `revision`; it is kept whole if a step fails."""
    with engine.connect().execution_options(**_OPTIONS) as connection, connection.begin():
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """The database has the older schema of `revision` (`base`: no tables)."""
    with engine.connect().execution_options(**_OPTIONS) as connection, connection.begin():
        command.downgrade(_config(connection), revision)


def is_current(engine: Engine) -> bool:
    """True if the database has the newest schema that this code knows."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == _newest()


@cache
def _newest() -> str | None:
    """The newest revision in the migrations folder; it does not change while the process runs."""
    return ScriptDirectory.from_config(_config(None)).get_current_head()


def _config(connection: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["metadata"] = Base.metadata
    return config

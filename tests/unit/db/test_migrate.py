"""Migrations: up, down, up again, on both databases; and the models say the same as the revisions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

import secure_api.app  # noqa: F401 - every model is imported with the application
from secure_api.db import Base
from secure_api.db.base import engine_options, prepare_engine
from secure_api.db.migrate import downgrade, is_current, upgrade
from tests.support.shop import open_store

VERSION_TABLE = "alembic_version"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))])
def bare_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with open_store(request.param, tmp_path) as store:
        engine = create_engine(store.database_url, **engine_options(store.database_url))
        prepare_engine(engine)
        yield engine
        engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {VERSION_TABLE}


def test_up_down_and_up_again(bare_engine: Engine) -> None:
    assert not is_current(bare_engine)
    upgrade(bare_engine)
    assert is_current(bare_engine)
    assert tables(bare_engine) == set(Base.metadata.tables)
    downgrade(bare_engine, "base")
    assert tables(bare_engine) == set()
    assert not is_current(bare_engine)
    upgrade(bare_engine)
    assert tables(bare_engine) == set(Base.metadata.tables)


def test_a_second_upgrade_changes_nothing(bare_engine: Engine) -> None:
    upgrade(bare_engine)
    with bare_engine.begin() as connection:
        connection.execute(text("INSERT INTO tags VALUES (:id, 'kept', :at, :at)"), _tag(bare_engine))
    upgrade(bare_engine)
    with bare_engine.connect() as connection:
        assert connection.scalars(text("SELECT name FROM tags")).all() == ["kept"]


def test_models_and_migrations_agree(bare_engine: Engine) -> None:
    """A model that was changed without a revision would work in no deployed database."""
    upgrade(bare_engine)
    with bare_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_step_that_fails_leaves_the_database_as_it_was(bare_engine: Engine) -> None:
    with bare_engine.begin() as connection:
        connection.execute(text("CREATE TABLE user_roles (in_the_way INTEGER)"))  # the last table of the revision
    with pytest.raises(Exception, match="already exists"):
        upgrade(bare_engine)
    assert tables(bare_engine) == {"user_roles"}
    assert not is_current(bare_engine)


def _tag(engine: Engine) -> dict[str, str]:
    return {"id": "00000000-0000-0000-0000-000000000001", "at": "2026-01-01 00:00:00.000000"}

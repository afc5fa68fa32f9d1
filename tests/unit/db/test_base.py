"""The column types and the transactions that every model shares."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session

from secure_api.db import UtcDateTime, begin_write
from secure_api.db.base import engine_options, prepare_engine
from tests.support.shop import open_store

INSTANTS = Table("instants", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcDateTime()))

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BERLIN, NEW_YORK = timezone(timedelta(hours=1)), timezone(timedelta(hours=-5))
# In true order; their texts are in another one.
ORDERED = [
    datetime(2026, 3, 1, 12, 30, tzinfo=BERLIN),  # 11:30 UTC
    NOON,
    datetime(2026, 3, 1, 7, 0, 0, 1, tzinfo=NEW_YORK),  # a microsecond after noon
    datetime(2026, 3, 1, 13, 0, 1, tzinfo=BERLIN),
    datetime(2026, 3, 1, 8, 0, tzinfo=NEW_YORK),
]


class _NoOffset(tzinfo):
    def utcoffset(self, _when: datetime | None) -> None:
        return None


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))])
def store_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with open_store(request.param, tmp_path) as store:
        engine = create_engine(store.database_url, **engine_options(store.database_url))
        prepare_engine(engine)
        INSTANTS.create(engine)
        yield engine
        engine.dispose()


def test_instants_come_back_aware_and_in_utc(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        connection.execute(insert(INSTANTS), [{"at": at} for at in [*ORDERED, None]])
    with store_engine.connect() as connection:
        found = connection.scalars(select(INSTANTS.c.at).order_by(INSTANTS.c.id)).all()
    assert found == [*ORDERED, None]
    assert {value.utcoffset() for value in found if value} == {timedelta(0)}


def test_instants_sort_and_compare_by_time_whatever_zone_they_came_in(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        connection.execute(insert(INSTANTS), [{"at": at} for at in reversed(ORDERED)])
    with store_engine.connect() as connection:
        assert connection.scalars(select(INSTANTS.c.at).order_by(INSTANTS.c.at)).all() == ORDERED
        for border in ORDERED:
            later = connection.scalars(select(INSTANTS.c.at).where(INSTANTS.c.at > border).order_by(INSTANTS.c.at))
            assert later.all() == [at for at in ORDERED if at > border]
        same = NOON.astimezone(NEW_YORK)
        assert connection.scalars(select(INSTANTS.c.at).where(INSTANTS.c.at == same)).all() == [NOON]


@pytest.mark.parametrize("naive", [datetime(2026, 3, 1), datetime(2026, 3, 1, tzinfo=_NoOffset())])
def test_an_instant_without_a_zone_is_refused(store_engine: Engine, naive: datetime) -> None:
    with store_engine.begin() as connection:
        connection.execute(insert(INSTANTS), {"at": NOON})
    with (
        pytest.raises(StatementError, match="naive datetime"),
        store_engine.begin() as connection,
    ):
        connection.execute(insert(INSTANTS), {"at": naive})
    with pytest.raises(StatementError, match="naive datetime"), store_engine.connect() as connection:
        connection.execute(select(INSTANTS).where(INSTANTS.c.at > naive))


def test_a_failed_statement_does_not_tell_its_values(store_engine: Engine) -> None:
    """The message ends up in the log, and a value may be a secret."""
    with store_engine.connect() as connection, pytest.raises((OperationalError, Exception)) as failed:
        connection.execute(text("SELECT * FROM nowhere WHERE x = :x"), {"x": "canary-4711"})
    assert "nowhere" in str(failed.value)
    assert "4711" not in str(failed.value)


def test_sqlite_keeps_foreign_keys(session: Session) -> None:
    begin_write(session)
    with pytest.raises(IntegrityError):
        session.execute(text("INSERT INTO user_roles (user_id, role) VALUES ('nobody', 'admin')"))


def test_a_write_takes_the_lock_before_it_reads(engine: Engine) -> None:
    """Two that read first and write later would end in a lock error that no waiting can help."""
    with Session(engine) as first, Session(engine) as second:
        begin_write(first)
        # A reader is not held up ...
        assert second.scalar(text("SELECT count(*) FROM users")) == 0
        second.rollback()
        # ... and a second writer has to wait: with no patience it is refused at once.
        second.connection().exec_driver_sql("PRAGMA busy_timeout=0")
        second.rollback()
        with pytest.raises(OperationalError, match="locked"):
            begin_write(second)


def test_concurrent_writers_lose_no_change(engine: Engine) -> None:
    with Session(engine) as session:
        begin_write(session)
        session.execute(text("CREATE TABLE counter (n INTEGER)"))
        session.execute(text("INSERT INTO counter VALUES (0)"))
        session.commit()

    def add() -> None:
        for _ in range(10):
            with Session(engine) as session:
                begin_write(session)
                found = session.scalar(text("SELECT n FROM counter"))
                session.execute(text("UPDATE counter SET n = :n"), {"n": (found or 0) + 1})
                session.commit()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Session(engine) as session:
        assert session.scalar(text("SELECT n FROM counter")) == 40

"""Records in a database, for several processes and restarts: one table, a row for each live record.

Keys of secrets arrive as fingerprints and records hold no secret that could be presented, so nothing in the table
is one; the exception is the signing keys, which a database must protect as it would a key file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import Column, Engine, Float, MetaData, String, Table, Text, create_engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from idp_mock.stores.memory import Clock
from idp_mock.toml_file import ConfigError

RecordT = TypeVar("RecordT")
_PURGE_SECONDS = 30
_METADATA = MetaData()
_RECORDS = Table(
    "idp_records",
    _METADATA,
    Column("issuer", String(512), primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("ends_at", Float(53), nullable=False, index=True),
    Column("record", Text, nullable=False),
)


def open_database(url: str) -> Engine:
    """An engine whose table exists; raises `ConfigError` when the database cannot be used."""
    try:
        engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
        is_file = engine.dialect.name == "sqlite" and engine.url.database not in (None, "", ":memory:")
        if engine.dialect.name != "postgresql" and not is_file:
            raise ConfigError("--store: write sqlite:///FILE or postgresql+psycopg://HOST/DATABASE")
        _METADATA.create_all(engine)
        # A connection that was opened before a fork belongs to the parent process alone.
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigError(f"--store: the database cannot be used ({type(error).__name__})") from None
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine


class SqlStore(Generic[RecordT]):
    """The same promises as `MemoryStore`, kept between processes: `add` and `change` have exactly one winner."""

    def __init__(self, engine: Engine, issuer: str, kind: str, record_type: Any, clock: Clock) -> None:
        self._engine = engine
        self._name = {"issuer": issuer, "kind": kind}
        self._mine = (_RECORDS.c.issuer == issuer) & (_RECORDS.c.kind == kind)
        self._adapter: TypeAdapter[RecordT] = TypeAdapter(record_type)
        self._clock = clock
        self._purge_lock = threading.Lock()
        self._purge_at = 0.0

    def put(self, key: str, record: RecordT, ttl_seconds: float) -> None:
        """Store the record; now and then, what has ended is deleted."""
        self._insert(key, record, ttl_seconds, only_if_ended=False)

    def add(self, key: str, record: RecordT, ttl_seconds: float) -> bool:
        """Store the record only where no live one has the key; True for the one caller whose record it is."""
        return self._insert(key, record, ttl_seconds, only_if_ended=True)

    def get(self, key: str) -> RecordT | None:
        with self._engine.connect() as connection:
            text = connection.execute(select(_RECORDS.c.record).where(self._live(key))).scalar_one_or_none()
        return None if text is None else self._adapter.validate_json(text)

    def with_prefix(self, prefix: str) -> list[tuple[str, RecordT]]:
        """The live records whose key begins so."""
        begins = _RECORDS.c.key.startswith(prefix, autoescape=True)
        live = self._mine & begins & (_RECORDS.c.ends_at > self._clock())
        with self._engine.connect() as connection:
            rows = connection.execute(select(_RECORDS.c.key, _RECORDS.c.record).where(live)).all()
        # LIKE ignores case on SQLite.
        return [(key, self._adapter.validate_json(text)) for key, text in rows if key.startswith(prefix)]

    def change(self, key: str, change: Callable[[RecordT], RecordT]) -> RecordT | None:
        """Replace the record by `change(record)`; the answer is the record as it was before.

        The row is replaced only if it still is what was read; else it is read again.
        """
        while True:
            with self._engine.begin() as connection:
                text = connection.execute(select(_RECORDS.c.record).where(self._live(key))).scalar_one_or_none()
            if text is None:
                return None
            before = self._adapter.validate_json(text)
            after = self._text(change(before))
            replace = update(_RECORDS).where(self._live(key), _RECORDS.c.record == text).values(record=after)
            with self._engine.begin() as connection:
                if connection.execute(replace).rowcount == 1:
                    return before

    def remove(self, key: str) -> RecordT | None:
        taken = delete(_RECORDS).where(self._live(key)).returning(_RECORDS.c.record)
        with self._engine.begin() as connection:
            text = connection.execute(taken).scalar_one_or_none()
        return None if text is None else self._adapter.validate_json(text)

    def __len__(self) -> int:
        with self._engine.begin() as connection:
            connection.execute(self._ended())
            return len(connection.execute(select(_RECORDS.c.key).where(self._mine)).all())

    def _insert(self, key: str, record: RecordT, ttl_seconds: float, *, only_if_ended: bool) -> bool:
        now = self._clock()
        dialect: Any = sqlite if self._engine.dialect.name == "sqlite" else postgresql
        values = {"ends_at": now + ttl_seconds, "record": self._text(record)}
        statement = dialect.insert(_RECORDS).values(**self._name, key=key, **values)
        statement = statement.on_conflict_do_update(
            index_elements=["issuer", "kind", "key"],
            set_=values,
            where=(_RECORDS.c.ends_at <= now) if only_if_ended else None,
        )
        with self._engine.begin() as connection:
            stored = connection.execute(statement.returning(_RECORDS.c.key)).scalar_one_or_none() is not None
            if self._purge_is_due(now):
                connection.execute(self._ended())
        return stored

    def _purge_is_due(self, now: float) -> bool:
        with self._purge_lock:
            due = now >= self._purge_at
            if due:
                self._purge_at = now + _PURGE_SECONDS
            return due

    def _live(self, key: str) -> Any:
        return self._mine & (_RECORDS.c.key == key) & (_RECORDS.c.ends_at > self._clock())

    def _ended(self) -> Any:
        return delete(_RECORDS).where(self._mine, _RECORDS.c.ends_at <= self._clock())

    def _text(self, record: RecordT) -> str:
        return self._adapter.dump_json(record).decode()

"""The declarative base, the column types that every model shares, and the engine's settings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, TypeDecorator, Uuid, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, registry, scoped_session
from sqlalchemy.pool import ConnectionPoolEntry

SQLITE_BUSY_TIMEOUT_MILLISECONDS = 5_000
WRITES = "secure_api_writes"


# The request's session, or one of its own. Flask-SQLAlchemy's subclass makes the parameter `Any`.
AnySession = Session | scoped_session[Any]


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes in and out; stored so that they compare alike on SQLite and PostgreSQL.

    A naive value is refused with ValueError: its instant is unknown.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """`value` in UTC; SQLite keeps it without the offset, in fixed-width text that sorts."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("naive datetime: give it a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The stored instant, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every model.

    `policy_resource` names the policy file that guards the table; reads of a guarded table are
    refused unless `db.scoping` marked them.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    registry = registry(type_annotation_map={datetime: UtcDateTime(), UUID: Uuid()}, metadata=metadata)
    policy_resource: ClassVar[str | None] = None


def utc_now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)


class Identified:
    """A random public id as primary key: it tells neither order nor number of records."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, sort_order=-2)


class Timestamped:
    """When the row was made and last changed, in UTC."""

    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True, sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now, sort_order=91)


# Objects keep their loaded values after a commit: a refresh would be an unscoped read.
database = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False, "autoflush": False})


def engine_options(database_url: str) -> dict[str, Any]:
    """Options for `create_engine` that suit the kind of database."""
    # The parameters of a failed statement may be secrets, and its message ends up in the log.
    hidden = {"hide_parameters": True}
    if database_url.startswith("sqlite"):
        return {**hidden, "connect_args": {"timeout": SQLITE_BUSY_TIMEOUT_MILLISECONDS / 1000}}
    return {**hidden, "pool_pre_ping": True, "pool_size": 10, "max_overflow": 5, "pool_timeout": 5}


def prepare_engine(engine: Engine) -> None:
    """Make SQLite enforce foreign keys, keep readers beside the writer, and honour `begin_write`."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: ConnectionPoolEntry) -> None:
        # The driver would begin a transaction only at the first write; `begin` below does it instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"busy_timeout={SQLITE_BUSY_TIMEOUT_MILLISECONDS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = "IMMEDIATE" if connection.get_execution_options().get(WRITES) else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {mode}")


def begin_write(session: AnySession) -> None:
    """Begin a transaction that will write: SQLite takes its write lock now and waits for it if it must.

    A transaction that reads first and writes later would fail where another writer came between.
    """
    session.connection(execution_options={WRITES: True})

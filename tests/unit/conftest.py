"""An application of its own for a test: a fresh SQLite file with the newest schema, and one imaginary provider."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from secure_api.app import create_app
from secure_api.db import database
from secure_api.db.base import prepare_engine
from secure_api.db.migrate import upgrade
from secure_api.seed import seed_demo
from secure_api.settings import PROJECT_ROOT, Settings

ISSUER = "https://idp.example"
BASE_URL = "http://127.0.0.1:8000"
SECRET_KEY = "Zy8-unit-tests-only-kQ3vW7xR1mB5nT9pL2sD"

PROVIDERS = f"""
[providers.mock]
display_name = "Imaginary sign-in"
issuer = "{ISSUER}"
profile = "rfc9068"
audiences = ["{BASE_URL}"]
login = true
client_id = "shop-web"
client_secret = "not-a-secret"
provision = "login"
[providers.mock.roles]
shop-customers = "customer"
shop-managers = "manager"
"""

MakeApp = Callable[..., Flask]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema and no rows; tests copy it."""
    return _made(tmp_path_factory.mktemp("database") / "empty.sqlite3", seeded=False)


@pytest.fixture(scope="session")
def seeded_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the demo shop of `ISSUER`; tests copy it."""
    return _made(tmp_path_factory.mktemp("database") / "seeded.sqlite3", seeded=True)


@pytest.fixture
def settings_for(tmp_path: Path, empty_database: Path, seeded_database: Path) -> Callable[..., Settings]:
    """Settings on a database and a providers file of their own; keyword arguments replace single ones."""

    def make(*, seeded: bool = False, **changes: Any) -> Settings:
        file = tmp_path / "shop.sqlite3"
        shutil.copy(seeded_database if seeded else empty_database, file)
        providers = tmp_path / "providers.toml"
        providers.write_text(PROVIDERS, encoding="utf-8")
        return Settings(
            **{
                "environment": "testing",
                "base_url": BASE_URL,
                "database_url": f"sqlite:///{file}",
                "identity_providers": providers,
                "policies": PROJECT_ROOT / "policies",
                "rate_limits": PROJECT_ROOT / "config" / "rate_limits.testing.toml",
                "secret_key": SECRET_KEY,
                **changes,
            }
        )

    return make


@pytest.fixture
def make_app(settings_for: Callable[..., Settings]) -> Iterator[MakeApp]:
    """Makes applications from `settings_for`; their connections are closed afterwards."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        app = create_app(settings_for(**changes))
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            database.engine.dispose()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """The whole application on an empty database."""
    return make_app()


@pytest.fixture
def shop_app(make_app: MakeApp) -> Flask:
    """The whole application on the demo shop."""
    return make_app(seeded=True)


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    """An engine on an empty database, without the guard of `db.scoping`."""
    file = tmp_path / "engine.sqlite3"
    shutil.copy(empty_database, file)
    engine = create_engine(f"sqlite:///{file}")
    prepare_engine(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on `engine`, as the application's: it flushes when it is told to."""
    with Session(engine, expire_on_commit=False, autoflush=False) as session:
        yield session


def _made(file: Path, *, seeded: bool) -> Path:
    engine = create_engine(f"sqlite:///{file}")
    prepare_engine(engine)
    upgrade(engine)
    if seeded:
        with Session(engine, autoflush=False) as session:
            seed_demo(session, ISSUER)
    with engine.connect() as connection:
        # One file, without a log beside it: a copy of it is the whole database.
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return file

"""Callers with a session or a token of their own, at an application in this process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from secure_api.audit import AuditRecord
from secure_api.credentials.sessions import SessionLimits, start_session
from secure_api.db import utc_now
from secure_api.db.base import prepare_engine
from secure_api.seed import demo_id
from tests.unit.conftest import BASE_URL
from tests.unit.credentials.token_workshop import compact, rsa_jwk
from tests.unit.outbound.loopback_server import LoopbackServer

WRITE = {"X-CSRF": "1", "Origin": BASE_URL}
PEOPLE = {"alice": "Alice Ahlberg", "bob": "Bob Brandt", "mia": "Mia Moreau", "ada": "Ada Adeyemi"}
SUBJECTS = {"alice": "usr_01J9ALICE7Q2M", "mia": "usr_01J9MIAAA8H4P", "ada": "usr_01J9ADAAA5N9V"}


@dataclass
class Callers:
    """Requests in the name of the demo's people."""

    app: Flask
    engine: Engine

    @classmethod
    def of(cls, app: Flask) -> Callers:
        engine = create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
        prepare_engine(engine)
        return cls(app, engine)

    def session_of(self, name: str, *, acr: str | None = None, age: timedelta = timedelta(0)) -> str:
        """The cookie of a new session of that person."""
        limits = SessionLimits(timedelta(hours=1), timedelta(hours=1))
        with Session(self.engine, autoflush=False) as session:
            token, _ = start_session(
                session,
                user_id=demo_id("user", PEOPLE[name]),
                provider="mock",
                acr=acr,
                auth_time=utc_now() - age,
                limits=limits,
            )
            session.commit()
        return token

    def call(
        self,
        method: str,
        path: str,
        cookie: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> TestResponse:
        """One request; with a cookie it carries what our own pages send with a write."""
        client = self.app.test_client(use_cookies=False)
        sent = {} if headers is None else dict(headers)
        if cookie is not None:
            sent = {"Cookie": f"__Host-session={cookie}", **(WRITE if headers is None else {}), **sent}
        return client.open(path, method=method, headers=sent, buffered=True, **options)

    def events(self) -> list[AuditRecord]:
        with Session(self.engine) as session:
            return list(session.scalars(select(AuditRecord).order_by(AuditRecord.at)))

    def row(self, model: Any, row_id: UUID) -> Any:
        """The row as the database holds it now."""
        with Session(self.engine) as session:
            return session.get(model, row_id)

    def close(self) -> None:
        self.engine.dispose()


def access_token(issuer: str, name: str, scope: str = "orders:read", **claims: Any) -> str:
    """An access token as the provider at `issuer` would sign it for a person of the demo."""
    now = int(time.time())
    usual = {
        "iss": issuer,
        "aud": BASE_URL,
        "sub": SUBJECTS.get(name, name),
        "client_id": "cli",
        "scope": scope,
        "iat": now - 1,
        "exp": now + 300,
        "jti": "t1",
    }
    return compact({"alg": "RS256", "kid": "key-1", "typ": "at+jwt"}, {**usual, **claims})


def publish_keys(server: LoopbackServer) -> None:
    """Make `server` an issuer whose tokens `access_token` signs."""
    server.publish([rsa_jwk("mock", "key-1", alg="RS256")])


def policy_folder(folder: Path, shipped: Path, **changes: str) -> Path:
    """A copy of the shipped policies, with the files of `changes` replaced."""
    target = folder / "policies"
    target.mkdir()
    for file in shipped.glob("*.yaml"):
        text = changes.get(file.stem, file.read_text(encoding="utf-8"))
        (target / file.name).write_text(text, encoding="utf-8")
    return target

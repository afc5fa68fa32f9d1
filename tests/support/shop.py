"""A running shop for tests: real processes, real sockets, a real database beside the embedded one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import requests
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from idp_mock.pytest_plugin import IdpServer
from secure_api.audit import AuditRecord
from secure_api.db.base import prepare_engine
from secure_api.resources.orders.model import Order
from secure_api.seed import demo_id
from secure_api.server import free_port
from tests.support.machine import POSTGRESQL_URL, REDIS_URL

HOST = "127.0.0.1"
START_SECONDS = 30
REDIRECT_URI = f"http://{HOST}:49152/callback"

EVERY_SCOPE = "orders:read orders:write orders:delete products:read products:write products:delete"
ALICE, BOB, MIA, ADA = "alice", "bob", "mia", "ada"
CUSTOMER_NAMES = {ALICE: "Alice Ahlberg", BOB: "Bob Brandt"}


@dataclass(frozen=True)
class Store:
    """Where a shop keeps its data."""

    kind: str
    folder: Path
    database_url: str
    redis_url: str | None
    workers: int


@contextlib.contextmanager
def open_store(kind: str, folder: Path) -> Iterator[Store]:
    """An empty database of that kind, gone afterwards."""
    if kind == "sqlite":
        yield Store(kind, folder, f"sqlite:///{folder / 'shop.sqlite3'}", None, 1)
        return
    name = f"secure_api_test_{secrets.token_hex(6)}"
    server = create_engine(POSTGRESQL_URL, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield Store(kind, folder, POSTGRESQL_URL.rpartition("/")[0] + f"/{name}", REDIS_URL, 2)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


class Shop:
    """The API at `api`, its identity provider `idp`, and its database `engine`."""

    def __init__(self, api: str, idp: IdpServer, engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
        self.api = api
        self.idp = idp
        self.engine = engine
        self.process = process
        self.log = log
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    @classmethod
    @contextlib.contextmanager
    def started(cls, store: Store, **settings: str) -> Iterator[Shop]:
        """A shop with demo data on `store`, ended afterwards; `settings` are further SECURE_API_* variables."""
        port = free_port(HOST)
        api = f"http://{HOST}:{port}"
        with IdpServer(environment={"API_BASE_URL": api}) as idp:
            environment = api_environment(api, idp, store, settings)
            for command in (["db", "upgrade"], ["seed"]):
                subprocess.run([sys.executable, "-m", "secure_api", *command], env=environment, check=True)
            engine = create_engine(store.database_url)
            prepare_engine(engine)
            log = store.folder / "api.log"
            process = start_api(port, environment, log, store.workers)
            try:
                yield cls(api, idp, engine, process, log)
            finally:
                stop(process)
                engine.dispose()

    # --- callers -----------------------------------------------------------------------------------

    def token(self, user: str, scope: str = EVERY_SCOPE) -> str:
        """An access token that the third-party client `example-cli` got for `user`, by code flow with PKCE."""
        token, until = self._tokens.get((user, scope), ("", 0.0))
        if time.monotonic() > until:
            granted = self.code_flow(user, scope)
            token = granted["access_token"]
            self._tokens[user, scope] = token, time.monotonic() + granted["expires_in"] / 2
        return token

    def code_flow(self, user: str, scope: str) -> dict[str, Any]:
        """The token response of a whole code flow with PKCE for `user` (unattended)."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        parameters = {
            "response_type": "code",
            "client_id": "example-cli",
            "redirect_uri": REDIRECT_URI,
            "scope": scope,
            "state": "state",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": user,
        }
        with requests.Session() as browser:
            answer = browser.get(f"{self.idp.issuer}/authorize", params=parameters, allow_redirects=False, timeout=10)
            while not answer.headers.get("Location", "").startswith(REDIRECT_URI):
                assert answer.is_redirect, f"no redirect: {answer.status_code} {answer.text[:500]}"
                location = requests.compat.urljoin(answer.url, answer.headers["Location"])
                answer = browser.get(location, allow_redirects=False, timeout=10)
        returned = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
        assert "code" in returned, returned
        granted = requests.post(
            f"{self.idp.issuer}/token",
            data={
                "grant_type": "authorization_code",
                "code": returned["code"],
                "redirect_uri": REDIRECT_URI,
                "client_id": "example-cli",
                "code_verifier": verifier,
            },
            timeout=10,
        )
        assert granted.status_code == 200, granted.text
        return dict(granted.json())

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        """One request to the API, with `token` in the Authorization header."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return requests.request(
            method, f"{self.api}{path}", headers=headers, allow_redirects=False, timeout=30, **options
        )

    # --- white-box reads and fixtures ----------------------------------------------------------------

    def events(self, request_id: str) -> list[Mapping[str, Any]]:
        """The audit events of one request, as the database holds them."""
        with Session(self.engine) as session:
            rows = session.query(AuditRecord).filter(AuditRecord.request_id == request_id).order_by(AuditRecord.at)
            return [{"event": row.event, **row.body} for row in rows]

    def events_of(self, response: requests.Response) -> list[Mapping[str, Any]]:
        """The audit events of the request that `response` answers."""
        return self.events(response.headers["X-Request-ID"])

    def add_order(self, owner: str = ALICE, **values: Any) -> UUID:
        """A new order of a demo customer, for a test that changes it."""
        order_id = uuid4()
        with Session(self.engine) as session:
            session.add(
                Order(
                    id=order_id,
                    customer_id=demo_id("customer", CUSTOMER_NAMES[owner]),
                    **{
                        "status": "new",
                        "total_minor": 4200,
                        "currency": "EUR",
                        "internal_note": "only for staff",
                        "archived": False,
                        **values,
                    },
                )
            )
            session.commit()
        return order_id

    def order_status(self, order_id: UUID) -> str | None:
        """The status as the database holds it; None if the order is gone."""
        with Session(self.engine) as session:
            order = session.get(Order, order_id)
            return order.status if order is not None else None


def api_environment(api: str, idp: IdpServer, store: Store, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of an API process for tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SECURE_API_")}
    return {
        **kept,
        "PYTHONWARNINGS": "error",
        "SECURE_API_ENV": "testing",
        "SECURE_API_BASE_URL": api,
        "SECURE_API_DATABASE_URL": store.database_url,
        "SECURE_API_SECRET_KEY": secrets.token_urlsafe(48),
        "IDP_ISSUER": idp.issuer,
        "SHOP_WEB_CLIENT_SECRET": idp.shop_web_secret,
        **({"SECURE_API_REDIS_URL": store.redis_url} if store.redis_url else {}),
        **settings,
    }


def start_api(port: int, environment: Mapping[str, str], log: Path, workers: int = 1) -> subprocess.Popen[bytes]:
    """The API in a process of its own, answering."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "secure_api", "run", "--host", HOST, "--port", str(port), "--workers", str(workers)],
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"http://{HOST}:{port}/readyz", timeout=5).ok:
                return process
        time.sleep(0.05)
    stop(process)
    raise AssertionError(f"the API did not start:\n{log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group that `start_api` made."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

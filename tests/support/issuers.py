"""Issuers of the test's own on loopback, and a shop that trusts them: tokens of any form, over real HTTP.

Each issuer is a server in the test's process whose keys are those of `token_workshop`, so that a test can sign
whatever it wants and change what the issuer answers.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, UserRole
from secure_api.seed import demo_id
from tests.support.shop import ALICE, CUSTOMER_NAMES, Shop, open_store
from tests.unit.credentials import token_workshop as workshop
from tests.unit.credentials.token_workshop import b64, compact
from tests.unit.outbound.loopback_server import LoopbackServer, running_server

# name → profile, key set, header, claims (with the times of the workshop's fixed moment)
SHAPES: Mapping[str, tuple[str, list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "forge": ("rfc9068", workshop.JWKS[workshop.MOCK], workshop.HEADER, workshop.CLAIMS),
    "okta": ("okta", workshop.JWKS[workshop.OKTA], workshop.OKTA_HEADER, workshop.OKTA_CLAIMS),
    "keycloak": ("oidc", workshop.JWKS[workshop.KEYCLOAK], workshop.KEYCLOAK_HEADER, workshop.KEYCLOAK_CLAIMS),
    "google": ("login-only", workshop.JWKS[workshop.GOOGLE], workshop.GOOGLE_HEADER, workshop.GOOGLE_CLAIMS),
}
_KEYS = {"forge": "mock", "okta": "okta", "keycloak": "keycloak", "google": "google"}
_TIMES = ("iat", "exp", "auth_time")
# What names the user in each issuer's access tokens.
SUBJECTS = {"forge": "alice", "okta": "00ujmkLgagxeRrAg20g3", "keycloak": workshop.KEYCLOAK_CLAIMS["sub"]}

_MOCK_TABLE = """
[providers.mock]
issuer = "${IDP_ISSUER}"
profile = "rfc9068"
audiences = ["${SECURE_API_BASE_URL}"]
"""


def provider_table(name: str, issuer: str, profile: str, more: str = "") -> str:
    """One table of a providers file; `more` is added as it is."""
    audiences = "" if profile == "login-only" else 'audiences = ["${SECURE_API_BASE_URL}"]\n'
    return (
        f'\n[providers.{name}]\nissuer = "{issuer}"\nprofile = "{profile}"\nclient_id = "shop-web"\n{audiences}{more}'
    )


@dataclass(frozen=True)
class Forge:
    """Signs tokens of the issuers in `servers` for the API at `audience`; times count from now."""

    servers: Mapping[str, LoopbackServer]
    audience: str

    def issuer(self, name: str = "forge") -> str:
        return self.servers[name].url

    def header(self, name: str = "forge", **changes: Any) -> dict[str, Any]:
        return {**SHAPES[name][2], **changes}

    def claims(self, name: str = "forge", **changes: Any) -> dict[str, Any]:
        """The claims of a good access token (or Google's ID token), with `changes`."""
        good = dict(SHAPES[name][3])
        ahead = int(time.time()) - workshop.SECONDS
        good.update({claim: good[claim] + ahead for claim in _TIMES if claim in good})
        good["iss"] = self.issuer(name)
        if name != "google":
            good["aud"] = ["account", self.audience] if name == "keycloak" else self.audience
        return {**good, **changes}

    def sign(self, header: bytes | Mapping[str, Any], claims: bytes | Mapping[str, Any], key: str | None = None) -> str:
        """A token over exactly these, signed RS256 with the key of this name (the forge's own)."""
        return compact(header, claims, key or "mock")

    def good(self, name: str = "forge") -> str:
        """A token that the API accepts."""
        return compact(self.header(name), self.claims(name), _KEYS[name])

    def claiming(self, name: str = "forge", **changes: Any) -> str:
        """A good token but for these claims."""
        return compact(self.header(name), self.claims(name, **changes), _KEYS[name])

    def lacking(self, *names: str, issuer: str = "forge") -> str:
        """A good token without these claims."""
        return compact(self.header(issuer), workshop.without(self.claims(issuer), *names), _KEYS[issuer])

    def headed(self, name: str = "forge", **changes: Any) -> str:
        """A good token but for these header members."""
        return compact(self.header(name, **changes), self.claims(name), _KEYS[name])

    def unsigned(self, algorithm: str, signature: str = "") -> str:
        """A token that says `alg: <algorithm>` and carries this signature text."""
        return f"{self.message(algorithm)}.{signature}"

    def message(self, algorithm: str, **header: Any) -> str:
        """Header and claims of a good token under another algorithm, ready to be signed."""
        parts = (self.header(alg=algorithm, **header), self.claims())
        return ".".join(b64(json.dumps(part).encode()) for part in parts)


def add_account(engine: Engine, issuer: str, subject: str, customer: str = ALICE, role: str = "customer") -> None:
    """A user of this issuer who owns the orders of a demo customer."""
    with Session(engine) as session:
        user = User(issuer=issuer, subject=subject, customer_id=demo_id("customer", CUSTOMER_NAMES[customer]))
        session.add(user)
        session.flush()
        session.add(UserRole(user_id=user.id, role=role))
        session.commit()


@contextlib.contextmanager
def shop_with(folder: Path, tables: str, **settings: str) -> Iterator[Shop]:
    """A shop on SQLite that trusts the issuers of these provider tables, beside the mock that seeds its users."""
    providers = folder / "providers.toml"
    providers.write_text(_MOCK_TABLE + tables)
    settings = {"SECURE_API_IDENTITY_PROVIDERS": str(providers), **settings}
    with open_store("sqlite", folder) as store, Shop.started(store, **settings) as shop:
        yield shop


@contextlib.contextmanager
def forged_shop(folder: Path) -> Iterator[tuple[Shop, Forge]]:
    """A shop that trusts four issuers of the test's own, and the forge that signs for them; Alice has an account."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(running_server()) for name in SHAPES}
        tables = ""
        for name, (profile, keys, _, _) in SHAPES.items():
            servers[name].publish(keys)
            more = '[providers.keycloak.access_tokens]\nfixed_claims = {typ = "Bearer"}\n' if name == "keycloak" else ""
            if name == "keycloak":
                more = 'groups_claim = ["realm_access", "roles"]\n' + more
            tables += provider_table(name, servers[name].url, profile, more)
        shop = stack.enter_context(shop_with(folder, tables))
        for name, subject in SUBJECTS.items():
            add_account(shop.engine, servers[name].url, subject)
        yield shop, Forge(servers, shop.api)

"""Which pages of other origins may read the provider's answers: those of registered browser applications."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient

SPA = "https://spa.example"
CLIENTS = """
default_resource = "https://api.example"
[[clients]]
client_id = "spa"
type = "public"
redirect_uris = ["https://SPA.example:443/callback", "http://localhost:5173/callback"]
scopes = ["openid"]
[[clients]]
client_id = "server"
type = "confidential"
client_secret = "0123456789abcdef0123456789abcdef"
redirect_uris = ["https://server.example/callback"]
scopes = ["openid"]
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdpServer]:
    file = tmp_path_factory.mktemp("idp") / "clients.toml"
    file.write_text(CLIENTS)
    with IdpServer(["--auto-login", "--clients", str(file)]) as server:
        yield server


def ask(idp: IdpServer, path: str, origin: str, method: str = "GET") -> requests.Response:
    headers = {"Origin": origin}
    if method == "OPTIONS":
        headers |= {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "DPoP"}
    return requests.request(method, idp.issuer + path, headers=headers, allow_redirects=False, timeout=TIMEOUT_SECONDS)


SCRIPT_PATHS = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/userinfo",
    "/token",
    "/revoke",
]


@pytest.mark.parametrize("path", SCRIPT_PATHS)
def test_a_registered_origin_reads_and_a_stranger_does_not(provider: IdpServer, path: str) -> None:
    """Fetch §3.2: the exact origin, never a wildcard, never with credentials; caches keep origins apart."""
    method = "POST" if path in ("/token", "/revoke") else "GET"
    for origin in (SPA, "http://localhost:5173"):
        answer = ask(provider, path, origin, method)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "DPoP-Nonce" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
    for origin in (
        "https://attacker.example",
        "https://server.example",
        "null",
        "https://spa.example.attacker.example",
    ):
        answer = ask(provider, path, origin, method)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", SCRIPT_PATHS)
def test_a_preflight_is_answered_for_registered_origins(provider: IdpServer, path: str) -> None:
    """Fetch §3.2.2: the headers that OAuth in a browser needs, DPoP included."""
    answer = ask(provider, path, SPA, "OPTIONS")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SPA
    for name in ("Authorization", "Content-Type", "DPoP"):
        assert name in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in ask(provider, path, "https://attacker.example", "OPTIONS").headers


@pytest.mark.parametrize("path", ["/authorize", "/login", "/consent", "/logout", "/par", "/introspect", "/"])
def test_pages_are_for_nobodys_script(provider: IdpServer, path: str) -> None:
    """Checklist 50 [RFC 9700 §2.6]: no CORS on the authorization endpoint, nor where only servers go."""
    assert "Access-Control-Allow-Origin" in ask(provider, "/jwks", SPA).headers
    for method in ("GET", "OPTIONS"):
        assert not [name for name in ask(provider, path, SPA, method).headers if name.startswith("Access-Control")]


def test_a_browser_application_completes_its_flow(provider: IdpServer) -> None:
    """RFC 9700 §2.6: what a script has to read, it can."""
    client = OAuthClient(provider.issuer, "spa", "http://localhost:5173/callback", "openid")
    code = client.code("alice")
    form = {
        "grant_type": "authorization_code",
        "client_id": "spa",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": client.verifier,
    }
    origin = {"Origin": "http://localhost:5173"}
    answer = requests.post(client.address("token"), data=form, headers=origin, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]


def test_a_file_of_clients_stays_as_written(tmp_path: Path) -> None:
    """Another provider, with no browser application, allows nobody."""
    file = tmp_path / "clients.toml"
    file.write_text(CLIENTS[: CLIENTS.index("[[clients]]")] + CLIENTS[CLIENTS.rindex("[[clients]]") :])
    with IdpServer(["--clients", str(file)]) as server:
        assert "Access-Control-Allow-Origin" not in ask(server, "/jwks", SPA).headers
        assert ask(server, "/jwks", "https://server.example").status_code == 200

"""The `idp-mock` command: what it prints, when it refuses to start, how it stops; and the pytest plugin."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient

EVERY_ADDRESS = "0.0.0.0"
ENVIRONMENT = {**os.environ, "SHOP_WEB_CLIENT_SECRET": "s" * 40}


def run(*options: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "idp_mock", "run", *options],
        env=ENVIRONMENT if environment is None else environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_quickly_and_frees_the_port(number: signal.Signals) -> None:
    """Ctrl-C leaves no process and no listener behind."""
    server = IdpServer()
    port = int(server.address.rpartition(":")[2])
    assert requests.get(f"{server.issuer}/healthz", timeout=TIMEOUT_SECONDS).status_code == 200
    server.process.send_signal(number)
    assert server.process.wait(5) == 0
    server.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_in_use_is_one_clear_line(idp: IdpServer) -> None:
    """Exit code 2, no traceback, and the first server still answers."""
    port = idp.address.rpartition(":")[2]
    assert_refused(run("--port", port), f"cannot listen on 127.0.0.1:{port}", "in use")
    assert requests.get(f"{idp.issuer}/healthz", timeout=TIMEOUT_SECONDS).status_code == 200


def test_it_stays_on_this_machine_unless_told_otherwise() -> None:
    assert_refused(run("--host", EVERY_ADDRESS, "--port", "0"), "--allow-public-bind")
    assert_refused(
        run("--host", EVERY_ADDRESS, "--port", "0", "--allow-public-bind", "--test-endpoints"), "--test-endpoints"
    )


@pytest.mark.parametrize(
    ("issuer", "word"),
    [
        ("http://idp.example", "https"),
        ("ftp://localhost", "http or https"),
        ("localhost:9000", "http or https"),
        ("https://idp.example?x=1", "query"),
        ("https://idp.example#", "query"),
        ("https://me@idp.example", "user information"),
        ("https://idp.example:99999", "not a URL"),
    ],
)
def test_an_impossible_issuer_is_refused(issuer: str, word: str) -> None:
    """OIDC Discovery §3: https except on loopback, no query, no fragment."""
    assert_refused(run("--port", "0", "--issuer", issuer), repr(issuer), word)


def test_a_missing_secret_names_the_variable() -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "SHOP_WEB_CLIENT_SECRET"}
    assert_refused(run("--port", "0", environment=environment), "clients[0]", "SHOP_WEB_CLIENT_SECRET is not set")


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert_refused(run("--port", "0", "--users", str(missing)), str(missing))


def test_help_teaches() -> None:
    result = run("--help")
    assert result.returncode == 0
    for word in ("--one-click", "TESTS ONLY", "exit codes", "examples:"):
        assert word in result.stdout


def test_the_issuer_is_exactly_as_configured() -> None:
    """OIDC Discovery §4.3: with a slash at the end where configured so; no double slash in the addresses."""
    with IdpServer(["--issuer", "http://localhost:9/", "--auto-login"]) as server:
        document = requests.get(f"{server.address}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS).json()
        assert document["issuer"] == server.issuer == "http://localhost:9/"
        assert document["token_endpoint"] == "http://localhost:9/token"


def test_several_issuers_share_nothing() -> None:
    """Keys, codes and sessions of one issuer mean nothing at another in the same process."""
    with IdpServer(["--auto-login", "--extra-issuer", "/second"]) as server:
        first, second = OAuthClient(server.issuer), OAuthClient(f"{server.issuer}/second")
        inserted = requests.get(
            f"{server.issuer}/.well-known/oauth-authorization-server/second", timeout=TIMEOUT_SECONDS
        ).json()
        appended = requests.get(
            f"{server.issuer}/second/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS
        ).json()
        assert inserted == appended
        assert inserted["issuer"] == second.issuer
        assert inserted["token_endpoint"] == f"{second.issuer}/token"
        token = second.tokens()["access_token"]
        assert second.userinfo(token).status_code == 200
        assert first.userinfo(token).status_code == 401
        code = second.code()
        first.verifier = second.verifier
        assert first.token(code=code).json()["error"] == "invalid_grant"
        assert second.token(code=code).status_code == 200
        keys = [
            {key["kid"] for key in requests.get(f"{url}/jwks", timeout=TIMEOUT_SECONDS).json()["keys"]}
            for url in (first.issuer, second.issuer)
        ]
        assert not keys[0] & keys[1]


def test_the_audience_option_overrides_the_clients_file() -> None:
    with IdpServer(["--auto-login", "--audience", "https://api.example"]) as server:
        client = OAuthClient(server.issuer)
        assert client.tokens(resource="https://api.example")["access_token"]
        refused = client.authorize(login_hint="alice", resource="http://127.0.0.1:8000")
        assert "error=invalid_target" in refused.headers["Location"]


def test_the_plugin_serves_another_project(tmp_path: Path) -> None:
    """A test elsewhere needs one line; warnings stay errors."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["idp_mock.pytest_plugin"]\n')
    (tmp_path / "test_elsewhere.py").write_text(
        "from idp_mock.testing import OAuthClient\n"
        "def test_mint(idp):\n    assert idp.mint({'sub': 'x'}).count('.') == 2\n"
        "def test_hostile(hostile_idp):\n"
        "    hostile_idp.fault('id_token_missing', until_cleared=True)\n"
        "    assert 'id_token' not in OAuthClient(hostile_idp.issuer).tokens()\n"
        "    assert hostile_idp.log('token')[-1]['faults'] == ['id_token_missing']\n"
        "def test_honest(idp):\n"
        "    assert idp.faults() == []\n"
        "    assert OAuthClient(idp.issuer).tokens()['id_token']\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout

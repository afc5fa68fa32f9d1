"""Clients that nobody here wrote, against the running provider: npm's openid-client and oauth4webapi.

Install them with `npm ci --ignore-scripts` in tests/conformance.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from idp_mock.testing import Person
from tests.conformance.conftest import Provider

FOLDER = Path(__file__).parent
SECONDS = 90
OPENID_CLIENT = (
    "discovery", "code_with_pkce", "max_age", "an_error_answer", "refresh", "par", "dpop", "client_credentials",
    "private_key_jwt", "request_object", "introspection", "revocation", "device", "end_session", "registration",
)  # fmt: skip
OAUTH4WEBAPI = (
    "discovery", "code_with_pkce", "id_token_signature", "access_token_rfc9068", "refresh", "par", "dpop",
    "client_credentials", "introspection", "revocation", "device",
)  # fmt: skip


def allow_device(provider: Provider, url: str) -> None:
    """Bob confirms the device in his browser."""
    person = Person(provider.issuer)
    page = person.press(person.open(url), "continue", user_code=url.rpartition("=")[2])
    if "Sign in" in page.text:
        page = person.press(page, "user", "bob")
    assert person.press(page, "allow").status_code == 200


@pytest.fixture(scope="module")
def results(provider: Provider) -> Mapping[str, Mapping[str, str | None]]:
    """What went wrong in each scenario of each client; None: nothing."""
    return {name: run(provider, name) for name in ("openid_client", "oauth4webapi")}


def run(provider: Provider, name: str) -> Mapping[str, str | None]:
    process = subprocess.Popen(
        ["node", f"clients/{name}.mjs", json.dumps(provider.setup())],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found: dict[str, str | None] = {}
    try:
        for line in process.stdout:
            message = json.loads(line)
            if "allow" in message:
                allow_device(provider, message["allow"])
                process.stdin.write("done\n")
                process.stdin.flush()
            else:
                found[message["scenario"]] = message["problem"]

        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            stream.close()
    return found


@pytest.mark.requires("node")
@pytest.mark.parametrize("scenario", OPENID_CLIENT)
def test_openid_client_completes(results: Mapping[str, Mapping[str, str | None]], scenario: str) -> None:
    """A certified relying party finishes the flow with all its own checks on."""
    assert results["openid_client"][scenario] is None
    assert set(results["openid_client"]) == set(OPENID_CLIENT)


@pytest.mark.requires("node")
@pytest.mark.parametrize("scenario", OAUTH4WEBAPI)
def test_oauth4webapi_completes(results: Mapping[str, Mapping[str, str | None]], scenario: str) -> None:
    """Every response passes a library that checks each against its RFC."""
    assert results["oauth4webapi"][scenario] is None
    assert set(results["oauth4webapi"]) == set(OAUTH4WEBAPI)


def test_the_lock_file_names_no_registry() -> None:
    """The lock pins versions and digests; where to fetch them from is the machine's own setting."""
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert {"node_modules/openid-client", "node_modules/oauth4webapi"} <= set(packages)
    assert all("resolved" not in entry and entry["integrity"].startswith("sha512-") for entry in packages.values())

"""The command: what it explains, and that its exit codes are true."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from secure_api.cli import main
from secure_api.server import free_port
from secure_api.settings import PROJECT_ROOT
from tests.unit.conftest import SECRET_KEY

HOST = "127.0.0.1"


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as an operator runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SECURE_API_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "secure_api", *arguments],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=PROJECT_ROOT,
    )


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {
        "SECURE_API_ENV": "testing",
        "SECURE_API_SECRET_KEY": SECRET_KEY,
        "SECURE_API_DATABASE_URL": f"sqlite:///{tmp_path / 'cli.sqlite3'}",
        "SHOP_WEB_CLIENT_SECRET": "not-a-secret",
    }


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        yield taken.getsockname()[1]


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(_commands(main)), ids=lambda path: " ".join(path) or "secure-api")
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(path: tuple[str, ...], flag: str) -> None:
    result = CliRunner().invoke(main, [*path, flag])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    sentence = result.output.splitlines()[2].strip()
    assert re.match(r"[A-Z].{15,}", sentence), sentence


def test_the_exit_codes_are_documented() -> None:
    assert "0 done, 1 failed, 2 wrong usage or port in use, 3 start refused" in CliRunner().invoke(main, ["-h"]).output


def test_done_is_0(environ: Mapping[str, str]) -> None:
    """The way of a new deployment: upgrade twice, seed twice."""
    for arguments, said in (
        (("db", "upgrade"), "newest schema"),
        (("db", "upgrade"), "newest schema"),
        (("seed",), "32 products, 5 customers, 7 people, 19 orders"),
        (("seed",), "nothing was added"),
        (("policy", "check"), "no fault"),
    ):
        done = run(*arguments, **environ)
        assert (done.returncode, said in done.stdout) == (0, True), done.stderr


def broken_policies(folder: Path) -> Path:
    target = folder / "policies"
    target.mkdir()
    for file in (PROJECT_ROOT / "policies").glob("*.yaml"):
        text = file.read_text(encoding="utf-8").replace("resource.customer_id ==", "resource.custmer_id ==")
        (target / file.name).write_text(text, encoding="utf-8")
    return target


def test_a_broken_policy_folder_is_1_with_its_place(tmp_path: Path) -> None:
    done = run("policy", "check", str(broken_policies(tmp_path)))
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert re.search(r"orders\.yaml:10:20: .*custmer_id.*customer_id", line), line


def test_a_policy_folder_that_is_not_there_is_1() -> None:
    done = run("policy", "check", "/nowhere")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run", "--port", "0"),
        ("run", "--port", "70000"),
        ("run", "--workers", "0"),
        ("run", "--nonsense"),
        ("policy", "check", "a", "b"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")


def test_a_port_in_use_is_2_and_one_line(environ: Mapping[str, str], taken_port: int) -> None:
    done = run("run", "--port", str(taken_port), **environ)
    assert done.returncode == 2
    assert done.stderr == (
        f"secure-api: port {taken_port} on {HOST} cannot be used (Address already in use); choose another one\n"
    )
    assert done.stdout == ""


def test_an_address_that_is_not_ours_is_2(environ: Mapping[str, str]) -> None:
    done = run("run", "--host", "192.0.2.1", "--port", "8123", **environ)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_stops_the_demo_with_2(taken_port: int) -> None:
    done = run("demo", API_PORT=str(taken_port), IDP_PORT=str(free_port(HOST)))
    assert done.returncode == 2
    assert str(taken_port) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", ["x", "0", "70000", "-1"])
def test_a_port_that_is_none_stops_the_demo_with_2(port: str) -> None:
    done = run("demo", API_PORT=port)
    assert done.returncode == 2
    assert "API_PORT must be a port" in done.stderr


@pytest.mark.parametrize("arguments", [("run", "--port", "{port}"), ("db", "upgrade"), ("seed",)])
def test_refused_settings_are_3_with_one_line_for_each_fault(arguments: tuple[str, ...]) -> None:
    port = str(free_port(HOST))
    done = run(
        *(part.format(port=port) for part in arguments),
        SECURE_API_ENV="production",
        SECURE_API_SECRET_KEY="canary",
        SECURE_API_POLICIES="/nowhere",
    )
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert [line.split()[1] for line in lines] == [
        "SECURE_API_SECRET_KEY",
        "SECURE_API_BASE_URL",
        "SECURE_API_POLICIES",
    ]
    assert all(line.startswith("secure-api: ") for line in lines)
    assert "canary" not in done.stderr


def test_refused_policies_are_3(environ: Mapping[str, str], tmp_path: Path) -> None:
    done = run("db", "upgrade", **environ, SECURE_API_POLICIES=str(broken_policies(tmp_path)))
    assert done.returncode == 3
    assert re.match(r"secure-api: .*orders\.yaml:10:20: ", done.stderr), done.stderr


def test_refused_rate_limits_and_providers_are_3(environ: Mapping[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("nonsense = 1\n", encoding="utf-8")
    for name in ("SECURE_API_RATE_LIMITS", "SECURE_API_IDENTITY_PROVIDERS"):
        done = run("db", "upgrade", **environ, **{name: str(broken)})
        assert done.returncode == 3, done.stderr
        assert str(broken) in done.stderr
        assert "Traceback" not in done.stderr


def test_demo_users_are_refused_in_production(environ: Mapping[str, str]) -> None:
    done = run("seed", **{**environ, "SECURE_API_ENV": "production", "SECURE_API_BASE_URL": "https://api.example.com"})
    assert done.returncode == 3
    assert "demo users are refused in production" in done.stderr


def test_the_mock_provider_is_refused_in_production(environ: Mapping[str, str]) -> None:
    """Its people have no passwords."""
    production = {**environ, "SECURE_API_ENV": "production", "SECURE_API_BASE_URL": "https://api.example.com"}
    for issuer in ("http://localhost:9000", "https://idp.example.com"):
        done = run("db", "upgrade", **production, IDP_ISSUER=issuer)
        assert done.returncode == 3, issuer
    without = {name: value for name, value in production.items() if name != "SHOP_WEB_CLIENT_SECRET"}
    assert run("db", "upgrade", **without).returncode == 0


def test_a_seed_for_an_unknown_provider_is_3(environ: Mapping[str, str]) -> None:
    done = run("seed", "--provider", "nobody", **environ)
    assert done.returncode == 3
    assert "no enabled identity provider 'nobody'" in done.stderr


def test_a_database_that_is_away_is_1_and_one_line(environ: Mapping[str, str]) -> None:
    address = f"postgresql+psycopg://user:canary@{HOST}:{free_port(HOST)}/name"
    for arguments in (("db", "upgrade"), ("seed",)):
        done = run(*arguments, **{**environ, "SECURE_API_DATABASE_URL": address})
        assert done.returncode == 1
        assert done.stderr.startswith("secure-api: the database cannot be used")
        assert len(done.stderr.splitlines()) == 1
        assert "canary" not in done.stderr + done.stdout

"""`secure-api demo`: the mock identity provider and the API, as two processes that live and end together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess  # nosec B404 - starts our own two commands with fixed arguments
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import click

from secure_api.errors import OutboundFailed, StartupError
from secure_api.outbound.operator import OperatorClient
from secure_api.protocol.origin import origin_of
from secure_api.server import require_free_port
from secure_api.settings import PROJECT_ROOT

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 10
FAILED, USAGE = 1, 2
PR_SET_PDEATHSIG = 1


def run_demo(environ: Mapping[str, str]) -> int:
    """Run both until Ctrl-C; the exit code: 0 ended by a signal, 1 something failed, 2 a port is in use."""
    try:
        api_port, idp_port = _port(environ, "API_PORT", 8000), _port(environ, "IDP_PORT", 9000)
        for port in (api_port, idp_port):
            require_free_port(HOST, port)
    except StartupError as error:
        click.echo(f"demo: {error.log_detail}", err=True)
        return USAGE
    # Two host names on purpose: ports share cookies, and clearing one's would clear the other's.
    api, idp = f"http://{HOST}:{api_port}", f"http://localhost:{idp_port}"
    # By port, so that two demos side by side do not take each other's database away.
    folder = PROJECT_ROOT / ".demo" / str(api_port)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    child = _environment(environ, folder, api, idp)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    processes: list[subprocess.Popen[bytes]] = []
    try:
        return _run(processes, child, folder, api, idp, stop)
    finally:
        _end(processes)


def _run(
    processes: list[subprocess.Popen[bytes]],
    environ: dict[str, str],
    folder: Path,
    api: str,
    idp: str,
    stop: threading.Event,
) -> int:
    click.echo("demo: making the database …")
    for arguments in (["db", "upgrade"], ["seed"]):
        done = subprocess.run(_api_command(*arguments), env=environ, start_new_session=True, check=False)  # nosec B603
        if done.returncode != 0 or stop.is_set():
            return FAILED if not stop.is_set() else 0
    click.echo("demo: starting the identity provider and the API …")
    logs = folder.relative_to(PROJECT_ROOT)
    idp_port, api_port = idp.rpartition(":")[2], api.rpartition(":")[2]
    processes.append(
        _start(
            [sys.executable, "-m", "idp_mock", "run", "--port", idp_port, "--issuer", idp, "--one-click",
             "--auto-login", "--test-endpoints"],
            environ, folder / "idp.log",
        )
    )  # fmt: skip
    processes.append(_start(_api_command("run", "--host", HOST, "--port", api_port), environ, folder / "api.log"))
    for address in (f"{idp}/.well-known/openid-configuration", f"{api}/readyz"):
        if not _wait_for(address, processes, stop):
            if not stop.is_set():
                click.echo(f"demo: {address} did not answer; see {logs}/idp.log and {logs}/api.log", err=True)
            return 0 if stop.is_set() else FAILED
    _print_welcome(api, idp, logs / "api.log")
    while not stop.wait(0.5):
        if any(process.poll() is not None for process in processes):
            click.echo(f"demo: one of the two processes ended; see {logs}/idp.log and {logs}/api.log", err=True)
            return FAILED
    click.echo("\ndemo: stopping")
    return 0


def _api_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "secure_api", *arguments]


def _start(arguments: list[str], environ: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches only this process, which then ends both in order.
    with log.open("wb") as output:
        return subprocess.Popen(  # nosec B603
            arguments,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )


def _end_with_parent() -> None:
    """Ask Linux to end this child if the demo itself is killed; elsewhere only Ctrl-C ends both."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End every process with its children; those that do not go are killed."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str, processes: list[subprocess.Popen[bytes]], stop: threading.Event) -> bool:
    """True once `address` answers; false if that takes too long, a process ends, or Ctrl-C comes first."""
    client = OperatorClient([origin_of(address)], total_timeout_seconds=2)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not stop.wait(0.1):
        if any(process.poll() is not None for process in processes):
            return False
        with contextlib.suppress(OutboundFailed):
            client.get_json(address)
            return True
    return False


def _environment(environ: Mapping[str, str], folder: Path, api: str, idp: str) -> dict[str, str]:
    """The children's environment: ours, without settings of another deployment, with secrets made for this run."""
    kept = {name: value for name, value in environ.items() if not name.startswith("SECURE_API_")}
    return {
        **kept,
        "SECURE_API_ENV": "development",
        "SECURE_API_BASE_URL": api,
        "SECURE_API_DATABASE_URL": f"sqlite:///{folder / 'demo.sqlite3'}",
        "SECURE_API_SECRET_KEY": secrets.token_urlsafe(48),
        "API_BASE_URL": api,
        "IDP_ISSUER": idp,
        "SHOP_WEB_CLIENT_SECRET": secrets.token_urlsafe(32),
    }


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise StartupError(log_detail=f"{name} must be a port from 1 to 65535, not {value!r}")
    return int(value)


def _print_welcome(api: str, idp: str, log: Path) -> None:
    issuer = "" if idp.endswith(":9000") and api.endswith(":8000") else f" --issuer {idp} --api {api}"
    click.echo(
        f"""
  Sign in with a browser    {api}/
  The API                   {api}/api/v1/products
  Identity provider         {idp}/

  People to sign in as      alice, bob, carol, dave, erin (customers), mia (manager), ada (admin)

  Three commands to try in another terminal
    curl {api}/api/v1/products?limit=2
    .venv/bin/python examples/third_party_client.py --login-hint alice{issuer}
    .venv/bin/python examples/third_party_client.py --login-hint alice --scope products:read{issuer}

  Every security event is a line of {log}. Ctrl-C ends both.
"""
    )

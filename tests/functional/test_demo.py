"""`make demo` as a person runs it: what it prints, what it serves, and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from secure_api.server import free_port
from tests.support.machine import processes_with

HOST = "127.0.0.1"
START_SECONDS = 60


class Demo:
    """A running demo on free ports."""

    def __init__(self) -> None:
        self.api_port, self.idp_port = free_port(HOST), free_port(HOST)
        self.api, self.idp = f"http://{HOST}:{self.api_port}", f"http://localhost:{self.idp_port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "secure_api", "demo"],
            env=environment(self.api_port, self.idp_port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = self._read_welcome()

    def _read_welcome(self) -> str:
        lines: list[str] = []
        for line in self.process.stdout or ():
            lines.append(line)
            if "Ctrl-C" in line:
                return "".join(lines)
        raise AssertionError("the demo ended: " + "".join(lines))

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        if self.process.stdout:
            self.process.stdout.close()
        return code


def environment(api_port: int, idp_port: int) -> dict[str, str]:
    return {**os.environ, "API_PORT": str(api_port), "IDP_PORT": str(idp_port)}


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    running = Demo()
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.interrupt()


def run_client(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The example client as the welcome text names it."""
    command = [sys.executable, "examples/third_party_client.py", "--issuer", demo.idp, "--api", demo.api, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_welcome_names_addresses_people_and_commands(demo: Demo) -> None:
    """What a newcomer needs stands on the screen, and the addresses answer."""
    for expected in (demo.api, demo.idp, "alice", "mia", "ada", "curl", "third_party_client.py"):
        assert expected in demo.printed
    assert requests.get(f"{demo.api}/api/v1/products?limit=2", timeout=10).status_code == 200
    metadata = requests.get(f"{demo.idp}/.well-known/openid-configuration", timeout=10).json()
    assert metadata["issuer"] == demo.idp


def test_third_party_client_prints_alices_orders_and_only_hers(demo: Demo) -> None:
    """The orders of its output are those of Alice's token, and none of Bob's."""
    alice, bob = run_client(demo, "--login-hint", "alice"), run_client(demo, "--login-hint", "bob")
    assert (alice.returncode, bob.returncode) == (0, 0), alice.stderr + bob.stderr
    orders = {line.split()[-1] for line in alice.stdout.splitlines()}
    assert len(orders) == 3
    assert not orders & {line.split()[-1] for line in bob.stdout.splitlines()}


def test_third_party_client_cannot_read_orders_with_another_scope(demo: Demo) -> None:
    """403 `insufficient_scope`, said plainly, exit code 1."""
    assert run_client(demo, "--login-hint", "alice", "--scope", "orders:read").returncode == 0
    refused = run_client(demo, "--login-hint", "alice", "--scope", "products:read")
    assert refused.returncode == 1
    assert "403 insufficient_scope" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("taken", ["API_PORT", "IDP_PORT"])
def test_port_in_use_is_one_clear_line(taken: str) -> None:
    """Exit code 2, one line that names the port, nothing half-started."""
    ports = {"API_PORT": free_port(HOST), "IDP_PORT": free_port(HOST)}
    with socket.create_server((HOST, ports[taken])):
        command = [sys.executable, "-m", "secure_api", "demo"]
        done = subprocess.run(
            command, env=environment(*ports.values()), capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(ports[taken]) in done.stderr
    assert processes_with(str(ports["API_PORT"])) == []


def test_interrupt_leaves_no_process_behind() -> None:
    """Ctrl-C ends the demo and both of its children, gunicorn's workers included."""
    demo = Demo()
    started = processes_with(str(demo.api_port)) + processes_with(str(demo.idp_port))
    assert len(started) >= 2
    assert demo.interrupt() == 0
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{number}").exists() for number in started) and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel's bookkeeping, not ours: the processes have been waited for
    assert processes_with(str(demo.api_port)) == []
    assert processes_with(str(demo.idp_port)) == []

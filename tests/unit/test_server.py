"""Ports: free ones are found, taken ones are named before anything starts."""

from __future__ import annotations

import socket

import pytest

from secure_api.errors import StartupError
from secure_api.server import free_port, require_free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_free_port_may_be_used(host: str) -> None:
    require_free_port(host, free_port("127.0.0.1"))


@pytest.mark.parametrize("held", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_named(held: str) -> None:
    with socket.socket() as taken:
        taken.bind((held, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"port {port} on 127.0.0.1 cannot be used"):
            require_free_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "2001:db8::1"])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(StartupError, match=host):
        require_free_port(host, free_port("127.0.0.1"))

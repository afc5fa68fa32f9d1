"""A transport for `requests` on which a whole exchange has one deadline.

The time-outs of `requests` count for each single read. A peer that sends one byte a second, in the
headers or in the body, keeps a worker busy for hours without ever reaching one (ASVS v5.0.0-16.5.2).
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_deadline: ContextVar[float] = ContextVar("outbound_deadline")


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Every read that starts inside, on a connection of `DeadlineAdapter`, ends within `seconds` from now.

    A read that would go on raises TimeoutError, or what `requests` and urllib3 make of it.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class DeadlineAdapter(HTTPAdapter):
    """Connections whose responses obey `deadline_in`; outside of it a request raises LookupError."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Called by `requests` when the adapter is made."""
        manager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        self.poolmanager = manager


class _DeadlineReader(io.RawIOBase):
    """The receiving half of one response: before each read, the socket's time-out becomes what is left."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._ends_at = _deadline.get()
        self._longest_read = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange took longer than its deadline")
        self._socket.settimeout(left if self._longest_read is None else min(left, self._longest_read))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _DeadlineSocket:
    """A connected socket whose files are `_DeadlineReader`s; all else is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._socket))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _HttpConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast(socket.socket, _DeadlineSocket(self.sock))


class _HttpsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast(socket.socket, _DeadlineSocket(cast(socket.socket, self.sock)))


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection

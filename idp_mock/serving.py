"""Serves the application with gunicorn on a socket bound here, so that a taken port is one clear line.

One worker with threads: the stores are in this process's memory.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

_THREADS = 8
_BACKLOG = 1024
_STOP_SECONDS = 1
_MAX_REQUEST_LINE = 8190


class BindError(Exception):
    """The address cannot be bound; the message is one line for the person who runs it."""


def bind(host: str, port: int) -> socket.socket:
    """A listening-ready socket on the address, or `BindError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port in TIME_WAIT after a restart is free; one with a listener is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # gunicorn keeps the queue length of a socket that already listens.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise BindError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return listener


class _Application(BaseApplication):
    def __init__(self, app: Flask, options: dict[str, Any]) -> None:
        self._app = app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._app


def serve(app: Flask, listener: socket.socket, ready_line: str) -> None:
    """Serve until SIGTERM or SIGINT; prints `ready_line` once requests are answered. Takes the listener over."""

    def announce(_worker: object) -> None:
        sys.stdout.write(f"{ready_line}\n")
        sys.stdout.flush()

    _Application(
        app,
        {
            "bind": f"fd://{listener.detach()}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": _THREADS,
            "graceful_timeout": _STOP_SECONDS,
            "limit_request_line": _MAX_REQUEST_LINE,
            "loglevel": "warning",
            "proc_name": "idp-mock",
            "control_socket_disable": True,
            "post_worker_init": announce,
        },
    ).run()

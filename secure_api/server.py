"""The WSGI server: gunicorn with threads, configured by `config/gunicorn.conf.py`."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from secure_api.errors import StartupError


class _Server(BaseApplication):
    def __init__(self, app: Flask, config_file: Path, overrides: dict[str, Any]) -> None:
        self._app = app
        self._config_file = config_file
        self._overrides = overrides
        super().__init__()

    def load_config(self) -> None:
        values: dict[str, Any] = {}
        exec(compile(self._config_file.read_bytes(), str(self._config_file), "exec"), values)  # noqa: S102  # nosec B102
        for key, value in {**values, **self._overrides}.items():
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def load(self) -> Any:
        return self._app

    def run(self) -> None:
        """Serve until the end. Raises `StartupError` if gunicorn refuses to begin."""
        try:
            _Master(self).run()
        except RuntimeError as error:
            raise StartupError(log_detail=f"gunicorn: {error}") from error


class _Master(Arbiter):
    """gunicorn's own answer to SIGHUP would start new workers from the application as it once was."""

    def handle_hup(self) -> None:
        """Hand the signal to the oldest worker: it reloads the policies for all of them."""
        for pid, _ in sorted(self.WORKERS.items(), key=lambda entry: entry[1].age)[:1]:
            self.kill_worker(pid, signal.SIGHUP)


def serve(
    app: Flask,
    *,
    host: str,
    port: int,
    workers: int | None,
    config_file: Path,
    ready: Callable[[], None],
    reload: Callable[[], None],
) -> None:
    """Serve until a signal ends it: SIGTERM lets requests in flight finish. Calls `ready` when it listens.

    SIGHUP, to the master or to a worker, calls `reload` in one worker; no worker is restarted.
    """

    def follow_hangup(_worker: Any) -> None:
        # In a thread: the handler runs between two lines of whatever the main thread is doing.
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload, daemon=True).start())
        signal.siginterrupt(signal.SIGHUP, False)

    overrides: dict[str, Any] = {
        "bind": f"{host}:{port}",
        "when_ready": lambda _server: ready(),
        "post_worker_init": follow_hangup,
    }
    if workers is not None:
        overrides["workers"] = workers
    _Server(app, config_file, overrides).run()


def require_free_port(host: str, port: int) -> None:
    """Raise `StartupError` naming the port if something listens there, before anything else is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartupError(
                log_detail=f"port {port} on {host} cannot be used ({error.strerror}); choose another one"
            ) from error


def free_port(host: str) -> int:
    """A port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port

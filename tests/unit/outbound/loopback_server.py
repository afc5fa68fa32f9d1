"""A real server on loopback whose answers a test can change, and which counts what it is asked."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Answer = Callable[[http.server.BaseHTTPRequestHandler], object]


def answer_json(document: Any, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    """An answer with a JSON body, or with the given bytes as they are; `_` in header names stands for `-`."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect_to(location: str) -> Answer:
    """A 302 answer."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def drip(before: bytes, piece: bytes, stop: threading.Event) -> Answer:
    """An answer that never ends: `before` at once, then `piece` every 20 ms."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(before)
        while not stop.wait(0.02):
            handler.wfile.write(piece)

    return answer


class LoopbackServer:
    """`answers` maps a path to its answer; `asked` counts the requests by path.

    As it starts, it is an identity provider whose issuer is its address and which has no keys.
    """

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.asked: Counter[str] = Counter()
        self.connections: set[Any] = set()
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.stop = threading.Event()
        self.answers: dict[str, Answer] = {}
        self.publish([])

    def publish(self, keys: list[dict[str, Any]]) -> None:
        """Metadata as it should be, with these keys."""
        metadata = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        self.answers["/.well-known/openid-configuration"] = answer_json(metadata)
        self.answers["/keys"] = answer_json({"keys": keys})


@contextmanager
def running_server(tls: ssl.SSLContext | None = None) -> Iterator[LoopbackServer]:
    """A server on a free port of 127.0.0.1, over TLS where a context is given."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            state.received.append((dict(self.headers), self.rfile.read(length)))
            state.asked[self.path] += 1
            state.connections.add(self.client_address)
            try:
                state.answers.get(self.path, answer_json({}, status=404))(self)
            except OSError:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Says nothing: the tests look at counts."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # with the default of 5, many threads at once wait a second for a connection

        def handle_error(self, *_: Any) -> None:
            """Says nothing: clients that hang up are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state = LoopbackServer(server.server_port, "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()

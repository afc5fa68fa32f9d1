"""One id per request: in the response, in every log line, in every audit event."""

from __future__ import annotations

import secrets

import structlog
from flask import Flask, Response, g

HEADER = "X-Request-ID"


def register_request_ids(app: Flask) -> None:
    """Give every request a fresh id. A caller's own id is not taken over: it could forge another's."""

    @app.before_request
    def assign() -> None:
        g.request_id = secrets.token_hex(16)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def answer(response: Response) -> Response:
        response.headers[HEADER] = current_request_id()
        return response


def current_request_id() -> str:
    """The id of the current request; an empty string where the request failed before it had one."""
    return str(g.get("request_id", ""))

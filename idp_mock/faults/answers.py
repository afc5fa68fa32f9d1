"""Faults of a whole answer, for any endpoint: late, broken, endless, too big, of the wrong kind, or elsewhere.

Every one is bounded here, so that a forgotten fault cannot hold the server's threads for long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response

from idp_mock.faults import Fault

_MAX_SECONDS = 60
_PIECE = b" " * 65_536
_DRIP_SECONDS = 0.2
_ANY_ENDPOINT: Mapping[str, Any] = {"endpoint": "token"}
_TABLE: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("answer_slow", "the honest answer, late", {"seconds": 5}),
    ("answer_error", "an error status without a useful body", {"status": 500}),
    ("answer_endless", "a JSON body that begins and drips on", {"seconds": 30}),
    ("answer_oversized", "valid JSON of so many bytes", {"bytes": 20_000_000}),
    ("answer_html", "a page with status 200 instead of JSON", {}),
    ("answer_not_json", "JSON by its type, cut off in the middle", {}),
    ("answer_redirect", "a redirect", {"location": "https://attacker.example/", "status": 307}),
)
ANSWER_FAULTS = tuple(Fault(name, "any endpoint", does, {**_ANY_ENDPOINT, **options}) for name, does, options in _TABLE)


def instead(name: str, options: Mapping[str, Any]) -> Response | None:
    """The answer in place of the honest one; None for a late honest one, after the wait."""
    if name == "answer_slow":
        time.sleep(min(options["seconds"], _MAX_SECONDS))
        return None
    if name == "answer_error":
        return Response("{}", status=options["status"], mimetype="application/json")
    if name == "answer_endless":
        return Response(_drip(min(options["seconds"], _MAX_SECONDS)), mimetype="application/json")
    if name == "answer_oversized":
        return Response(_padded(options["bytes"]), mimetype="application/json")
    if name == "answer_html":
        return Response("<!doctype html><title>Welcome</title><p>Please accept our terms.", mimetype="text/html")
    if name == "answer_not_json":
        return Response('{"issuer": "', mimetype="application/json")
    return Response(status=options["status"], headers={"Location": options["location"]})


def _drip(seconds: float) -> Iterator[bytes]:
    end = time.monotonic() + seconds
    yield b"{"
    while time.monotonic() < end:
        time.sleep(_DRIP_SECONDS)
        yield b" "


def _padded(size: int) -> Iterator[bytes]:
    yield b"{"
    for _ in range(0, size, len(_PIECE)):
        yield _PIECE
    yield b"}"

"""Who may use the test endpoints: this machine, by a loopback name, with JSON. Nobody else, whatever the options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, jsonify, request

from idp_mock.config import LOOPBACK_HOSTS

_PREFIX = "/_test/"


def is_test_request() -> bool:
    return request.path.startswith(_PREFIX)


def require_this_machine() -> None:
    """Answer 403 unless the request comes from this machine and names it.

    A page in a browser elsewhere cannot reach the endpoints by rebinding a host name (the Host check), and a page
    on another origin of this machine sends an Origin (RFC 6454 §7).
    """
    origin = request.headers.get("Origin")
    foreign = origin is not None and origin.partition("://")[2] != request.host
    if request.remote_addr not in LOOPBACK_HOSTS or _host_name(request.host) not in LOOPBACK_HOSTS or foreign:
        abort(refusal("only from this machine", 403))


def read_wish(members: frozenset[str]) -> Mapping[str, Any]:
    """The JSON object of the request; an unknown member is refused, so that a misspelt one cannot pass."""
    require_this_machine()
    wish = request.get_json(silent=True) if request.is_json else None
    if not isinstance(wish, dict):
        abort(refusal("send a JSON object"))
    if unknown := sorted(set(wish) - members):
        abort(refusal(f"unknown members: {', '.join(unknown)}"))
    return wish


def refusal(message: str, status: int = 400) -> Any:
    response = jsonify(error=message)
    response.status_code = status
    return response


def _host_name(host: str) -> str:
    return host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]

"""Redirect URIs: refuses unsafe ones at registration and compares exactly at use.

RFC 9700 §4.1, RFC 8252 §7 and §8.3, OIDC Core §3.1.2.1.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LOOPBACK = re.compile(r"http://(?P<host>127\.0\.0\.1|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?].*)?")
_WEB_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_NOT_IN_A_URI = re.compile(r"[\x00-\x20\x7f-\uffff\\<>\"{}|^`*]")
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def redirect_uri_fault(uri: str, application_type: str) -> str | None:
    """Why `uri` may not be registered, or None when it may.

    `application_type` is "web" or "native" (OpenID Connect Dynamic Client Registration §2).
    """
    if _NOT_IN_A_URI.search(uri):
        return "holds a character that a redirect URI must not hold (wildcards are not supported)"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a valid URI"
    if "#" in uri:
        return "must have no fragment"
    if parts.username is not None or parts.password is not None:
        return "must have no user information"
    if any(segment in (".", "..") for segment in parts.path.split("/")):
        return "must have no dot segments"
    if parts.scheme == "https":
        return None if host and port != 0 else "has no host"
    if parts.scheme == "http":
        return _http_fault(uri, host, application_type)
    # javascript:, data:, file: and the like have no dot; a reverse domain name has (RFC 8252 §7.1).
    if application_type == "native" and _PRIVATE_SCHEME.fullmatch(parts.scheme):
        return None
    return f"the scheme {parts.scheme!r} is not allowed for a {application_type} client"


def _http_fault(uri: str, host: str | None, application_type: str) -> str | None:
    if application_type == "native":
        # `localhost` may resolve to something else than the loopback interface (RFC 8252 §8.3).
        return None if _LOOPBACK.fullmatch(uri) else "http is only for the loopback addresses 127.0.0.1 and [::1]"
    return None if host in _WEB_LOOPBACK_HOSTS else "http is only for a loopback host; use https"


def redirect_uri_matches(requested: str, registered: tuple[str, ...], application_type: str) -> bool:
    """True when `requested` is one of the registered URIs, character by character.

    The one exception is the port of a native client's loopback IP redirect: the system picks it at run time
    (RFC 8252 §7.3). The regular expression leaves no room for user information or another host after the port.
    """
    if requested in registered:
        return True
    if application_type != "native":
        return False
    wanted = _LOOPBACK.fullmatch(requested)
    if wanted is None or (wanted["port"] is not None and not 0 < int(wanted["port"]) < 65536):
        return False
    return any(
        known is not None and (known["host"], known["rest"]) == (wanted["host"], wanted["rest"])
        for known in map(_LOOPBACK.fullmatch, registered)
    )


def form_action_source(uri: str) -> str:
    """The CSP `form-action` source that lets a form of ours end at `uri`.

    Chromium applies `form-action` to the redirects after a form post as well. CSP has no syntax for an IPv6
    address, so `[::1]` needs the whole scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and ":" not in (parts.hostname or ":"):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"

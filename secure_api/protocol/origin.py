"""Web origins (RFC 6454): the part of an address that says whom we talk to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of an absolute http(s) address, in one spelling: lower case, no default port.

    Refused: user information (`https://trusted@evil/`), fragments, white space, control characters and
    backslashes (parsers disagree on them), other schemes, non-ASCII hosts.

    Raises ValueError. Source: RFC 6454 §4 and §6, RFC 3986 §3.2.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("address has characters that need encoding")
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("not an absolute http or https address")
    if "@" in parts.netloc or "#" in url:
        raise ValueError("address has user information or a fragment")
    name = f"[{host}]" if ":" in host else host
    port = parts.port
    suffix = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{name}{suffix}"


def is_loopback(url: str) -> bool:
    """True if the host of `url` is `localhost` or a loopback address literal; no name is resolved.

    Source: RFC 6890 §2.2.2, RFC 8252 §7.3.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_trustworthy(url: str, *, allow_http_loopback: bool) -> bool:
    """True if `url` is https, or plain http to this very machine where `allow_http_loopback` says so.

    Source: RFC 8414 §3, ASVS v5.0.0-12.2.1.
    """
    try:
        origin = origin_of(url)
    except ValueError:
        return False
    return origin.startswith("https://") or (allow_http_loopback and is_loopback(url))

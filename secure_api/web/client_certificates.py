"""The client certificate that a trusted proxy verified, for certificate-bound tokens (RFC 8705, RFC 9440)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from secure_api.protocol import base64url

HEADER: Final = "Client-Cert"
_PEM: Final = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks in `text`, separated by commas; an address alone is a network of one.

    Raises ValueError.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def verified_thumbprint(
    environ: Mapping[str, Any], values: Sequence[str], trusted_proxies: Sequence[Network]
) -> str | None:
    """The `x5t#S256` of the certificate in the one Client-Cert header, if a trusted proxy sent the request.

    From anybody else the header is text that the sender wrote, and is not looked at. A trusted proxy must
    verify the certificate and take away any such header that its own callers send. None where the header is
    missing, occurs twice or is malformed: a token that needs the certificate is then refused.

    Args: `environ` is the WSGI environment; `values` are the header's values, in RFC 9440's form or as PEM
    in percent-encoding (nginx's `$ssl_client_escaped_cert`). Source: RFC 8705 §3, RFC 9440 §2.2 and §4.
    """
    if len(values) != 1 or not _is_from(environ, trusted_proxies):
        return None
    certificate = _der(values[0].strip())
    return None if certificate is None else base64url.encode(hashlib.sha256(certificate).digest())


def _is_from(environ: Mapping[str, Any], trusted_proxies: Sequence[Network]) -> bool:
    # The peer of the connection, also where a middleware has put the caller's own address in its place.
    peer = environ.get("werkzeug.proxy_fix.orig", environ).get("REMOTE_ADDR") or ""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in trusted_proxies)


def _der(value: str) -> bytes | None:
    if len(value) > 2 and value[0] == value[-1] == ":":
        text = value[1:-1]
    else:
        text = "".join(unquote(value).split("\n")).strip()
        if not (text.startswith(_PEM[0]) and text.endswith(_PEM[1])):
            return None
        text = text.removeprefix(_PEM[0]).removesuffix(_PEM[1])
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None

"""The client certificate of a trusted proxy: from nobody else, and never a malformed one."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import quote

import pytest

from secure_api.web.client_certificates import parse_networks, verified_thumbprint

DER = b"a certificate in DER form"
RFC_9440 = f":{base64.b64encode(DER).decode()}:"
PEM = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(DER).decode()}\n-----END CERTIFICATE-----\n"
THUMBPRINT = base64.urlsafe_b64encode(hashlib.sha256(DER).digest()).rstrip(b"=").decode()
PROXIES = parse_networks("10.0.0.0/8, 127.0.0.1,::1")


def thumbprint(*values: str, peer: str = "10.1.2.3", **environ: Any) -> str | None:
    return verified_thumbprint({"REMOTE_ADDR": peer, **environ}, values, PROXIES)


@pytest.mark.parametrize("value", [RFC_9440, f" {RFC_9440} ", quote(PEM), quote(PEM, safe="/+=")])
def test_the_certificate_of_a_trusted_proxy_counts(value: str) -> None:
    assert thumbprint(value) == THUMBPRINT


def test_rfc_8705_names_a_certificate_by_the_hash_of_its_der_form() -> None:
    """The value of RFC 8705 §3.1 has this form: 43 characters of base64url, without padding."""
    assert len(THUMBPRINT) == 43


@pytest.mark.parametrize("peer", ["11.1.2.3", "127.0.0.2", "", "unix:", "10.1.2.3.example"])
def test_sender_cannot_claim_a_certificate_by_itself(peer: str) -> None:
    assert thumbprint(RFC_9440) == THUMBPRINT
    assert thumbprint(RFC_9440, peer=peer) is None


def test_no_proxy_is_trusted_without_configuration() -> None:
    assert verified_thumbprint({"REMOTE_ADDR": "127.0.0.1"}, [RFC_9440], parse_networks("")) is None


def test_sender_cannot_become_a_proxy_through_a_forwarded_address() -> None:
    """Behind a middleware that replaces the address, the peer of the connection is what counts."""
    assert thumbprint(RFC_9440, peer="203.0.113.9", **{"werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "10.1.2.3"}})
    forwarded = {"werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "203.0.113.9"}}
    assert thumbprint(RFC_9440, peer="10.1.2.3", **forwarded) is None


@pytest.mark.parametrize(
    "values",
    [(), (RFC_9440, RFC_9440), ("",), ("::",), (":",), (":a b:",), ("x",), (":é:",), (base64.b64encode(DER).decode(),)],
)
def test_a_header_that_is_missing_doubled_or_malformed_proves_nothing(values: tuple[str, ...]) -> None:
    assert thumbprint(*values) is None


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="example"):
        parse_networks("10.0.0.0/8,example")

"""Certificate-bound tokens over HTTP (RFC 8705): the certificate comes from a trusted proxy, or from nobody."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest

from tests.support.issuers import Forge, add_account, provider_table, shop_with
from tests.support.shop import Shop
from tests.unit.credentials import token_workshop as workshop
from tests.unit.outbound.loopback_server import running_server

ORDERS = "/api/v1/orders"
MINE, OTHER = b"my certificate in DER form", b"another certificate"


@pytest.fixture(scope="module", params=["127.0.0.0/8", "192.0.2.1"], ids=["behind its proxy", "without a proxy"])
def bound(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shop, Forge, bool]]:
    """A shop that trusts this test as its proxy, or does not."""
    with running_server() as forge:
        forge.publish(workshop.JWKS[workshop.MOCK])
        tables = provider_table("forge", forge.url, "rfc9068")
        with shop_with(tmp_path_factory.mktemp("mtls"), tables, SECURE_API_TRUSTED_PROXIES=request.param) as shop:
            add_account(shop.engine, forge.url, "alice")
            yield shop, Forge({"forge": forge}, shop.api), request.param.startswith("127.")


def thumbprint(certificate: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()


def header(certificate: bytes) -> dict[str, str]:
    return {"Client-Cert": f":{base64.b64encode(certificate).decode()}:"}


def test_client_uses_its_token_with_its_certificate_and_with_no_other(bound: tuple[Shop, Forge, bool]) -> None:
    """With the right certificate from the trusted proxy 200; without, with another, or from elsewhere 401."""
    shop, forge, trusted = bound
    token = forge.claiming(cnf={"x5t#S256": thumbprint(MINE)})
    assert shop.call("GET", ORDERS, forge.good()).status_code == 200
    assert shop.call("GET", ORDERS, token, headers=header(MINE)).status_code == (200 if trusted else 401)
    refused = {"none": {}, "another": header(OTHER), "two": {"Client-Cert": f"{header(MINE)['Client-Cert']}, x"}}
    for name, headers in refused.items():
        answer = shop.call("GET", ORDERS, token, headers=headers)
        assert answer.status_code == 401, name
        [event] = shop.events_of(answer)
        assert event["reason"] == ("wrong_key" if name == "another" and trusted else "sender_constrained")


def test_a_plain_token_needs_no_certificate(bound: tuple[Shop, Forge, bool]) -> None:
    shop, forge, _ = bound
    assert shop.call("GET", ORDERS, forge.good(), headers=header(MINE)).status_code == 200


def test_client_cannot_use_a_token_with_a_binding_that_nobody_knows(bound: tuple[Shop, Forge, bool]) -> None:
    shop, forge, _ = bound
    for confirmation in ({"x5t#S256": thumbprint(MINE), "jwk": {}}, {"kid": "x"}, {"x5t#S256": None}):
        token = forge.claiming(cnf=confirmation)
        assert shop.call("GET", ORDERS, token, headers=header(MINE)).status_code == 401

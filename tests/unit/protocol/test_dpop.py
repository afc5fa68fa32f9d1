"""DPoP proofs: RFC 9449's own examples, and every way to get one wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from secure_api.errors import InvalidDpopProof
from secure_api.protocol.dpop import VerifiedProof, same_target, token_hash, verify_proof
from secure_api.protocol.reasons import Reason
from tests.unit.credentials.token_workshop import NOW, SECONDS, b64, ec_key, number, rsa_jwk, sign_es256, sign_rs256

# RFC 9449 §7.1, figure 12 and 13, and §6.1; §4.1, figure 2.
RFC_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_KEY = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQy"
    "VVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_PROOF = (
    f"{RFC_KEY}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0"
    "ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9"
    ".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_TOKEN_REQUEST_PROOF = (
    f"{RFC_KEY}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaW"
    "F0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_TARGET = "https://resource.example.org/protectedresource"
RFC_TIME = 1562262618

TOKEN = "the.access.token"
TARGET = "https://api.example/api/v1/orders"


def ec_public(name: str = "client") -> dict[str, Any]:
    numbers = ec_key(name).public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)}


def proof(header: dict[str, Any] | None = None, *, key: str = "client", **claims: Any) -> str:
    """A good proof but for these members; a claim that is None is left out."""
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": ec_public(), **(header or {})}
    body = {"jti": "p1", "htm": "GET", "htu": TARGET, "iat": SECONDS, "ath": token_hash(TOKEN), **claims}
    parts = [{name: value for name, value in part.items() if value is not None} for part in (head, body)]
    message = ".".join(b64(json.dumps(part).encode()) for part in parts)
    sign = sign_rs256 if head["alg"] == "RS256" else sign_es256
    return f"{message}.{b64(sign(message.encode(), key))}"


def verified(*headers: str, now: datetime = NOW) -> VerifiedProof:
    return verify_proof(headers, method="GET", target=TARGET, access_token=TOKEN, now=now)


def test_the_rfc_example_is_accepted() -> None:
    """RFC 9449 §7.1: the proof for the protected resource, and the thumbprint of §6.1."""
    found = verify_proof(
        [RFC_PROOF], method="GET", target=RFC_TARGET, access_token=RFC_TOKEN, now=datetime.fromtimestamp(RFC_TIME, UTC)
    )
    assert found == VerifiedProof("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "e1j3V_bKic8-LAEB", RFC_TIME, None)


def test_the_rfc_example_for_the_token_endpoint_is_no_proof_for_a_resource() -> None:
    """RFC 9449 §4.1: it is sound, but says nothing about an access token."""
    with pytest.raises(InvalidDpopProof) as refusal:
        verify_proof(
            [RFC_TOKEN_REQUEST_PROOF],
            method="POST",
            target="https://server.example.com/token",
            access_token=RFC_TOKEN,
            now=datetime.fromtimestamp(RFC_TIME, UTC),
        )
    assert refusal.value.reason == Reason.DPOP_TOKEN


@pytest.mark.parametrize("changes", [{}, {"typ": "application/DPoP+JWT"}], ids=["plain", "typ in another spelling"])
def test_a_good_proof_is_accepted(changes: dict[str, Any]) -> None:
    found = verified(proof(changes, nonce="n1"))
    assert (found.proof_id, found.nonce, found.issued_at) == ("p1", "n1", SECONDS)


def test_a_proof_with_an_rsa_key_is_accepted() -> None:
    jwk = {name: value for name, value in rsa_jwk("client", "").items() if name != "kid"}
    assert verified(proof({"alg": "RS256", "jwk": jwk})).thumbprint != verified(proof()).thumbprint


@pytest.mark.parametrize("seconds", [-30, 60])
def test_the_last_seconds_of_a_proof_count(seconds: int) -> None:
    assert verified(proof(iat=SECONDS - seconds))


PRIVATE = number(ec_key("client").private_numbers().private_value, 32)
BAD: dict[str, tuple[Any, Reason]] = {
    "none": ((), Reason.DPOP_HEADERS),
    "two": ((proof(), proof(jti="p2")), Reason.DPOP_HEADERS),
    "two joined": ((f"{proof()}, {proof(jti='p2')}",), Reason.DPOP_MALFORMED),
    "empty": (("",), Reason.DPOP_MALFORMED),
    "garbage": (("garbage",), Reason.DPOP_MALFORMED),
    "too long": ((proof(jti="x" * 5000),), Reason.DPOP_MALFORMED),
    "unsigned": ((proof({"alg": "none"}),), Reason.DPOP_MALFORMED),
    "symmetric": ((proof({"alg": "HS256"}),), Reason.DPOP_MALFORMED),
    "a crit header": ((proof({"crit": ["x"]}),), Reason.DPOP_MALFORMED),
    "no typ": ((proof({"typ": None}),), Reason.DPOP_TYPE),
    "typ JWT": ((proof({"typ": "JWT"}),), Reason.DPOP_TYPE),
    "typ at+jwt": ((proof({"typ": "at+jwt"}),), Reason.DPOP_TYPE),
    "no key": ((proof({"jwk": None}),), Reason.DPOP_KEY),
    "a key by name": ((proof({"jwk": None, "kid": "mock-rsa"}),), Reason.DPOP_KEY),
    "a key of another type": ((proof({"jwk": "x"}),), Reason.DPOP_KEY),
    "a private key": ((proof({"jwk": {**ec_public(), "d": PRIVATE}}),), Reason.DPOP_KEY),
    "a symmetric key": ((proof({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),), Reason.DPOP_KEY),
    "a key with a symmetric member": ((proof({"jwk": {**ec_public(), "k": "c2Vj"}}),), Reason.DPOP_KEY),
    "a key that is no point": ((proof({"jwk": {**ec_public(), "x": b64(b"\1" * 32)}}),), Reason.DPOP_KEY),
    "a key with a number": ((proof({"jwk": {**ec_public(), "x": 7}}),), Reason.DPOP_KEY),
    "a key without its half": ((proof({"jwk": {"kty": "EC", "crv": "P-256"}}),), Reason.DPOP_KEY),
    "a key that does not fit": ((proof({"alg": "RS256"}),), Reason.DPOP_KEY),
    "another's key": ((proof({"jwk": ec_public("thief")}),), Reason.DPOP_SIGNATURE),
    "another's signature": ((proof(key="thief"),), Reason.DPOP_SIGNATURE),
    "no jti": ((proof(jti=None),), Reason.DPOP_CLAIM),
    "a number as jti": ((proof(jti=7),), Reason.DPOP_CLAIM),
    "an endless jti": ((proof(jti="x" * 256),), Reason.DPOP_CLAIM),
    "no htm": ((proof(htm=None),), Reason.DPOP_CLAIM),
    "no htu": ((proof(htu=None),), Reason.DPOP_CLAIM),
    "a list as htu": ((proof(htu=[TARGET]),), Reason.DPOP_CLAIM),
    "no iat": ((proof(iat=None),), Reason.DPOP_CLAIM),
    "a text as iat": ((proof(iat=str(SECONDS)),), Reason.DPOP_CLAIM),
    "another method": ((proof(htm="POST"),), Reason.DPOP_METHOD),
    "the method in lower case": ((proof(htm="get"),), Reason.DPOP_METHOD),
    "another path": ((proof(htu="https://api.example/api/v1/products"),), Reason.DPOP_TARGET),
    "another host": ((proof(htu="https://evil.example/api/v1/orders"),), Reason.DPOP_TARGET),
    "another scheme": ((proof(htu="http://api.example/api/v1/orders"),), Reason.DPOP_TARGET),
    "a path alone": ((proof(htu="/api/v1/orders"),), Reason.DPOP_TARGET),
    "dot segments": ((proof(htu="https://api.example/api/v1/x/../orders"),), Reason.DPOP_TARGET),
    "too old": ((proof(iat=SECONDS - 61),), Reason.DPOP_TIME),
    "from the future": ((proof(iat=SECONDS + 31),), Reason.DPOP_TIME),
    "no ath": ((proof(ath=None),), Reason.DPOP_TOKEN),
    "another token's ath": ((proof(ath=token_hash("other")),), Reason.DPOP_TOKEN),
}


@pytest.mark.parametrize("name", BAD)
def test_sender_cannot_prove_possession_with(name: str) -> None:
    assert verified(proof())
    headers, reason = BAD[name]
    with pytest.raises(InvalidDpopProof) as refusal:
        verified(*headers)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    "other",
    [
        "HTTPS://API.example:443/a/~b%2F?x=1#y",
        "https://api.example/%61/%7Eb%2f",
        "https://api.example/a/~b%2F?other",
    ],
)
def test_spellings_of_one_target_are_one(other: str) -> None:
    assert same_target("https://api.example/a/~b%2F", other)


@pytest.mark.parametrize(
    "other",
    [
        "https://api.example:444/a/~b%2F",
        "https://api.example/A/~b%2F",
        "https://api.example/a/~b/",
        "https://u@api.example/a/~b%2F",
    ],
)
def test_other_targets_are_others(other: str) -> None:
    assert not same_target("https://api.example/a/~b%2F", other)


def test_the_root_has_two_spellings() -> None:
    assert same_target("https://api.example", "https://api.example/")

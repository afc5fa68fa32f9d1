"""Examples that the specifications print: JWS, thumbprint, PKCE, `at_hash` and DPoP proofs, as they stand there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secure_api.errors import InvalidToken
from secure_api.protocol.dpop import token_hash, verify_proof
from secure_api.protocol.id_token import access_token_hash
from secure_api.protocol.jwks import parse_jwks, thumbprint
from secure_api.protocol.jws import UnverifiedJws, parse_compact, verify_signature
from secure_api.protocol.pkce import challenge_s256
from secure_api.protocol.reasons import Reason

EXAMPLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "rfc" / "examples.json").read_text(encoding="utf-8")
)
DPOP = EXAMPLES["dpop"]
RESOURCE, TOKEN_REQUEST = DPOP["resource_request"], DPOP["token_request"]


def verified(example: dict[str, Any], token: str) -> UnverifiedJws:
    [key] = parse_jwks({"keys": [{"kid": "example", **example["jwk"]}]}, [example["alg"]])
    jws = parse_compact(token)
    verify_signature(jws, key, [example["alg"]])
    return jws


@pytest.mark.parametrize("example", EXAMPLES["jws"], ids=lambda example: example["source"])
def test_signed_example_verifies_and_its_forgery_does_not(example: dict[str, Any]) -> None:
    """The token is accepted as printed; with one character of its claims changed it is not."""
    token: str = example["token"]
    verified(example, token)
    header, payload, signature = token.split(".")
    with pytest.raises(InvalidToken) as refusal:
        verified(example, f"{header}.{payload[:4]}{'A' if payload[4] != 'A' else 'B'}{payload[5:]}.{signature}")
    assert refusal.value.reason == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("example", EXAMPLES["refused"], ids=lambda example: example["source"])
def test_unaccepted_example_is_refused(example: dict[str, Any]) -> None:
    """The HMAC and the unsecured example are refused, each for its own reason."""
    with pytest.raises(InvalidToken) as refusal:
        parse_compact(example["token"])
    assert refusal.value.reason == example["reason"]


def test_thumbprint_example() -> None:
    """RFC 7638 §3.1: only the required members count."""
    assert thumbprint(EXAMPLES["thumbprint"]["jwk"]) == EXAMPLES["thumbprint"]["thumbprint"]


def test_pkce_example() -> None:
    """RFC 7636 appendix B."""
    assert challenge_s256(EXAMPLES["pkce"]["verifier"]) == EXAMPLES["pkce"]["challenge"]


def test_at_hash_example() -> None:
    """OIDC Core A.3."""
    example = EXAMPLES["at_hash"]
    assert access_token_hash(example["access_token"], example["alg"]) == example["at_hash"]


def proof_seen(request: dict[str, Any], *, seconds_later: int = 5, **changes: Any) -> Any:
    """What `verify_proof` makes of the printed proof, `seconds_later` than it was made."""
    seen = {
        "method": request["method"],
        "target": request["target"],
        "access_token": DPOP["access_token"],
        "now": datetime.fromtimestamp(request["issued_at"], UTC) + timedelta(seconds=seconds_later),
        **changes,
    }
    return verify_proof([request["proof"]], **seen)


def test_dpop_example_of_a_resource_request() -> None:
    """RFC 9449 §7.1: proof, access token, `ath` and the thumbprint of §6.1 belong together."""
    proof = proof_seen(RESOURCE)
    assert proof.thumbprint == DPOP["thumbprint"]
    assert (proof.proof_id, proof.issued_at, proof.nonce) == ("e1j3V_bKic8-LAEB", RESOURCE["issued_at"], None)
    assert token_hash(DPOP["access_token"]) == DPOP["token_hash"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "POST"}, Reason.DPOP_METHOD),
        ({"method": "get"}, Reason.DPOP_METHOD),
        ({"target": "https://resource.example.org/other"}, Reason.DPOP_TARGET),
        ({"target": "https://resource.example.com/protectedresource"}, Reason.DPOP_TARGET),
        ({"target": "http://resource.example.org/protectedresource"}, Reason.DPOP_TARGET),
        ({"access_token": "another"}, Reason.DPOP_TOKEN),
        ({"seconds_later": 90}, Reason.DPOP_TIME),
        ({"seconds_later": -90}, Reason.DPOP_TIME),
    ],
)
def test_attacker_cannot_use_the_dpop_example_for(changes: dict[str, Any], reason: Reason) -> None:
    """The printed proof passes for its own request, and for no other method, address, token or time."""
    proof_seen(RESOURCE)
    with pytest.raises(InvalidToken) as refusal:
        proof_seen(RESOURCE, **changes)
    assert refusal.value.reason == reason


def test_dpop_example_of_a_token_request_is_no_proof_for_a_resource() -> None:
    """RFC 9449 §4.1: the signature holds, but without `ath` it proves nothing about an access token (§4.3 (10))."""
    proof_seen(RESOURCE)
    with pytest.raises(InvalidToken) as refusal:
        proof_seen(TOKEN_REQUEST)
    assert refusal.value.reason == Reason.DPOP_TOKEN

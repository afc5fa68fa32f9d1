"""The parsers under arbitrary input: the declared refusals and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secure_api.errors import InvalidToken
from secure_api.protocol import base64url, strict_json
from secure_api.protocol.jwt import parse_unverified
from secure_api.protocol.reasons import Reason
from secure_api.protocol.rfc9068 import AccessTokenProfile, validate_access_token_claims

# A busy machine is no fault of the parsers.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
CLAIM_NAMES = (
    *(
        "iss",
        "aud",
        "sub",
        "client_id",
        "scope",
        "groups",
        "jti",
        "iat",
        "exp",
        "nbf",
        "auth_time",
        "acr",
        "amr",
        "cnf",
    ),
    *("nonce", "uid", "scp"),
)
SOUND: dict[str, Any] = {
    "iss": "https://idp.example",
    "aud": "api",
    "sub": "alice",
    "client_id": "cli",
    "jti": "1",
    "iat": NOW.timestamp(),
    "exp": NOW.timestamp() + 60,
}


@PATIENT
@given(st.binary(max_size=100))
def test_base64url_is_a_bijection(data: bytes) -> None:
    """Every byte string has one text, and it comes back."""
    assert base64url.decode(base64url.encode(data)) == data


@PATIENT
@given(st.text("AQgwBCxyz-_+/= \n*", max_size=12))
def test_no_two_texts_decode_alike(text: str) -> None:
    """Whatever decodes at all is its own canonical spelling."""
    with contextlib.suppress(ValueError):
        assert base64url.encode(base64url.decode(text)) == text


@PATIENT
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_strict_json_raises_nothing_undeclared(data: bytes) -> None:
    """An object, or ValueError."""
    with contextlib.suppress(ValueError):
        assert isinstance(strict_json.parse_object(data), dict)


@pytest.mark.parametrize("character", ["\\ud800", "\\udfff", "\\udc00\\ud800"])
def test_lone_surrogate_is_refused_as_name_and_value(character: str) -> None:
    """A real pair passes; a half of one would fail later, in a log line or a database row."""
    assert strict_json.parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    for text in (f'{{"a": "{character}"}}', f'{{"{character}": 1}}', f'{{"a": [{{"b": "{character}"}}]}}'):
        with pytest.raises(ValueError, match="surrogate"):
            strict_json.parse_object(text.encode())


def test_nesting_is_refused_without_exhausting_the_stack() -> None:
    """Under the cap on containers but too deep for the interpreter, and far over it."""
    assert strict_json.parse_object(b'{"a":' + b"[" * 50 + b"]" * 50 + b"}")
    for depth in (999, 100_000):
        with pytest.raises(ValueError, match=r"nested too deeply|too many"):
            strict_json.parse_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")


def test_document_of_countless_small_containers_is_refused() -> None:
    """Flat ones cost memory and time as well: a thousand in all, then no more."""
    assert strict_json.parse_object(b'{"a":[' + b"{}," * 990 + b"0]}")
    with pytest.raises(ValueError, match="too many"):
        strict_json.parse_object(b'{"a":[' + b"{}," * 1000 + b"0]}")


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "ES256K", "Ed448", "dir", "RSA1_5", "RS1", "x"])
def test_parser_knows_only_signature_algorithms_with_public_keys(algorithm: str) -> None:
    """Before any issuer's list is consulted, so that no caller of the parser can forget it."""
    assert parse_unverified(f"{part({'alg': 'RS256'})}.{part({})}.{part(b'x')}").algorithm == "RS256"
    with pytest.raises(InvalidToken) as refusal:
        parse_unverified(f"{part({'alg': algorithm})}.{part({})}.{part(b'x')}")
    assert refusal.value.reason == Reason.ALGORITHM_NOT_ALLOWED


@PATIENT
@given(
    header=st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "cty", "jwk", "x"]), VALUES | st.just("RS256")),
    payload=st.binary(max_size=60) | st.dictionaries(st.text(max_size=5), VALUES),
    signature=st.binary(max_size=60),
    rest=st.text(max_size=5),
)
def test_token_parser_raises_nothing_undeclared(header: object, payload: object, signature: bytes, rest: str) -> None:
    """A token, or InvalidToken with a reason."""
    for token in (f"{part(header)}.{part(payload)}.{part(signature)}", f"{part(header)}.{rest}", rest):
        with contextlib.suppress(InvalidToken):
            assert isinstance(parse_unverified(token).claims, dict)


@PATIENT
@given(st.dictionaries(st.sampled_from(CLAIM_NAMES), VALUES))
def test_claims_raise_nothing_undeclared(changes: dict[str, Any]) -> None:
    """Any JSON value under any claim's name is accepted or refused, and never crashes."""
    for profile in (
        AccessTokenProfile(),
        AccessTokenProfile(subject_claim="uid", scope_claim="scp", scope_form="list", groups_claim=("cnf", "groups")),
    ):
        with contextlib.suppress(InvalidToken):
            found = validate_access_token_claims(
                {"typ": "at+jwt"},
                {**SOUND, **changes},
                profile=profile,
                issuer="https://idp.example",
                audience=["api"],
                now=NOW,
            )
            assert isinstance(found.subject, str)

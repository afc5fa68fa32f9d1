"""`WWW-Authenticate` values, and PKCE."""

from __future__ import annotations

import re
from typing import Any

import pytest

from secure_api.protocol.challenge import bearer_challenge
from secure_api.protocol.pkce import challenge_s256, new_verifier


def test_challenges_of_the_specifications() -> None:
    """The examples of RFC 6750 §3, RFC 9470 §3 and RFC 9728 §5.1, parameter for parameter."""
    assert bearer_challenge() == "Bearer"
    assert bearer_challenge(realm="example") == 'Bearer realm="example"'
    assert (
        bearer_challenge(realm="example", error="invalid_token", description="The access token expired")
        == 'Bearer realm="example", error="invalid_token", error_description="The access token expired"'
    )
    assert (
        bearer_challenge(
            error="insufficient_user_authentication",
            description="A different authentication level is required",
            acr_values=["myACR"],
        )
        == 'Bearer error="insufficient_user_authentication", '
        'error_description="A different authentication level is required", acr_values="myACR"'
    )
    assert (
        bearer_challenge(error="insufficient_user_authentication", max_age_seconds=5)
        == 'Bearer error="insufficient_user_authentication", max_age="5"'
    )
    assert (
        bearer_challenge(resource_metadata="https://resource.example.com/.well-known/oauth-protected-resource")
        == 'Bearer resource_metadata="https://resource.example.com/.well-known/oauth-protected-resource"'
    )
    assert (
        bearer_challenge(error="insufficient_scope", scopes=frozenset({"b", "a"}))
        == 'Bearer error="insufficient_scope", scope="a b"'
    )


@pytest.mark.parametrize("text", ['a", error="x', "a\\", "a\r\nSet-Cookie: x=1", "a\nb", "a\x00", "é", "a\x7f"])
def test_value_cannot_break_out_of_its_parameter(text: str) -> None:
    """A quote, a backslash, a line break or a byte outside ASCII is refused in every parameter."""
    assert bearer_challenge(description="plain") == 'Bearer error_description="plain"'
    for arguments in (
        {"description": text},
        {"realm": text},
        {"scopes": [text]},
        {"acr_values": [text]},
        {"resource_metadata": f"https://api.example/{text}"},
    ):
        with pytest.raises(ValueError, match=r"."):
            bearer_challenge(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"scopes": ["a b"]}, {"scopes": [""]}, {"acr_values": ["a b"]}, {"max_age_seconds": -1}]
)
def test_value_of_the_wrong_form_is_refused(arguments: dict[str, Any]) -> None:
    """Two scopes in one, an empty one, a negative age."""
    with pytest.raises(ValueError, match=r"."):
        bearer_challenge(**arguments)


def test_pkce_example_of_the_specification() -> None:
    """RFC 7636, Appendix B."""
    assert (
        challenge_s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_verifiers_are_fresh_and_long_enough() -> None:
    """43 unreserved characters, never the same twice."""
    verifiers = {new_verifier() for _ in range(1000)}
    assert len(verifiers) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", verifier) for verifier in verifiers)
    assert {len(challenge_s256(verifier)) for verifier in verifiers} == {43}


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, "a" * 42 + "+", "a" * 42 + "é", "a" * 43 + "\n"])
def test_weak_or_malformed_verifier_is_refused(verifier: str) -> None:
    """RFC 7636 §4.1: 43 to 128 unreserved characters."""
    challenge_s256("a" * 43)
    challenge_s256("a" * 128)
    with pytest.raises(ValueError, match="43 to 128"):
        challenge_s256(verifier)

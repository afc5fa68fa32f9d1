"""Faults of tokens: each opens a finished token, changes one thing, and signs it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from idp_mock.faults import Fault, SetFault
from idp_mock.forging import Forgery, base64url, opened
from idp_mock.issuer import Issuer
from idp_mock.stores import new_secret

Change = Callable[[Forgery, Mapping[str, Any], int], None]
_HOUR, _TEN_YEARS = 3_600, 315_360_000
_TIME_CLAIMS = ("iat", "nbf", "exp", "auth_time")
_ANY_TOKEN: Mapping[str, Any] = {"token": "id_token"}  # nosec B105


def _typ_missing(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.header.pop("typ", None)


def _typ_other(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    token.header["typ"] = options["typ"]


def _aud_swapped(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    token.claims["aud"] = options["aud"]


def _iss_swapped(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    token.claims["iss"] = options["iss"]


def _unsigned(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.key = "none"


def _public_key_as_secret(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.key = "hmac-public"


def _wrong_key(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.key = "unknown"


def _unknown_kid(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.key, token.header["kid"] = "unknown", new_secret()


def _kid_missing(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.header.pop("kid", None)


def _expired(token: Forgery, _: Mapping[str, Any], now: int) -> None:
    token.claims |= {"iat": now - 2 * _HOUR, "exp": now - _HOUR}


def _far_future(token: Forgery, _: Mapping[str, Any], now: int) -> None:
    token.claims["exp"] = now + _TEN_YEARS


def _not_yet_valid(token: Forgery, _: Mapping[str, Any], now: int) -> None:
    token.claims |= {"iat": now + _HOUR, "nbf": now + _HOUR, "exp": now + 2 * _HOUR}


def _claims_missing(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    for name in options["claims"]:
        token.claims.pop(name, None)


def _claims_set(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    token.claims |= options["claims"]


def _nonce_wrong(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.claims["nonce"] = new_secret()


def _at_hash_wrong(token: Forgery, _: Mapping[str, Any], __: int) -> None:
    token.claims["at_hash"] = half_hash(new_secret(), "ES256")


def _clock_skew(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    for name in _TIME_CLAIMS:
        if name in token.claims:
            token.claims[name] += options["seconds"]


def _groups_huge(token: Forgery, options: Mapping[str, Any], _: int) -> None:
    token.claims["groups"] = huge_groups(options["count"])


def huge_groups(count: int) -> list[str]:
    return [f"group-{number}" for number in range(count)]


_TABLE: tuple[tuple[str, str, Mapping[str, Any], Change], ...] = (
    ("token_typ_missing", "the header has no `typ`", {}, _typ_missing),
    ("token_typ_other", "the header's `typ` is another one", {"typ": "other+jwt"}, _typ_other),
    ("token_aud_swapped", "`aud` is somebody else", {"aud": "https://somebody-else.example"}, _aud_swapped),
    ("token_iss_swapped", "`iss` is another issuer", {"iss": "https://attacker.example"}, _iss_swapped),
    ("token_unsigned", "`alg` is `none`, the signature is empty", {}, _unsigned),
    ("token_hmac_public_key", "HS256, with the public key's PEM as the secret", {}, _public_key_as_secret),
    ("token_wrong_key", "signed with a key that is not published, under the published `kid`", {}, _wrong_key),
    ("token_unknown_kid", "signed with a key that is not published, under its own `kid`", {}, _unknown_kid),
    ("token_kid_missing", "the header has no `kid`", {}, _kid_missing),
    ("token_expired", "issued two hours ago, expired one hour ago", {}, _expired),
    ("token_far_future", "expires in ten years", {}, _far_future),
    ("token_not_yet_valid", "`iat` and `nbf` are in an hour", {}, _not_yet_valid),
    ("token_claims_missing", "the named claims are left out", {"claims": ["sub"]}, _claims_missing),
    ("token_claims_set", "the named claims have the given values; null leaves one out", {"claims": {}}, _claims_set),
    ("clock_skew", "`iat`, `nbf`, `exp` and `auth_time` are shifted", {"seconds": 600}, _clock_skew),
    ("groups_huge", "`groups` has very many entries", {"count": 10_000}, _groups_huge),
)
TOKEN_CHANGES: Mapping[str, Change] = {
    **{name: change for name, _, _, change in _TABLE},
    "id_token_nonce_wrong": _nonce_wrong,
    "id_token_at_hash_wrong": _at_hash_wrong,
}
TOKEN_FAULTS = (
    *(Fault(name, "token", does, {**_ANY_TOKEN, **options}) for name, does, options, _ in _TABLE),
    Fault("id_token_nonce_wrong", "token", "`nonce` is not the request's", _ANY_TOKEN),
    Fault("id_token_at_hash_wrong", "token", "`at_hash` is of another access token", _ANY_TOKEN),
)


def changed_token(issuer: Issuer, token: str, faults: list[SetFault]) -> str:
    """The token with every fault applied; an opaque token stays as it is."""
    forgery = opened(token)
    if forgery is None:
        return token
    for entry in faults:
        TOKEN_CHANGES[entry.fault.name](forgery, entry.options, issuer.now())
    return forgery.signed(issuer)


def with_at_hash(issuer: Issuer, id_token: str, access_token: str) -> str:
    """The ID token for an access token that was changed: only the fault that was asked for may show."""
    forgery = opened(id_token)
    if forgery is None or "at_hash" not in forgery.claims:
        return id_token
    forgery.claims["at_hash"] = half_hash(access_token, str(forgery.header.get("alg")))
    return forgery.signed(issuer)


def half_hash(value: str, alg: str) -> str:
    """The left half of the hash that belongs to the algorithm (OIDC Core §3.1.3.6)."""
    digest = (hashlib.sha512 if alg == "EdDSA" else hashlib.sha256)(value.encode()).digest()
    return base64url(digest[: len(digest) // 2])

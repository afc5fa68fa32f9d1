"""JSON Web Token (RFC 7519): the claims of a JWS, and the typed reading of the registered ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from secure_api.protocol import strict_json
from secure_api.protocol.jws import MAX_TOKEN_BYTES, UnverifiedJws, parse_compact
from secure_api.protocol.reasons import Reason, refused

MAX_IDENTIFIER_CHARACTERS: Final = 255  # OIDC Core §2 bounds `sub` so; used for every identifier
MAX_LIST_ENTRIES: Final = 500
_YEAR_9999: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class UnverifiedToken(UnverifiedJws):
    """A well-formed JWT whose signature nobody has checked yet: `claims` may not be believed."""

    claims: Mapping[str, Any]


def parse_unverified(token: str, max_bytes: int = MAX_TOKEN_BYTES) -> UnverifiedToken:
    """A well-formed JWT, still unverified: its `iss` may serve as a look-up key and for nothing else.

    Args: `max_bytes` caps the whole token, before anything is parsed.
    Raises: `errors.InvalidToken`, with the reasons of `jws.parse_compact`; MALFORMED also where the
    payload is no unambiguous JSON object.
    Source: RFC 7519 §7.2, RFC 8725 §3, ASVS v5.0.0-9.1.1.
    """
    jws = parse_compact(token, max_bytes=max_bytes)
    try:
        claims = strict_json.parse_object(jws.payload)
    except ValueError as error:
        raise refused(Reason.MALFORMED, f"claims: {error}") from None
    return UnverifiedToken(
        jws.header, jws.algorithm, jws.key_id, jws.type, jws.payload, jws.signing_input, jws.signature, claims
    )


def identifier(claims: Mapping[str, Any], name: str) -> str | None:
    """The string under `name`, or None where the claim is absent: never empty, over-long or with control characters.

    Control characters would forge log lines, and PostgreSQL refuses NUL (a 500 instead of a 401).

    Raises: `errors.InvalidToken` with reason CLAIM_INVALID. Source: RFC 7519 §2, OIDC Core §2.
    """
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, str) or not 0 < len(value) <= MAX_IDENTIFIER_CHARACTERS or not value.isprintable():
        raise refused(Reason.CLAIM_INVALID, name)
    return value


def numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """The NumericDate under `name` in seconds since 1970, or None where the claim is absent.

    `true` is an integer for Python and no date; texts, infinities and years past 9999 are refused.

    Raises: `errors.InvalidToken` with reason CLAIM_INVALID. Source: RFC 7519 §2, ASVS v5.0.0-9.2.1.
    """
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(Reason.CLAIM_INVALID, name)
    if not 0 <= value <= _YEAR_9999 or not math.isfinite(value):
        raise refused(Reason.CLAIM_INVALID, name)
    return value


def instant(seconds: float | None) -> datetime | None:
    """The UTC instant of a NumericDate that `numeric_date` returned; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def text_list(value: object, name: str) -> tuple[str, ...]:
    """`value` as a tuple of strings, if it is a JSON array of at most 500 strings; `name` is for the log.

    Raises: `errors.InvalidToken` with reason CLAIM_INVALID.
    """
    if not isinstance(value, list) or len(value) > MAX_LIST_ENTRIES:
        raise refused(Reason.CLAIM_INVALID, name)
    if not all(isinstance(entry, str) and entry.isprintable() for entry in value):
        raise refused(Reason.CLAIM_INVALID, name)
    return tuple(value)


def audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Every audience of the token: `aud` is one string or an array of strings, and never empty.

    Raises: `errors.InvalidToken` with reason CLAIM_MISSING or CLAIM_INVALID.
    Source: RFC 7519 §4.1.3, ASVS v5.0.0-9.2.3.
    """
    if "aud" not in claims:
        raise refused(Reason.CLAIM_MISSING, "aud")
    value = claims["aud"]
    found = (value,) if isinstance(value, str) else text_list(value, "aud")
    if not found or "" in found:
        raise refused(Reason.CLAIM_INVALID, "aud")
    return found


def check_times(
    claims: Mapping[str, Any],
    *,
    now: datetime,
    clock_skew_seconds: float,
    max_lifetime_seconds: float,
    required: Collection[str],
) -> tuple[float, float | None]:
    """`exp` and `iat`, if the token is valid at `now` and was not made to live longer than allowed.

    The lifetime counts from `iat`, and also from `now`: without `iat`, or with one in the future, a
    token cannot gain time. `exp` is always demanded, `iat` where it is in `required`.

    Args: `now` is timezone-aware; `clock_skew_seconds` is how far the issuer's clock may be off, both ways.
    Raises: `errors.InvalidToken` with reason CLAIM_MISSING, CLAIM_INVALID, EXPIRED, NOT_YET_VALID or
    LIFETIME_TOO_LONG.
    Source: RFC 7519 §4.1.4 to §4.1.6, RFC 8725 §3.8, ASVS v5.0.0-9.2.1.
    """
    moment = now.timestamp()
    expires_at, issued_at, not_before = (numeric_date(claims, name) for name in ("exp", "iat", "nbf"))
    if expires_at is None:
        raise refused(Reason.CLAIM_MISSING, "exp")
    if issued_at is None and "iat" in required:
        raise refused(Reason.CLAIM_MISSING, "iat")
    if moment >= expires_at + clock_skew_seconds:
        raise refused(Reason.EXPIRED)
    for name, value in (("nbf", not_before), ("iat", issued_at)):
        if value is not None and value > moment + clock_skew_seconds:
            raise refused(Reason.NOT_YET_VALID, name)
    if issued_at is not None and not 0 < expires_at - issued_at <= max_lifetime_seconds:
        raise refused(Reason.LIFETIME_TOO_LONG if expires_at > issued_at else Reason.CLAIM_INVALID, "exp and iat")
    if expires_at - moment > max_lifetime_seconds + clock_skew_seconds:
        raise refused(Reason.LIFETIME_TOO_LONG)
    return expires_at, issued_at

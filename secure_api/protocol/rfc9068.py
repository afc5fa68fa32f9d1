"""JWT access tokens (RFC 9068), and the ways in which other issuers' access tokens differ from it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from secure_api.protocol.jws import media_type
from secure_api.protocol.jwt import audiences, check_times, identifier, instant, numeric_date, text_list
from secure_api.protocol.reasons import Reason, refused

# RFC 6749 §3.3: printable ASCII without space, quote and backslash.
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")

# Claims that ID tokens (OIDC Core §2, §3.3.2.11), logout tokens and security events (RFC 8417) carry.
_OTHER_KINDS: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenProfile:
    """How one issuer's access tokens look. The defaults are RFC 9068 itself.

    `token_types` are the accepted `typ` values in lower case, without `application/`; "" stands for a
    missing `typ`. `algorithms` are JWA names in order of preference. `scope_form` "list" is an array of
    strings, "text" the space-separated form of RFC 8693 §4.2. `groups_claim` is a path of member names.
    `subject_claim` names the user's stable identifier; where it is not `sub` and is absent, or where the
    subject equals `client_subject` with the client's id put in, the client acts for itself.
    `fixed_claims` must have exactly these string values.
    """

    token_types: frozenset[str] = frozenset({"at+jwt"})
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    subject_claim: str = "sub"
    client_id_claim: str = "client_id"
    client_subject: str = "{client_id}"
    scope_claim: str = "scope"
    scope_form: Literal["text", "list"] = "text"
    groups_claim: tuple[str, ...] = ("groups",)
    required_claims: frozenset[str] = frozenset({"sub", "client_id", "iat", "jti"})
    forbidden_claims: frozenset[str] = _OTHER_KINDS
    fixed_claims: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    max_lifetime_seconds: int = 3600
    clock_skew_seconds: int = 30


@dataclass(frozen=True, slots=True)
class AccessTokenClaims:
    """What a valid access token says. `groups` are the issuer's names, not roles of this API.

    `acts_as_client` is True where no user stands behind the token (client credentials).
    `confirmation` is the `cnf` claim: a token that has one is worth nothing without its key (RFC 7800).
    `session_id` is the session at the issuer that it belongs to, if it names one (`sid`).
    """

    issuer: str
    subject: str
    client_id: str | None
    acts_as_client: bool
    scopes: frozenset[str]
    groups: tuple[str, ...]
    expires_at: datetime
    issued_at: datetime | None
    token_id: str | None
    acr: str | None
    amr: tuple[str, ...]
    auth_time: datetime | None
    confirmation: Mapping[str, Any] | None
    session_id: str | None = None


def validate_access_token_claims(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    profile: AccessTokenProfile,
    issuer: str,
    audience: Collection[str],
    now: datetime,
) -> AccessTokenClaims:
    """The claims of an access token that `issuer` made for this API and that is valid at `now`.

    The caller has checked the signature. Refused: other kinds of token (by `typ`, and by claims that
    only they carry), another issuer, none of `audience` in `aud`, claims missing or of the wrong
    JSON type, times outside the profile's bounds.

    Args: `audience` holds this API's identifiers, one of which must be in `aud`; `now` is timezone-aware.
    Raises: `errors.InvalidToken` with reason WRONG_TYPE, WRONG_ISSUER, WRONG_AUDIENCE, CLAIM_MISSING,
    CLAIM_INVALID, CLAIM_FORBIDDEN, EXPIRED, NOT_YET_VALID or LIFETIME_TOO_LONG.
    Source: RFC 9068 §2 and §4, RFC 8725 §3.8 to §3.12, ASVS v5.0.0-9.2.1 to 9.2.3 and 10.3.1.
    """
    if media_type(header.get("typ")) not in profile.token_types:
        raise refused(Reason.WRONG_TYPE)
    for name in sorted(profile.forbidden_claims & claims.keys()):
        raise refused(Reason.CLAIM_FORBIDDEN, name)
    if claims.get("iss") != issuer:
        raise refused(Reason.WRONG_ISSUER)
    if not set(audience) & set(audiences(claims)):
        raise refused(Reason.WRONG_AUDIENCE)
    for name in sorted(profile.required_claims - claims.keys()):
        raise refused(Reason.CLAIM_MISSING, name)
    for name, value in profile.fixed_claims.items():
        if claims.get(name) != value:
            raise refused(Reason.CLAIM_INVALID, name)
    expires_at, issued_at = check_times(
        claims,
        now=now,
        clock_skew_seconds=profile.clock_skew_seconds,
        max_lifetime_seconds=profile.max_lifetime_seconds,
        required=profile.required_claims,
    )
    client_id = identifier(claims, profile.client_id_claim)
    subject, acts_as_client = _subject(claims, profile, client_id)
    return AccessTokenClaims(
        issuer=issuer,
        subject=subject,
        client_id=client_id,
        acts_as_client=acts_as_client,
        scopes=_scopes(claims, profile),
        groups=groups_at(claims, profile.groups_claim),
        expires_at=datetime.fromtimestamp(expires_at, now.tzinfo),
        issued_at=instant(issued_at),
        token_id=identifier(claims, "jti"),
        acr=identifier(claims, "acr"),
        amr=text_list(claims["amr"], "amr") if "amr" in claims else (),
        auth_time=instant(past_auth_time(claims, now, profile.clock_skew_seconds)),
        confirmation=_confirmation(claims),
        session_id=identifier(claims, "sid"),
    )


def past_auth_time(claims: Mapping[str, Any], now: datetime, clock_skew_seconds: float) -> float | None:
    """`auth_time` in seconds, or None where it is absent; one in the future would make every login look fresh.

    Raises: `errors.InvalidToken` with reason CLAIM_INVALID or NOT_YET_VALID.
    Source: OIDC Core §2, RFC 9470 §5, ASVS v5.0.0-10.3.4.
    """
    value = numeric_date(claims, "auth_time")
    if value is not None and value > now.timestamp() + clock_skew_seconds:
        raise refused(Reason.NOT_YET_VALID, "auth_time")
    return value


def groups_at(claims: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """The issuer's group names at `path`; none where the claim, or any member on the way, is absent.

    Raises: `errors.InvalidToken` with reason CLAIM_INVALID where the value is no array of strings.
    """
    value: object = claims
    for name in path:
        if not isinstance(value, Mapping):
            raise refused(Reason.CLAIM_INVALID, "groups")
        if name not in value:
            return ()
        value = value[name]
    return text_list(value, "groups")


def _subject(claims: Mapping[str, Any], profile: AccessTokenProfile, client_id: str | None) -> tuple[str, bool]:
    named = identifier(claims, "sub")
    subject = identifier(claims, profile.subject_claim)
    for_itself = subject is None or (
        client_id is not None and named == profile.client_subject.replace("{client_id}", client_id)
    )
    chosen = named if for_itself else subject
    if chosen is None:
        raise refused(Reason.CLAIM_MISSING, "sub")
    return chosen, for_itself


def _scopes(claims: Mapping[str, Any], profile: AccessTokenProfile) -> frozenset[str]:
    name = profile.scope_claim
    if name not in claims:
        return frozenset()
    value = claims[name]
    if profile.scope_form == "list":
        scopes = text_list(value, name)
    elif isinstance(value, str):
        scopes = tuple(value.split(" ")) if value else ()
    else:
        raise refused(Reason.CLAIM_INVALID, name)
    if not all(_SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
        raise refused(Reason.CLAIM_INVALID, name)
    return frozenset(scopes)


def _confirmation(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "cnf" not in claims:
        return None
    value = claims["cnf"]
    # An empty or odd `cnf` must not read as "not bound": that would turn a bound token into a bearer token.
    if not isinstance(value, dict) or not value:
        raise refused(Reason.CLAIM_INVALID, "cnf")
    return MappingProxyType(value)

"""Access tokens of trusted issuers: from the text in the Authorization header to checked claims."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from secure_api.credentials.bounded_cache import BoundedCache
from secure_api.credentials.identity_provider import IdentityProvider
from secure_api.credentials.introspection import Introspector
from secure_api.credentials.issuer_keys import IssuerKeys
from secure_api.credentials.possession import NOTHING_PROVED, Possession
from secure_api.credentials.providers import ProviderRegistry
from secure_api.credentials.revocation import session_reference, text_reference, token_id_reference
from secure_api.errors import ForeignToken
from secure_api.protocol.jwks import VerificationKey
from secure_api.protocol.jws import MAX_TOKEN_BYTES, verify_signature
from secure_api.protocol.jwt import UnverifiedToken, instant, numeric_date, parse_unverified
from secure_api.protocol.reasons import Reason, refused
from secure_api.protocol.rfc9068 import AccessTokenClaims, AccessTokenProfile, validate_access_token_claims

_DOTS_OF_JOSE: Final = (2, 4)  # what the compact form of a JWS and of a JWE has (RFC 7516 §9)

# What a kept token counts as: its objects beside its text, and how much larger they are than the text.
_ENTRY_BYTES: Final = 1024
_OBJECTS_PER_CHARACTER: Final = 3


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """An access token that its issuer signed, for this API, and that is valid now.

    It says who is calling with what scopes. What the caller may do is decided from the user record, and
    whether the token, or its session, was revoked is read with that, under `references`.
    """

    provider: IdentityProvider
    claims: AccessTokenClaims
    references: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token that passed every check, and what must still hold when it comes again."""

    verified: VerifiedToken
    issuer_keys: IssuerKeys
    key: VerificationKey
    valid_from: datetime
    valid_until: datetime


class AccessTokenVerifier:
    """Turns access tokens into `VerifiedToken`s, for all threads. There is no default issuer and no default profile.

    A token that comes again is found by the SHA-256 of its whole text, and only while its issuer still
    publishes the very key that checked it and every time bound of the first check still holds.
    """

    def __init__(
        self,
        registry: ProviderRegistry,
        issuer_keys: Mapping[str, IssuerKeys],
        clock: Callable[[], datetime],
        introspector: Introspector | None = None,
    ) -> None:
        """A verifier that has seen no token yet.

        Args: `issuer_keys` holds the keys of every provider in `registry`, by name; `clock` gives the UTC
        time; without `introspector` no opaque token is taken.
        """
        self._registry = registry
        self._issuer_keys = issuer_keys
        self._clock = clock
        self._cache: BoundedCache[_Kept] = BoundedCache()
        self._introspector = introspector

    def verify_access_token(self, token: str, possession: Possession = NOTHING_PROVED) -> VerifiedToken:
        """A token that passed every check of its issuer's profile; anything else is refused.

        The unverified `iss` serves only to look up the provider, whose table then says everything: which
        keys, algorithms, `typ`, claims and lifetime. A token bound to a key (`cnf`) is refused unless
        `possession` holds that key, since as a plain bearer token it proves nothing.

        Raises: `errors.InvalidToken` with any of `protocol.reasons.Reason`; `errors.ServiceUnavailable`
        where the issuer's keys cannot be had, or it cannot be asked; `errors.ForeignToken` for an opaque
        token that is another service's.
        Source: RFC 9068 §4, RFC 8725 §3, RFC 9449 §7.1, ASVS v5.0.0-9.1.1 to 9.2.3 and 10.3.1.
        """
        verified = self._known(token) or self._verify(token)
        possession.require(verified.claims.confirmation)
        return verified

    def forget(self, token: str) -> None:
        """Drop `token` from the cache of this process: it was revoked, and need not take up room."""
        self._cache.drop(_digest(token))

    def _known(self, token: str) -> VerifiedToken | None:
        """What an earlier check found, if all that it rested on still holds."""
        if len(token) > MAX_TOKEN_BYTES:
            return None
        digest = _digest(token)
        kept = self._cache.get(digest)
        if kept is None:
            return None
        # The same object, not an equal one: after each fetch of the keys a token is checked once anew.
        if (
            kept.valid_from <= self._clock() < kept.valid_until
            and kept.issuer_keys.key_for(kept.key.key_id) is kept.key
        ):
            return kept.verified
        self._cache.drop(digest)
        return None

    def _verify(self, token: str) -> VerifiedToken:
        if token.count(".") not in _DOTS_OF_JOSE and (found := self._registry.of_opaque_token(token)):
            return self._ask(found, token)
        unverified = parse_unverified(token)
        issuer = unverified.claims.get("iss")
        provider = self._registry.by_issuer(issuer) if isinstance(issuer, str) else None
        if provider is None:
            raise refused(Reason.UNKNOWN_ISSUER)
        profile = provider.access_tokens
        if provider.introspection:
            return self._ask(provider, token)
        if profile is None:
            raise refused(Reason.NO_ACCESS_TOKENS, provider.name)
        # Before the key is looked up: a token of a wrong kind must not cause a fetch.
        if unverified.algorithm not in profile.algorithms:
            raise refused(Reason.ALGORITHM_NOT_ALLOWED)
        if unverified.key_id is None:
            raise refused(Reason.KEY_ID_MISSING)
        issuer_keys = self._issuer_keys[provider.name]
        key = issuer_keys.key_for(unverified.key_id)
        verify_signature(unverified, key, profile.algorithms)
        claims = validate_access_token_claims(
            unverified.header,
            unverified.claims,
            profile=profile,
            issuer=provider.issuer,
            audience=provider.audiences,
            now=self._clock(),
        )
        verified = VerifiedToken(provider, claims, references_of(token, claims))
        kept = _Kept(verified, issuer_keys, key, *_valid_between(unverified, claims, profile))
        self._cache.put(_digest(token), kept, _ENTRY_BYTES + _OBJECTS_PER_CHARACTER * len(token))
        return verified

    def _ask(self, provider: IdentityProvider, token: str) -> VerifiedToken:
        if self._introspector is None or not provider.introspection:
            raise ForeignToken(Reason.NO_ACCESS_TOKENS, provider.display_name)
        claims = self._introspector.introspect(provider, token)
        return VerifiedToken(provider, claims, references_of(token, claims))


def references_of(token: str, claims: AccessTokenClaims) -> tuple[bytes, ...]:
    """Every name under which the token may have been revoked."""
    found = [text_reference(token)]
    if claims.token_id is not None:
        found.append(token_id_reference(claims.issuer, claims.token_id))
    if claims.session_id is not None:
        found.append(session_reference(claims.issuer, claims.session_id))
    return tuple(found)


def _valid_between(
    token: UnverifiedToken, claims: AccessTokenClaims, profile: AccessTokenProfile
) -> tuple[datetime, datetime]:
    """From when until when (exclusive) `check_times` accepts the token."""
    skew = timedelta(seconds=profile.clock_skew_seconds)
    starts = [instant(numeric_date(token.claims, name)) for name in ("nbf", "iat", "auth_time")]
    earliest = claims.expires_at - timedelta(seconds=profile.max_lifetime_seconds)
    return max(earliest, *filter(None, starts)) - skew, claims.expires_at + skew


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

"""Access tokens of trusted issuers: from the text in the Authorization header to checked claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from secure_api.credentials.identity_provider import IdentityProvider
from secure_api.credentials.issuer_keys import IssuerKeys
from secure_api.credentials.providers import ProviderRegistry
from secure_api.protocol.jws import verify_signature
from secure_api.protocol.jwt import parse_unverified
from secure_api.protocol.reasons import Reason, refused
from secure_api.protocol.rfc9068 import AccessTokenClaims, validate_access_token_claims


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """An access token that its issuer signed, for this API, and that is valid now.

    It says who is calling with what scopes. What the caller may do is decided from the user record.
    """

    provider: IdentityProvider
    claims: AccessTokenClaims


class AccessTokenVerifier:
    """Turns access tokens into `VerifiedToken`s, for all threads. There is no default issuer and no default profile."""

    def __init__(
        self,
        registry: ProviderRegistry,
        issuer_keys: Mapping[str, IssuerKeys],
        clock: Callable[[], datetime],
    ) -> None:
        """Args: `issuer_keys` holds the keys of every provider in `registry`, by name; `clock` gives the UTC time."""
        self._registry = registry
        self._issuer_keys = issuer_keys
        self._clock = clock

    def verify_access_token(self, token: str) -> VerifiedToken:
        """A token that passed every check of its issuer's profile; anything else is refused.

        The unverified `iss` serves only to look up the provider, whose table then says everything: which
        keys, algorithms, `typ`, claims and lifetime. A token bound to a key (`cnf`) is refused, since as
        a plain bearer token it proves nothing.

        Raises: `errors.InvalidToken` with any of `protocol.reasons.Reason`; `errors.ServiceUnavailable`
        where the issuer's keys cannot be had.
        Source: RFC 9068 §4, RFC 8725 §3, RFC 9449 §7.1, ASVS v5.0.0-9.1.1 to 9.2.3 and 10.3.1.
        """
        unverified = parse_unverified(token)
        issuer = unverified.claims.get("iss")
        provider = self._registry.by_issuer(issuer) if isinstance(issuer, str) else None
        if provider is None:
            raise refused(Reason.UNKNOWN_ISSUER)
        profile = provider.access_tokens
        if profile is None:
            raise refused(Reason.NO_ACCESS_TOKENS, provider.name)
        # Before the key is looked up: a token of a wrong kind must not cause a fetch.
        if unverified.algorithm not in profile.algorithms:
            raise refused(Reason.ALGORITHM_NOT_ALLOWED)
        if unverified.key_id is None:
            raise refused(Reason.KEY_ID_MISSING)
        key = self._issuer_keys[provider.name].key_for(unverified.key_id)
        verify_signature(unverified, key, profile.algorithms)
        claims = validate_access_token_claims(
            unverified.header,
            unverified.claims,
            profile=profile,
            issuer=provider.issuer,
            audience=provider.audiences,
            now=self._clock(),
        )
        if claims.confirmation is not None:
            raise refused(Reason.SENDER_CONSTRAINED)
        return VerifiedToken(provider, claims)

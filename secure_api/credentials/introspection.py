"""Opaque access tokens: their issuer is asked, and its answer is kept for seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from secure_api.credentials.bounded_cache import BoundedCache
from secure_api.credentials.identity_provider import IdentityProvider
from secure_api.credentials.issuer_keys import IssuerKeys
from secure_api.errors import ServiceUnavailable
from secure_api.outbound.operator import OperatorClient
from secure_api.protocol.introspection import require_token_form, validate_introspection
from secure_api.protocol.rfc9068 import AccessTokenClaims

_ENTRY_BYTES: Final = 4096
_AWAY: Final = "The identity provider cannot be asked about this token."


@dataclass(frozen=True, slots=True)
class _Answer:
    claims: AccessTokenClaims
    until: datetime


class Introspector:
    """Asks issuers about opaque tokens, for all threads.

    An answer "active" is kept for the provider's `introspection_cache_seconds` and never past `exp`: for
    that long a token that its issuer revoked (RFC 7009) may still work here. "Not active" is not kept.
    """

    def __init__(
        self,
        clients: Mapping[str, OperatorClient],
        issuer_keys: Mapping[str, IssuerKeys],
        clock: Callable[[], datetime],
    ) -> None:
        """Args: `clients` and `issuer_keys` hold those of every provider by name; `clock` gives the UTC time."""
        self._clients = clients
        self._issuer_keys = issuer_keys
        self._clock = clock
        self._answers: BoundedCache[_Answer] = BoundedCache()

    def introspect(self, provider: IdentityProvider, token: str) -> AccessTokenClaims:
        """What `provider` says of an active token that is meant for this API.

        Raises: `errors.InvalidToken` with reason INACTIVE, TOO_LARGE, MALFORMED or a fault of the claims;
        `errors.ServiceUnavailable` where the provider does not answer, refuses us, or has no such endpoint.
        Source: RFC 7662 §2, ASVS v5.0.0-10.3.1.
        """
        require_token_form(token)
        digest = hashlib.sha256(f"{provider.name}:{token}".encode("ascii")).digest()
        answer = self._answers.get(digest)
        if answer is not None and self._clock() < answer.until:
            return answer.claims
        self._answers.drop(digest)
        claims = self._ask(provider, token)
        until = min(claims.expires_at, self._clock() + timedelta(seconds=provider.introspection_cache_seconds))
        self._answers.put(digest, _Answer(claims, until), _ENTRY_BYTES)
        return claims

    def _ask(self, provider: IdentityProvider, token: str) -> AccessTokenClaims:
        profile = provider.access_tokens
        endpoint = self._issuer_keys[provider.name].metadata().introspection_endpoint
        if endpoint is None or profile is None:
            raise ServiceUnavailable(_AWAY, log_detail=f"{provider.name} has no introspection endpoint")
        response = self._clients[provider.name].post_form(
            endpoint,
            {"token": token, "token_type_hint": "access_token"},  # nosec B105 - the name of a kind, not a secret
            auth=(provider.client_id or "", provider.client_secret or ""),
        )
        if response.status != 200:
            # We are the ones who were refused: the caller's token has not been judged.
            raise ServiceUnavailable(_AWAY, log_detail=f"introspection at {provider.name}: status {response.status}")
        return validate_introspection(
            response.body,
            profile=profile,
            issuer=provider.issuer,
            audience=provider.audiences,
            now=self._clock(),
        )

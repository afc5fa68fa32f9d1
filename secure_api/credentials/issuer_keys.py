"""The signing keys of one issuer: fetched from its own document, kept, and let go in time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from secure_api.credentials.identity_provider import IdentityProvider
from secure_api.credentials.providers import ProviderRegistry
from secure_api.errors import OutboundFailed, ServiceUnavailable
from secure_api.outbound.operator import OperatorClient
from secure_api.protocol.discovery import ProviderMetadata, discovery_url, parse_metadata
from secure_api.protocol.jwks import KeySet, VerificationKey, parse_jwks
from secure_api.protocol.reasons import Reason, refused

METADATA_TTL_SECONDS: Final = 3600

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Held(Generic[_Value]):
    value: _Value
    fetched_at: float


class IssuerKeys:
    """One issuer's metadata and keys, for all threads.

    Guaranteed: keys come only from the `jwks_uri` of the configuration, or of the metadata whose issuer
    is exactly the provider's; a token can cause a fetch but never choose its address. However many
    tokens with unknown `kid`s arrive on however many threads, one fetch runs at a time, and after one
    that did not bring the key the next starts no sooner than the cooldown. A fetch that fails leaves the
    last good keys in use for `stale_seconds`; then nothing is accepted. A key that the issuer withdraws
    is gone with the next fetch.

    Source: OIDC Core §10.1.1, RFC 8725 §3.10, ASVS v5.0.0-9.1.3, 13.3.4, 16.5.2 and 16.5.3.
    """

    def __init__(
        self, provider: IdentityProvider, client: OperatorClient, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Fetches nothing yet. `clock` gives seconds that never go back (a wall clock can be set back)."""
        self.provider = provider
        self._client = client
        self._clock = clock
        self._policy = provider.key_cache
        self._keys: _Held[KeySet] | None = None
        self._metadata: _Held[ProviderMetadata] | None = None
        self._keys_missed_at: float | None = None
        self._metadata_missed_at: float | None = None
        self._fetching = threading.Lock()

    def key_for(self, key_id: str) -> VerificationKey:
        """The issuer's usable key under `key_id`, fetched again first if that may help and the cooldown permits.

        Raises: `errors.InvalidToken` with reason UNKNOWN_KEY where the issuer has no such key as far as
        we know; `errors.ServiceUnavailable` where there are no keys that may still be used.
        """
        held = self._keys
        key = held.value.find(key_id) if held and self._is_fresh(held) else None
        if key:
            return key
        # Someone else is fetching, and the last good key still serves: no reason to wait in line.
        stale = held.value.find(key_id) if held and self._is_usable(held) else None
        if self._fetching.acquire(blocking=stale is None):
            try:
                self._refresh_keys(key_id)
            finally:
                self._fetching.release()
        held = self._keys
        if held is None or not self._is_usable(held):
            raise ServiceUnavailable(
                "The identity provider's keys cannot be fetched at the moment.",
                log_detail=f"no usable keys of {self.provider.name}",
            )
        key = held.value.find(key_id)
        if key is None:
            raise refused(Reason.UNKNOWN_KEY)
        return key

    def metadata(self) -> ProviderMetadata:
        """The issuer's endpoints, at most an hour old, or older while the issuer does not answer.

        Endpoints are not secrets and not keys: old ones are safe to use, and the sign-in fails by itself
        where they no longer work.

        Raises: `errors.ServiceUnavailable` where they were never fetched and cannot be now.
        """
        held = self._metadata
        if held and self._clock() - held.fetched_at < METADATA_TTL_SECONDS:
            return held.value
        with self._fetching:
            return self._current_metadata()

    def _is_fresh(self, held: _Held[KeySet]) -> bool:
        return self._clock() - held.fetched_at < self._policy.ttl_seconds

    def _is_usable(self, held: _Held[KeySet]) -> bool:
        return self._clock() - held.fetched_at < self._policy.ttl_seconds + self._policy.stale_seconds

    def _refresh_keys(self, key_id: str) -> None:
        """Fetches the keys, unless another thread just did or tried to; the caller holds the lock."""
        held = self._keys
        if held and self._is_fresh(held) and held.value.find(key_id):
            return
        if not self._may_try(self._keys_missed_at, has_value=held is not None and self._is_usable(held)):
            return
        fruitful = False
        try:
            uri = self.provider.jwks_uri or self._current_metadata().jwks_uri
            keys = parse_jwks(self._client.get_json(uri), self.provider.algorithms)
            self._keys = _Held(keys, self._clock())
            fruitful = keys.find(key_id) is not None
        except ServiceUnavailable as error:
            _log.warning("keys of %s: %s", self.provider.name, error.log_detail)
        finally:
            # Counted from the end: after a slow failure, those who waited must not try one by one. A fetch
            # that brought the key starts no cooldown, so that a rotation soon after it is seen at once.
            if not fruitful:
                self._keys_missed_at = self._clock()

    def _current_metadata(self) -> ProviderMetadata:
        """The metadata, fetched again where it is old and the cooldown permits; the caller holds the lock."""
        held = self._metadata
        fresh = held is not None and self._clock() - held.fetched_at < METADATA_TTL_SECONDS
        if not fresh and self._may_try(self._metadata_missed_at, has_value=held is not None):
            try:
                document = self._client.get_json(discovery_url(self.provider.issuer))
                self._metadata = held = _Held(parse_metadata(document, self.provider.issuer), self._clock())
            except OutboundFailed as error:
                _log.warning("metadata of %s: %s", self.provider.name, error.log_detail)
                self._metadata_missed_at = self._clock()
        if held is None:
            raise ServiceUnavailable(
                "The identity provider cannot be reached at the moment.",
                log_detail=f"no metadata of {self.provider.name}",
            )
        return held.value

    def _may_try(self, missed_at: float | None, *, has_value: bool) -> bool:
        """With nothing in hand a shorter wait counts, so that an API started before its issuer recovers soon."""
        wait = self._policy.cooldown_seconds if has_value else self._policy.retry_seconds
        return missed_at is None or self._clock() - missed_at >= wait


def issuer_keys_of(
    registry: ProviderRegistry,
    client_factory: Callable[[IdentityProvider], OperatorClient],
    clock: Callable[[], float] = time.monotonic,
) -> Mapping[str, IssuerKeys]:
    """The keys of every enabled provider, by provider name; sign-in and the API share them. Fetches nothing."""
    return MappingProxyType(
        {provider.name: IssuerKeys(provider, client_factory(provider), clock) for provider in registry}
    )

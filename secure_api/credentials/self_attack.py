"""The process attacks itself before it calls itself ready: known-bad tokens must be refused, a good one accepted.

Half of the attacks go to the verifier that serves callers, in the name of each provider; none of them makes it
fetch anything. The others need a key that is trusted, so they go to a verifier made the same way, with an issuer
of its own whose key never leaves this process. A good token must pass there, or a refusal would say nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, cast

import structlog
from joserfc import jws
from joserfc.jwk import ECKey

from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.issuer_keys import IssuerKeys
from secure_api.credentials.providers import ProviderRegistry, provider_from
from secure_api.errors import InvalidToken, ServiceUnavailable
from secure_api.outbound.operator import OperatorClient
from secure_api.protocol import base64url

ISSUER: Final = "https://self-attack.invalid"  # never resolves (RFC 6761 §6.4), and nobody asks for it
AUDIENCE: Final = "https://self-attack.invalid/api"
GOOD: Final = "a good token was refused"
_KEY_ID: Final = "self-attack"

# name → what differs from a good token: header members and claims; None leaves one out
_FORGED: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "another type of token": ({"typ": "JWT"}, {}),
    "an unknown critical header": ({"b64": False}, {}),
    "an unknown key": ({"kid": "other"}, {}),
    "another issuer": ({}, {"iss": "https://other.invalid"}),
    "another audience": ({}, {"aud": "https://other.invalid"}),
    "no audience": ({}, {"aud": None}),
    "expired": ({}, {"exp": -120}),
    "no end": ({}, {"exp": None}),
    "not yet valid": ({}, {"nbf": 120}),
    "issued in the future": ({}, {"iat": 120}),
    "ten years long": ({}, {"exp": 315_360_000}),
    "an ID token's claim": ({}, {"nonce": "n"}),
    "no subject": ({}, {"sub": None}),
    "bound to a key and sent without it": ({}, {"cnf": {"jkt": "x" * 43}}),
}


class SelfAttack:
    """Known-bad tokens for one verifier. Once it has accepted one, it is not trusted again."""

    def __init__(
        self, verifier: AccessTokenVerifier, providers: ProviderRegistry, clock: Callable[[], datetime]
    ) -> None:
        """Makes the key of its own issuer; runs nothing yet. `clock` gives the UTC time."""
        self._live = verifier
        self._providers = providers
        self._clock = clock
        self._key = ECKey.generate_key("P-256")
        self._stranger = ECKey.generate_key("P-256")
        public = {**self._key.as_dict(private=False), "kid": _KEY_ID, "alg": "ES256", "use": "sig"}
        provider = provider_from(
            _KEY_ID,
            {"issuer": ISSUER, "profile": "rfc9068", "audiences": [AUDIENCE], "jwks_uri": f"{ISSUER}/keys"},
        )
        keys = IssuerKeys(provider, cast(OperatorClient, _OwnDocument({"keys": [public]})))
        self._laboratory = type(verifier)(ProviderRegistry({_KEY_ID: provider}, {}), {_KEY_ID: keys}, clock)
        self._accepted: tuple[str, ...] = ()

    def run(self) -> tuple[str, ...]:
        """The names of all attacks that were accepted, now or at any time before; empty if there is none.

        Each run that finds one logs it as an alert. Source: row N7 of the feature list, ASVS v5.0.0-16.5.3.
        """
        found = [name for name, token in self._attacks() if _is_accepted(self._live, token)]
        found += [name for name, token in self._forgeries() if _is_accepted(self._laboratory, token)]
        if not _is_accepted(self._laboratory, self._signed({}, {}, self._key)):
            found.append(GOOD)
        self._accepted = tuple(dict.fromkeys((*self._accepted, *found)))
        if found:
            structlog.get_logger("secure_api").critical("self_attack_succeeded", attacks=found)
        return self._accepted

    def _attacks(self) -> Iterator[tuple[str, str]]:
        """Tokens that the live verifier must refuse before it looks up any key."""
        stranger = f"https://{secrets.token_hex(8)}.invalid"
        yield "an issuer that nobody trusts", self._signed({}, {"iss": stranger}, self._key)
        yield "no token", ""
        for provider in self._providers:
            if provider.introspection:
                continue  # its issuer would be asked
            name, claims = provider.name, {"iss": provider.issuer, "aud": next(iter(provider.audiences), AUDIENCE)}
            yield f"unsigned, as {name}", self._unsigned("none", claims)
            yield f"unsigned in capitals, as {name}", self._unsigned("NONE", claims)
            yield f"symmetric, as {name}", self._unsigned("HS256", claims, b"signature")
            yield f"no signature, as {name}", self._unsigned("RS256", claims)
            yield f"no key id, as {name}", self._signed({"kid": None, "jwk": self._key.as_dict(private=False)}, claims)

    def _forgeries(self) -> Iterator[tuple[str, str]]:
        """Tokens of the own issuer, each wrong in one way."""
        for name, (header, claims) in _FORGED.items():
            yield name, self._signed(header, claims, self._key)
        yield "another signature", self._signed({}, {}, self._stranger)
        yield "unsigned", self._unsigned("none", {})
        good, other = self._signed({}, {}, self._key), self._signed({}, {"sub": "other"}, self._key)
        yield "a payload under another's signature", ".".join((*other.split(".")[:2], good.split(".")[2]))

    def _signed(self, header: Mapping[str, Any], claims: Mapping[str, Any], key: ECKey | None = None) -> str:
        payload = self._payload(claims)
        members = _without_none({"alg": "ES256", "kid": _KEY_ID, "typ": "at+jwt", **header})
        parts = [base64url.encode(json.dumps(members).encode()), base64url.encode(payload)]
        model = jws.JWSRegistry(algorithms=["ES256"]).get_alg("ES256")
        signature = model.sign(".".join(parts).encode(), key or self._key)
        return ".".join((*parts, base64url.encode(signature)))

    def _unsigned(self, algorithm: str, claims: Mapping[str, Any], signature: bytes = b"") -> str:
        header = {"alg": algorithm, "kid": _KEY_ID, "typ": "at+jwt"}
        parts = (json.dumps(header).encode(), self._payload(claims), signature)
        return ".".join(base64url.encode(part) for part in parts)

    def _payload(self, changes: Mapping[str, Any]) -> bytes:
        """A good token's claims with `changes`, whose times count from now."""
        now = int(self._clock().timestamp())
        moved = {
            name: now + value if name in {"exp", "nbf", "iat"} and value is not None else value
            for name, value in changes.items()
        }
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "client_id": "c", "iat": now, "exp": now + 60}
        return json.dumps(_without_none({**good, "jti": secrets.token_hex(8), **moved})).encode()


class _OwnDocument:
    """Stands in for the network: the own issuer's key set."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def get_json(self, _url: str) -> dict[str, Any]:
        return self._document


def _is_accepted(verifier: AccessTokenVerifier, token: str) -> bool:
    try:
        verifier.verify_access_token(token)
    except (InvalidToken, ServiceUnavailable):
        return False
    return True


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}

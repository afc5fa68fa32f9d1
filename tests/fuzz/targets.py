"""What is fuzzed: each reader of foreign text, with the exceptions that it declares and nothing else."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.providers import load_providers
from secure_api.errors import InvalidDpopProof, InvalidToken, OutboundFailed, SecureApiError
from secure_api.protocol import base64url, strict_json
from secure_api.protocol.discovery import parse_metadata
from secure_api.protocol.dpop import token_hash, verify_proof
from secure_api.protocol.jwks import SIGNATURE_ALGORITHMS, parse_jwks
from secure_api.protocol.jws import parse_compact
from secure_api.protocol.jwt import parse_unverified
from secure_api.protocol.reasons import Reason
from tests.fuzz.mutator import ODD_VALUES, Mutator
from tests.unit.credentials import token_workshop as workshop
from tests.unit.credentials.test_token_attacks import ACCEPTED, ATTACKS

LONGEST_SECONDS = 0.05
ALGORITHMS = sorted(SIGNATURE_ALGORITHMS)
TOKENS = [*ACCEPTED.values(), *(token for token, _ in ATTACKS.values())]
OBJECTS: list[dict[str, Any]] = [
    workshop.HEADER, workshop.CLAIMS, workshop.OKTA_HEADER, workshop.OKTA_CLAIMS, workshop.KEYCLOAK_HEADER,
    workshop.KEYCLOAK_CLAIMS, workshop.GOOGLE_HEADER, workshop.GOOGLE_CLAIMS,
]  # fmt: skip
METADATA: dict[str, Any] = {
    "issuer": workshop.MOCK,
    "authorization_endpoint": f"{workshop.MOCK}/authorize",
    "token_endpoint": f"{workshop.MOCK}/token",
    "jwks_uri": f"{workshop.MOCK}/keys",
    "scopes_supported": ["openid"],
    "authorization_response_iss_parameter_supported": True,
}
KEYS = [key for keys in workshop.JWKS.values() for key in keys]


class CredulousKeys:
    """Stands for an issuer's keys where the signature is not what is fuzzed: every signature holds."""

    algorithm = "RS256"

    def key_for(self, key_id: str) -> Any:
        self.key_id = key_id
        return self

    def accepts(self, *_: bytes) -> bool:
        return True


@dataclass(frozen=True)
class Target:
    """`make` an input, `run` it; only `declared` exceptions may come out, each with a harmless text."""

    make: Callable[[Mutator], Any]
    run: Callable[[Any], object]
    declared: tuple[type[Exception], ...]


@dataclass
class Result:
    """What a run saw: how often each outcome, the slowest input in processor seconds, and every fault."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def claims_token(mutator: Mutator) -> str:
    """A well-formed token of a trusted issuer with odd claims: past the parser, into the profiles."""
    header, claims = mutator.random.choice(
        ((workshop.HEADER, workshop.CLAIMS), (workshop.OKTA_HEADER, workshop.OKTA_CLAIMS),
         (workshop.KEYCLOAK_HEADER, workshop.KEYCLOAK_CLAIMS))
    )  # fmt: skip
    changed = {**claims, **mutator.json_object()} if mutator.random.random() < 0.2 else dict(claims)
    for _ in range(mutator.random.randrange(1, 4)):
        changed[mutator.random.choice(list(claims))] = mutator.random.choice(ODD_VALUES)
    changed["iss"] = claims["iss"]
    parts = (json.dumps(part).encode("utf-8", "surrogatepass") for part in (header, changed))
    return ".".join((*(base64url.encode(part) for part in parts), "AAAA"))


PROOF_TARGET = "https://api.example/api/v1/orders"
PROOF_TOKEN = "token"
PROOF_HEADER: dict[str, Any] = {
    "typ": "dpop+jwt",
    "alg": "ES256",
    "jwk": workshop.without(workshop.ec_jwk("caller", "x"), "kid"),
}
PROOF_CLAIMS: dict[str, Any] = {
    "jti": "proof-1",
    "htm": "GET",
    "htu": PROOF_TARGET,
    "iat": workshop.SECONDS,
    "ath": token_hash(PROOF_TOKEN),
}


def proof_text(mutator: Mutator) -> str:
    """A proof with odd members; most are signed by the key that they name, so that the claims are read."""
    header, claims = mutator.json_text(PROOF_HEADER), mutator.json_text(PROOF_CLAIMS)
    if mutator.random.random() < 0.5:
        header = json.dumps(PROOF_HEADER).encode()
    message = ".".join((base64url.encode(header), base64url.encode(claims)))
    return f"{message}.{base64url.encode(workshop.sign_es256(message.encode(), 'caller'))}"


def check_proof(text: str) -> None:
    verify_proof([text], method="GET", target=PROOF_TARGET, access_token=PROOF_TOKEN, now=workshop.NOW)


def targets(folder: Path) -> dict[str, Target]:
    """Every target by name; `folder` is for the providers file."""
    path = folder / "providers.toml"
    path.write_text(workshop.PROVIDERS)
    registry = load_providers(path, {})
    credulous: Any = {provider.name: CredulousKeys() for provider in registry}
    trusting = AccessTokenVerifier(registry, credulous, lambda: workshop.NOW)
    exact = workshop.verifier(folder, workshop.DocumentClient())
    valid = set(ACCEPTED.values())

    def forge(token: str) -> None:
        exact.verify_access_token(token)
        if token not in valid:
            raise AssertionError("a token that nobody signed was accepted")

    return {
        "compact": Target(Mutator.token, parse_compact, (InvalidToken,)),
        "token": Target(Mutator.token, parse_unverified, (InvalidToken,)),
        "header": Target(lambda m: f"{base64url.encode(m.json_text())}.e30.AAAA", parse_compact, (InvalidToken,)),
        "claims": Target(claims_token, trusting.verify_access_token, (InvalidToken,)),
        "forgery": Target(Mutator.token, forge, (InvalidToken,)),
        "json": Target(lambda m: m.json_text(), strict_json.parse_object, (ValueError,)),
        "base64url": Target(Mutator.data, round_trip, (ValueError,)),
        "key set": Target(lambda m: m.key_set(KEYS), lambda data: parse_jwks(data, ALGORITHMS), (OutboundFailed,)),
        "proof": Target(proof_text, check_proof, (InvalidDpopProof,)),
        "metadata": Target(
            lambda m: m.json_text(METADATA), lambda data: parse_metadata(data, workshop.MOCK), (OutboundFailed,)
        ),
    }


def round_trip(data: bytes) -> None:
    """What decodes is the one text of its bytes."""
    if base64url.encode(base64url.decode(data)).encode() != data:
        raise AssertionError("two texts of the same bytes")


def fuzz(target: Target, seed: str, inputs: int) -> Iterator[Result]:
    """Runs `inputs` inputs and yields the growing result now and then, the last time when done.

    The time is processor time of this thread, so that a busy machine makes no false alarm.
    """
    mutator = Mutator(seed, TOKENS, OBJECTS)
    result = Result()
    for number in range(inputs):
        item = target.make(mutator)
        outcome, seconds = _one(target, item, result)
        if seconds > LONGEST_SECONDS:
            # A collection of garbage may have fallen into it; what hangs, hangs again.
            seconds = min(_one(target, item, result)[1] for _ in range(3))
        result.slowest_seconds = max(result.slowest_seconds, seconds)
        if seconds > LONGEST_SECONDS:
            result.faults.append(f"{seconds * 1000:.0f} ms for {item!r:.500}")
        result.outcomes[outcome] += 1
        result.inputs += 1
        if number % 5000 == 4999:
            yield result
    yield result


def _one(target: Target, item: object, result: Result) -> tuple[str, float]:
    started = time.thread_time()
    try:
        target.run(item)
        outcome = "accepted"
    except target.declared as error:
        outcome = _name(error, result, item)
    except Exception as error:
        outcome = type(error).__name__
        result.faults.append(f"{outcome}: {error!s:.200} for {item!r:.500}")
    return outcome, time.thread_time() - started


def _name(error: Exception, result: Result, item: object) -> str:
    """The outcome's name. What goes to the log is a short sentence of our own or Python's, no piece of the input."""
    if isinstance(error, SecureApiError):
        text = error.log_detail
        if len(text) > 200 or not text.isascii() or not text.isprintable():
            result.faults.append(f"log text {text!r:.200} for {item!r:.500}")
    if isinstance(error, InvalidToken):
        if error.reason not in set(Reason):
            result.faults.append(f"undeclared reason {error.reason!r:.100} for {item!r:.500}")
        return str(error.reason)
    return type(error).__name__


def run(name: str, seed: int, inputs: int, progress: Callable[[str], None] = lambda _: None) -> Result:
    """The whole result of one target; `progress` is told a line now and then."""
    with tempfile.TemporaryDirectory() as folder:
        result = Result()
        for result in fuzz(targets(Path(folder))[name], f"{seed} {name}", inputs):
            progress(f"{name}: {result.inputs:,} of {inputs:,}, {len(result.faults)} faults")
        return result

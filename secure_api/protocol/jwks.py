"""JSON Web Key Sets (RFC 7517): which published keys may check a signature, and with what algorithm."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from secure_api.errors import OutboundFailed
from secure_api.protocol import base64url, strict_json

MAX_KEYS: Final = 64
MAX_DOCUMENT_BYTES: Final = 262_144
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # a larger modulus only buys the sender of a key set our processor time
MIN_RSA_EXPONENT: Final = 65_537  # FIPS 186-5 §5.4; e = 1 would accept any signature
MAX_RSA_EXPONENT: Final = 2**32

# CVE-2017-15361 (ROCA): keys of one maker's chips are powers of 65537 modulo each of these primes, and can be
# factored. A sound key passes for one about once in 2**27 (M. Nemec et al., CCS 2017).
_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_RESIDUES: Final = {p: frozenset(pow(65_537, power, p) for power in range(p)) for p in _ROCA_PRIMES}

_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_EC_COORDINATE_BYTES: Final = {"P-256": 32, "P-384": 48, "P-521": 66}
_THUMBPRINT_MEMBERS: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

# RFC 9864 renames `EdDSA` over Ed25519 to `Ed25519`; many issuers still send the old name.
_FORMER_NAMES: Final = {"EdDSA": "Ed25519"}

SIGNATURE_ALGORITHMS: Final = frozenset({*_RSA_ALGORITHMS, *_EC_ALGORITHMS.values(), "Ed25519", "EdDSA"})


def canonical_algorithm(name: str) -> str:
    """The current name of a signature algorithm: `EdDSA` becomes `Ed25519`, all others stay (RFC 9864 §2.2)."""
    return _FORMER_NAMES.get(name, name)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key bound to exactly one algorithm. Made once: building it costs as much as using it."""

    key_id: str
    algorithm: str
    _native: RSAKey | ECKey | OKPKey = field(repr=False)

    def accepts(self, message: bytes, signature: bytes) -> bool:
        """True only if this key's owner signed `message` with this key's algorithm."""
        try:
            return _model(self.algorithm).verify(message, signature, self._native)
        except (JoseError, ValueError):
            return False


class KeySet:
    """The usable keys of one document, by `kid`. Immutable: a refresh makes a new one."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, VerificationKey]) -> None:
        self._keys = dict(keys)

    def find(self, key_id: str) -> VerificationKey | None:
        """The key under exactly this `kid`, which is only a name: never a path, a query or an address."""
        return self._keys.get(key_id)

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)


def parse_jwks(document: bytes | Mapping[str, Any], allowed_algorithms: Sequence[str]) -> KeySet:
    """The keys of `document` that may check a signature, each bound to one of `allowed_algorithms`.

    A key is bound to its own `alg`, or else to the first of `allowed_algorithms` that fits its type
    and curve. Ignored, as RFC 7517 §5 asks: unknown types and algorithms, RSA below 2048 bits,
    curves other than P-256, P-384, P-521 and Ed25519, `use` other than `sig`, `key_ops` without
    `verify`, symmetric keys, keys published with private members, keys without `kid`. Where a `kid`
    occurs twice, all keys under it are ignored: which one is meant must not depend on the order.

    Args: `allowed_algorithms` are JWA names in order of preference.
    Raises: `errors.OutboundFailed` where the document is no key set, has more than 64 keys, or none
    that is usable (an issuer that withdraws every key is out of order, not rotated).
    Source: RFC 7517 §4 and §5, RFC 8725 §3.5, NIST SP 800-131A, ASVS v5.0.0-11.2.3.
    """
    if not isinstance(document, Mapping):
        if len(document) > MAX_DOCUMENT_BYTES:
            raise OutboundFailed(log_detail="key set: too large")
        try:
            document = strict_json.parse_object(document)
        except ValueError as error:
            raise OutboundFailed(log_detail=f"key set: {error}") from None
    members = document.get("keys")
    if not isinstance(members, list):
        raise OutboundFailed(log_detail="key set: no `keys` array")
    if len(members) > MAX_KEYS:
        raise OutboundFailed(log_detail=f"key set: more than {MAX_KEYS} keys")
    # Counted before the unusable ones fall out, so that a broken twin cannot hide a collision.
    names = Counter(jwk["kid"] for jwk in members if isinstance(jwk, dict) and isinstance(jwk.get("kid"), str))
    usable = {
        key.key_id: key
        for jwk in members
        if isinstance(jwk, dict) and (key := _usable_key(jwk, allowed_algorithms)) and names[key.key_id] == 1
    }
    if not usable:
        raise OutboundFailed(log_detail="key set: no usable key")
    return KeySet(usable)


def embedded_key(jwk: Mapping[str, Any], algorithm: str) -> VerificationKey:
    """The public key that a proof of possession carries in its own header, bound to `algorithm`.

    It proves that the sender holds the private half, and nothing else: never a reason to believe a token.

    Raises ValueError where the key is no public key of an accepted type and size, does not fit
    `algorithm`, or has private members. Source: RFC 9449 §4.2 and §4.3 (7), RFC 7517 §4.
    """
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ValueError("key with private members")
    bound = _bound_algorithm({**jwk, "alg": algorithm}, [algorithm])
    if bound is None:
        raise ValueError("key does not fit the algorithm")
    try:
        native = _import(jwk)
        _model(bound).check_key(native)
    except (JoseError, TypeError, KeyError, AttributeError) as error:
        raise ValueError("not a usable public key") from error
    return VerificationKey("", bound, native)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The RFC 7638 thumbprint (SHA-256, base64url) of a public key that `embedded_key` has accepted."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return base64url.encode(hashlib.sha256(text.encode("ascii")).digest())


def _usable_key(jwk: Mapping[str, Any], allowed: Sequence[str]) -> VerificationKey | None:
    key_id = jwk.get("kid")
    operations = jwk.get("key_ops", ["verify"])
    if (
        not isinstance(key_id, str)
        or not key_id
        or jwk.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or not _PRIVATE_MEMBERS.isdisjoint(jwk)
    ):
        return None
    algorithm = _bound_algorithm(jwk, allowed)
    if algorithm is None:
        return None
    try:
        native = _import(jwk)
        _model(algorithm).check_key(native)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return VerificationKey(key_id, algorithm, native)


def _bound_algorithm(jwk: Mapping[str, Any], allowed: Sequence[str]) -> str | None:
    kind, curve = jwk.get("kty"), jwk.get("crv")
    fitting: tuple[str, ...] = ()
    if kind == "RSA":
        fitting = _RSA_ALGORITHMS
    elif kind == "EC" and isinstance(curve, str) and curve in _EC_ALGORITHMS:
        fitting = (_EC_ALGORITHMS[curve],)
    elif kind == "OKP" and curve == "Ed25519":
        fitting = ("Ed25519",)
    candidates = [name for name in map(canonical_algorithm, allowed) if name in fitting]
    if "alg" not in jwk:
        return candidates[0] if candidates else None
    named = jwk["alg"]
    return canonical_algorithm(named) if isinstance(named, str) and canonical_algorithm(named) in candidates else None


def _import(jwk: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    """The key from its public numbers alone: `x5u`, `x5c` and every other member stay unread."""
    if jwk["kty"] == "RSA":
        modulus = int.from_bytes(base64url.decode(jwk["n"]), "big")
        exponent = int.from_bytes(base64url.decode(jwk["e"]), "big")
        if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
            raise ValueError("RSA modulus out of range")
        if not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT:
            raise ValueError("RSA exponent out of range")
        if all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES.items()):
            raise ValueError("RSA key of a known-weak generator")
        return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
    if jwk["kty"] == "EC":
        size = _EC_COORDINATE_BYTES[jwk["crv"]]
        if any(len(base64url.decode(jwk[axis])) != size for axis in ("x", "y")):
            raise ValueError("EC coordinate of the wrong length")
        return ECKey.import_key({"kty": "EC", "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]})
    return OKPKey.import_key({"kty": "OKP", "crv": jwk["crv"], "x": jwk["x"]})


def _model(algorithm: str) -> JWSAlgModel:
    """joserfc's implementation, from a registry that holds this one algorithm and no default."""
    return _MODELS[algorithm]


_MODELS: Final = {
    name: JWSRegistry(algorithms=[name]).get_alg(name) for name in SIGNATURE_ALGORITHMS - _FORMER_NAMES.keys()
}

"""JSON Web Signature, compact form only (RFC 7515), read the strict way of RFC 8725."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secure_api.protocol import base64url, strict_json
from secure_api.protocol.jwks import SIGNATURE_ALGORITHMS, VerificationKey, canonical_algorithm
from secure_api.protocol.reasons import Reason, refused

MAX_TOKEN_BYTES: Final = 8192
MAX_HEADER_BYTES: Final = 2048
MAX_KEY_ID_CHARACTERS: Final = 256

# Members that change how the rest is read. We understand no extension, so every `crit` is unknown
# to us; `b64` (RFC 7797) and `zip` alter what was signed; `enc` belongs to JWE.
_PROCESSING_MEMBERS: Final = ("crit", "b64", "zip", "enc")


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """A well-formed JWS whose signature nobody has checked yet: nothing in it may be believed."""

    header: Mapping[str, Any]
    algorithm: str
    key_id: str | None
    type: str | None
    payload: bytes
    signing_input: bytes
    signature: bytes


def parse_compact(token: str, *, max_bytes: int = MAX_TOKEN_BYTES) -> UnverifiedJws:
    """A JWS in compact form with a sound header; its signature is still unchecked.

    `jwk`, `jku`, `x5u` and `x5c` are never read: a token does not say with what it is to be checked.

    Args: `max_bytes` caps the whole token, before anything is parsed.
    Raises: `errors.InvalidToken` with reason TOO_LARGE, MALFORMED, ENCRYPTED, NESTED, UNSIGNED,
    UNSUPPORTED_HEADER or ALGORITHM_NOT_ALLOWED.
    Source: RFC 7515 §3.1 and §5.2, RFC 8725 §3, ASVS v5.0.0-9.1.1 to 9.1.3.
    """
    if len(token) > max_bytes:
        raise refused(Reason.TOO_LARGE)
    try:
        raw = token.encode("ascii")
    except UnicodeEncodeError:
        raise refused(Reason.MALFORMED, "not ASCII") from None
    parts = raw.split(b".")
    if len(parts) == 5:
        raise refused(Reason.ENCRYPTED)
    if len(parts) != 3:
        raise refused(Reason.MALFORMED, "not three parts")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise refused(Reason.TOO_LARGE, "header")
    try:
        header = strict_json.parse_object(base64url.decode(parts[0]))
        payload = base64url.decode(parts[1])
        signature = base64url.decode(parts[2])
    except ValueError as error:
        raise refused(Reason.MALFORMED, str(error)) from None
    algorithm, key_id, type_ = _check_header(header)
    if not signature:
        raise refused(Reason.UNSIGNED, "empty signature")
    return UnverifiedJws(
        header=header,
        algorithm=algorithm,
        key_id=key_id,
        type=type_,
        payload=payload,
        signing_input=raw[: len(parts[0]) + 1 + len(parts[1])],
        signature=signature,
    )


def verify_signature(jws: UnverifiedJws, key: VerificationKey, algorithms: Collection[str]) -> None:
    """Returns only if `key` signed `jws` with an algorithm that is both in `algorithms` and the key's own.

    The key decides the algorithm and the header may only agree with it. So a public RSA key is never
    used as an HMAC secret, whatever the header says.

    Args: `algorithms` are the JWA names that the issuer may use.
    Raises: `errors.InvalidToken` with reason ALGORITHM_NOT_ALLOWED or BAD_SIGNATURE.
    Source: RFC 7515 §5.2, RFC 8725 §3.1 and §3.2, ASVS v5.0.0-9.1.2.
    """
    if jws.algorithm not in algorithms or canonical_algorithm(jws.algorithm) != key.algorithm:
        raise refused(Reason.ALGORITHM_NOT_ALLOWED)
    if not key.accepts(jws.signing_input, jws.signature):
        raise refused(Reason.BAD_SIGNATURE)


def _check_header(header: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    for name in _PROCESSING_MEMBERS:
        if name in header:
            raise refused(Reason.UNSUPPORTED_HEADER, name)
    for name in ("alg", "kid", "typ", "cty"):
        if name in header and not isinstance(header[name], str):
            raise refused(Reason.UNSUPPORTED_HEADER, name)
    algorithm = header.get("alg", "")
    if algorithm.strip().casefold() == "none":
        raise refused(Reason.UNSIGNED, "alg none")
    if algorithm not in SIGNATURE_ALGORITHMS:
        raise refused(Reason.ALGORITHM_NOT_ALLOWED)
    if media_type(header.get("cty")) == "jwt":
        raise refused(Reason.NESTED)
    key_id = header.get("kid")
    if key_id is not None and not 0 < len(key_id) <= MAX_KEY_ID_CHARACTERS:
        raise refused(Reason.UNSUPPORTED_HEADER, "kid")
    return algorithm, key_id, header.get("typ")


def media_type(value: str | None) -> str:
    """`typ` or `cty` in one spelling: lower case, without `application/`; "" where it is absent.

    Source: RFC 7515 §4.1.9 (the prefix may be left out), RFC 2045 §5.1 (case does not matter).
    """
    return (value or "").lower().removeprefix("application/")

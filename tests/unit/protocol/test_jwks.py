"""The key policy: which published keys may check a signature, and with what algorithm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from secure_api.errors import InvalidToken, OutboundFailed
from secure_api.protocol import base64url
from secure_api.protocol.jwks import MAX_DOCUMENT_BYTES, parse_jwks
from secure_api.protocol.jws import parse_compact, verify_signature
from secure_api.protocol.reasons import Reason

ALL = ("RS256", "PS256", "ES256", "ES384", "ES512", "Ed25519")


def number(value: int, size: int | None = None) -> str:
    return base64url.encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def rsa_jwk(bits: int = 2048, **members: Any) -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "kid": "rsa", "n": number(numbers.n), "e": "AQAB", **members}


def ec_jwk(curve: ec.EllipticCurve, name: str, **members: Any) -> dict[str, Any]:
    numbers = ec.generate_private_key(curve).public_key().public_numbers()
    size = (curve.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": name,
        "kid": name,
        "x": number(numbers.x, size),
        "y": number(numbers.y, size),
        **members,
    }


RSA = rsa_jwk()
P256 = ec_jwk(ec.SECP256R1(), "P-256")
ED25519 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "ed",
    "x": base64url.encode(ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()),
}
MODULUS = int.from_bytes(base64url.decode(RSA["n"]), "big")


def kept(*keys: object, allowed: tuple[str, ...] = ALL) -> dict[str, str]:
    return {key.key_id: key.algorithm for key in parse_jwks({"keys": list(keys)}, allowed)}


@pytest.mark.parametrize(
    ("key", "allowed", "algorithm"),
    [
        (RSA, ALL, "RS256"),
        (RSA, ("PS256", "RS256"), "PS256"),
        ({**RSA, "alg": "PS256"}, ALL, "PS256"),
        ({**RSA, "use": "sig"}, ALL, "RS256"),
        ({**RSA, "key_ops": ["verify"]}, ALL, "RS256"),
        ({**RSA, "x5c": ["never read"], "x5u": 7, "more": {}}, ALL, "RS256"),
        (P256, ALL, "ES256"),
        (ec_jwk(ec.SECP384R1(), "P-384"), ALL, "ES384"),
        (ec_jwk(ec.SECP521R1(), "P-521"), ALL, "ES512"),
        (ED25519, ALL, "Ed25519"),
        ({**ED25519, "alg": "EdDSA"}, ALL, "Ed25519"),
        (ED25519, ("EdDSA",), "Ed25519"),
    ],
)
def test_usable_key_is_bound_to_one_algorithm(key: dict[str, Any], allowed: tuple[str, ...], algorithm: str) -> None:
    """By its own `alg`, by its curve, or by the issuer's preference."""
    assert kept(key, allowed=allowed) == {key["kid"]: algorithm}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param({**RSA, "kid": "x", "alg": "RS384"}, id="alg not allowed for this issuer"),
        pytest.param({**RSA, "kid": "x", "alg": "ES256"}, id="alg of another key type"),
        pytest.param({**RSA, "kid": "x", "alg": "HS256"}, id="symmetric alg on a public key"),
        pytest.param({**RSA, "kid": "x", "alg": "none"}, id="alg none"),
        pytest.param({**RSA, "kid": "x", "alg": "RSA-OAEP"}, id="encryption alg"),
        pytest.param({**RSA, "kid": "x", "alg": None}, id="alg null"),
        pytest.param({**P256, "kid": "x", "alg": "ES384"}, id="alg of another curve"),
        pytest.param({**RSA, "kid": "x", "use": "enc"}, id="use enc"),
        pytest.param({**RSA, "kid": "x", "use": None}, id="use null"),
        pytest.param({**RSA, "kid": "x", "key_ops": ["encrypt"]}, id="key_ops without verify"),
        pytest.param({**RSA, "kid": "x", "key_ops": "verify"}, id="key_ops a string"),
        pytest.param(rsa_jwk(1024, kid="x"), id="RSA 1024"),
        pytest.param({**RSA, "kid": "x", "n": number(MODULUS >> 1)}, id="RSA 2047"),
        pytest.param({**RSA, "kid": "x", "n": number((1 << 8192) + 1)}, id="RSA 8193"),
        pytest.param({**RSA, "kid": "x", "e": "AQ"}, id="RSA exponent 1"),
        pytest.param({**RSA, "kid": "x", "e": "Aw"}, id="RSA exponent 3"),
        pytest.param({**RSA, "kid": "x", "e": number(65538)}, id="RSA exponent even"),
        pytest.param({**RSA, "kid": "x", "e": number(2**32 + 1)}, id="RSA exponent huge"),
        pytest.param({**RSA, "kid": "x", "n": RSA["n"] + "="}, id="n padded"),
        pytest.param({**RSA, "kid": "x", "n": 7}, id="n a number"),
        pytest.param({name: RSA[name] for name in ("kty", "kid", "e")} | {"kid": "x"}, id="n missing"),
        pytest.param({**RSA, "kid": "x", "d": "AQAB"}, id="RSA private member"),
        pytest.param({**P256, "kid": "x", "d": "AQAB"}, id="EC private member"),
        pytest.param({**P256, "kid": "x", "crv": "P-192"}, id="P-192"),
        pytest.param(ec_jwk(ec.SECP256K1(), "secp256k1"), id="secp256k1"),
        pytest.param({**P256, "kid": "x", "crv": "P-384"}, id="point of another curve"),
        pytest.param({**P256, "kid": "x", "y": P256["x"]}, id="point off the curve"),
        pytest.param({**P256, "kid": "x", "x": "AA", "y": "AA"}, id="point at zero"),
        pytest.param(
            {**P256, "kid": "x", "x": base64url.encode(b"\0" + base64url.decode(P256["x"]))},
            id="coordinate one byte too long",
        ),
        pytest.param({**ED25519, "kid": "x", "crv": "X25519"}, id="X25519"),
        pytest.param({**ED25519, "kid": "x", "crv": "Ed448"}, id="Ed448"),
        pytest.param({**ED25519, "kid": "x", "x": "AAAA"}, id="Ed25519 of the wrong length"),
        pytest.param({"kty": "oct", "kid": "x", "k": "c2VjcmV0"}, id="symmetric"),
        pytest.param({"kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "RS256"}, id="symmetric in disguise"),
        pytest.param({**RSA, "kid": "x", "k": "c2VjcmV0"}, id="RSA with a symmetric member"),
        pytest.param({"kty": "AKP", "kid": "x", "alg": "ML-DSA-44", "pub": "AA"}, id="type of the future"),
        pytest.param({"kid": "x"}, id="no kty"),
        pytest.param({**RSA, "kty": "rsa", "kid": "x"}, id="kty in lower case"),
        pytest.param({**RSA, "kid": 7}, id="kid a number"),
        pytest.param({**RSA, "kid": ""}, id="kid empty"),
        pytest.param({name: RSA[name] for name in ("kty", "n", "e")}, id="no kid"),
        pytest.param("key", id="a string"),
        pytest.param(None, id="null"),
    ],
)
def test_unusable_key_is_ignored_and_the_rest_serves(key: object) -> None:
    """RFC 7517 §5: the good key beside it stays; the bad one is in no case used."""
    good = {**RSA, "kid": "good"}
    assert kept(good, key) == {"good": "RS256"}
    with pytest.raises(OutboundFailed, match="no usable key"):
        kept(key)


def test_mixed_families_serve_side_by_side() -> None:
    """An RSA, an EC and an Ed25519 key in one set are three keys."""
    assert kept(RSA, P256, ED25519) == {"rsa": "RS256", "P-256": "ES256", "ed": "Ed25519"}


def test_keys_with_one_kid_are_all_ignored() -> None:
    """Which of two keys is meant must not depend on their order, nor on which of them is sound."""
    good = {**RSA, "kid": "good"}
    assert kept(good, {**RSA, "kid": "twin"}, {**P256, "kid": "twin"}) == {"good": "RS256"}
    assert kept(good, {**RSA, "kid": "twin"}, {"kty": "oct", "kid": "twin", "k": "AA"}) == {"good": "RS256"}
    assert kept(good, {**RSA, "kid": "twin"}) == {"good": "RS256", "twin": "RS256"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no `keys` array"),
        (b'{"keys": {}}', "no `keys` array"),
        (b'{"keys": []}', "no usable key"),
        (b'{"keys": [], "keys": []}', "duplicate member"),
        (b"{" + b" " * MAX_DOCUMENT_BYTES + b"}", "too large"),
        (json.dumps({"keys": [{**RSA, "kid": str(n)} for n in range(65)]}).encode(), "more than 64 keys"),
    ],
)
def test_wrong_document_is_refused(document: bytes, message: str) -> None:
    """A document that is no key set, or too big to be one."""
    assert len(parse_jwks(json.dumps({"keys": [{**RSA, "kid": str(n)} for n in range(64)]}).encode(), ALL)) == 64
    with pytest.raises(OutboundFailed, match=message):
        parse_jwks(document, ALL)


# The examples of the specifications: signatures that we did not make ourselves.
RFC7515_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
VECTORS = {
    "RFC 7515 A.2": (
        {
            "kty": "RSA",
            "kid": "k",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
            "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
            "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
            "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        },
        f"eyJhbGciOiJSUzI1NiJ9.{RFC7515_PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHI"
        "m4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQ"
        "BMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6L"
        "bgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    "RFC 7515 A.3": (
        {
            "kty": "EC",
            "crv": "P-256",
            "kid": "k",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        f"eyJhbGciOiJFUzI1NiJ9.{RFC7515_PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQx"
        "fKTUJqPP3-Kg6NU1Q",
    ),
    "RFC 8037 A.4": (
        {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4"
        "ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_example_of_the_specification_verifies(name: str) -> None:
    """The published signature passes; with one bit of it or of the payload changed it does not."""
    jwk, token = VECTORS[name]
    allowed = (*ALL, "EdDSA")
    key = parse_jwks({"keys": [jwk]}, allowed).find("k")
    assert key is not None
    verify_signature(parse_compact(token), key, allowed)
    header, payload, signature = token.split(".")
    for forged in (f"{header}.{payload[:-4]}AAAA.{signature}", f"{header}.{payload}.AAAA{signature[4:]}"):
        with pytest.raises(InvalidToken) as refusal:
            verify_signature(parse_compact(forged), key, allowed)
        assert refusal.value.reason == Reason.BAD_SIGNATURE


def test_key_does_not_widen_the_issuers_algorithms() -> None:
    """A key bound to ES256 is of no use where the issuer's list says RS256, and none with an empty list."""
    jwk, token = VECTORS["RFC 7515 A.3"]
    key = parse_jwks({"keys": [jwk]}, ALL).find("k")
    assert key is not None
    verify_signature(parse_compact(token), key, ["ES256"])
    empty: list[str] = []
    for algorithms in (["RS256"], empty):
        with pytest.raises(InvalidToken) as refusal:
            verify_signature(parse_compact(token), key, algorithms)
        assert refusal.value.reason == Reason.ALGORITHM_NOT_ALLOWED

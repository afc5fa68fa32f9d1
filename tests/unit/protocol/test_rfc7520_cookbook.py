"""The JOSE cookbook (RFC 7520, RFC 7797, RFC 8037): every example file, each with the outcome it must have.

Signed examples of accepted algorithms verify and give back their payload; MAC, encrypted, unencoded and
JSON-serialized ones are refused. A file that no test names makes `test_every_file_is_read` fail.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secure_api.errors import InvalidToken, OutboundFailed
from secure_api.protocol.jwks import SIGNATURE_ALGORITHMS, parse_jwks
from secure_api.protocol.jws import UnverifiedJws, parse_compact, verify_signature
from secure_api.protocol.reasons import Reason

COOKBOOK = Path(__file__).parents[2] / "vectors" / "rfc7520"
ALGORITHMS = sorted(SIGNATURE_ALGORITHMS)
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi"}

# file → the one algorithm that its signature is checked with
SIGNED = {
    "jws/4_1.rsa_v15_signature.json": "RS256",
    "jws/4_2.rsa-pss_signature.json": "PS384",
    "jws/4_3.ecdsa_signature.json": "ES512",
    "curve25519/jws.json": "EdDSA",
    "6.nesting_signatures_and_encryption.json": "PS256",
}
REFUSED_COMPACT = {
    "jws/4_4.hmac-sha2_integrity_protection.json": Reason.ALGORITHM_NOT_ALLOWED,
    "jws/4_5.signature_with_detached_content.json": Reason.ALGORITHM_NOT_ALLOWED,
    "6.nesting_signatures_and_encryption.json": Reason.ENCRYPTED,
    "jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json": Reason.ENCRYPTED,
    "jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json": Reason.ENCRYPTED,
    "jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json": Reason.ENCRYPTED,
    "jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json": Reason.ENCRYPTED,
    "jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json": Reason.ENCRYPTED,
    "jwe/5_6.direct_encryption_using_aes-gcm.json": Reason.ENCRYPTED,
    "jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json": Reason.ENCRYPTED,
    "jwe/5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json": Reason.ENCRYPTED,
    "jwe/5_9.compressed_content.json": Reason.ENCRYPTED,
    "curve25519/ecdh-es.json": Reason.ENCRYPTED,
    "rfc7797/hmac-sha2_b64_false.json": Reason.MALFORMED,  # its payload stands in the token as plain text
}
KEYS = {
    "jwk/3_1.ec_public_key.json": True,
    "jwk/3_3.rsa_public_key.json": True,
    "jwk/3_2.ec_private_key.json": False,
    "jwk/3_4.rsa_private_key.json": False,
    "jwk/3_5.symmetric_key_mac_computation.json": False,
    "jwk/3_6.symmetric_key_encryption.json": False,
}
JSON_ONLY = {
    "jws/4_6.protecting_specific_header_fields.json",
    "jws/4_7.protecting_content_only.json",
    "jws/4_8.multiple_signatures.json",
    "jwe/5_10.including_additional_authentication_data.json",
    "jwe/5_11.protecting_specific_header_fields.json",
    "jwe/5_12.protecting_content_only.json",
    "jwe/5_13.encrypting_to_multiple_recipients.json",
    "rfc7797/4.2.hmac-sha2_b64_false.json",
}


def read(file: str) -> Any:
    return json.loads((COOKBOOK / file).read_text(encoding="utf-8"))


def serializations() -> list[tuple[str, str]]:
    """Every example in JSON form, general and flattened, as a caller would send it."""
    found = []
    for path in sorted(COOKBOOK.rglob("*.json")):
        document = read(str(path.relative_to(COOKBOOK)))
        output = document.get("output", {})
        found += [(f"{path.stem}-{form}", json.dumps(output[form])) for form in ("json", "json_flat") if form in output]
    return found


def signed_example(file: str) -> tuple[dict[str, Any], str, bytes]:
    document = read(file)
    part = document.get("sign", document)
    return part["input"]["key"], part["output"]["compact"], part["input"]["payload"].encode()


def verified(jwk: dict[str, Any], token: str, algorithm: str) -> UnverifiedJws:
    public = {"kid": "the only key", **{name: jwk[name] for name in jwk.keys() - PRIVATE_MEMBERS}}
    [key] = parse_jwks({"keys": [public]}, [algorithm])
    jws = parse_compact(token)
    verify_signature(jws, key, [algorithm])
    return jws


def test_every_file_is_read() -> None:
    """The 32 files are those of the lists above, and no other."""
    files = {str(path.relative_to(COOKBOOK)) for path in COOKBOOK.rglob("*.json")}
    assert files == {*SIGNED, *REFUSED_COMPACT, *KEYS, *JSON_ONLY}
    assert len(files) == 32


@pytest.mark.parametrize("file", SIGNED)
def test_signed_example_verifies(file: str) -> None:
    """The signature holds under the example's key, and the payload is the example's."""
    jwk, token, payload = signed_example(file)
    assert verified(jwk, token, SIGNED[file]).payload == payload


@pytest.mark.parametrize("file", SIGNED)
def test_attacker_cannot_change_a_signed_example(file: str) -> None:
    """After the example itself passed: one bit of the signature or another payload is refused."""
    jwk, token, _ = signed_example(file)
    verified(jwk, token, SIGNED[file])
    header, payload, signature = token.split(".")
    other = "A" if signature[10] != "A" else "B"
    for forged in (f"{header}.{payload}.{signature[:10]}{other}{signature[11:]}", f"{header}.e30.{signature}"):
        with pytest.raises(InvalidToken) as refusal:
            verified(jwk, forged, SIGNED[file])
        assert refusal.value.reason == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("file", REFUSED_COMPACT)
def test_example_of_a_kind_we_take_from_nobody_is_refused(file: str) -> None:
    """MAC, detached, unencoded (RFC 7797) and encrypted examples are refused by their form alone."""
    document = read(file)
    output = document["encrypt"]["output"] if "encrypt" in document else document["output"]
    with pytest.raises(InvalidToken) as refusal:
        parse_compact(output["compact"])
    assert refusal.value.reason == REFUSED_COMPACT[file]


@pytest.mark.parametrize(("name", "text"), serializations(), ids=[name for name, _ in serializations()])
def test_json_serialization_is_refused(name: str, text: str) -> None:
    """Only the compact form is read: the other forms allow unprotected headers and several signatures."""
    with pytest.raises(InvalidToken) as refusal:
        parse_compact(text)
    # The names of the examples' persons have dots in them: two of the texts fall into five parts, as a JWE does.
    assert refusal.value.reason in {Reason.MALFORMED, Reason.ENCRYPTED}


@pytest.mark.parametrize("file", sorted(JSON_ONLY))
def test_example_without_compact_form_is_covered_by_its_json_form(file: str) -> None:
    """These examples exist in JSON form only, which the test above refuses."""
    output = read(file)["output"]
    assert "compact" not in output
    assert any(name.startswith(Path(file).stem) for name, _ in serializations())


def test_unencoded_payload_is_refused_by_its_header() -> None:
    """The header of RFC 7797 §4.2 is refused for `b64` and `crit`, whatever the payload looks like."""
    header = read("rfc7797/4.2.hmac-sha2_b64_false.json")["output"]["json_flat"]["protected"]
    with pytest.raises(InvalidToken) as refusal:
        parse_compact(f"{header}.e30.AAAA")
    assert refusal.value.reason == Reason.UNSUPPORTED_HEADER


@pytest.mark.parametrize("file", KEYS)
def test_key_example(file: str) -> None:
    """The public keys are taken from a key set; private and symmetric ones are not."""
    document = {"keys": [read(file)]}
    if KEYS[file]:
        assert len(parse_jwks(document, ALGORITHMS)) == 1
    else:
        with pytest.raises(OutboundFailed):
            parse_jwks(document, ALGORITHMS)

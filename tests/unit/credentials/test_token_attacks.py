"""The attack table: every way of getting a wrong access token past the verifier that we know of."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from secure_api.errors import InvalidToken
from secure_api.protocol.reasons import Reason
from tests.unit.credentials import token_workshop as shop
from tests.unit.credentials.token_workshop import CLAIMS, HEADER, SECONDS, b64, compact, without

VALID = compact(HEADER, CLAIMS)
PARTS = VALID.split(".")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def headed(**members: Any) -> str:
    return compact({**HEADER, **members}, CLAIMS)


def claiming(**members: Any) -> str:
    return compact(HEADER, {**CLAIMS, **members})


def lacking(*names: str) -> str:
    return compact(HEADER, without(CLAIMS, *names))


def unsigned(algorithm: str, signature: str = "") -> str:
    header = b64(json.dumps({**HEADER, "alg": algorithm}).encode())
    return f"{header}.{PARTS[1]}.{signature}"


def hmac_with(key: bytes, algorithm: str = "HS256") -> str:
    message = f"{b64(json.dumps({**HEADER, 'alg': algorithm}).encode())}.{PARTS[1]}"
    return f"{message}.{b64(hmac.new(key, message.encode(), hashlib.sha256).digest())}"


def signed_as(algorithm: str, key_id: str, sign: Any) -> str:
    message = f"{b64(json.dumps({**HEADER, 'alg': algorithm, 'kid': key_id}).encode())}.{PARTS[1]}"
    return f"{message}.{b64(sign(message.encode()))}"


def rs512(message: bytes) -> bytes:
    return shop.rsa_key("mock").sign(message, padding.PKCS1v15(), hashes.SHA512())


def ps256(message: bytes) -> bytes:
    return shop.rsa_key("mock").sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def es256_as_der(message: bytes) -> bytes:
    return shop.ec_key("mock").sign(message, ec.ECDSA(hashes.SHA256()))


def flipped(text: str) -> str:
    data = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    data[len(data) // 2] ^= 1
    return b64(bytes(data))


def other_last_character(part: str) -> str:
    """The same bytes in another spelling: the unused low bits of the last character are set."""
    assert len(part) % 4 in (2, 3), "the part must end in unused bits"
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) | 1]


def attacker_jwk() -> dict[str, Any]:
    return shop.rsa_jwk("attacker", "mock-rsa")


def with_claims_json(old: str, new: str) -> str:
    text = json.dumps(CLAIMS)
    assert old in text
    return compact(HEADER, text.replace(old, new, 1).encode())


def okta(header: dict[str, Any] | None = None, **claims: Any) -> str:
    return compact({**shop.OKTA_HEADER, **(header or {})}, {**shop.OKTA_CLAIMS, **claims}, "okta")


# Long enough signature text for the "unused bits" rows; the claims part may end on a whole group.
SLOPPY = [compact(HEADER, {**CLAIMS, "pad": "x" * size}).split(".") for size in range(3)]
SLOPPY_CLAIMS = next(parts for parts in SLOPPY if len(parts[1]) % 4)

ATTACKS: dict[str, tuple[str, Reason]] = {
    # algorithms
    "alg none, no signature": (unsigned("none"), Reason.UNSIGNED),
    "alg None": (unsigned("None"), Reason.UNSIGNED),
    "alg NONE": (unsigned("NONE"), Reason.UNSIGNED),
    "alg nOnE": (unsigned("nOnE"), Reason.UNSIGNED),
    "alg none with a space": (unsigned(" none"), Reason.UNSIGNED),
    "alg none with a valid-looking signature": (unsigned("none", PARTS[2]), Reason.UNSIGNED),
    "alg empty": (headed(alg=""), Reason.ALGORITHM_NOT_ALLOWED),
    "alg missing": (compact(without(HEADER, "alg"), CLAIMS), Reason.ALGORITHM_NOT_ALLOWED),
    "alg a list": (headed(alg=["RS256"]), Reason.UNSUPPORTED_HEADER),
    "alg null": (headed(alg=None), Reason.UNSUPPORTED_HEADER),
    "alg in lower case": (headed(alg="rs256"), Reason.ALGORITHM_NOT_ALLOWED),
    "alg unknown": (headed(alg="XX256"), Reason.ALGORITHM_NOT_ALLOWED),
    "empty signature": (f"{PARTS[0]}.{PARTS[1]}.", Reason.UNSIGNED),
    "HMAC with the public key in PEM form": (hmac_with(shop.public_pem("mock")), Reason.ALGORITHM_NOT_ALLOWED),
    "HMAC with the public key's modulus": (
        hmac_with(shop.rsa_jwk("mock", "k")["n"].encode()),
        Reason.ALGORITHM_NOT_ALLOWED,
    ),
    "HMAC with an empty key": (hmac_with(b""), Reason.ALGORITHM_NOT_ALLOWED),
    "HMAC made to look like RS256": (hmac_with(shop.public_pem("mock"), "RS256"), Reason.BAD_SIGNATURE),
    "RS512, signed with the right key": (signed_as("RS512", "mock-rsa", rs512), Reason.ALGORITHM_NOT_ALLOWED),
    "PS256, signed with the right key": (signed_as("PS256", "mock-rsa", ps256), Reason.ALGORITHM_NOT_ALLOWED),
    "ES256 under an RSA key's kid": (
        signed_as("ES256", "mock-rsa", lambda m: shop.sign_es256(m, "mock")),
        Reason.ALGORITHM_NOT_ALLOWED,
    ),
    "RS256 under an EC key's kid": (
        signed_as("RS256", "mock-ec", lambda m: shop.sign_rs256(m, "mock")),
        Reason.ALGORITHM_NOT_ALLOWED,
    ),
    # signatures
    "signed with another key": (compact(HEADER, CLAIMS, "attacker"), Reason.BAD_SIGNATURE),
    "signature with one bit flipped": (f"{PARTS[0]}.{PARTS[1]}.{flipped(PARTS[2])}", Reason.BAD_SIGNATURE),
    "signature cut short": (f"{PARTS[0]}.{PARTS[1]}.{PARTS[2][:300]}", Reason.BAD_SIGNATURE),
    "signature of another token": (f"{PARTS[0]}.{claiming(sub='bob').split('.')[1]}.{PARTS[2]}", Reason.BAD_SIGNATURE),
    "header of another token": (f"{headed(x=1).split('.')[0]}.{PARTS[1]}.{PARTS[2]}", Reason.BAD_SIGNATURE),
    "ES256 signature in DER form": (signed_as("ES256", "mock-ec", es256_as_der), Reason.BAD_SIGNATURE),
    "ES256 signature of zeros": (signed_as("ES256", "mock-ec", lambda _: bytes(64)), Reason.BAD_SIGNATURE),
    # key ids
    "kid missing": (compact(without(HEADER, "kid"), CLAIMS), Reason.KEY_ID_MISSING),
    "kid a number": (headed(kid=1), Reason.UNSUPPORTED_HEADER),
    "kid null": (headed(kid=None), Reason.UNSUPPORTED_HEADER),
    "kid a list": (headed(kid=["mock-rsa"]), Reason.UNSUPPORTED_HEADER),
    "kid empty": (headed(kid=""), Reason.UNSUPPORTED_HEADER),
    "kid over-long": (headed(kid="k" * 257), Reason.UNSUPPORTED_HEADER),
    "kid a path": (headed(kid="../../../../dev/null"), Reason.UNKNOWN_KEY),
    "kid an absolute path": (headed(kid="/dev/null"), Reason.UNKNOWN_KEY),
    "kid a query": (headed(kid="' UNION SELECT 'secret' --"), Reason.UNKNOWN_KEY),
    "kid a command": (headed(kid="mock-rsa|id"), Reason.UNKNOWN_KEY),
    "kid an address": (headed(kid="https://evil.example/key"), Reason.UNKNOWN_KEY),
    "kid in another case": (headed(kid="MOCK-RSA"), Reason.UNKNOWN_KEY),
    "kid of another trusted issuer's key": (
        compact({**HEADER, "kid": "okta-rsa"}, CLAIMS, "okta"),
        Reason.UNKNOWN_KEY,
    ),
    # header members
    "crit unknown": (headed(crit=["x"], x=1), Reason.UNSUPPORTED_HEADER),
    "crit empty": (headed(crit=[]), Reason.UNSUPPORTED_HEADER),
    "crit with a registered name": (headed(crit=["exp"], exp=1), Reason.UNSUPPORTED_HEADER),
    "b64 false": (headed(crit=["b64"], b64=False), Reason.UNSUPPORTED_HEADER),
    "b64 true": (headed(b64=True), Reason.UNSUPPORTED_HEADER),
    "zip": (headed(zip="DEF"), Reason.UNSUPPORTED_HEADER),
    "enc": (headed(enc="A256GCM"), Reason.UNSUPPORTED_HEADER),
    "nested token": (compact({**HEADER, "cty": "JWT"}, VALID.encode()), Reason.NESTED),
    "nested token without cty": (compact(HEADER, VALID.encode()), Reason.MALFORMED),
    "attacker's key in jwk": (compact({**HEADER, "jwk": attacker_jwk()}, CLAIMS, "attacker"), Reason.BAD_SIGNATURE),
    "attacker's key at jku": (
        compact({**HEADER, "jku": "https://evil.example/keys"}, CLAIMS, "attacker"),
        Reason.BAD_SIGNATURE,
    ),
    "attacker's certificate at x5u": (
        compact({**HEADER, "x5u": "https://evil.example/cert"}, CLAIMS, "attacker"),
        Reason.BAD_SIGNATURE,
    ),
    "attacker's certificate in x5c": (compact({**HEADER, "x5c": ["MIIB"]}, CLAIMS, "attacker"), Reason.BAD_SIGNATURE),
    # form
    "empty": ("", Reason.MALFORMED),
    "dots only": ("..", Reason.MALFORMED),
    "two parts": (".".join(PARTS[:2]), Reason.MALFORMED),
    "four parts": (f"{VALID}.x", Reason.MALFORMED),
    "JWE": (f"{VALID}.x.y", Reason.ENCRYPTED),
    "JSON serialization": (
        json.dumps({"protected": PARTS[0], "payload": PARTS[1], "signature": PARTS[2]}),
        Reason.MALFORMED,
    ),
    "padding": (f"{VALID}==", Reason.MALFORMED),
    "line break at the end": (f"{VALID}\n", Reason.MALFORMED),
    "space inside": (f"{PARTS[0]}. {PARTS[1]}.{PARTS[2]}", Reason.MALFORMED),
    "stray character that lenient decoders skip": (f"{PARTS[0]}.{PARTS[1]}.*{PARTS[2]}", Reason.MALFORMED),
    "signature spelled with unused bits": (
        f"{PARTS[0]}.{PARTS[1]}.{other_last_character(PARTS[2])}",
        Reason.MALFORMED,
    ),
    "claims spelled with unused bits": (
        f"{SLOPPY_CLAIMS[0]}.{other_last_character(SLOPPY_CLAIMS[1])}.{SLOPPY_CLAIMS[2]}",
        Reason.MALFORMED,
    ),
    "base64 alphabet with + and /": (
        f"{PARTS[0]}.{PARTS[1]}.{(PARTS[2][:-2] + '-_').replace('-', '+').replace('_', '/')}",
        Reason.MALFORMED,
    ),
    "not ASCII": (f"{VALID}é", Reason.MALFORMED),
    "8193 bytes": (VALID + "A" * (8193 - len(VALID)), Reason.TOO_LARGE),
    "header of 3 KB": (headed(x="x" * 2300), Reason.TOO_LARGE),
    "alg twice in the header": (
        compact(b'{"alg":"none","alg":"RS256","kid":"mock-rsa","typ":"at+jwt"}', CLAIMS),
        Reason.MALFORMED,
    ),
    "sub twice in the claims": (with_claims_json('"sub"', '"sub": "bob", "sub"'), Reason.MALFORMED),
    "sub twice, once escaped": (with_claims_json('"sub"', '"s\\u0075b": "bob", "sub"'), Reason.MALFORMED),
    "a nested member twice": (with_claims_json('"acr": "pwd"', '"x": {"a": 1, "a": 2}'), Reason.MALFORMED),
    "header an array": (compact(b"[]", CLAIMS), Reason.MALFORMED),
    "header not JSON": (compact(b"{", CLAIMS), Reason.MALFORMED),
    "claims an array": (compact(HEADER, b"[]"), Reason.MALFORMED),
    "claims a string": (compact(HEADER, b'"x"'), Reason.MALFORMED),
    "claims empty": (compact(HEADER, b""), Reason.MALFORMED),
    "claims with NaN": (with_claims_json(f'"exp": {SECONDS + 300}', '"exp": NaN'), Reason.MALFORMED),
    "claims with Infinity": (with_claims_json(f'"exp": {SECONDS + 300}', '"exp": Infinity'), Reason.MALFORMED),
    "exp overflowing to infinity": (with_claims_json(f'"exp": {SECONDS + 300}', '"exp": 1e999'), Reason.MALFORMED),
    "exp of 5000 digits": (with_claims_json(f'"exp": {SECONDS + 300}', f'"exp": {"9" * 5000}'), Reason.MALFORMED),
    "lone surrogate": (with_claims_json('"alice"', '"\\ud800"'), Reason.MALFORMED),
    "claims in UTF-16": (compact(HEADER, json.dumps(CLAIMS).encode("utf-16")), Reason.MALFORMED),
    "claims with a byte order mark": (compact(HEADER, b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()), Reason.MALFORMED),
    "claims nested 2000 deep": (compact(HEADER, b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}"), Reason.MALFORMED),
    "claims followed by more": (compact(HEADER, json.dumps(CLAIMS).encode() + b"{}"), Reason.MALFORMED),
    # kinds of token
    "typ missing": (compact(without(HEADER, "typ"), CLAIMS), Reason.WRONG_TYPE),
    "typ JWT": (headed(typ="JWT"), Reason.WRONG_TYPE),
    "typ a number": (headed(typ=1), Reason.UNSUPPORTED_HEADER),
    "ID token": (
        compact({**HEADER, "typ": "JWT"}, {**CLAIMS, "aud": "shop-web", "nonce": "n"}),
        Reason.WRONG_TYPE,
    ),
    "ID token's claims under at+jwt": (claiming(nonce="n-1"), Reason.CLAIM_FORBIDDEN),
    "logout token": (headed(typ="logout+jwt"), Reason.WRONG_TYPE),
    "logout token's claims under at+jwt": (claiming(events={"x": {}}), Reason.CLAIM_FORBIDDEN),
    "DPoP proof": (headed(typ="dpop+jwt", jwk=attacker_jwk()), Reason.WRONG_TYPE),
    "client assertion": (headed(typ="client-authentication+jwt"), Reason.WRONG_TYPE),
    "introspection response": (headed(typ="token-introspection+jwt"), Reason.WRONG_TYPE),
    "token bound to a key, sent as bearer": (claiming(cnf={"jkt": "x"}), Reason.SENDER_CONSTRAINED),
    "token bound to a certificate, sent as bearer": (claiming(cnf={"x5t#S256": "x"}), Reason.SENDER_CONSTRAINED),
    "cnf empty": (claiming(cnf={}), Reason.CLAIM_INVALID),
    "cnf null": (claiming(cnf=None), Reason.CLAIM_INVALID),
    # issuer
    "iss missing": (lacking("iss"), Reason.UNKNOWN_ISSUER),
    "iss with a trailing slash": (claiming(iss=f"{shop.MOCK}/"), Reason.UNKNOWN_ISSUER),
    "iss in another case": (claiming(iss="https://MOCK.example"), Reason.UNKNOWN_ISSUER),
    "iss with a port": (claiming(iss="https://mock.example:443"), Reason.UNKNOWN_ISSUER),
    "iss a prefix": (claiming(iss="https://mock.exampl"), Reason.UNKNOWN_ISSUER),
    "iss of nobody we know": (claiming(iss="https://evil.example"), Reason.UNKNOWN_ISSUER),
    "iss a list": (claiming(iss=[shop.MOCK]), Reason.UNKNOWN_ISSUER),
    "iss null": (claiming(iss=None), Reason.UNKNOWN_ISSUER),
    "iss of another trusted issuer": (claiming(iss=shop.OKTA), Reason.UNKNOWN_KEY),
    "iss and kid of another trusted issuer": (
        compact({**HEADER, "kid": "okta-rsa"}, {**CLAIMS, "iss": shop.OKTA}),
        Reason.BAD_SIGNATURE,
    ),
    # audience
    "aud missing": (lacking("aud"), Reason.CLAIM_MISSING),
    "aud of another API": (claiming(aud="https://other.example"), Reason.WRONG_AUDIENCE),
    "aud the client": (claiming(aud="shop-cli"), Reason.WRONG_AUDIENCE),
    "aud with a trailing slash": (claiming(aud=f"{shop.AUDIENCE}/"), Reason.WRONG_AUDIENCE),
    "aud a longer address": (claiming(aud=f"{shop.AUDIENCE}.evil.example"), Reason.WRONG_AUDIENCE),
    "aud an array without us": (claiming(aud=["a", "b"]), Reason.WRONG_AUDIENCE),
    "aud an empty array": (claiming(aud=[]), Reason.CLAIM_INVALID),
    "aud empty": (claiming(aud=""), Reason.CLAIM_INVALID),
    "aud null": (claiming(aud=None), Reason.CLAIM_INVALID),
    "aud a number": (claiming(aud=1), Reason.CLAIM_INVALID),
    "aud an object": (claiming(aud={shop.AUDIENCE: 1}), Reason.CLAIM_INVALID),
    "aud with a number in the array": (claiming(aud=[shop.AUDIENCE, 1]), Reason.CLAIM_INVALID),
    # times
    "exp missing": (lacking("exp"), Reason.CLAIM_MISSING),
    "exp 31 s ago": (claiming(exp=SECONDS - 31, iat=SECONDS - 300), Reason.EXPIRED),
    "exp 90 s ago": (claiming(exp=SECONDS - 90, iat=SECONDS - 300), Reason.EXPIRED),
    "exp zero": (claiming(exp=0, iat=0), Reason.EXPIRED),
    "exp a string": (claiming(exp=str(SECONDS + 300)), Reason.CLAIM_INVALID),
    "exp true": (claiming(exp=True), Reason.CLAIM_INVALID),
    "exp null": (claiming(exp=None), Reason.CLAIM_INVALID),
    "exp a list": (claiming(exp=[SECONDS + 300]), Reason.CLAIM_INVALID),
    "exp negative": (claiming(exp=-1), Reason.CLAIM_INVALID),
    "exp in the year 10000": (claiming(exp=253_402_300_800), Reason.CLAIM_INVALID),
    "exp 1e300": (claiming(exp=1e300), Reason.CLAIM_INVALID),
    "exp in ten years": (claiming(exp=SECONDS + 315_360_000), Reason.LIFETIME_TOO_LONG),
    "exp one second over the longest lifetime": (claiming(exp=SECONDS - 10 + 3601), Reason.LIFETIME_TOO_LONG),
    "exp before iat": (claiming(iat=SECONDS + 20, exp=SECONDS + 10), Reason.CLAIM_INVALID),
    "iat missing": (lacking("iat"), Reason.CLAIM_MISSING),
    "iat 90 s ahead": (claiming(iat=SECONDS + 90), Reason.NOT_YET_VALID),
    "iat 61 s ahead": (claiming(iat=SECONDS + 61), Reason.NOT_YET_VALID),
    "iat a string": (claiming(iat=str(SECONDS)), Reason.CLAIM_INVALID),
    "iat false": (claiming(iat=False), Reason.CLAIM_INVALID),
    "nbf 61 s ahead": (claiming(nbf=SECONDS + 61), Reason.NOT_YET_VALID),
    "nbf a string": (claiming(nbf="0"), Reason.CLAIM_INVALID),
    "nbf true": (claiming(nbf=True), Reason.CLAIM_INVALID),
    "auth_time 61 s ahead": (claiming(auth_time=SECONDS + 61), Reason.NOT_YET_VALID),
    "auth_time a string": (claiming(auth_time="now"), Reason.CLAIM_INVALID),
    # other claims
    "sub missing": (lacking("sub"), Reason.CLAIM_MISSING),
    "sub a number": (claiming(sub=7), Reason.CLAIM_INVALID),
    "sub null": (claiming(sub=None), Reason.CLAIM_INVALID),
    "sub empty": (claiming(sub=""), Reason.CLAIM_INVALID),
    "sub with NUL": (claiming(sub="alice\0"), Reason.CLAIM_INVALID),
    "sub with a line break": (claiming(sub="alice\nadmin"), Reason.CLAIM_INVALID),
    "sub of 256 characters": (claiming(sub="a" * 256), Reason.CLAIM_INVALID),
    "client_id missing": (lacking("client_id"), Reason.CLAIM_MISSING),
    "client_id a list": (claiming(client_id=["shop-cli"]), Reason.CLAIM_INVALID),
    "jti missing": (lacking("jti"), Reason.CLAIM_MISSING),
    "jti a number": (claiming(jti=1), Reason.CLAIM_INVALID),
    "scope an array": (claiming(scope=["orders:read"]), Reason.CLAIM_INVALID),
    "scope with a quote": (claiming(scope='orders:read"'), Reason.CLAIM_INVALID),
    "scope with a tab": (claiming(scope="orders:read\tadmin"), Reason.CLAIM_INVALID),
    "scope with two spaces": (claiming(scope="orders:read  admin"), Reason.CLAIM_INVALID),
    "groups a string": (claiming(groups="shop-admins"), Reason.CLAIM_INVALID),
    "groups of objects": (claiming(groups=[{"name": "shop-admins"}]), Reason.CLAIM_INVALID),
    "groups by the thousand": (claiming(groups=["g"] * 501), Reason.CLAIM_INVALID),
    "acr a list": (claiming(acr=["mfa"]), Reason.CLAIM_INVALID),
    # profiles
    "Okta token without cid": (
        compact(shop.OKTA_HEADER, without(shop.OKTA_CLAIMS, "cid"), "okta"),
        Reason.CLAIM_MISSING,
    ),
    "Okta token with scp as text": (okta(scp="orders:read"), Reason.CLAIM_INVALID),
    "Okta token over its longest lifetime": (okta(exp=SECONDS + 86_400), Reason.LIFETIME_TOO_LONG),
    "Okta ID token": (okta(aud="nmdP1fcyvdVO11AL7ECm", nonce="n"), Reason.CLAIM_FORBIDDEN),
    "Okta ID token without nonce": (okta(aud="nmdP1fcyvdVO11AL7ECm"), Reason.WRONG_AUDIENCE),
    "Okta's claims under the mock's issuer": (
        compact(HEADER, {**shop.OKTA_CLAIMS, "iss": shop.MOCK}),
        Reason.CLAIM_MISSING,
    ),
    "Okta's header under the mock's issuer": (
        compact({**shop.OKTA_HEADER, "kid": "mock-rsa"}, CLAIMS),
        Reason.WRONG_TYPE,
    ),
    "Okta logout token": (okta({"typ": "logout+jwt"}), Reason.WRONG_TYPE),
    "Keycloak ID token": (
        compact(shop.KEYCLOAK_HEADER, {**shop.KEYCLOAK_CLAIMS, "typ": "ID"}, "keycloak"),
        Reason.CLAIM_INVALID,
    ),
    "Keycloak refresh token": (
        compact(shop.KEYCLOAK_HEADER, {**shop.KEYCLOAK_CLAIMS, "typ": "Refresh"}, "keycloak"),
        Reason.CLAIM_INVALID,
    ),
    "Google ID token": (compact(shop.GOOGLE_HEADER, shop.GOOGLE_CLAIMS, "google"), Reason.NO_ACCESS_TOKENS),
    "Google ID token for our audience": (
        compact(shop.GOOGLE_HEADER, {**shop.GOOGLE_CLAIMS, "aud": shop.AUDIENCE}, "google"),
        Reason.NO_ACCESS_TOKENS,
    ),
    "Google's opaque access token": ("ya29.a0AfH6SMBx", Reason.MALFORMED),
}

ACCEPTED: dict[str, str] = {
    "RS256": VALID,
    "ES256": signed_as("ES256", "mock-ec", lambda message: shop.sign_es256(message, "mock")),
    "typ with its prefix": headed(typ="application/at+jwt"),
    "typ in capitals": headed(typ="AT+JWT"),
    "jwk, jku, x5u and x5c unread": headed(jwk={}, jku="https://evil.example", x5u=7, x5c="x"),
    "aud an array": claiming(aud=["https://other.example", shop.AUDIENCE]),
    "exp 10 s ago": claiming(exp=SECONDS - 10, iat=SECONDS - 300),
    "iat 10 s ahead": claiming(iat=SECONDS + 10),
    "nbf 10 s ahead": claiming(nbf=SECONDS + 10),
    "exp with a fraction": claiming(exp=SECONDS + 300.5),
    "longest lifetime": claiming(exp=SECONDS - 10 + 3600),
    "scope empty": claiming(scope=""),
    "Okta": okta(),
    "Keycloak": compact(shop.KEYCLOAK_HEADER, shop.KEYCLOAK_CLAIMS, "keycloak"),
}

TWINS = {"Okta": okta(), "Keycloak": ACCEPTED["Keycloak"]}


@pytest.mark.parametrize("name", ACCEPTED)
def test_valid_token_is_accepted(name: str, tmp_path: Path) -> None:
    """The boundary cases on the right side of each check pass."""
    shop.verifier(tmp_path, shop.DocumentClient()).verify_access_token(ACCEPTED[name])


@pytest.mark.parametrize("name", ATTACKS)
def test_attacker_cannot_pass_a_forged_token(name: str, tmp_path: Path) -> None:
    """Each forgery is refused for its own reason, after the valid twin of the same issuer passed."""
    client = shop.DocumentClient()
    verifier = shop.verifier(tmp_path, client)
    verifier.verify_access_token(TWINS.get(name.split(" ")[0], VALID))
    token, reason = ATTACKS[name]

    with pytest.raises(InvalidToken) as refusal:
        verifier.verify_access_token(token)

    assert refusal.value.reason == reason
    assert refusal.value.public_detail == ("The access token is malformed, expired, revoked or not meant for this API.")
    assert all(url in client.documents for url in client.fetched), "a token chose an address"


def test_attacker_cannot_cause_a_fetch_with_a_token_of_a_wrong_kind(tmp_path: Path) -> None:
    """A valid token makes the verifier fetch keys; one that is refused by form, issuer or algorithm does not."""
    client = shop.DocumentClient()
    shop.verifier(tmp_path, client).verify_access_token(VALID)
    assert len(client.fetched) == 2

    early = {Reason.MALFORMED, Reason.TOO_LARGE, Reason.ENCRYPTED, Reason.NESTED, Reason.UNSIGNED}
    early |= {Reason.UNSUPPORTED_HEADER, Reason.UNKNOWN_ISSUER, Reason.NO_ACCESS_TOKENS, Reason.KEY_ID_MISSING}
    tokens = [token for token, reason in ATTACKS.values() if reason in early]
    tokens += [ATTACKS[name][0] for name in ATTACKS if name.startswith(("HMAC with", "RS512", "PS256"))]
    client = shop.DocumentClient()
    verifier = shop.verifier(tmp_path, client)
    for token in tokens:
        with pytest.raises(InvalidToken):
            verifier.verify_access_token(token)
    assert client.fetched == []


def test_claims_of_each_profile_are_read(tmp_path: Path) -> None:
    """The same attributes come out of every dialect: stable subject, client, scopes, groups."""
    verifier = shop.verifier(tmp_path, shop.DocumentClient())
    mock = verifier.verify_access_token(VALID)
    assert mock.provider.name == "mock"
    assert (mock.claims.subject, mock.claims.client_id, mock.claims.acts_as_client) == ("alice", "shop-cli", False)
    assert mock.claims.scopes == {"orders:read", "products:read"}
    assert mock.claims.groups == ("shop-customers",)
    assert (mock.claims.acr, mock.claims.token_id) == ("pwd", "token-1")
    assert mock.claims.auth_time is not None
    assert mock.claims.auth_time.timestamp() == SECONDS - 60
    assert mock.claims.expires_at.timestamp() == SECONDS + 300

    okta_claims = verifier.verify_access_token(okta()).claims
    assert (okta_claims.subject, okta_claims.client_id) == ("00ujmkLgagxeRrAg20g3", "nmdP1fcyvdVO11AL7ECm")
    assert okta_claims.scopes == {"openid", "orders:read"}

    keycloak = verifier.verify_access_token(ACCEPTED["Keycloak"]).claims
    assert (keycloak.client_id, keycloak.groups) == ("shop-web", ("shop-customer",))


def test_client_credentials_token_cannot_act_as_user(tmp_path: Path) -> None:
    """A token without a user says so: `sub` is the client (RFC 9068 §2.2), or Okta's `uid` is missing."""
    verifier = shop.verifier(tmp_path, shop.DocumentClient())
    assert not verifier.verify_access_token(VALID).claims.acts_as_client
    assert verifier.verify_access_token(claiming(sub="shop-cli")).claims.acts_as_client
    machine = compact(shop.OKTA_HEADER, without({**shop.OKTA_CLAIMS, "sub": "nmdP1fcyvdVO11AL7ECm"}, "uid"), "okta")
    assert verifier.verify_access_token(machine).claims.acts_as_client

"""The token-attack table, over HTTP: each forgery through the whole API, beside a token that works.

`tests/unit/credentials/test_token_attacks.py` asks the verifier; here a real server answers. Each attack is 401
with one challenge, the same words for every reason, and exactly one audit event that names the reason.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from secure_api.protocol.reasons import Reason
from tests.support.issuers import Forge, forged_shop
from tests.support.shop import Shop
from tests.unit.credentials import token_workshop as workshop
from tests.unit.credentials.token_workshop import b64, compact, without

ORDERS = "/api/v1/orders"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Forge]]:
    with forged_shop(tmp_path_factory.mktemp("forged")) as made:
        yield made


def now() -> int:
    return int(time.time())


def parts(token: str) -> list[str]:
    return token.split(".")


def signed_as(f: Forge, algorithm: str, key_id: str, sign: Callable[[bytes], bytes]) -> str:
    message = f.message(algorithm, kid=key_id)
    return f"{message}.{b64(sign(message.encode()))}"


def mac(f: Forge, key: bytes, algorithm: str = "HS256") -> str:
    message = f.message(algorithm)
    return f"{message}.{b64(hmac.new(key, message.encode(), hashlib.sha256).digest())}"


def rs512(message: bytes) -> bytes:
    return workshop.rsa_key("mock").sign(message, padding.PKCS1v15(), hashes.SHA512())


def ps256(message: bytes) -> bytes:
    return workshop.rsa_key("mock").sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def es256(message: bytes) -> bytes:
    return workshop.sign_es256(message, "mock")


def es256_as_der(message: bytes) -> bytes:
    return workshop.ec_key("mock").sign(message, ec.ECDSA(hashes.SHA256()))


def flipped(part: str) -> str:
    data = bytearray(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    data[len(data) // 2] ^= 1
    return b64(bytes(data))


def with_signature(token: str, change: Callable[[str], str]) -> str:
    header, claims, signature = parts(token)
    return f"{header}.{claims}.{change(signature)}"


def unused_bits(part: str) -> str:
    """The same bytes in another spelling: the unused low bits of the last character are set."""
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) | 1]


def attacker_key() -> dict[str, Any]:
    return workshop.rsa_jwk("attacker", "mock-rsa")


def by_attacker(f: Forge, **header: Any) -> str:
    return compact(f.header(**header), f.claims(), "attacker")


def claims_text(f: Forge, old: str, new: str) -> str:
    text = json.dumps(f.claims(exp=9_999_999))
    assert old in text
    return compact(f.header(), text.replace(old, new, 1).encode())


Attack = tuple[Callable[[Forge], str], Reason]

ATTACKS: dict[str, Attack] = {
    # algorithms
    "alg none": (lambda f: f.unsigned("none"), Reason.UNSIGNED),
    "alg None": (lambda f: f.unsigned("None"), Reason.UNSIGNED),
    "alg NONE": (lambda f: f.unsigned("NONE"), Reason.UNSIGNED),
    "alg nOnE": (lambda f: f.unsigned("nOnE"), Reason.UNSIGNED),
    "alg none with a space": (lambda f: f.unsigned("none "), Reason.UNSIGNED),
    "alg none with a signature": (lambda f: f.unsigned("none", parts(f.good())[2]), Reason.UNSIGNED),
    "alg empty": (lambda f: f.headed(alg=""), Reason.ALGORITHM_NOT_ALLOWED),
    "alg missing": (lambda f: f.sign(without(f.header(), "alg"), f.claims()), Reason.ALGORITHM_NOT_ALLOWED),
    "alg a list": (lambda f: f.headed(alg=["RS256"]), Reason.UNSUPPORTED_HEADER),
    "alg in lower case": (lambda f: f.headed(alg="rs256"), Reason.ALGORITHM_NOT_ALLOWED),
    "RS512 with the right key": (lambda f: signed_as(f, "RS512", "mock-rsa", rs512), Reason.ALGORITHM_NOT_ALLOWED),
    "PS256 with the right key": (lambda f: signed_as(f, "PS256", "mock-rsa", ps256), Reason.ALGORITHM_NOT_ALLOWED),
    # key confusion
    "HMAC with the public key": (lambda f: mac(f, workshop.public_pem("mock")), Reason.ALGORITHM_NOT_ALLOWED),
    "HMAC with the modulus": (
        lambda f: mac(f, workshop.rsa_jwk("mock", "k")["n"].encode()),
        Reason.ALGORITHM_NOT_ALLOWED,
    ),
    "HMAC with an empty key": (lambda f: mac(f, b""), Reason.ALGORITHM_NOT_ALLOWED),
    "HMAC that says RS256": (lambda f: mac(f, workshop.public_pem("mock"), "RS256"), Reason.BAD_SIGNATURE),
    "ES256 under an RSA kid": (lambda f: signed_as(f, "ES256", "mock-rsa", es256), Reason.ALGORITHM_NOT_ALLOWED),
    "RS256 under an EC kid": (
        lambda f: signed_as(f, "RS256", "mock-ec", lambda m: workshop.sign_rs256(m, "mock")),
        Reason.ALGORITHM_NOT_ALLOWED,
    ),
    # signatures
    "another key": (by_attacker, Reason.BAD_SIGNATURE),
    "signature missing": (lambda f: with_signature(f.good(), lambda _: ""), Reason.UNSIGNED),
    "signature with one bit flipped": (lambda f: with_signature(f.good(), flipped), Reason.BAD_SIGNATURE),
    "signature cut short": (lambda f: with_signature(f.good(), lambda s: s[:300]), Reason.BAD_SIGNATURE),
    "signature of other claims": (
        lambda f: ".".join((parts(f.good())[0], parts(f.claiming(sub="bob"))[1], parts(f.good())[2])),
        Reason.BAD_SIGNATURE,
    ),
    "signature in DER form": (lambda f: signed_as(f, "ES256", "mock-ec", es256_as_der), Reason.BAD_SIGNATURE),
    "signature of zeros": (lambda f: signed_as(f, "ES256", "mock-ec", lambda _: bytes(64)), Reason.BAD_SIGNATURE),
    # kid games
    "kid missing": (lambda f: f.sign(without(f.header(), "kid"), f.claims()), Reason.KEY_ID_MISSING),
    "kid a number": (lambda f: f.headed(kid=1), Reason.UNSUPPORTED_HEADER),
    "kid empty": (lambda f: f.headed(kid=""), Reason.UNSUPPORTED_HEADER),
    "kid over-long": (lambda f: f.headed(kid="k" * 257), Reason.UNSUPPORTED_HEADER),
    "kid a path": (lambda f: f.headed(kid="../../../../dev/null"), Reason.UNKNOWN_KEY),
    "kid an absolute path": (lambda f: f.headed(kid="/dev/null"), Reason.UNKNOWN_KEY),
    "kid a query": (lambda f: f.headed(kid="' UNION SELECT 'secret' --"), Reason.UNKNOWN_KEY),
    "kid a command": (lambda f: f.headed(kid="mock-rsa|id"), Reason.UNKNOWN_KEY),
    "kid an address": (lambda f: f.headed(kid="https://evil.example/key"), Reason.UNKNOWN_KEY),
    "kid with a line break": (lambda f: f.headed(kid="mock-rsa\r\nX-Evil: 1"), Reason.UNKNOWN_KEY),
    "kid in another case": (lambda f: f.headed(kid="MOCK-RSA"), Reason.UNKNOWN_KEY),
    # header injection
    "jwk of the attacker": (lambda f: by_attacker(f, jwk=attacker_key()), Reason.BAD_SIGNATURE),
    "jwk of the attacker, without kid": (
        lambda f: compact(without(f.header(jwk=attacker_key()), "kid"), f.claims(), "attacker"),
        Reason.KEY_ID_MISSING,
    ),
    "jku of the attacker": (lambda f: by_attacker(f, jku="https://evil.example/keys"), Reason.BAD_SIGNATURE),
    "x5u of the attacker": (lambda f: by_attacker(f, x5u="https://evil.example/cert"), Reason.BAD_SIGNATURE),
    "x5c of the attacker": (lambda f: by_attacker(f, x5c=["MIIB"]), Reason.BAD_SIGNATURE),
    "crit unknown": (lambda f: f.headed(crit=["x"], x=1), Reason.UNSUPPORTED_HEADER),
    "crit empty": (lambda f: f.headed(crit=[]), Reason.UNSUPPORTED_HEADER),
    "b64 false": (lambda f: f.headed(crit=["b64"], b64=False), Reason.UNSUPPORTED_HEADER),
    # compression, encryption, nesting
    "zip": (lambda f: f.headed(zip="DEF"), Reason.UNSUPPORTED_HEADER),
    "enc": (lambda f: f.headed(enc="A256GCM"), Reason.UNSUPPORTED_HEADER),
    "JWE": (lambda f: f"{f.good()}.x.y", Reason.ENCRYPTED),
    "nested token": (lambda f: f.sign(f.header(cty="JWT"), f.good().encode()), Reason.NESTED),
    "nested token without cty": (lambda f: f.sign(f.header(), f.good().encode()), Reason.MALFORMED),
    # form, sizes, duplicates
    "no token": (lambda _: "", Reason.MALFORMED),
    "dots only": (lambda _: "..", Reason.MALFORMED),
    "two parts": (lambda f: ".".join(parts(f.good())[:2]), Reason.MALFORMED),
    "four parts": (lambda f: f"{f.good()}.x", Reason.MALFORMED),
    "padding": (lambda f: f"{f.good()}==", Reason.MALFORMED),
    "space inside": (lambda f: f.good().replace(".", ". ", 1), Reason.MALFORMED),
    "stray character": (lambda f: with_signature(f.good(), lambda s: f"*{s}"), Reason.MALFORMED),
    "unused bits set": (lambda f: with_signature(f.good(), unused_bits), Reason.MALFORMED),
    "not ASCII": (lambda f: f"{f.good()}é", Reason.MALFORMED),
    "header of 3 KB": (lambda f: f.headed(x="x" * 2300), Reason.TOO_LARGE),
    "8,100 characters": (lambda _: "e" * 8100, Reason.MALFORMED),
    "alg twice": (
        lambda f: f.sign(b'{"alg":"none","alg":"RS256","kid":"mock-rsa","typ":"at+jwt"}', f.claims()),
        Reason.MALFORMED,
    ),
    "sub twice": (lambda f: claims_text(f, '"sub"', '"sub": "bob", "sub"'), Reason.MALFORMED),
    "sub twice, once escaped": (lambda f: claims_text(f, '"sub"', '"s\\u0075b": "bob", "sub"'), Reason.MALFORMED),
    "nested member twice": (lambda f: claims_text(f, '"acr"', '"x": {"a": 1, "a": 2}, "acr"'), Reason.MALFORMED),
    "claims an array": (lambda f: f.sign(f.header(), b"[]"), Reason.MALFORMED),
    "claims empty": (lambda f: f.sign(f.header(), b""), Reason.MALFORMED),
    "claims with NaN": (lambda f: claims_text(f, "9999999", "NaN"), Reason.MALFORMED),
    "claims overflowing": (lambda f: claims_text(f, "9999999", "1e999"), Reason.MALFORMED),
    "claims of 5,000 digits": (lambda f: claims_text(f, "9999999", "9" * 5000), Reason.MALFORMED),
    "claims nested 2,000 deep": (
        lambda f: f.sign(f.header(), b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        Reason.MALFORMED,
    ),
    "claims with a lone surrogate": (lambda f: claims_text(f, '"alice"', '"\\ud800"'), Reason.MALFORMED),
    "claims in UTF-16": (lambda f: f.sign(f.header(), json.dumps(f.claims()).encode("utf-16")), Reason.MALFORMED),
    # kinds of token
    "typ missing": (lambda f: f.sign(without(f.header(), "typ"), f.claims()), Reason.WRONG_TYPE),
    "typ JWT": (lambda f: f.headed(typ="JWT"), Reason.WRONG_TYPE),
    "ID token": (
        lambda f: f.sign(f.header(typ="JWT"), f.claims(aud="shop-web", nonce="n")),
        Reason.WRONG_TYPE,
    ),
    "ID token as at+jwt": (lambda f: f.claiming(nonce="n"), Reason.CLAIM_FORBIDDEN),
    "logout token": (lambda f: f.headed(typ="logout+jwt"), Reason.WRONG_TYPE),
    "logout token as at+jwt": (lambda f: f.claiming(events={"x": {}}), Reason.CLAIM_FORBIDDEN),
    "DPoP proof": (lambda f: f.headed(typ="dpop+jwt", jwk=attacker_key()), Reason.WRONG_TYPE),
    "client assertion": (lambda f: f.headed(typ="client-authentication+jwt"), Reason.WRONG_TYPE),
    "DPoP-bound token as bearer": (lambda f: f.claiming(cnf={"jkt": "x" * 43}), Reason.SENDER_CONSTRAINED),
    "certificate-bound token as bearer": (
        lambda f: f.claiming(cnf={"x5t#S256": "x" * 43}),
        Reason.SENDER_CONSTRAINED,
    ),
    "cnf empty": (lambda f: f.claiming(cnf={}), Reason.CLAIM_INVALID),
    "cnf null": (lambda f: f.claiming(cnf=None), Reason.CLAIM_INVALID),
    # issuers
    "iss missing": (lambda f: f.lacking("iss"), Reason.UNKNOWN_ISSUER),
    "iss with a trailing slash": (lambda f: f.claiming(iss=f"{f.issuer()}/"), Reason.UNKNOWN_ISSUER),
    "iss unknown": (lambda f: f.claiming(iss="https://evil.example"), Reason.UNKNOWN_ISSUER),
    "iss a list": (lambda f: f.claiming(iss=[f.issuer()]), Reason.UNKNOWN_ISSUER),
    "iss of another trusted issuer": (lambda f: f.claiming(iss=f.issuer("okta")), Reason.UNKNOWN_KEY),
    "iss and kid of another trusted issuer": (
        lambda f: f.sign(f.header(kid="okta-rsa"), f.claims(iss=f.issuer("okta"))),
        Reason.BAD_SIGNATURE,
    ),
    "kid and key of another trusted issuer": (
        lambda f: f.sign(f.header(kid="okta-rsa"), f.claims(), "okta"),
        Reason.UNKNOWN_KEY,
    ),
    # audiences
    "aud missing": (lambda f: f.lacking("aud"), Reason.CLAIM_MISSING),
    "aud of another API": (lambda f: f.claiming(aud="https://other.example"), Reason.WRONG_AUDIENCE),
    "aud the client": (lambda f: f.claiming(aud="shop-web"), Reason.WRONG_AUDIENCE),
    "aud with a trailing slash": (lambda f: f.claiming(aud=f"{f.audience}/"), Reason.WRONG_AUDIENCE),
    "aud a longer address": (lambda f: f.claiming(aud=f"{f.audience}0"), Reason.WRONG_AUDIENCE),
    "aud an array without us": (lambda f: f.claiming(aud=["a", "b"]), Reason.WRONG_AUDIENCE),
    "aud an empty array": (lambda f: f.claiming(aud=[]), Reason.CLAIM_INVALID),
    "aud an object": (lambda f: f.claiming(aud={f.audience: 1}), Reason.CLAIM_INVALID),
    "aud with a number": (lambda f: f.claiming(aud=[f.audience, 1]), Reason.CLAIM_INVALID),
    # times
    "exp missing": (lambda f: f.lacking("exp"), Reason.CLAIM_MISSING),
    "exp 90 s ago": (lambda f: f.claiming(exp=now() - 90, iat=now() - 300), Reason.EXPIRED),
    "exp a string": (lambda f: f.claiming(exp=str(now() + 300)), Reason.CLAIM_INVALID),
    "exp true": (lambda f: f.claiming(exp=True), Reason.CLAIM_INVALID),
    "exp null": (lambda f: f.claiming(exp=None), Reason.CLAIM_INVALID),
    "exp 1e300": (lambda f: f.claiming(exp=1e300), Reason.CLAIM_INVALID),
    "exp negative": (lambda f: f.claiming(exp=-1), Reason.CLAIM_INVALID),
    "exp in ten years": (lambda f: f.claiming(exp=now() + 315_360_000), Reason.LIFETIME_TOO_LONG),
    "exp before iat": (lambda f: f.claiming(iat=now() + 20, exp=now() + 10), Reason.CLAIM_INVALID),
    "iat missing": (lambda f: f.lacking("iat"), Reason.CLAIM_MISSING),
    "iat 90 s ahead": (lambda f: f.claiming(iat=now() + 90), Reason.NOT_YET_VALID),
    "nbf 90 s ahead": (lambda f: f.claiming(nbf=now() + 90), Reason.NOT_YET_VALID),
    "nbf a string": (lambda f: f.claiming(nbf="0"), Reason.CLAIM_INVALID),
    "auth_time 90 s ahead": (lambda f: f.claiming(auth_time=now() + 90), Reason.NOT_YET_VALID),
    # claim types
    "sub missing": (lambda f: f.lacking("sub"), Reason.CLAIM_MISSING),
    "sub a number": (lambda f: f.claiming(sub=7), Reason.CLAIM_INVALID),
    "sub empty": (lambda f: f.claiming(sub=""), Reason.CLAIM_INVALID),
    "sub with NUL": (lambda f: f.claiming(sub="alice\0"), Reason.CLAIM_INVALID),
    "sub with a line break": (lambda f: f.claiming(sub="alice\nadmin"), Reason.CLAIM_INVALID),
    "sub of 256 characters": (lambda f: f.claiming(sub="a" * 256), Reason.CLAIM_INVALID),
    "client_id missing": (lambda f: f.lacking("client_id"), Reason.CLAIM_MISSING),
    "client_id a list": (lambda f: f.claiming(client_id=["shop-cli"]), Reason.CLAIM_INVALID),
    "jti missing": (lambda f: f.lacking("jti"), Reason.CLAIM_MISSING),
    "scope an array": (lambda f: f.claiming(scope=["orders:read"]), Reason.CLAIM_INVALID),
    "scope with two spaces": (lambda f: f.claiming(scope="orders:read  admin"), Reason.CLAIM_INVALID),
    "groups a string": (lambda f: f.claiming(groups="shop-admins"), Reason.CLAIM_INVALID),
    "acr a list": (lambda f: f.claiming(acr=["mfa"]), Reason.CLAIM_INVALID),
    # profiles mixed between issuers
    "okta without cid": (lambda f: f.lacking("cid", issuer="okta"), Reason.CLAIM_MISSING),
    "okta with scp as text": (lambda f: f.claiming("okta", scp="orders:read"), Reason.CLAIM_INVALID),
    "okta ID token": (lambda f: f.claiming("okta", aud="nmdP1fcyvdVO11AL7ECm", nonce="n"), Reason.CLAIM_FORBIDDEN),
    "okta ID token without nonce": (lambda f: f.claiming("okta", aud="nmdP1fcyvdVO11AL7ECm"), Reason.WRONG_AUDIENCE),
    "okta logout token": (lambda f: f.headed("okta", typ="logout+jwt"), Reason.WRONG_TYPE),
    "okta claims under the forge": (
        lambda f: f.sign(f.header(), f.claims("okta", iss=f.issuer())),
        Reason.CLAIM_MISSING,
    ),
    "okta header under the forge": (lambda f: f.sign(f.header("okta", kid="mock-rsa"), f.claims()), Reason.WRONG_TYPE),
    "okta claims with the forge's ES256": (
        lambda f: f"{parts(f.message('ES256', kid='mock-ec'))[0]}.{parts(f.good('okta'))[1]}.{'A' * 86}",
        Reason.ALGORITHM_NOT_ALLOWED,
    ),
    "keycloak ID token": (lambda f: f.claiming("keycloak", typ="ID"), Reason.CLAIM_INVALID),
    "keycloak refresh token": (lambda f: f.claiming("keycloak", typ="Refresh"), Reason.CLAIM_INVALID),
    "google ID token": (lambda f: f.good("google"), Reason.NO_ACCESS_TOKENS),
    "google ID token for our audience": (lambda f: f.claiming("google", aud=f.audience), Reason.NO_ACCESS_TOKENS),
    "google opaque token": (lambda _: "ya29.a0AfH6SMBx", Reason.MALFORMED),
}


def assert_refused(shop: Shop, answer: requests.Response, reason: str) -> None:
    """401, the challenge, the one sentence for all reasons, and one event that names this one."""
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer error="invalid_token", resource_metadata="{shop.api}/.well-known/oauth-protected-resource"'
    )
    assert answer.json() == {
        "type": f"{shop.api}/problems/invalid-token",
        "title": "Invalid token",
        "status": 401,
        "detail": "The access token is malformed, expired, revoked or not meant for this API.",
        "request_id": answer.headers["X-Request-ID"],
    }
    [event] = shop.events_of(answer)
    assert (event["event"], event["reason"]) == ("authn_token_refused", reason)


def test_the_table_is_long_enough() -> None:
    """At least 80 named attacks on tokens, and 30 on proofs."""
    assert len(ATTACKS) >= 80
    assert len(BAD_PROOFS) >= 30


@pytest.mark.parametrize("name", ATTACKS)
def test_attacker_cannot_call_the_api_with(name: str, forged: tuple[Shop, Forge]) -> None:
    """The good token of the same issuer works; the forgery gets a bare 401 and leaves one event with its reason."""
    shop, forge = forged
    make, reason = ATTACKS[name]
    issuer = name.split(" ")[0] if name.split(" ")[0] in {"okta", "keycloak"} else "forge"
    assert shop.call("GET", ORDERS, forge.good(issuer)).status_code == 200
    answer = requests.get(
        f"{shop.api}{ORDERS}", headers={"Authorization": b"Bearer " + make(forge).encode()}, timeout=30
    )
    assert_refused(shop, answer, reason)


ACCEPTED: dict[str, Callable[[Forge], str]] = {
    "RS256": lambda f: f.good(),
    "ES256": lambda f: signed_as(f, "ES256", "mock-ec", es256),
    "typ with its prefix": lambda f: f.headed(typ="application/at+jwt"),
    "jwk, jku, x5u and x5c unread": lambda f: f.headed(jwk={}, jku="https://evil.example", x5u=7, x5c="x"),
    "aud an array": lambda f: f.claiming(aud=["https://other.example", f.audience]),
    "exp 10 s ago": lambda f: f.claiming(exp=now() - 10, iat=now() - 300),
    "iat 10 s ahead": lambda f: f.claiming(iat=now() + 10),
    "nbf 10 s ahead": lambda f: f.claiming(nbf=now() + 10),
    "okta": lambda f: f.good("okta"),
    "keycloak": lambda f: f.good("keycloak"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_client_can_call_the_api_with(name: str, forged: tuple[Shop, Forge]) -> None:
    """The right side of each boundary."""
    shop, forge = forged
    answer = shop.call("GET", ORDERS, ACCEPTED[name](forge))
    assert answer.status_code == 200, answer.text


def test_no_token_chose_an_address(forged: tuple[Shop, Forge]) -> None:
    """After a request with each header that names an address, the issuers were asked for two documents only."""
    shop, forge = forged
    assert shop.call("GET", ORDERS, forge.good()).status_code == 200
    evil = f"{forge.issuer('google')}/evil"
    for header in ("jku", "x5u", "kid"):
        assert shop.call("GET", ORDERS, by_attacker(forge, **{header: evil})).status_code == 401
    asked = {path for server in forge.servers.values() for path in server.asked}
    assert asked <= {"/.well-known/openid-configuration", "/keys"}
    assert not forge.servers["google"].asked


def raw_request(shop: Shop, *authorizations: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """A request with these Authorization fields, each on a line of its own, which `requests` cannot send."""
    address = urlsplit(shop.api)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.putrequest("GET", ORDERS)
        for value in authorizations:
            connection.putheader("Authorization", value.encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.msg, answer.read()
    finally:
        connection.close()


SCHEMES: dict[str, Callable[[Forge], str]] = {
    "Basic": lambda _: f"Basic {b64(b'alice:secret')}",
    "Token": lambda f: f"Token {f.good()}",
    "Negotiate": lambda f: f"Negotiate {f.good()}",
    "the bare token": lambda f: f.good(),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_client_cannot_use_another_scheme(name: str, forged: tuple[Shop, Forge]) -> None:
    """Bearer in any casing works; a token under any other scheme does not."""
    shop, forge = forged
    assert raw_request(shop, f"bEARER {forge.good()}")[0] == 200
    answer = shop.call("GET", ORDERS, headers={"Authorization": SCHEMES[name](forge)})
    assert_refused(shop, answer, "unsupported_scheme")


def two_credentials(f: Forge) -> list[tuple[str, ...]]:
    good = f"Bearer {f.good()}"
    return [(good, good), (good, f"Basic {b64(b'a:b')}"), (f"{good}, {good}",)]


def test_client_cannot_send_two_credentials(forged: tuple[Shop, Forge]) -> None:
    """Two Authorization fields, or two tokens in one, are 400, even where each would do alone (RFC 6750 §2)."""
    shop, forge = forged
    assert raw_request(shop, f"Bearer {forge.good()}")[0] == 200
    for fields in two_credentials(forge):
        status, _, body = raw_request(shop, *fields)
        assert status == 400
        assert json.loads(body)["type"] == f"{shop.api}/problems/bad-request"


def test_two_credentials_leave_an_event_and_get_a_challenge(forged: tuple[Shop, Forge]) -> None:
    """Such a 400 says `invalid_request` (RFC 6750 §3.1) and leaves one event with its reason, as every refusal does."""
    shop, forge = forged
    for fields in two_credentials(forge):
        _, headers, _ = raw_request(shop, *fields)
        [event] = shop.events(headers["X-Request-ID"])
        assert event["reason"]
        assert 'error="invalid_request"' in headers["WWW-Authenticate"]


def test_client_cannot_send_the_json_serialization(forged: tuple[Shop, Forge]) -> None:
    """A JWS in JSON form holds commas, which makes two header values of it: 400."""
    shop, forge = forged
    header, claims, signature = parts(forge.good())
    text = json.dumps({"protected": header, "payload": claims, "signature": signature})
    assert raw_request(shop, f"Bearer {text}")[0] == 400


def test_client_cannot_send_a_token_over_the_server_limit(forged: tuple[Shop, Forge]) -> None:
    """Past 8190 bytes the server itself answers 431, before anything is parsed; the next request works."""
    shop, forge = forged
    assert raw_request(shop, f"Bearer {forge.good()}")[0] == 200
    for size in (8_200, 100_000):
        assert raw_request(shop, f"Bearer {'e' * size}")[0] == 431
    assert raw_request(shop, f"Bearer {forge.good()}")[0] == 200


# --- proof of possession (DPoP, RFC 9449) ------------------------------------------------------------------------


def thumbprint(name: str) -> str:
    """RFC 7638, worked out here and not by the code under test."""
    jwk = {member: workshop.ec_jwk(name, "x")[member] for member in ("crv", "kty", "x", "y")}
    return b64(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())


def public_jwk(name: str) -> dict[str, Any]:
    return without(workshop.ec_jwk(name, "x"), "kid")


def bound_token(f: Forge, key: str = "caller", **claims: Any) -> str:
    return f.claiming(cnf={"jkt": thumbprint(key)}, **claims)


def proof(
    f: Forge,
    token: str,
    *,
    key: str = "caller",
    header: dict[str, Any] | None = None,
    drop: tuple[str, ...] = (),
    **claims: Any,
) -> str:
    """A right proof for `GET /api/v1/orders` with `token`, but for what is changed."""
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk("caller"), **(header or {})}
    body = {
        "jti": secrets.token_urlsafe(16),
        "htm": "GET",
        "htu": f"{f.audience}{ORDERS}",
        "iat": now(),
        "ath": b64(hashlib.sha256(token.encode()).digest()),
        **claims,
    }
    message = ".".join(b64(json.dumps(without(part, *drop)).encode()) for part in (head, body))
    return f"{message}.{b64(workshop.sign_es256(message.encode(), key))}"


def private_jwk() -> dict[str, Any]:
    private = workshop.ec_key("caller").private_numbers().private_value
    return {**public_jwk("caller"), "d": workshop.number(private, 32)}


def in_two(text: str) -> str:
    header, claims, _ = parts(text)
    return f"{header}.{claims}."


Proof = Callable[[Forge, str], str]

BAD_PROOFS: dict[str, tuple[Proof, Reason]] = {
    "empty": (lambda _f, _t: "", Reason.DPOP_MALFORMED),
    "no JWS": (lambda _f, _t: "proof", Reason.DPOP_MALFORMED),
    "5 KB": (lambda f, t: proof(f, t, x="x" * 3600), Reason.DPOP_MALFORMED),
    "unsigned": (lambda f, t: in_two(proof(f, t)), Reason.DPOP_MALFORMED),
    "alg none": (lambda f, t: in_two(proof(f, t, header={"alg": "none"})), Reason.DPOP_MALFORMED),
    "alg HS256": (lambda f, t: proof(f, t, header={"alg": "HS256"}), Reason.DPOP_MALFORMED),
    "crit": (lambda f, t: proof(f, t, header={"crit": ["x"], "x": 1}), Reason.DPOP_MALFORMED),
    "two in one": (lambda f, t: f"{proof(f, t)}, {proof(f, t)}", Reason.DPOP_MALFORMED),
    "typ JWT": (lambda f, t: proof(f, t, header={"typ": "JWT"}), Reason.DPOP_TYPE),
    "typ missing": (lambda f, t: proof(f, t, drop=("typ",)), Reason.DPOP_TYPE),
    "the access token itself": (lambda _f, t: t, Reason.DPOP_TYPE),
    "jwk missing": (lambda f, t: proof(f, t, drop=("jwk",)), Reason.DPOP_KEY),
    "jwk with its private half": (lambda f, t: proof(f, t, header={"jwk": private_jwk()}), Reason.DPOP_KEY),
    "jwk symmetric": (lambda f, t: proof(f, t, header={"jwk": {"kty": "oct", "k": "c2VjcmV0"}}), Reason.DPOP_KEY),
    "jwk of another type": (lambda f, t: proof(f, t, header={"jwk": attacker_key()}), Reason.DPOP_KEY),
    "jwk off the curve": (
        lambda f, t: proof(f, t, header={"jwk": {**public_jwk("caller"), "y": b64(bytes(31) + b"\1")}}),
        Reason.DPOP_KEY,
    ),
    "signed with another key than its jwk": (lambda f, t: proof(f, t, key="thief"), Reason.DPOP_SIGNATURE),
    "signature cut short": (lambda f, t: proof(f, t)[:-2], Reason.DPOP_SIGNATURE),
    "jti missing": (lambda f, t: proof(f, t, drop=("jti",)), Reason.DPOP_CLAIM),
    "jti a number": (lambda f, t: proof(f, t, jti=7), Reason.DPOP_CLAIM),
    "htm missing": (lambda f, t: proof(f, t, drop=("htm",)), Reason.DPOP_CLAIM),
    "htu missing": (lambda f, t: proof(f, t, drop=("htu",)), Reason.DPOP_CLAIM),
    "iat missing": (lambda f, t: proof(f, t, drop=("iat",)), Reason.DPOP_CLAIM),
    "iat a string": (lambda f, t: proof(f, t, iat=str(now())), Reason.DPOP_CLAIM),
    "another method": (lambda f, t: proof(f, t, htm="POST"), Reason.DPOP_METHOD),
    "method in lower case": (lambda f, t: proof(f, t, htm="get"), Reason.DPOP_METHOD),
    "another path": (lambda f, t: proof(f, t, htu=f"{f.audience}/api/v1/products"), Reason.DPOP_TARGET),
    "a longer path": (lambda f, t: proof(f, t, htu=f"{f.audience}{ORDERS}/"), Reason.DPOP_TARGET),
    "a path with dots": (lambda f, t: proof(f, t, htu=f"{f.audience}/api/v1/x/../orders"), Reason.DPOP_TARGET),
    "another host": (lambda f, t: proof(f, t, htu=f"https://evil.example{ORDERS}"), Reason.DPOP_TARGET),
    "another port": (lambda f, t: proof(f, t, htu=f"http://127.0.0.1:1{ORDERS}"), Reason.DPOP_TARGET),
    "https for http": (
        lambda f, t: proof(f, t, htu=f"{f.audience}{ORDERS}".replace("http:", "https:")),
        Reason.DPOP_TARGET,
    ),
    "the path alone": (lambda f, t: proof(f, t, htu=ORDERS), Reason.DPOP_TARGET),
    "90 s old": (lambda f, t: proof(f, t, iat=now() - 90), Reason.DPOP_TIME),
    "90 s ahead": (lambda f, t: proof(f, t, iat=now() + 90), Reason.DPOP_TIME),
    "no access token's hash": (lambda f, t: proof(f, t, drop=("ath",)), Reason.DPOP_TOKEN),
    "another access token's hash": (lambda f, t: proof(f, f"{t}x"), Reason.DPOP_TOKEN),
}


def call_with_proof(shop: Shop, token: str, text: str, **headers: str) -> requests.Response:
    return shop.call("GET", ORDERS, headers={"Authorization": f"DPoP {token}", "DPoP": text, **headers})


def assert_proof_refused(shop: Shop, answer: requests.Response, reason: str) -> None:
    """401 `invalid_dpop_proof` in the scheme that was sent, no word of the reason, and one event with it."""
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP error="invalid_dpop_proof", ')
    assert "ES256" in challenge.partition('algs="')[2].partition('"')[0].split(" ")
    assert without(answer.json(), "request_id") == {
        "type": f"{shop.api}/problems/invalid-dpop-proof",
        "title": "Invalid DPoP proof",
        "status": 401,
        "detail": "The request needs exactly one fresh DPoP proof, made for this token and this request.",
    }
    [event] = shop.events_of(answer)
    assert (event["event"], event["reason"]) == ("authn_token_refused", reason)


@pytest.mark.parametrize("name", BAD_PROOFS)
def test_attacker_cannot_use_a_bound_token_with_a_proof(name: str, forged: tuple[Shop, Forge]) -> None:
    """The right proof for the same token passes; this one does not."""
    shop, forge = forged
    token = bound_token(forge)
    assert call_with_proof(shop, token, proof(forge, token)).status_code == 200
    make, reason = BAD_PROOFS[name]
    assert_proof_refused(shop, call_with_proof(shop, token, make(forge, token)), reason)


def test_attacker_cannot_replay_a_proof(forged: tuple[Shop, Forge]) -> None:
    """A proof that was taken once is refused from then on; a new one is taken."""
    shop, forge = forged
    token = bound_token(forge)
    once = proof(forge, token)
    assert call_with_proof(shop, token, once).status_code == 200
    for _ in range(2):
        assert_proof_refused(shop, call_with_proof(shop, token, once), Reason.DPOP_REPLAYED)
    assert call_with_proof(shop, token, proof(forge, token)).status_code == 200


def test_attacker_cannot_choose_the_target_with_the_host_header(forged: tuple[Shop, Forge]) -> None:
    """`htu` is compared with the configured address and not with what the request says of itself."""
    shop, forge = forged
    token = bound_token(forge)
    assert call_with_proof(shop, token, proof(forge, token)).status_code == 200
    elsewhere = proof(forge, token, htu=f"http://evil.example{ORDERS}")
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.example"}
    answer = call_with_proof(shop, token, elsewhere, **forwarded)
    assert_proof_refused(shop, answer, Reason.DPOP_TARGET)
    answer = call_with_proof(shop, token, elsewhere, Host="evil.example")
    assert answer.status_code in {400, 401}


def test_attacker_cannot_leave_the_proof_out(forged: tuple[Shop, Forge]) -> None:
    """A bound token without a proof, or sent as Bearer even with one, is worth nothing."""
    shop, forge = forged
    token = bound_token(forge)
    assert call_with_proof(shop, token, proof(forge, token)).status_code == 200
    assert_proof_refused(
        shop, shop.call("GET", ORDERS, headers={"Authorization": f"DPoP {token}"}), Reason.DPOP_HEADERS
    )
    as_bearer = shop.call("GET", ORDERS, token, headers={"DPoP": proof(forge, token)})
    assert_refused(shop, as_bearer, Reason.SENDER_CONSTRAINED)


NOT_ITS_KEY: dict[str, tuple[Callable[[Forge], str], Reason]] = {
    "bound to another key": (lambda f: bound_token(f, "victim"), Reason.WRONG_KEY),
    "bound to nothing": (lambda f: f.good(), Reason.NOT_BOUND),
    "bound to a certificate": (lambda f: f.claiming(cnf={"x5t#S256": "x" * 43}), Reason.SENDER_CONSTRAINED),
    "bound to a certificate too": (
        lambda f: f.claiming(cnf={"jkt": thumbprint("caller"), "x5t#S256": "x" * 43}),
        Reason.SENDER_CONSTRAINED,
    ),
    "with a binding of the wrong type": (lambda f: f.claiming(cnf={"jkt": [thumbprint("caller")]}), Reason.WRONG_KEY),
    "expired": (lambda f: bound_token(f, exp=now() - 90, iat=now() - 300), Reason.EXPIRED),
}


@pytest.mark.parametrize("name", NOT_ITS_KEY)
def test_attacker_cannot_prove_possession_for_a_token(name: str, forged: tuple[Shop, Forge]) -> None:
    """A flawless proof helps only the token that is bound to its key: 401 `invalid_token` in the DPoP scheme."""
    shop, forge = forged
    right = bound_token(forge)
    assert call_with_proof(shop, right, proof(forge, right)).status_code == 200
    make, reason = NOT_ITS_KEY[name]
    token = make(forge)
    answer = call_with_proof(shop, token, proof(forge, token))
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"].startswith('DPoP error="invalid_token", ')
    [event] = shop.events_of(answer)
    assert (event["event"], event["reason"]) == ("authn_token_refused", reason)

"""Tokens bound to a key: the proof, its nonce, its one use, and what the binding then prevents (RFC 9449)."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient
from tests.functional.test_idp_mock_grants import payload_of, refused
from tests.support.client_keys import ClientKey


def _named(value: object) -> str:
    """An id that is the same in every process: keys made anew differ, what is wrong about them does not."""
    return re.sub(r"0x[0-9a-f]+|'[\w-]{20,}'|\b\d{10}\b", "…", str(value))


OFFLINE = "openid orders:read offline_access"


def code_form(client: OAuthClient, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": client.code(**changes),
        "redirect_uri": client.redirect_uri,
        "code_verifier": client.verifier,
        "client_id": client.client_id,
    }


def userinfo(idp: IdpServer, scheme: str, token: str, proof: str | None = None) -> requests.Response:
    headers = {"Authorization": f"{scheme} {token}", **({"DPoP": proof} if proof else {})}
    return requests.get(f"{idp.issuer}/userinfo", headers=headers, timeout=TIMEOUT_SECONDS)


def test_a_token_is_bound_to_the_proved_key(idp: IdpServer) -> None:
    """RFC 9449 §5 and §6: token_type DPoP and cnf.jkt, in the token and in introspection."""
    key = ClientKey()
    body = key.post(f"{idp.issuer}/token", code_form(OAuthClient(idp.issuer))).json()
    assert body["token_type"] == "DPoP"
    assert payload_of(body["access_token"])["cnf"] == {"jkt": key.thumbprint}
    auth = ("example-service", idp.service_secret)
    form = {"token": body["access_token"]}
    about = requests.post(f"{idp.issuer}/introspect", data=form, auth=auth, timeout=TIMEOUT_SECONDS).json()
    assert (about["cnf"], about["token_type"]) == ({"jkt": key.thumbprint}, "DPoP")


def test_a_proof_needs_the_servers_nonce(idp: IdpServer) -> None:
    """RFC 9449 §8: without it, or with another, the answer is the challenge; the code is not used up."""
    key, url, form = ClientKey(), f"{idp.issuer}/token", code_form(OAuthClient(idp.issuer))
    for nonce in (None, "x", 1):
        answer = key.post(url, form, nonce=nonce)
        refused(answer, "use_dpop_nonce")
        assert answer.headers["DPoP-Nonce"]
    accepted = key.post(url, form, nonce=answer.headers["DPoP-Nonce"])
    assert accepted.status_code == 200
    assert accepted.headers["DPoP-Nonce"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"htm": "GET"},
        {"htu": "https://elsewhere.example/token"},
        {"htu": None},
        {"iat": 1},
        {"iat": None},
        {"iat": "now"},
        {"iat": int(time.time()) + 7200},
        {"jti": None},
        {"header": {"typ": "JWT"}},
        {"header": {"jwk": None}},
        {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}},
        {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=True)}},
        {"header": {"jwk": {"kty": "oct", "k": "c2VjcmV0"}}},
    ],
    ids=_named,
)
def test_a_wrong_proof_is_refused(idp: IdpServer, wrong: dict[str, Any]) -> None:
    """Checklist 22: typ, key, signature, htm, htu, iat and jti at the token endpoint [RFC 9449 §4.3]."""
    key, url, form = ClientKey(), f"{idp.issuer}/token", code_form(OAuthClient(idp.issuer))
    nonce = key.post(url, form, nonce="x").headers["DPoP-Nonce"]
    refused(key.post(url, form, nonce=nonce, **wrong), "invalid_dpop_proof")
    assert key.post(url, form, nonce=nonce).status_code == 200


def test_a_proof_is_used_once(idp: IdpServer) -> None:
    """Checklist 24: jti replay refused; two headers refused; the address is compared in normal form."""
    key, url = ClientKey(), f"{idp.issuer}/token"
    form = code_form(OAuthClient(idp.issuer, scope=OFFLINE))
    nonce = key.post(url, form, nonce="x").headers["DPoP-Nonce"]
    address = url.replace("http://localhost", "HTTP://LOCALHOST") + "?a=b#c"
    proof = key.proof("POST", address, nonce=nonce)
    two = {"DPoP": f"{key.proof('POST', url, nonce=nonce)}, {key.proof('POST', url, nonce=nonce)}"}
    refused(requests.post(url, data=form, headers=two, timeout=TIMEOUT_SECONDS), "invalid_dpop_proof")
    body = requests.post(url, data=form, headers={"DPoP": proof}, timeout=TIMEOUT_SECONDS).json()
    again = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": "example-cli"}
    refused(requests.post(url, data=again, headers={"DPoP": proof}, timeout=TIMEOUT_SECONDS), "invalid_dpop_proof")
    assert key.post(url, again).status_code == 200


def test_a_code_can_be_bound_to_a_key(idp: IdpServer) -> None:
    """RFC 9449 §10: dpop_jkt at the authorization endpoint; another key, or none, does not redeem the code."""
    key, url, client = ClientKey(), f"{idp.issuer}/token", OAuthClient(idp.issuer)
    form = code_form(client, dpop_jkt=key.thumbprint)
    refused(ClientKey().post(url, form), "invalid_dpop_proof")
    refused(requests.post(url, data=form, timeout=TIMEOUT_SECONDS), "invalid_dpop_proof")
    assert key.post(url, form).status_code == 200


def test_a_public_clients_refresh_token_is_bound_to_the_key(idp: IdpServer) -> None:
    """Checklist 40: DPoP key for public clients; a thief's attempt neither uses it up nor revokes the family."""
    key, url = ClientKey(), f"{idp.issuer}/token"
    body = key.post(url, code_form(OAuthClient(idp.issuer, scope=OFFLINE))).json()
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": "example-cli"}
    refused(requests.post(url, data=form, timeout=TIMEOUT_SECONDS), "invalid_dpop_proof")
    refused(ClientKey().post(url, form), "invalid_dpop_proof")
    second = key.post(url, form).json()
    assert payload_of(second["access_token"])["cnf"] == {"jkt": key.thumbprint}
    form["refresh_token"] = second["refresh_token"]
    refused(ClientKey().post(url, form), "invalid_dpop_proof")
    assert key.post(url, form).status_code == 200


def test_userinfo_wants_the_proof_of_a_bound_token(idp: IdpServer) -> None:
    """Checklist 23: sent as Bearer, without a proof, by another key, or for another token: 401."""
    key, url, client = ClientKey(), f"{idp.issuer}/userinfo", OAuthClient(idp.issuer)
    token = key.post(f"{idp.issuer}/token", code_form(client)).json()["access_token"]
    challenge = userinfo(idp, "DPoP", token, key.proof("GET", url, token))
    assert 'DPoP error="use_dpop_nonce"' in challenge.headers["WWW-Authenticate"]
    nonce = challenge.headers["DPoP-Nonce"]
    assert userinfo(idp, "dpop", token, key.proof("GET", url, token, nonce=nonce)).status_code == 200
    for scheme, proof in (
        ("Bearer", None),
        ("Bearer", key.proof("GET", url, token, nonce=nonce)),
        ("DPoP", None),
        ("DPoP", ClientKey().proof("GET", url, token, nonce=nonce)),
        ("DPoP", key.proof("GET", url, "other", nonce=nonce)),
        ("DPoP", key.proof("GET", url, nonce=nonce)),
    ):
        answer = userinfo(idp, scheme, token, proof)
        assert (answer.status_code, answer.text) == (401, "")
    bearer = client.tokens()["access_token"]
    assert userinfo(idp, "DPoP", bearer, key.proof("GET", url, bearer, nonce=nonce)).status_code == 401
    assert userinfo(idp, "Bearer", bearer).status_code == 200

"""A FAPI 2.0 client that is as right or as wrong as a test asks: pushed requests, private_key_jwt, DPoP."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from joserfc import jws
from joserfc.jwk import ECKey

from idp_mock.testing import TIMEOUT_SECONDS, answer_of, pkce_pair

REDIRECT = "https://fapi.example/callback"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def signed(header: dict[str, Any], claims: dict[str, Any], key: ECKey) -> str:
    return jws.serialize_compact({"alg": "ES256", **header}, json.dumps(claims).encode(), key, ["ES256"])


@dataclass
class FapiClient:
    """One client and one DPoP key; `verifier` is of the latest pushed request."""

    issuer: str
    private_jwk: dict[str, Any] = field(repr=False)
    client_id: str = "fapi"
    redirect_uri: str = REDIRECT
    scope: str = "openid profile offline_access"
    dpop_key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    verifier: str = ""
    nonce: str | None = None

    def assertion(self, **changes: Any) -> dict[str, str]:
        """Client authentication; `changes` are merged over the claims, None takes one out."""
        now = int(time.time())
        usual = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }
        claims = {name: value for name, value in {**usual, **changes}.items() if value is not None}
        token = signed({"kid": self.private_jwk["kid"]}, claims, ECKey.import_key(self.private_jwk))
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}

    def proof(self, method: str, url: str, access_token: str | None = None, **changes: Any) -> str:
        """A DPoP proof, with the server's latest nonce."""
        claims: dict[str, Any] = {
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "jti": secrets.token_urlsafe(16),
            "nonce": self.nonce,
        }
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return signed({"typ": "dpop+jwt", "jwk": self.dpop_key.as_dict(private=False)}, claims, self.dpop_key)

    def request_parameters(self, **changes: str | None) -> dict[str, str]:
        self.verifier, challenge = pkce_pair()
        usual: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": "s-1",
            "nonce": "n-1",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": "alice",
        }
        return {name: value for name, value in {**usual, **changes}.items() if value is not None}

    def push(self, assertion: dict[str, str] | None = None, **changes: str | None) -> requests.Response:
        form = {**self.request_parameters(**changes), **(self.assertion() if assertion is None else assertion)}
        return requests.post(f"{self.issuer}/par", data=form, timeout=TIMEOUT_SECONDS)

    def pushed(self, **changes: str | None) -> str:
        response = self.push(**changes)
        assert response.status_code == 201, response.text
        return str(response.json()["request_uri"])

    def authorize(self, request_uri: str, **changes: str | None) -> requests.Response:
        usual = {"client_id": self.client_id, "request_uri": request_uri}
        return requests.get(
            f"{self.issuer}/authorize",
            params={**usual, **changes},
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )

    def code(self, **changes: str | None) -> str:
        return answer_of(self.authorize(self.pushed(**changes)).headers["Location"])["code"]

    def token(
        self, proof: str | None = "", assertion: dict[str, str] | None = None, **changes: str
    ) -> requests.Response:
        """The token endpoint's answer, after the server's nonce is known. `proof` None sends none."""
        url = f"{self.issuer}/token"
        while True:
            form = {
                "grant_type": "authorization_code",
                "redirect_uri": self.redirect_uri,
                "client_id": self.client_id,
                "code_verifier": self.verifier,
                **changes,
                **(self.assertion() if assertion is None else assertion),
            }
            sent = self.proof("POST", url) if proof == "" else proof
            headers = {} if sent is None else {"DPoP": sent}
            response = requests.post(url, data=form, headers=headers, timeout=TIMEOUT_SECONDS)
            fresh = response.headers.get("DPoP-Nonce")
            wants_nonce = response.status_code == 400 and response.json().get("error") == "use_dpop_nonce"
            if not wants_nonce or proof != "" or fresh == self.nonce:
                return response
            self.nonce = fresh

    def userinfo(self, access_token: str, scheme: str = "DPoP", **changes: Any) -> requests.Response:
        url = f"{self.issuer}/userinfo"
        for _ in range(2):
            headers = {
                "Authorization": f"{scheme} {access_token}",
                "DPoP": self.proof("GET", url, access_token, **changes),
            }
            response = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS)
            if "use_dpop_nonce" not in response.headers.get("WWW-Authenticate", ""):
                break
            self.nonce = response.headers["DPoP-Nonce"]
        return response

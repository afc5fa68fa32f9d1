"""A provider on loopback that answers as it is told, and a browser that signs in with it."""

from __future__ import annotations

import base64
import http.server
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.credentials.token_workshop import compact, rsa_jwk
from tests.unit.outbound.loopback_server import Answer, LoopbackServer, answer_json

CLIENT_ID, CLIENT_SECRET = "shop-web", "s3cr:t/ä"
ACCESS_TOKEN = "canary-access-token"
CODE = "canary-code"


@dataclass
class ImaginaryProvider:
    """What the provider says: `claims` go over those of a right ID token, None takes one out."""

    server: LoopbackServer
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    signing_key: str = "mock"
    nonce: str = ""
    id_token: str | None = None  # a whole token instead of a made one
    token_members: dict[str, Any] = field(default_factory=dict)  # over the right token response; None takes one out
    token_answer: Answer | None = None
    asked: list[tuple[Mapping[str, str], dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.publish([rsa_jwk("mock", "key-1", alg="RS256")])
        self.server.answers["/token"] = self._answer_token
        self.publish()

    @property
    def issuer(self) -> str:
        return self.server.url

    def publish(self, **changes: Any) -> None:
        """Metadata with these members; None takes one out."""
        usual = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
            "end_session_endpoint": f"{self.issuer}/logout",
        }
        document = {name: value for name, value in {**usual, **changes}.items() if value is not None}
        self.server.answers["/.well-known/openid-configuration"] = answer_json(document)

    def userinfo(self, **claims: Any) -> None:
        """Announce UserInfo with these claims."""
        self.publish(userinfo_endpoint=f"{self.issuer}/userinfo")
        self.server.answers["/userinfo"] = answer_json(claims)

    def make_id_token(self) -> str:
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "usr_1",
            "nonce": self.nonce,
            "iat": now - 1,
            "exp": now + 300,
            "auth_time": now - 60,
            "acr": "pwd",
            "email": "alice@shop.example",
            "email_verified": True,
            "name": "Alice Ahlberg",
            "groups": ["shop-customers", "unknown-group"],
        }
        claims = {name: value for name, value in {**usual, **self.claims}.items() if value is not None}
        return compact({"alg": "RS256", "kid": "key-1", "typ": "JWT", **self.header}, claims, self.signing_key)

    def _answer_token(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        headers, body = self.server.received[-1]
        self.asked.append((headers, dict(parse_qsl(body.decode(), keep_blank_values=True))))
        usual = {
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.id_token or self.make_id_token(),
        }
        members = {name: value for name, value in {**usual, **self.token_members}.items() if value is not None}
        (self.token_answer or answer_json(members))(handler)


@dataclass
class Browser:
    """One browser at the application."""

    app: Flask
    provider: ImaginaryProvider
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def begin(self, name: str = "mock", return_to: str = "/account") -> dict[str, str]:
        """Start a sign-in; the parameters of the authorization request."""
        answer = self.client.get(f"/auth/login/{name}", query_string={"return_to": return_to})
        assert answer.status_code == 303, answer.text
        values = parse_qs(urlsplit(answer.headers["Location"]).query, strict_parsing=True)
        assert all(len(found) == 1 for found in values.values())
        request = {name: found[0] for name, found in values.items()}
        self.provider.nonce = request["nonce"]
        return request

    def come_back(self, request: Mapping[str, str], name: str = "mock", **changes: str | None) -> TestResponse:
        """The provider's answer; None takes a parameter out."""
        usual = {"code": CODE, "state": request["state"], "iss": self.provider.issuer}
        parameters = {name: value for name, value in {**usual, **changes}.items() if value is not None}
        return self.client.get(f"/auth/callback/{name}", query_string=parameters)

    def sign_in(self, **changes: str | None) -> TestResponse:
        return self.come_back(self.begin(), **changes)

    @property
    def session_cookie(self) -> str | None:
        cookie = self.client.get_cookie("__Host-session")
        return cookie.value if cookie is not None else None


def basic(user: str, password: str) -> str:
    """The credentials of an Authorization header, as they are."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

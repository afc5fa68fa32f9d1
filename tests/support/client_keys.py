"""A client's own key, for tests of the identity provider: assertions, request objects, DPoP proofs, right or wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from joserfc import jwt
from joserfc.jwk import ECKey

from idp_mock.testing import TIMEOUT_SECONDS


@dataclass
class ClientKey:
    """A P-256 key; `None` among the changes of a JWT takes a member out."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    @property
    def public(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=False))

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": [{**self.public, "kid": "k1"}]})

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint()

    def sign(self, claims: dict[str, Any], header: dict[str, Any]) -> str:
        wanted = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", **header}, wanted, self.key, ["ES256"], default_type=None)

    def assertion(self, client_id: str, audience: str, **changes: Any) -> dict[str, str]:
        """The form members of private_key_jwt."""
        now = int(time.time())
        usual = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "exp": now + 60,
            "iat": now,
            "jti": secrets.token_urlsafe(8),
        }
        header = changes.pop("header", {"kid": "k1"})
        return {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.sign({**usual, **changes}, header),
        }

    def request_object(self, client_id: str, audience: str, parameters: dict[str, str], /, **changes: Any) -> str:
        usual = {"iss": client_id, "aud": audience, "exp": int(time.time()) + 60, "client_id": client_id, **parameters}
        header = changes.pop("header", {"kid": "k1", "typ": "oauth-authz-req+jwt"})
        return self.sign({**usual, **changes}, header)

    def proof(self, method: str, url: str, token: str | None = None, **changes: Any) -> str:
        """A DPoP proof; `header` among the changes is merged over its header."""
        usual: dict[str, Any] = {
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "jti": secrets.token_urlsafe(8),
        }
        if token is not None:
            usual["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        header = {"typ": "dpop+jwt", "jwk": self.public, **changes.pop("header", {})}
        return self.sign({**usual, **changes}, {name: value for name, value in header.items() if value is not None})

    def post(
        self, url: str, form: dict[str, str], auth: tuple[str, str] | None = None, **changes: Any
    ) -> requests.Response:
        """Post with a proof, as a client does: once more with the nonce when it is asked for one."""
        for _ in range(2):
            headers = {"DPoP": self.proof("POST", url, **changes)}
            response = requests.post(url, data=form, auth=auth, headers=headers, timeout=TIMEOUT_SECONDS)
            if response.json().get("error") != "use_dpop_nonce" or "nonce" in changes:
                break
            changes["nonce"] = response.headers["DPoP-Nonce"]
        return response

"""Authenticates a client: exactly one method, one that it is registered for.

RFC 6749 §2.3, RFC 7523 §3. Authlib's own reader decodes HTTP Basic without the form-urlencoding that §2.3.1 demands,
fails on bytes that are not UTF-8, and takes credentials from the query string.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from werkzeug.datastructures import MultiDict

from idp_mock.client_keys import verified_jwt
from idp_mock.clients import PRIVATE_KEY_JWT, Client
from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TYPES = (None, "JWT", "client-authentication+jwt")
_MAX_ASSERTION_SECONDS = 300
_CLOCK_SKEW_SECONDS = 10


def authenticate_client(issuer: Issuer, authorization: str | None, form: MultiDict[str, str]) -> tuple[Client, str]:
    """The client and the method it used; raises `InvalidClientError` or, for two methods, `InvalidRequestError`."""
    tried = [authorization is not None, "client_secret" in form, "client_assertion" in form]
    if sum(tried) > 1:
        raise InvalidRequestError("Use one way to authenticate the client, not two.")
    if "client_assertion" in form or "client_assertion_type" in form:
        return _client_of_assertion(issuer, form), PRIVATE_KEY_JWT
    # A client that tried the header gets a 401 with a challenge (RFC 6749 §5.2).
    status = 400 if authorization is None else 401
    if authorization is not None:
        method = "client_secret_basic"
        client_id, secret = _basic_credentials(authorization)
        if form.get("client_id", client_id) != client_id:
            raise InvalidRequestError("The form and the Authorization header name different clients.")
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        method = "client_secret_post" if "client_secret" in form else "none"
    client = issuer.registry.clients.get(client_id)
    if client is None or method not in client.auth_methods:
        raise InvalidClientError("Client authentication failed.", status_code=status)
    if method != "none" and not client.check_client_secret(secret):
        raise InvalidClientError("Client authentication failed.", status_code=status)
    return client, method


def _client_of_assertion(issuer: Issuer, form: MultiDict[str, str]) -> Client:
    """The client that signed the assertion with a registered key, for this issuer, for now, and for once."""
    if form.get("client_assertion_type") != JWT_BEARER:
        raise InvalidRequestError(f"The only 'client_assertion_type' is {JWT_BEARER}.")
    token = form.get("client_assertion", "")
    client = issuer.registry.clients.get(form.get("client_id") or _claimed_client(token))
    signed = verified_jwt(client.jwks, token) if client else None
    if client is None or signed is None or PRIVATE_KEY_JWT not in client.auth_methods:
        raise InvalidClientError("Client authentication failed.")
    if signed.typ not in _TYPES:
        raise InvalidClientError("A JWT for another use is no client assertion.")
    claims, now = signed.claims, issuer.clock()
    # The audience is the issuer as one string, never an endpoint's address or a list: an assertion that another
    # server could have been given must be of no use here (RFC 9700 §4.8.2 and the successor of RFC 7523).
    if (claims.get("iss"), claims.get("sub"), claims.get("aud")) != (client.client_id, client.client_id, issuer.url):
        raise InvalidClientError("The assertion's iss, sub or aud is wrong.")
    expires_at, issued_at, not_before = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if not now < expires_at <= now + _MAX_ASSERTION_SECONDS or max(issued_at, not_before) > now + _CLOCK_SKEW_SECONDS:
        raise InvalidClientError("The assertion has expired, is not valid yet, or is valid for too long.")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not token_id:
        raise InvalidClientError("The assertion has no jti.")
    if not issuer.stores.seen.add(fingerprint(f"assertion {client.client_id} {token_id}"), True, expires_at - now):
        raise InvalidClientError("The assertion was used before.")
    return client


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name, None if name == "exp" else 0)
    if type(value) not in (int, float):
        raise InvalidClientError("A time in the assertion is missing or no number.")
    return float(str(value))


def _claimed_client(token: str) -> str:
    """Whom the assertion says it is from: only to find the keys that prove it."""
    try:
        payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return str(payload["sub"])
    except (LookupError, TypeError, ValueError):
        return ""


def _basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
            client_id, separator, secret = text.partition(":")
            if separator:
                # Both halves are form-urlencoded before they are joined, so a "-" may arrive as "%2D".
                return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
        except (binascii.Error, ValueError):
            pass
    raise InvalidClientError("The Authorization header holds no client credentials.", status_code=401)

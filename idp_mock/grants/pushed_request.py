"""Where the parameters of an authorization request come from: the query, a pushed request, or a signed object.

RFC 9126 §4, RFC 9101 §5 and §6. Whichever it is, only those parameters count, never a mixture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oidc.core.errors import RequestNotSupportedError, RequestURINotSupportedError
from werkzeug.datastructures import MultiDict

from idp_mock.client_keys import verified_jwt
from idp_mock.clients import Client
from idp_mock.grants.authorization_request import validated_redirect_uri
from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint, new_secret
from idp_mock.stores.records import PushedRequest

URN = "urn:ietf:params:oauth:request_uri:"
REQUEST_OBJECT_TYP = "oauth-authz-req+jwt"
_MAX_OBJECT_SECONDS = 3_600
_JWT_CLAIMS = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti", "sub"})


class InvalidRequestURIError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The request_uri is unknown, has ended, was used, or belongs to another client (RFC 9101 §7)."""

    error = "invalid_request_uri"


class InvalidRequestObjectError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The request object is not a current one that the client signed for this issuer (RFC 9101 §7)."""

    error = "invalid_request_object"


def effective_parameters(issuer: Issuer, values: MultiDict[str, str]) -> MultiDict[str, str]:
    """The parameters that count for a request at the authorization endpoint.

    Raises `OAuth2Error`; it carries the redirect URI of the query when that one is registered, and else ends in place.
    """
    try:
        if "request_uri" in values:
            return _pushed_parameters(issuer, values)
        client = issuer.registry.clients.get(values.get("client_id", ""))
        if client is not None and client.requires_pushed_request:
            raise InvalidRequestError("This client has to push its authorization requests.")
        return signed_parameters(issuer, client, values)
    except OAuth2Error as error:
        error.redirect_uri = validated_redirect_uri(issuer, dict(values.lists()))
        error.state = values.get("state")
        raise


def push_request(issuer: Issuer, client: Client, values: MultiDict[str, str]) -> str:
    """Remember validated parameters; the answer is the request_uri that stands for them once."""
    request_uri = URN + new_secret()
    record = PushedRequest(client.client_id, tuple(values.items(multi=True)))
    issuer.stores.pushed.put(fingerprint(request_uri), record, issuer.lifetimes.pushed_request)
    return request_uri


def signed_parameters(issuer: Issuer, client: Client | None, values: MultiDict[str, str]) -> MultiDict[str, str]:
    """The parameters inside the `request` object; the values themselves where there is none and none is required."""
    if "request" not in values:
        if client is not None and client.requires_signed_request:
            raise InvalidRequestError("This client has to sign its authorization requests.")
        return values
    if client is None or client.jwks is None:
        raise RequestNotSupportedError()
    if len(values.getlist("request")) != 1:
        raise InvalidRequestError("A parameter was sent more than once.")
    signed = verified_jwt(client.jwks, values["request"])
    if signed is None or signed.typ != REQUEST_OBJECT_TYP:
        raise InvalidRequestObjectError("The request object is not signed by the client, or of another typ.")
    claims = signed.claims
    audience = claims.get("aud")
    if issuer.url not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidRequestObjectError("The request object is for another server.")
    if claims.get("iss") != client.client_id or claims.get("client_id") != client.client_id:
        raise InvalidRequestObjectError("The request object is another client's.")
    if "request" in claims or "request_uri" in claims:
        raise InvalidRequestObjectError("A request object refers to no other.")
    _check_times(claims, issuer.clock())
    return _parameters(claims)


def _pushed_parameters(issuer: Issuer, values: MultiDict[str, str]) -> MultiDict[str, str]:
    request_uri = values["request_uri"]
    # Anything else would make this server fetch an address that a stranger chose.
    if not request_uri.startswith(URN):
        raise RequestURINotSupportedError()
    if len(values.getlist("request_uri")) != 1 or len(values.getlist("client_id")) != 1 or "request" in values:
        raise InvalidRequestError("Send one 'request_uri' with one 'client_id', and no 'request'.")
    handle = fingerprint(request_uri)
    pushed = issuer.stores.pushed.get(handle)
    # The client is compared first: another one's attempt does not use the request up.
    if pushed is None or pushed.client_id != values["client_id"] or issuer.stores.pushed.remove(handle) is None:
        raise InvalidRequestURIError("The request_uri is unknown, has ended, or was used before.")
    return MultiDict(pushed.parameters)


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires_at, not_before = claims.get("exp"), claims.get("nbf", now)
    if type(expires_at) not in (int, float) or type(not_before) not in (int, float):
        raise InvalidRequestObjectError("The request object needs an exp.")
    if not now < float(str(expires_at)) <= now + _MAX_OBJECT_SECONDS or float(str(not_before)) > now + 10:
        raise InvalidRequestObjectError("The request object has expired, is not valid yet, or is valid for too long.")


def _parameters(claims: Mapping[str, Any]) -> MultiDict[str, str]:
    pairs: list[tuple[str, str]] = []
    for name, value in claims.items():
        if name in _JWT_CLAIMS:
            continue
        if name == "resource" and isinstance(value, list):
            pairs.extend((name, str(item)) for item in value)
        elif isinstance(value, dict | list):
            pairs.append((name, json.dumps(value)))
        elif isinstance(value, str | int) and not isinstance(value, bool):
            pairs.append((name, str(value)))
        else:
            raise InvalidRequestObjectError("A parameter in the request object has a wrong type.")
    return MultiDict(pairs)

"""Authenticates a client at the token endpoint: exactly one method, the one it is registered for.

RFC 6749 §2.3. Authlib's own reader decodes HTTP Basic without the form-urlencoding that §2.3.1 demands, fails on
bytes that are not UTF-8, and takes credentials from the query string.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from werkzeug.datastructures import MultiDict

from idp_mock.clients import Client


def authenticate_client(
    clients: Mapping[str, Client], authorization: str | None, form: MultiDict[str, str]
) -> tuple[Client, str]:
    """The client and the method it used; raises `InvalidClientError` or, for two methods, `InvalidRequestError`."""
    if authorization is not None and "client_secret" in form:
        raise InvalidRequestError("Use one way to authenticate the client, not two.")
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
    client = clients.get(client_id)
    if client is None or method not in client.auth_methods:
        raise InvalidClientError("Client authentication failed.", status_code=status)
    if method != "none" and not client.check_client_secret(secret):
        raise InvalidClientError("Client authentication failed.", status_code=status)
    return client, method


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

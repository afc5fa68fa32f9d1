"""Reads an authorization request strictly: what is not exactly right is refused before any page is shown.

Faults of the client or the redirect URI carry no `redirect_uri` and end on an error page; all later ones go back
to the client. RFC 6749 §4.1.1, RFC 9700 §2.1, OIDC Core §3.1.2.1, RFC 8707 §2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import (
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
)
from authlib.oidc.core.errors import (
    RegistrationNotSupportedError,
    RequestNotSupportedError,
    RequestURINotSupportedError,
)

from idp_mock.authorization_details import read_details
from idp_mock.clients import Client
from idp_mock.issuer import Issuer
from idp_mock.tokens import ID_TOKEN_TYP

ValueLists = Mapping[str, list[str]]
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_VALUE_LENGTH = 2048


class UnsupportedResponseTypeError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's own class copies the caller's text into the description, which raises on a quotation mark."""

    error = "unsupported_response_type"


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The requested resource is unknown here or not registered for the client (RFC 8707 §2)."""

    error = "invalid_target"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A validated authorization request. `hinted_sub` is the subject of a verified `id_token_hint`."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    code_challenge: str
    nonce: str | None
    prompts: frozenset[str]
    max_age_seconds: int | None
    acr_values: tuple[str, ...]
    login_hint: str | None
    hinted_sub: str | None
    dpop_jkt: str | None
    authorization_details: str


def read_authorization_request(issuer: Issuer, values: ValueLists) -> AuthorizationRequest:
    """The validated request, or an `OAuth2Error` that knows whether it may be redirected."""
    client, redirect_uri = _client_and_redirect_uri(issuer, values)
    with _faults_go_to(redirect_uri):
        _refuse_repeated(values)
        _check_response(client, values)
        _refuse_unsupported(values)
        return AuthorizationRequest(
            client=client,
            redirect_uri=redirect_uri,
            code_challenge=_code_challenge(issuer, client, values),
            scopes=_scopes(client, values),
            resources=requested_resources(client, values) or (issuer.registry.default_resource,),
            nonce=_one(values, "nonce"),
            prompts=_prompts(values),
            max_age_seconds=_max_age(values),
            acr_values=tuple((_one(values, "acr_values") or "").split()),
            login_hint=_one(values, "login_hint"),
            hinted_sub=_hinted_sub(issuer, values),
            dpop_jkt=_dpop_jkt(values),
            authorization_details=read_details(client, _one(values, "authorization_details")),
        )


def validated_redirect_uri(issuer: Issuer, values: ValueLists) -> str | None:
    """The redirect URI of a request that cannot be read further, when it is registered for the client; else None."""
    try:
        return _client_and_redirect_uri(issuer, values)[1]
    except OAuth2Error:
        return None


def requested_resources(client: Client, values: ValueLists) -> tuple[str, ...]:
    """The resources named in the request, each registered for the client; `InvalidTargetError` for any other."""
    wanted = tuple(dict.fromkeys(values.get("resource", [])))
    if not set(wanted) <= set(client.resources):
        raise InvalidTargetError("The requested resource is unknown or not registered for this client.")
    return _shared(wanted)


@lru_cache(maxsize=1_000)
def _shared(values: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for all equal ones, which ten thousand records then have in common."""
    return values


def narrowed_resources(client: Client, values: ValueLists, granted: tuple[str, ...]) -> tuple[str, ...]:
    """The resources for one access token: those named, all of them granted before; else all granted (RFC 8707 §2.2)."""
    wanted = requested_resources(client, values)
    if not set(wanted) <= set(granted):
        raise InvalidTargetError("The requested resource was not granted.")
    return wanted or granted


def _client_and_redirect_uri(issuer: Issuer, values: ValueLists) -> tuple[Client, str]:
    for name in ("client_id", "redirect_uri"):
        if len(values.get(name, [])) > 1:
            raise InvalidRequestError(f"The parameter '{name}' was sent more than once.")
    client = issuer.registry.clients.get(_one(values, "client_id") or "")
    if client is None:
        raise InvalidRequestError("The client is unknown here.")
    redirect_uri = _one(values, "redirect_uri")
    if redirect_uri is None:
        raise InvalidRequestError("The parameter 'redirect_uri' is required.")
    if not client.allows_redirect_to(redirect_uri):
        raise InvalidRequestError("The redirect URI is not registered for this client.")
    return client, redirect_uri


@contextmanager
def _faults_go_to(redirect_uri: str) -> Iterator[None]:
    try:
        yield
    except OAuth2Error as error:
        error.redirect_uri = redirect_uri
        raise


def _one(values: ValueLists, name: str) -> str | None:
    found = values.get(name, [])
    # An empty value counts as absent (RFC 6749 §3.1).
    return (found[0] or None) if found else None


def _refuse_repeated(values: ValueLists) -> None:
    for name, found in values.items():
        if len(found) > 1 and name != "resource":
            raise InvalidRequestError("A parameter was sent more than once.")
        if any(len(value) > _MAX_VALUE_LENGTH for value in found):
            raise InvalidRequestError("A parameter is too long.")


def _check_response(client: Client, values: ValueLists) -> None:
    response_type = _one(values, "response_type")
    if response_type is None:
        raise InvalidRequestError("The parameter 'response_type' is required.")
    if response_type != "code":
        raise UnsupportedResponseTypeError("The only response type is 'code'.")
    if not client.check_grant_type("authorization_code"):
        raise UnauthorizedClientError("This client may not use the authorization code grant.")
    if _one(values, "response_mode") not in (None, "query"):
        raise InvalidRequestError("The only response mode is 'query'.")


def _refuse_unsupported(values: ValueLists) -> None:
    if "request" in values:
        raise RequestNotSupportedError()
    if "request_uri" in values:
        raise RequestURINotSupportedError()
    if "registration" in values:
        raise RegistrationNotSupportedError()


def _code_challenge(issuer: Issuer, client: Client, values: ValueLists) -> str:
    """Every client needs PKCE with S256, here and not only at the token endpoint (RFC 9700 §2.1.1).

    The one exception is a conformance issuer, where a confidential client may rely on its nonce; then it is "".
    """
    challenge = _one(values, "code_challenge")
    if challenge is None:
        if issuer.pkce_optional and client.confidential and _one(values, "nonce"):
            return ""
        raise InvalidRequestError("PKCE is required: send 'code_challenge'.")
    # An absent method means 'plain' (RFC 7636 §4.3).
    if _one(values, "code_challenge_method") != "S256":
        raise InvalidRequestError("The only 'code_challenge_method' is 'S256'.")
    if not _S256_CHALLENGE.fullmatch(challenge):
        raise InvalidRequestError("The 'code_challenge' is not a base64url SHA-256 digest.")
    return challenge


def _dpop_jkt(values: ValueLists) -> str | None:
    """The thumbprint of the key that the code shall be bound to (RFC 9449 §10)."""
    thumbprint = _one(values, "dpop_jkt")
    if thumbprint is not None and not _S256_CHALLENGE.fullmatch(thumbprint):
        raise InvalidRequestError("The 'dpop_jkt' is not a base64url SHA-256 thumbprint.")
    return thumbprint


def _scopes(client: Client, values: ValueLists) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys((_one(values, "scope") or "").split(" ")))
    if not all(scopes):
        raise InvalidScopeError("The parameter 'scope' is missing or malformed.")
    if not set(scopes) <= set(client.scopes):
        raise InvalidScopeError("A requested scope is not registered for this client.")
    return _shared(scopes)


def _prompts(values: ValueLists) -> frozenset[str]:
    prompts = frozenset((_one(values, "prompt") or "").split())
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise InvalidRequestError("The parameter 'prompt' has an unknown value or combines 'none' with another.")
    return prompts


def _max_age(values: ValueLists) -> int | None:
    text = _one(values, "max_age")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidRequestError("The parameter 'max_age' is not a number of seconds.")
    return int(text)


def _hinted_sub(issuer: Issuer, values: ValueLists) -> str | None:
    hint = _one(values, "id_token_hint")
    if hint is None:
        return None
    # An expired ID token is a good hint: it only has to be ours (OIDC Core §3.1.2.1).
    claims = issuer.keys.verify(hint, ID_TOKEN_TYP)
    if claims is None or claims.get("iss") != issuer.url or not isinstance(claims.get("sub"), str):
        raise InvalidRequestError("The 'id_token_hint' was not issued here.")
    return str(claims["sub"])

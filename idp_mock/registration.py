"""Clients that register themselves: their metadata is read as strictly as the clients file.

RFC 7591 §2 and §3.2.2, OpenID Connect Dynamic Client Registration 1.0 §2. Authlib's endpoint takes `javascript:`
and plain-http redirect URIs, so none of it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from authlib.oauth2 import OAuth2Error

from idp_mock.client_keys import jwks_fault
from idp_mock.clients import (
    CODE,
    CONFIDENTIAL_GRANT_TYPES,
    GRANT_TYPES,
    ID_TOKEN_ALGORITHMS,
    PRIVATE_KEY_JWT,
    REFRESH,
    SECRET_METHODS,
    Client,
    ClientRegistry,
    backchannel_uri_fault,
)
from idp_mock.redirect_uris import redirect_uri_fault
from idp_mock.stores import Store

AUTH_METHODS = (*SECRET_METHODS, PRIVATE_KEY_JWT, "none")
_MAX_URIS = 20
_MAX_TEXT = 200
# What a server would have to fetch, or could not honour.
_REFUSED = ("jwks_uri", "sector_identifier_uri", "request_uris", "software_statement", "initiate_login_uri")


class InvalidRedirectURIError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A redirect URI is missing or not allowed (RFC 7591 §3.2.2)."""

    error = "invalid_redirect_uri"


class InvalidClientMetadataError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A member is malformed, or asks for what this server does not give (RFC 7591 §3.2.2)."""

    error = "invalid_client_metadata"


class KnownClients(Mapping[str, Client]):
    """The clients of the file, and after them those that registered themselves."""

    def __init__(self, of_file: Mapping[str, Client], registered: Store[Client]) -> None:
        self._of_file = of_file
        self._registered = registered

    def __getitem__(self, client_id: str) -> Client:
        client = self._of_file.get(client_id) or self._registered.get(client_id)
        if client is None:
            raise KeyError(client_id)
        return client

    def __iter__(self) -> Iterator[str]:
        yield from self._of_file
        yield from (client_id for client_id, _ in self._registered.with_prefix(""))

    def __len__(self) -> int:
        return len(self._of_file) + len(self._registered)


def read_metadata(registry: ClientRegistry, client_id: str, wish: Mapping[str, Any]) -> Client:
    """The client that the metadata describes, without credentials; raises an error of RFC 7591 §3.2.2.

    Members that nobody here knows are ignored (§2).
    """
    if refused := next((name for name in _REFUSED if name in wish), None):
        raise InvalidClientMetadataError(f"'{refused}' is not supported.")
    method = _choice(wish, "token_endpoint_auth_method", AUTH_METHODS, SECRET_METHODS[0])
    confidential = method != "none"
    application_type = _choice(wish, "application_type", ("web", "native"), "web")
    grant_types = _texts(wish, "grant_types", (CODE,))
    if not set(grant_types) <= set(GRANT_TYPES) or (not confidential and CONFIDENTIAL_GRANT_TYPES & set(grant_types)):
        raise InvalidClientMetadataError("A grant type is unknown here, or needs a client that authenticates.")
    if not set(_texts(wish, "response_types", ("code",) if CODE in grant_types else ())) <= {"code"}:
        raise InvalidClientMetadataError("The only response type is 'code'.")
    redirect_uris = _redirect_uris(wish, "redirect_uris", application_type)
    if CODE in grant_types and not redirect_uris:
        raise InvalidRedirectURIError("The authorization code grant needs a redirect URI.")
    if wish.get("subject_type", "public") != "public":
        raise InvalidClientMetadataError("The only subject type is 'public'.")
    jwks = _jwks(wish, required=method == PRIVATE_KEY_JWT)
    requires_signed_request = _flag(wish, "require_signed_request_object")
    if requires_signed_request and jwks is None:
        raise InvalidClientMetadataError("A signed request object needs 'jwks'.")
    logout_uri = wish.get("backchannel_logout_uri")
    if logout_uri is not None and (not isinstance(logout_uri, str) or backchannel_uri_fault(logout_uri)):
        raise InvalidClientMetadataError("The 'backchannel_logout_uri' is not allowed.")
    return Client(
        client_id=client_id,
        name=_text(wish, "client_name", client_id),
        confidential=confidential,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=_redirect_uris(wish, "post_logout_redirect_uris", application_type),
        scopes=_scopes(registry, wish, grant_types),
        grant_types=grant_types,
        application_type=application_type,
        skips_consent=False,
        auth_methods=(method,),
        id_token_alg=_choice(wish, "id_token_signed_response_alg", ID_TOKEN_ALGORITHMS, ID_TOKEN_ALGORITHMS[0]),
        resources=registry.resources,
        jwks=jwks,
        requires_pushed_request=_flag(wish, "require_pushed_authorization_requests"),
        requires_signed_request=requires_signed_request,
        requires_dpop=_flag(wish, "dpop_bound_access_tokens"),
        details_types=_known(wish, "authorization_details_types", tuple(registry.details_types)),
        backchannel_logout_uri=logout_uri,
    )


def metadata_of(client: Client) -> dict[str, Any]:
    """What is registered, in the words of RFC 7591 §2; no secret in it."""
    optional = {"jwks": json.loads(client.jwks) if client.jwks else None}
    optional["backchannel_logout_uri"] = client.backchannel_logout_uri
    return {
        "client_id": client.client_id,
        "client_id_issued_at": client.registered_at,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"] if CODE in client.grant_types else [],
        "scope": " ".join(client.scopes),
        "token_endpoint_auth_method": client.auth_methods[0],
        "application_type": client.application_type,
        "id_token_signed_response_alg": client.id_token_alg,
        "subject_type": "public",
        "require_pushed_authorization_requests": client.requires_pushed_request,
        "require_signed_request_object": client.requires_signed_request,
        "dpop_bound_access_tokens": client.requires_dpop,
        "authorization_details_types": list(client.details_types),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _scopes(registry: ClientRegistry, wish: Mapping[str, Any], grant_types: tuple[str, ...]) -> tuple[str, ...]:
    default = "openid profile" if CODE in grant_types else next(iter(registry.scopes))
    scopes = tuple(dict.fromkeys(_text(wish, "scope", default, 2_000).split()))
    if not scopes or not set(scopes) <= set(registry.scopes):
        raise InvalidClientMetadataError("A scope is unknown here.")
    if "offline_access" in scopes and REFRESH not in grant_types:
        raise InvalidClientMetadataError("The scope offline_access needs the refresh_token grant type.")
    return scopes


def _redirect_uris(wish: Mapping[str, Any], name: str, application_type: str) -> tuple[str, ...]:
    try:
        uris = _texts(wish, name, ())
    except InvalidClientMetadataError as error:
        raise InvalidRedirectURIError(error.description) from None
    for uri in uris:
        if redirect_uri_fault(uri, application_type):
            raise InvalidRedirectURIError("A redirect URI is not allowed for this type of client.")
    return uris


def _jwks(wish: Mapping[str, Any], *, required: bool) -> str | None:
    if "jwks" not in wish and not required:
        return None
    text = json.dumps(wish.get("jwks"))
    if fault := jwks_fault(text):
        raise InvalidClientMetadataError(f"The 'jwks' {fault}.")
    return text


def _known(wish: Mapping[str, Any], name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    values = _texts(wish, name, ())
    if not set(values) <= set(known):
        raise InvalidClientMetadataError(f"'{name}' holds a value that is unknown here.")
    return values


def _texts(wish: Mapping[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    values = wish.get(name, list(default))
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values) or len(values) > _MAX_URIS:
        raise InvalidClientMetadataError(f"'{name}' is not a short list of strings.")
    return tuple(dict.fromkeys(values))


def _text(wish: Mapping[str, Any], name: str, default: str, max_length: int = _MAX_TEXT) -> str:
    value = wish.get(name, default)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= max_length:
        raise InvalidClientMetadataError(f"'{name}' is not a short line of text.")
    return value


def _choice(wish: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = wish.get(name, default)
    if not isinstance(value, str) or value not in allowed:
        raise InvalidClientMetadataError(f"'{name}' is none of the supported values.")
    return value


def _flag(wish: Mapping[str, Any], name: str) -> bool:
    value = wish.get(name, False)
    if not isinstance(value, bool):
        raise InvalidClientMetadataError(f"'{name}' is neither true nor false.")
    return value

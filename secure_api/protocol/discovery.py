"""Metadata of an issuer: OpenID Connect Discovery 1.0 and RFC 8414."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from secure_api.errors import OutboundFailed
from secure_api.protocol import strict_json
from secure_api.protocol.origin import is_loopback, is_trustworthy


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """An issuer's endpoints, from its own document and from nowhere else; None where it has no such endpoint.

    `sends_issuer` says that the authorization response carries `iss` (RFC 9207): a response without it
    is then refused.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    introspection_endpoint: str | None
    revocation_endpoint: str | None
    pushed_authorization_request_endpoint: str | None
    sends_issuer: bool
    supports_s256: bool
    scopes_supported: tuple[str, ...]
    token_endpoint_auth_methods: tuple[str, ...]


def discovery_url(issuer: str) -> str:
    """Where an OpenID provider publishes its metadata: the well-known name after the issuer's path.

    Source: OIDC Discovery §4.
    """
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def oauth_metadata_url(issuer: str) -> str:
    """Where an OAuth server publishes its metadata: the well-known name between host and path.

    Source: RFC 8414 §3.1.
    """
    return insert_well_known(issuer, "oauth-authorization-server")


def insert_well_known(identifier: str, suffix: str) -> str:
    """`identifier` with `/.well-known/<suffix>` between its host and its path; a trailing slash goes.

    Source: RFC 8414 §3.1, RFC 9728 §3.1, RFC 8615 §3.
    """
    parts = urlsplit(identifier)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/.well-known/{suffix}{parts.path.removesuffix('/')}{query}"


def parse_metadata(document: bytes | Mapping[str, Any], expected_issuer: str) -> ProviderMetadata:
    """The endpoints of `expected_issuer`, from a document that names exactly this issuer.

    The comparison is of characters, with no normalising: else one issuer could publish the document
    of another (mix-up). Every endpoint is https, or plain http to this machine where the issuer
    itself is so.

    Raises: `errors.OutboundFailed` where the document is no JSON object, names another issuer, lacks
    `authorization_endpoint`, `token_endpoint` or `jwks_uri`, or names an endpoint that is not safe.
    Source: OIDC Discovery §3 and §4.3, RFC 8414 §3.3, RFC 9207 §3, ASVS v5.0.0-10.5.3.
    """
    if not isinstance(document, Mapping):
        try:
            document = strict_json.parse_object(document)
        except ValueError as error:
            raise OutboundFailed(log_detail=f"metadata of {expected_issuer}: {error}") from None
    if document.get("issuer") != expected_issuer:
        raise OutboundFailed(log_detail=f"metadata of {expected_issuer}: names another issuer")
    allow_http = expected_issuer.startswith("http://") and is_loopback(expected_issuer)

    def optional(name: str) -> str | None:
        value = document.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not is_trustworthy(value, allow_http_loopback=allow_http):
            raise OutboundFailed(log_detail=f"metadata of {expected_issuer}: {name} is not a safe address")
        return value

    def required(name: str) -> str:
        value = optional(name)
        if value is None:
            raise OutboundFailed(log_detail=f"metadata of {expected_issuer}: no {name}")
        return value

    return ProviderMetadata(
        issuer=expected_issuer,
        authorization_endpoint=required("authorization_endpoint"),
        token_endpoint=required("token_endpoint"),
        jwks_uri=required("jwks_uri"),
        userinfo_endpoint=optional("userinfo_endpoint"),
        end_session_endpoint=optional("end_session_endpoint"),
        introspection_endpoint=optional("introspection_endpoint"),
        revocation_endpoint=optional("revocation_endpoint"),
        pushed_authorization_request_endpoint=optional("pushed_authorization_request_endpoint"),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        supports_s256="S256" in _texts(document, "code_challenge_methods_supported"),
        scopes_supported=_texts(document, "scopes_supported"),
        # RFC 8414 §2: client_secret_basic is what an issuer means that says nothing.
        token_endpoint_auth_methods=_texts(document, "token_endpoint_auth_methods_supported")
        or ("client_secret_basic",),
    )


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name)
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()

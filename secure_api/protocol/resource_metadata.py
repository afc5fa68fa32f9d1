"""Protected-resource metadata (RFC 9728): how a client learns which issuers' tokens this API takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from secure_api.protocol.discovery import insert_well_known
from secure_api.protocol.origin import origin_of


def metadata_url(resource: str) -> str:
    """The absolute address of the metadata of `resource`, an absolute address without query or fragment.

    Raises ValueError where `resource` is not such an address. Source: RFC 9728 §1.2 and §3.1.
    """
    origin_of(resource)
    if urlsplit(resource).query:
        raise ValueError("a resource identifier has no query here")
    return insert_well_known(resource, "oauth-protected-resource")


def metadata_path(resource: str) -> str:
    """The path under which the metadata of `resource` must be served.

    Raises ValueError as `metadata_url`. Source: RFC 9728 §3.1.
    """
    return urlsplit(metadata_url(resource)).path


def resource_metadata(
    resource: str,
    *,
    authorization_servers: Sequence[str],
    scopes_supported: Sequence[str] = (),
    resource_name: str | None = None,
    documentation: str | None = None,
) -> dict[str, Any]:
    """The document for `resource`, whose identifier clients compare character by character.

    It says `bearer_methods_supported: ["header"]`: a token in a query or form is never taken.

    Args: `authorization_servers` are issuer identifiers; `documentation` is an absolute address.
    Raises ValueError where `resource` is not an absolute address. Source: RFC 9728 §2 and §3.3.
    """
    metadata_url(resource)
    document: dict[str, Any] = {"resource": resource, "bearer_methods_supported": ["header"]}
    # RFC 9728 §3.2: members without a value are left out, empty arrays among them.
    for name, value in (
        ("authorization_servers", list(authorization_servers)),
        ("scopes_supported", list(scopes_supported)),
        ("resource_name", resource_name),
        ("resource_documentation", documentation),
    ):
        if value:
            document[name] = value
    return document

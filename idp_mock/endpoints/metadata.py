"""Discovery documents: they advertise only what works.

OIDC Discovery §3 and §4, RFC 8414 §2 and §3.1, RFC 9207 §3, RFC 9126 §5, RFC 8628 §4, RFC 9449 §5.1, RFC 9396 §10.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, jsonify

from idp_mock.client_keys import CLIENT_ALGORITHMS
from idp_mock.clients import GRANT_TYPES, ID_TOKEN_ALGORITHMS
from idp_mock.dpop import PROOF_ALGORITHMS
from idp_mock.grants.authorization_code import CLIENT_AUTH_METHODS
from idp_mock.grants.authorization_request import PROMPTS
from idp_mock.issuer import Issuer
from idp_mock.users import ACR_MFA, ACR_PASSWORD


def add_routes(app: Flask, blueprint: Blueprint, issuer: Issuer) -> None:
    def document() -> Response:
        return _cacheable(metadata(issuer))

    # OIDC appends the well-known name to an issuer with a path; RFC 8414 inserts it before the path.
    blueprint.add_url_rule("/.well-known/openid-configuration", "openid_configuration", document)
    oauth_path = f"/.well-known/oauth-authorization-server{issuer.path}"
    app.add_url_rule(oauth_path, f"oauth-authorization-server:{issuer.url}", document)


def metadata(issuer: Issuer) -> dict[str, Any]:
    """The members of both metadata documents."""
    document = {
        "issuer": issuer.url,
        "authorization_endpoint": issuer.endpoint_url("authorize"),
        "token_endpoint": issuer.endpoint_url("token"),
        "userinfo_endpoint": issuer.endpoint_url("userinfo"),
        "jwks_uri": issuer.endpoint_url("jwks"),
        "end_session_endpoint": issuer.endpoint_url("logout"),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "scopes_supported": list(issuer.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [
            alg for alg in ID_TOKEN_ALGORITHMS if alg in issuer.profile.signing_algorithms
        ],
        "token_endpoint_auth_methods_supported": CLIENT_AUTH_METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "claims_supported": list(issuer.profile.claims_supported),
        "acr_values_supported": [ACR_PASSWORD, *([ACR_MFA] if issuer.reaches_mfa else [])],
        "prompt_values_supported": sorted(PROMPTS),
        "claims_parameter_supported": False,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "request_object_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
        "pushed_authorization_request_endpoint": issuer.endpoint_url("par"),
        "require_pushed_authorization_requests": False,
        "device_authorization_endpoint": issuer.endpoint_url("device_authorization"),
        "introspection_endpoint": issuer.endpoint_url("introspect"),
        "revocation_endpoint": issuer.endpoint_url("revoke"),
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "authorization_details_types_supported": list(issuer.registry.details_types),
        "token_endpoint_auth_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
        **{
            f"{endpoint}_endpoint_{member}": values
            for endpoint, methods in (
                ("introspection", CLIENT_AUTH_METHODS[1:]),
                ("revocation", CLIENT_AUTH_METHODS),
            )
            for member, values in (
                ("auth_methods_supported", methods),
                ("auth_signing_alg_values_supported", list(CLIENT_ALGORITHMS)),
            )
        },
    }
    if issuer.registry.registration_digest is not None:
        document["registration_endpoint"] = issuer.endpoint_url("register")
    return issuer.profile.document(document)


def _cacheable(body: dict[str, Any]) -> Response:
    response = jsonify(body)
    response.headers["Cache-Control"] = "public, max-age=60"
    return response

"""Which endpoint of which issuer an address is: for what goes around the endpoints (CORS, log, faults)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from idp_mock.issuer import Issuer

METADATA = "metadata"
Place = tuple[Issuer, str]


def places(issuers: Iterable[Issuer]) -> Mapping[str, Place]:
    """Path → issuer and endpoint name; both metadata documents are `METADATA`."""
    found: dict[str, Place] = {}
    for issuer in issuers:
        found |= {issuer.endpoint_path(name): (issuer, name) for name in issuer.profile.paths}
        found[f"{issuer.path}/.well-known/openid-configuration"] = (issuer, METADATA)
        found[f"/.well-known/oauth-authorization-server{issuer.path}"] = (issuer, METADATA)
    return found

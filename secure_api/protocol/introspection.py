"""Introspection responses (RFC 7662): what an issuer says of a token that only it can read."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from secure_api.protocol.jws import MAX_TOKEN_BYTES
from secure_api.protocol.reasons import Reason, refused
from secure_api.protocol.rfc9068 import AccessTokenClaims, AccessTokenProfile, validate_access_token_claims

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1


def require_token_form(token: str) -> None:
    """Returns only for a text that may be sent on to an issuer as a token.

    Raises: `errors.InvalidToken` with reason TOO_LARGE or MALFORMED. Source: RFC 6750 §2.1.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise refused(Reason.TOO_LARGE)
    if not _TOKEN.fullmatch(token):
        raise refused(Reason.MALFORMED, "not a token")


def validate_introspection(
    response: Mapping[str, Any], *, profile: AccessTokenProfile, issuer: str, audience: Collection[str], now: datetime
) -> AccessTokenClaims:
    """The claims of a token that its issuer calls active, for this API, and that is valid at `now`.

    Only `"active": true` counts, and the rest is judged as the claims of a JWT would be: `active` says
    that the token is good, not that it is good for us. `iss` may be left out, since the answer came from
    the issuer itself; `aud` may not.

    Args: `audience` holds this API's identifiers, one of which must be in `aud`; `now` is timezone-aware.
    Raises: `errors.InvalidToken` with reason INACTIVE, or as `validate_access_token_claims`.
    Source: RFC 7662 §2.2 and §4, ASVS v5.0.0-9.2.3 and 10.3.1.
    """
    if response.get("active") is not True:
        raise refused(Reason.INACTIVE)
    claims = {"iss": issuer, **response}
    return validate_access_token_claims({}, claims, profile=profile, issuer=issuer, audience=audience, now=now)

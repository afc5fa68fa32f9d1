"""Why a token was refused: one short code each, for the audit log and never for the response.

The caller gets the same sentence for every code, so that a refusal tells an attacker nothing about
which check stopped it (RFC 6750 §3.1 asks only for `invalid_token`).
"""

from __future__ import annotations

from enum import StrEnum

from secure_api.errors import InvalidToken


class Reason(StrEnum):
    """The codes of `InvalidToken.reason`. Audit searches and alerts use them: add, never rename."""

    # form: what RFC 7515 and RFC 7519 demand of the text itself
    TOO_LARGE = "too_large"  # longer than the cap that stands before any parsing
    MALFORMED = "malformed"  # not compact form, bad base64url, bad or ambiguous JSON
    ENCRYPTED = "encrypted"  # five parts: a JWE, which no accepted issuer sends
    NESTED = "nested"  # `cty: JWT`: a token in a token
    UNSIGNED = "unsigned"  # `alg: none` in any casing, or an empty signature
    UNSUPPORTED_HEADER = "unsupported_header"  # crit, b64, zip, enc, or a member of the wrong type

    # key and signature
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"  # not in the issuer's list, or not the key's own
    KEY_ID_MISSING = "key_id_missing"
    UNKNOWN_KEY = "unknown_key"  # the issuer publishes no usable key under this `kid`
    BAD_SIGNATURE = "bad_signature"

    # meaning
    WRONG_TYPE = "wrong_type"  # an ID, logout, DPoP or other token where this kind was expected
    UNKNOWN_ISSUER = "unknown_issuer"  # no enabled provider has exactly this `iss`
    NO_ACCESS_TOKENS = "no_access_tokens"  # the provider's access tokens are opaque, so no JWT of its can be one
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_PARTY = "wrong_party"  # `azp` names another client
    CLAIM_MISSING = "claim_missing"
    CLAIM_INVALID = "claim_invalid"  # wrong JSON type, out of range, or not the value that the profile fixes
    CLAIM_FORBIDDEN = "claim_forbidden"  # a claim that only another kind of token carries
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"  # `nbf`, `iat` or `auth_time` lies in the future
    LIFETIME_TOO_LONG = "lifetime_too_long"
    # proof of possession (DPoP, RFC 9449; certificates, RFC 8705)
    SENDER_CONSTRAINED = "sender_constrained"  # bound to a key (`cnf`) and sent as a plain bearer token
    NOT_BOUND = "not_bound"  # sent with the DPoP scheme, but bound to no key
    WRONG_KEY = "wrong_key"  # bound to another key than the one that was proved
    DPOP_REQUIRED = "dpop_required"  # this provider or client must bind its tokens
    DPOP_HEADERS = "dpop_headers"  # no DPoP header, or more than one
    DPOP_MALFORMED = "dpop_malformed"  # no JWS as `protocol.jws` reads it; the log says why
    DPOP_TYPE = "dpop_type"
    DPOP_KEY = "dpop_key"  # no usable public key in the header, or one with its private half
    DPOP_SIGNATURE = "dpop_signature"
    DPOP_CLAIM = "dpop_claim"  # a claim is missing or of the wrong type
    DPOP_METHOD = "dpop_method"
    DPOP_TARGET = "dpop_target"
    DPOP_TIME = "dpop_time"
    DPOP_TOKEN = "dpop_token"  # noqa: S105  # nosec B105 - made for another access token
    DPOP_REPLAYED = "dpop_replayed"
    DPOP_NONCE = "dpop_nonce"  # no nonce, an old one or a forged one, where a fresh one is asked for
    INACTIVE = "inactive"  # its issuer does not call it active
    REVOKED = "revoked"  # the token itself, its session, or every token of its user up to then

    # ID tokens only
    NONCE_MISMATCH = "nonce_mismatch"
    AT_HASH_MISMATCH = "at_hash_mismatch"  # the access token beside it is not the one it was issued with
    AUTHENTICATION_TOO_OLD = "authentication_too_old"  # older than the `max_age` that was asked for


def refused(reason: Reason, what: str = "") -> InvalidToken:
    """An `InvalidToken` with `reason`; `what` is added to the log, so it must hold no text of the token's."""
    return InvalidToken(reason, log_detail=f"{reason}: {what}" if what else "")

"""Proofs of possession: the token endpoint and UserInfo learn which key the sender holds, freshly and for one use.

RFC 9449 §4.3 (what is checked), §8 and §9 (nonces). A nonce is always demanded: it is an HMAC over the current time
window, so that nothing has to be remembered for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from werkzeug.datastructures import Headers

from idp_mock.client_keys import jwk_fault
from idp_mock.issuer import Issuer
from idp_mock.jose import Algorithms
from idp_mock.stores import fingerprint, new_secret

PROOF_ALGORITHMS = ("ES256", "PS256", "RS256", "EdDSA", "Ed25519")
_TYP = "dpop+jwt"
_NONCE_SECONDS = 120
_MAX_AGE_SECONDS = 60
_REMEMBER_SECONDS = 2 * _NONCE_SECONDS
_NONCE_KEY_SECONDS = 100 * 365 * 86_400
_KEY_TYPES: dict[str, Any] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


class InvalidDPoPProofError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The proof is missing, malformed, for another request, by another key, or was sent before (RFC 9449 §12.2)."""

    error = "invalid_dpop_proof"


class UseDPoPNonceError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The proof is right but for its nonce: send it again with the one in the DPoP-Nonce header (RFC 9449 §8)."""

    error = "use_dpop_nonce"


def proof_key(issuer: Issuer, headers: Headers, method: str, url: str, access_token: str | None = None) -> str | None:
    """The thumbprint of the key that the sender of this request proves to hold; None when there is no proof.

    Raises `InvalidDPoPProofError` or `UseDPoPNonceError`. With `access_token`, the proof has to be for that token.
    """
    proofs = headers.getlist("DPoP")
    if not proofs:
        return None
    if len(proofs) != 1 or "," in proofs[0]:
        raise InvalidDPoPProofError("Send one DPoP header.")
    thumbprint, claims = _verified(proofs[0])
    if claims.get("htm") != method or _normal(claims.get("htu")) != _normal(url):
        raise InvalidDPoPProofError("The proof is for another request.")
    if access_token is not None and claims.get("ath") != _base64url_sha256(access_token):
        raise InvalidDPoPProofError("The proof is for another access token.")
    _check_freshness(issuer, thumbprint, claims)
    return thumbprint


def fresh_nonce(issuer: Issuer) -> str:
    """The nonce that proofs must carry now; the one before is good for a while longer."""
    return _nonce(issuer, int(issuer.clock()) // _NONCE_SECONDS)


def _verified(proof: str) -> tuple[str, dict[str, Any]]:
    try:
        header = jws.extract_compact(proof.encode()).headers()
        jwk = header.get("jwk")
        if header.get("typ") != _TYP or not isinstance(jwk, dict) or jwk_fault(jwk):
            raise InvalidDPoPProofError("The proof needs the typ dpop+jwt and a public asymmetric key in its header.")
        key = _KEY_TYPES[jwk["kty"]].import_key(jwk)
        verified = jwt.decode(proof, key, registry=Algorithms(PROOF_ALGORITHMS))
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidDPoPProofError("The proof is not a JWT signed by the key in its header.") from None
    return key.thumbprint(), dict(verified.claims)


def _check_freshness(issuer: Issuer, thumbprint: str, claims: dict[str, Any]) -> None:
    issued_at, token_id = claims.get("iat"), claims.get("jti")
    if type(issued_at) not in (int, float) or not isinstance(token_id, str) or not token_id:
        raise InvalidDPoPProofError("The proof needs iat and jti.")
    # Written so that a NaN, which the JSON reader lets through, is refused as well.
    if not abs(issuer.clock() - float(str(issued_at))) <= _MAX_AGE_SECONDS:
        raise InvalidDPoPProofError("The proof is too old or from the future.")
    window = int(issuer.clock()) // _NONCE_SECONDS
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not any(
        hmac.compare_digest(nonce.encode(), _nonce(issuer, number).encode()) for number in (window, window - 1)
    ):
        raise UseDPoPNonceError("Send the proof again with the nonce of the DPoP-Nonce header.")
    if not issuer.stores.seen.add(fingerprint(f"dpop {thumbprint} {token_id}"), True, _REMEMBER_SECONDS):
        raise InvalidDPoPProofError("The proof was sent before.")


def _nonce(issuer: Issuer, window: int) -> str:
    key = issuer.stores.nonce_keys.get("dpop")
    if key is None:
        issuer.stores.nonce_keys.add("dpop", new_secret(), _NONCE_KEY_SECONDS)
        key = issuer.stores.nonce_keys.get("dpop") or ""
    return hmac.new(key.encode(), str(window).encode(), hashlib.sha256).hexdigest()[:32]


def _normal(url: object) -> str | None:
    """Scheme and host in lower case, no default port, query or fragment (RFC 9449 §4.3, RFC 3986 §6.2)."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}{'' if port in (None, usual) else f':{port}'}{parts.path or '/'}"


def _base64url_sha256(value: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(value.encode()).digest()).rstrip(b"=").decode()

"""`WWW-Authenticate` values: RFC 6750 §3, with RFC 9470 (step-up) and RFC 9728 (where to get a token)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final, Literal

from secure_api.protocol.origin import origin_of

BearerError = Literal["invalid_request", "invalid_token", "insufficient_scope", "insufficient_user_authentication"]
DpopError = BearerError | Literal["invalid_dpop_proof", "use_dpop_nonce"]

# RFC 6750 §3: what `error_description` may hold. No quote, no backslash, no line break: nothing that
# could end the quoted string or the header field, so no escaping is needed that a client might skip.
_TEXT: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")
_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def bearer_challenge(
    *,
    error: BearerError | None = None,
    description: str | None = None,
    scopes: Collection[str] = (),
    acr_values: Collection[str] = (),
    max_age_seconds: int | None = None,
    resource_metadata: str | None = None,
    realm: str | None = None,
) -> str:
    """One Bearer challenge whose parameters cannot be broken out of: a value that could is refused.

    Without `error` it answers a request that carried no token (RFC 6750 §3.1 wants no error code then).

    Args: `scopes` and `acr_values` are sent in the given order (sorted, if a set); `max_age_seconds` is
    the oldest acceptable sign-in; `resource_metadata` is the absolute address of the RFC 9728 document.
    Raises ValueError for a value with characters that its specification does not allow: such a value is
    a mistake in our configuration, never something a caller sent.
    Source: RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1, RFC 9110 §11.6.1.
    """
    texts = {"realm": realm, "error": error, "error_description": description}
    return _challenge("Bearer", texts, scopes, acr_values, max_age_seconds, resource_metadata)


def dpop_challenge(
    *,
    error: DpopError | None = None,
    algorithms: Collection[str],
    scopes: Collection[str] = (),
    acr_values: Collection[str] = (),
    max_age_seconds: int | None = None,
    resource_metadata: str | None = None,
) -> str:
    """One DPoP challenge; as `bearer_challenge`, with the `algorithms` that a proof may be signed with.

    Raises ValueError as `bearer_challenge`. Source: RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1.
    """
    texts = {"error": error, "algs": " ".join(algorithms)}
    return _challenge("DPoP", texts, scopes, acr_values, max_age_seconds, resource_metadata)


def _challenge(
    scheme: str,
    texts: Mapping[str, str | None],
    scopes: Collection[str],
    acr_values: Collection[str],
    max_age_seconds: int | None,
    resource_metadata: str | None,
) -> str:
    parameters: list[str] = []
    for name, text in texts.items():
        if text is not None:
            parameters.append(_quoted(name, text))
    for name, values in (("scope", scopes), ("acr_values", acr_values)):
        if values:
            ordered = sorted(values) if isinstance(values, set | frozenset) else values
            if not all(_TOKEN.fullmatch(value) for value in ordered):
                raise ValueError(f"{name}: a value has characters that are not allowed")
            parameters.append(_quoted(name, " ".join(ordered)))
    if max_age_seconds is not None:
        if max_age_seconds < 0:
            raise ValueError("max_age: below zero")
        parameters.append(_quoted("max_age", str(max_age_seconds)))
    if resource_metadata is not None:
        origin_of(resource_metadata)
        parameters.append(_quoted("resource_metadata", resource_metadata))
    return f"{scheme} {', '.join(parameters)}" if parameters else scheme


def _quoted(name: str, text: str) -> str:
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{name}: has characters that are not allowed")
    return f'{name}="{text}"'

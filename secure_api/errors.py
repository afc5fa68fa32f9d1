"""The only exception tree of the project.

A `SecureApiError` carries two texts: `public_detail` may leave the process, `log_detail` goes to
the audit log and nowhere else. Only `web/problems.py` turns one into a response (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class SecureApiError(Exception):
    """Base of every error. Subclasses fix `slug`, `status` and `title`.

    `slug` ends the problem's `type` address, where a page explains it. `extensions` are extra
    public members of the problem document.
    """

    slug: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, public_detail: str = "", *, log_detail: str = "", extensions: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(log_detail or public_detail or self.title)
        self.public_detail = public_detail
        self.log_detail = log_detail
        self.extensions: Mapping[str, Any] = dict(extensions or {})


# --- 400 to 499: the caller can do something about it ---------------------------------------------


class BadRequest(SecureApiError):
    """The request is malformed or ambiguous."""

    slug, status, title = "bad-request", 400, "Bad request"


class AmbiguousCredentials(BadRequest):
    """The request carries more than one explicit credential; none of them is looked at (RFC 6750 §2, §3.1)."""


class ValidationFailed(SecureApiError):
    """Members or parameters of a well-formed request are wrong; `errors` names each by JSON pointer."""

    slug, status, title = "validation-failed", 422, "Validation failed"


class AuthenticationRequired(SecureApiError):
    """No credential was sent. The challenge carries no `error` (RFC 6750 §3.1)."""

    slug, status, title = "authentication-required", 401, "Authentication required"


class InvalidToken(SecureApiError):
    """The credential was refused. `reason` is a short code for the audit log, never for the response."""

    slug, status, title = "invalid-token", 401, "Invalid token"

    def __init__(self, reason: str, *, log_detail: str = "") -> None:
        super().__init__(
            "The access token is malformed, expired, revoked or not meant for this API.",
            log_detail=log_detail or reason,
        )
        self.reason = reason


class ForeignToken(InvalidToken):
    """An access token that a provider made for its own services, and that no one else can judge."""

    slug, title = "foreign-token", "Token for another service"

    def __init__(self, reason: str, provider: str) -> None:
        super().__init__(reason)
        self.public_detail = (
            f"This is an access token for the services of {provider} itself, and no proof of who calls this API. "
            "Sign in to this service with a browser instead."
        )


class InvalidDpopProof(InvalidToken):
    """The proof of possession is missing or was refused (RFC 9449 §7.1)."""

    slug, title = "invalid-dpop-proof", "Invalid DPoP proof"

    def __init__(self, reason: str, *, log_detail: str = "") -> None:
        super().__init__(reason, log_detail=log_detail)
        self.public_detail = "The request needs exactly one fresh DPoP proof, made for this token and this request."


class DpopNonceRequired(InvalidDpopProof):
    """The proof must carry `nonce`, which the response hands out (RFC 9449 §9)."""

    slug, title = "use-dpop-nonce", "DPoP nonce required"

    def __init__(self, reason: str, nonce: str) -> None:
        super().__init__(reason)
        self.public_detail = "Make a new DPoP proof with the nonce of the DPoP-Nonce header, then send it again."
        self.nonce = nonce


class StepUpRequired(SecureApiError):
    """The authentication is too weak or too old for this action (RFC 9470)."""

    slug, status, title = "insufficient-user-authentication", 401, "Stronger authentication required"


class PermissionDenied(SecureApiError):
    """The principal's roles, or the object's rule, do not allow the action."""

    slug, status, title = "permission-denied", 403, "Permission denied"


class InsufficientScope(SecureApiError):
    """The token lacks a scope that the action needs (RFC 6750 §3.1)."""

    slug, status, title = "insufficient-scope", 403, "Insufficient scope"

    def __init__(self, required: Sequence[str], *, log_detail: str = "") -> None:
        super().__init__("The token does not carry the scope that this action needs.", log_detail=log_detail)
        self.required = tuple(required)


class AccountRequired(SecureApiError):
    """The token is valid, but its subject has no account here."""

    slug, status, title = "account-required", 403, "Account required"


class FieldRefused(SecureApiError):
    """The body sets members that the matching rule does not let this caller write."""

    slug, status, title = "field-refused", 403, "Member may not be written"


class CsrfRefused(SecureApiError):
    """A cookie-authenticated request lacks the proof that our own pages sent it."""

    slug, status, title = "csrf-refused", 403, "Cross-site request refused"


class NotFound(SecureApiError):
    """The object is absent, or not readable by the caller: the two are told apart by nobody."""

    slug, status, title = "not-found", 404, "Not found"


class MethodNotAllowed(SecureApiError):
    """The resource exists but has no such method; `allow` lists those it has."""

    slug, status, title = "method-not-allowed", 405, "Method not allowed"


class Conflict(SecureApiError):
    """The object's state does not permit the change."""

    slug, status, title = "conflict", 409, "Conflict"


class PayloadTooLarge(SecureApiError):
    """The body is larger than the route accepts."""

    slug, status, title = "payload-too-large", 413, "Payload too large"


class UnsupportedMediaType(SecureApiError):
    """The body's Content-Type is not one that the route reads."""

    slug, status, title = "unsupported-media-type", 415, "Unsupported media type"


class RateLimited(SecureApiError):
    """The caller is over a limit; `retry_after_seconds` says when to try again."""

    slug, status, title = "rate-limited", 429, "Too many requests"

    def __init__(self, retry_after_seconds: int, *, log_detail: str = "") -> None:
        super().__init__("You sent too many requests. Wait, then try again.", log_detail=log_detail)
        self.retry_after_seconds = retry_after_seconds


class LoginFailed(SecureApiError):
    """A browser login could not be completed. `reason` is a short code for the audit log."""

    slug, status, title = "login-failed", 400, "Sign-in could not be completed"

    def __init__(self, reason: str, public_detail: str, *, log_detail: str = "") -> None:
        super().__init__(public_detail, log_detail=log_detail or reason)
        self.reason = reason


# --- 500 to 599: ours, or a peer's ----------------------------------------------------------------


class ServiceUnavailable(SecureApiError):
    """Something this request needs is away. Nothing was done; the caller may try again."""

    slug, status, title = "service-unavailable", 503, "Service unavailable"


class OutboundFailed(ServiceUnavailable):
    """A peer did not answer, or not in the form that its specification demands."""


class UnscopedRead(SecureApiError):
    """A statement would read a guarded table without the policy's scope. A defect of ours; nothing was read."""


class AuditUnavailable(ServiceUnavailable):
    """The audit event could not be written, so the request fails and its change is rolled back."""


# --- start-up: these stop the process ---------------------------------------------------------------


class StartupError(SecureApiError):
    """The process must not start. The message is one line for the operator."""

    slug, title = "startup-error", "Start refused"


class SettingsError(StartupError):
    """Settings are missing, weak or contradictory. Lists every fault, not only the first."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(log_detail="; ".join(faults))
        self.faults = tuple(faults)


class UndeclaredRoute(StartupError):
    """A route has no `endpoint()` declaration and is not in the list of public endpoints."""


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One fault in a policy file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PolicyError(StartupError):
    """Policy files are wrong. `faults` lists each with file, line and column, and a suggestion where there is one."""

    def __init__(self, faults: Sequence[PolicyFault]) -> None:
        super().__init__(log_detail="\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)

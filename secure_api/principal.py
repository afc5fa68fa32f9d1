"""The caller of a request, as the rest of the code sees it.

A "principal" is the caller; a "user" is the record. Nothing here knows Flask or the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class PrincipalKind(StrEnum):
    """Who is calling."""

    ANONYMOUS = "anonymous"
    USER = "user"
    CLIENT = "client"  # an OAuth2 client acting for itself (client credentials)
    SERVICE = "service"  # this application itself: seed, jobs


class CredentialKind(StrEnum):
    """What the caller proved itself with. Policies may accept only some kinds."""

    NONE = "none"
    ACCESS_TOKEN = "access_token"  # noqa: S105  # nosec B105 - the name of a kind, not a secret
    DPOP_TOKEN = "dpop_token"  # noqa: S105  # nosec B105 - the name of a kind, not a secret
    OWN_TOKEN = "own_token"  # noqa: S105  # nosec B105 - the name of a kind, not a secret
    API_KEY = "api_key"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated (or anonymous) caller; immutable for the whole request.

    `roles` come from the user record, never from the token. `scopes` is None where the credential
    holds every scope of its user (a browser session), else exactly the scopes that were granted.
    `acr` and `auth_time` say how strongly and when the user last authenticated (OIDC Core §2).
    """

    kind: PrincipalKind
    credential: CredentialKind
    issuer: str | None = None
    subject: str | None = None
    user_id: UUID | None = None
    customer_id: UUID | None = None
    client_id: str | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = frozenset()
    acr: str | None = None
    auth_time: datetime | None = None
    session_id: UUID | None = None
    display_name: str | None = None

    def holds_scope(self, scope: str) -> bool:
        """True if the credential was granted `scope`, or holds every scope of its user."""
        return self.scopes is None or scope in self.scopes


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, CredentialKind.NONE)

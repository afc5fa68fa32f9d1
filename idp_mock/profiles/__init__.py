"""What one imitated provider looks like from outside: paths, claim names, token types.

A profile is data and three pure functions; an issuer combines it with keys, clients, users and stores. One file
in this folder for each provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from idp_mock.clients import Client
from idp_mock.keys import SIGNING_ALGORITHMS
from idp_mock.stores.records import Authentication
from idp_mock.users import User

Claims = dict[str, Any]


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token says, before a profile gives it the provider's names. Times are seconds since the epoch.

    `subject` is the user's, or the client itself where it acts for nobody else; then there is no `user` and no
    `authentication`. Claims that every profile carries alike (`cnf`, `act`, `authorization_details`) are added later.
    """

    issuer: str
    client_id: str
    subject: str
    user: User | None
    scopes: tuple[str, ...]
    audience: Sequence[str]
    authentication: Authentication | None
    issued_at: int
    expires_at: int
    token_id: str

    @property
    def person(self) -> User:
        """The user of a token that has one, as every ID token has."""
        if self.user is None:
            raise LookupError("this token is a client's own")
        return self.user

    @property
    def sign_in(self) -> Authentication:
        """How that user signed in."""
        if self.authentication is None:
            raise LookupError("this token is a client's own")
        return self.authentication


@dataclass(frozen=True, slots=True)
class Profile:
    """`paths` maps endpoint names to paths below the issuer; the functions turn facts into claims.

    `opaque_prefix` makes access tokens random strings that begin so; None makes them JWTs, whose `typ` may be
    missing. `token_id_prefix` begins their `jti`. `person` and `client` say how a user and a client of the files
    look at this provider (another `sub`, fewer scopes); `document` turns the metadata into the provider's.
    """

    name: str
    paths: Mapping[str, str]
    access_token_typ: str | None
    access_token_alg: str
    access_token_claims: Callable[[TokenFacts], Claims]
    id_token_claims: Callable[[TokenFacts], Claims]
    user_claims: Callable[[User, Sequence[str]], Claims]
    claims_supported: tuple[str, ...]
    signing_algorithms: tuple[str, ...] = SIGNING_ALGORITHMS
    opaque_prefix: str | None = None
    token_id_prefix: str = ""
    person: Callable[[User], User] = _as_it_is
    client: Callable[[Client], Client] = _as_it_is
    document: Callable[[dict[str, Any]], dict[str, Any]] = _as_it_is

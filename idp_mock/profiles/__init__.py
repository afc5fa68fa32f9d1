"""What one imitated provider looks like from outside: paths, claim names, token types.

A profile is data and three pure functions; an issuer combines it with keys, clients, users and stores. One file
in this folder for each provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from idp_mock.stores.records import Authentication
from idp_mock.users import User

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token says, before a profile gives it the provider's names. Times are seconds since the epoch."""

    issuer: str
    client_id: str
    user: User
    scopes: tuple[str, ...]
    audience: Sequence[str]
    authentication: Authentication
    issued_at: int
    expires_at: int
    token_id: str


@dataclass(frozen=True, slots=True)
class Profile:
    """`paths` maps endpoint names to paths below the issuer; the functions turn facts into claims."""

    name: str
    paths: Mapping[str, str]
    access_token_typ: str
    access_token_alg: str
    access_token_claims: Callable[[TokenFacts], Claims]
    id_token_claims: Callable[[TokenFacts], Claims]
    user_claims: Callable[[User, Sequence[str]], Claims]
    claims_supported: tuple[str, ...]

"""What every endpoint declares. The start-up gate refuses a route that lacks any of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement

from secure_api.db import Base
from secure_api.principal import CredentialKind, Principal

Links = Callable[[Mapping[str, Any]], Mapping[str, str]]


class StrictModel(BaseModel):
    """Base of request bodies and queries: unknown members and silent type changes are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(BaseModel):
    """The query of an endpoint that takes none: every parameter is unknown, and so refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(BaseModel):
    """Which part of a collection to answer with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=10_000)


@dataclass(frozen=True, slots=True)
class Collection:
    """The endpoint works on the rows of `model` that the policy lets the caller list, newest first.

    `narrow` may leave out more of them, never add any.
    """

    model: type[Base]
    narrow: Callable[[Principal], ColumnElement[bool]] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """The endpoint works on the one row of `model` whose id is the path parameter `parameter`."""

    model: type[Base]
    parameter: str


@dataclass(frozen=True, slots=True)
class NewItem:
    """The endpoint makes a row of `model`; the policy judges it before it is kept."""

    model: type[Base]


ObjectRule = Collection | Item | NewItem


@dataclass(frozen=True, slots=True)
class Representation:
    """How one API version shows a resource: member name → model attribute.

    The policy names model attributes; only those that it lets the caller read are shown. `links` makes
    the `links` member from what is shown.
    """

    resource: str
    members: Mapping[str, str]
    links: Links | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """The whole decision about one endpoint, in one place."""

    permission: str
    authentication: Literal["required", "optional"]
    objects: ObjectRule
    answer: Representation
    rate_limit: str
    credentials: frozenset[CredentialKind]
    body: type[StrictModel] | None = None
    query: type[BaseModel] = NoQuery
    surface: Literal["api", "page"] = "api"
    # Body members whose name differs from the model attribute that they set.
    body_attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def resource(self) -> str:
        """The resource part of the permission: `orders` of `orders:update`."""
        return self.permission.partition(":")[0]

    @property
    def action(self) -> str:
        """The action part of the permission: `update` of `orders:update`."""
        return self.permission.partition(":")[2]

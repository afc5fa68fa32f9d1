"""The names and types that a condition may use: of a resource, of the principal and of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType


class AttributeType(Enum):
    """The types of the condition language. No floats: money is integer minor units."""

    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"
    UUID = "UUID"
    TIMESTAMP = "timestamp"
    STRING_LIST = "list of strings"
    OPAQUE = "opaque"  # may stand in a field list, never in a condition

    @property
    def is_ordered(self) -> bool:
        """True where `<` means the same in Python and in every database."""
        return self in (AttributeType.INTEGER, AttributeType.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One typed attribute. `nullable` says that it can be absent."""

    type: AttributeType
    nullable: bool


@dataclass(frozen=True)
class ResourceSchema:
    """What the policy files may say about a resource.

    `relations` are to-one only: a path through one of them names at most one row. `collections` may
    stand in field lists and nowhere else.
    """

    name: str
    attributes: Mapping[str, Attribute]
    relations: Mapping[str, ResourceSchema] = field(default_factory=dict)
    collections: frozenset[str] = frozenset()

    @property
    def fields(self) -> frozenset[str]:
        """Every name that a `read` or `write` list may hold."""
        return frozenset(self.attributes) | frozenset(self.relations) | self.collections


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """What a condition can know about the request beyond its principal. `time` is aware, in UTC."""

    time: datetime


PRINCIPAL_SCHEMA: Mapping[str, Attribute] = MappingProxyType(
    {
        "kind": Attribute(AttributeType.STRING, False),
        "credential": Attribute(AttributeType.STRING, False),
        "issuer": Attribute(AttributeType.STRING, True),
        "subject": Attribute(AttributeType.STRING, True),
        "user_id": Attribute(AttributeType.UUID, True),
        "customer_id": Attribute(AttributeType.UUID, True),
        "client_id": Attribute(AttributeType.STRING, True),
        "session_id": Attribute(AttributeType.UUID, True),
        "acr": Attribute(AttributeType.STRING, True),
        "auth_time": Attribute(AttributeType.TIMESTAMP, True),
        # With the inherited and the built-in roles; scopes are a matter of the rule's own key.
        "roles": Attribute(AttributeType.STRING_LIST, False),
    }
)

REQUEST_SCHEMA: Mapping[str, Attribute] = MappingProxyType(
    {
        "time": Attribute(AttributeType.TIMESTAMP, False),
        "credential": Attribute(AttributeType.STRING, False),
        "acr": Attribute(AttributeType.STRING, True),
    }
)

"""Short roads to a parsed, typed or compiled condition, for the tests in this folder."""

from __future__ import annotations

from datetime import UTC, datetime

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.checker import check_condition
from secure_api.policy.closure import compile_condition
from secure_api.policy.normal_form import fails, holds
from secure_api.policy.parser import parse_condition
from secure_api.policy.schema import Attribute, AttributeType, RequestAttributes, ResourceSchema
from secure_api.policy.source import SourceText
from secure_api.policy.tree import Condition
from secure_api.principal import CredentialKind, Principal, PrincipalKind

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUEST = RequestAttributes(NOW)
CALLER = Principal(PrincipalKind.USER, CredentialKind.SESSION, scopes=None)

PERSON = ResourceSchema(
    "people",
    {"name": Attribute(AttributeType.STRING, True), "user_id": Attribute(AttributeType.UUID, True)},
)
SCHEMA = ResourceSchema(
    "orders",
    {
        "total": Attribute(AttributeType.INTEGER, True),
        "status": Attribute(AttributeType.STRING, True),
        "archived": Attribute(AttributeType.BOOLEAN, True),
        "customer_id": Attribute(AttributeType.UUID, True),
        "created_at": Attribute(AttributeType.TIMESTAMP, False),
        "document": Attribute(AttributeType.OPAQUE, True),
    },
    {"customer": PERSON},
    frozenset({"items"}),
)


def typed(text: str) -> Condition:
    """The typed tree of a condition over `SCHEMA`."""
    source = SourceText(text)
    return check_condition(parse_condition(source), SCHEMA, source)


def fault_in(text: str) -> PolicyFault:
    """The one fault that a condition is refused with."""
    try:
        typed(text)
    except PolicyError as error:
        (fault,) = error.faults
        return fault
    raise AssertionError(f"accepted: {text}")


def truth(text: str, row: dict[str, object], principal: Principal = CALLER) -> bool | None:
    """True, False or None (unknown), as the two normal forms tell it."""
    condition = typed(text)
    is_true, is_false = (
        compile_condition(form(condition))(row, principal, REQUEST, principal.roles) for form in (holds, fails)
    )
    assert not (is_true and is_false)
    return True if is_true else False if is_false else None

"""Principals and rows as policy tests write them: YAML values read by the type of their attribute.

Where a UUID is asked for, a whole number n stands for the UUID with that value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from secure_api.policy.checker import timestamp_of
from secure_api.policy.reading import Reader
from secure_api.policy.schema import PRINCIPAL_SCHEMA, AttributeType, ResourceSchema
from secure_api.policy.source import suggestion
from secure_api.policy.yaml_nodes import Node, Scalar, Table
from secure_api.principal import CredentialKind, Principal, PrincipalKind

_PRINCIPAL_KEYS = (*PRINCIPAL_SCHEMA, "scopes")


def read_principal(reader: Reader, node: Node | None, roles: Collection[str]) -> Principal:
    """The principal that a table describes. Without `scopes` it is a session, which holds every scope."""
    keys = reader.table(node, "the principal", optional=_PRINCIPAL_KEYS)
    held = [item.text for item in reader.texts(keys.get("roles"), "roles", known=roles)]
    scopes = [item.text for item in reader.texts(keys.get("scopes"), "scopes")] if "scopes" in keys else None
    kind = reader.one_of(keys.get("kind"), "kind", tuple(PrincipalKind)) or PrincipalKind.USER
    credential = reader.one_of(keys.get("credential"), "credential", tuple(CredentialKind))
    if credential is None:
        credential = (
            CredentialKind.NONE
            if kind == PrincipalKind.ANONYMOUS
            else CredentialKind.SESSION
            if scopes is None
            else CredentialKind.ACCESS_TOKEN
        )
    values: dict[str, Any] = {
        key: read_value(reader, value, PRINCIPAL_SCHEMA[key].type)
        for key, value in keys.items()
        if key in PRINCIPAL_SCHEMA and key not in ("roles", "kind", "credential")
    }
    if kind == PrincipalKind.ANONYMOUS and scopes is None:
        scopes = []
    return Principal(
        kind=PrincipalKind(kind),
        credential=CredentialKind(credential),
        roles=frozenset(held),
        scopes=None if scopes is None else frozenset(scopes),
        **values,
    )


def read_row(reader: Reader, node: Node | None, schema: ResourceSchema) -> Mapping[str, object]:
    """Dotted paths and values of the row that a table describes; a relation that is given stands as True."""
    return _flat(reader, node, schema, "") if node is not None else {}


def read_value(reader: Reader, node: Node, kind: AttributeType) -> Any:
    """The value of a scalar read as `kind`; None after adding a fault."""
    value = _converted(node, kind) if isinstance(node, Scalar) else None
    if value is None:
        reader.refuse(node, f"expected a value of type {kind.value}")
    return value


def _flat(reader: Reader, node: Node, schema: ResourceSchema, prefix: str) -> dict[str, object]:
    flat = dict[str, object]()
    for key, value in reader.entries(node, "row"):
        name = key.text
        if name in schema.relations:
            if isinstance(value, Table):
                flat[prefix + name] = True
                flat |= _flat(reader, value, schema.relations[name], f"{prefix}{name}.")
            elif not _is_null(value):
                reader.refuse(value, f"`{name}` is a relation: give a table, or null")
        elif name in schema.attributes:
            kind = schema.attributes[name].type
            flat[prefix + name] = None if _is_null(value) else read_value(reader, value, kind)
        else:
            known = (*schema.attributes, *schema.relations)
            reader.refuse(key, f"`{schema.name}` has no attribute `{name}`{suggestion(name, known)}")
    return flat


def _converted(node: Scalar, kind: AttributeType) -> object | None:
    """The value of a scalar read as `kind`, None if it cannot be read so."""
    text = node.text
    is_integer = node.implied == "int" and text.removeprefix("-").isdigit()
    match kind:
        case AttributeType.INTEGER:
            return int(text) if is_integer and len(text) < 20 else None
        case AttributeType.BOOLEAN:
            return text == "true" if node.implied == "bool" and text in ("true", "false") else None
        case AttributeType.UUID:
            if is_integer and len(text) < 20 and int(text) >= 0:
                return UUID(int=int(text))
            try:
                return UUID(text)
            except ValueError:
                return None
        case AttributeType.TIMESTAMP:
            return timestamp_of(text)
        case _:
            return text if node.implied == "str" else None


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.implied == "null"

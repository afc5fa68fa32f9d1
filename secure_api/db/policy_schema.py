"""What policy files may say about a mapped class, read off its columns and relations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy import types as sql_types
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.types import TypeDecorator, TypeEngine

from secure_api.policy.schema import Attribute, AttributeType, ResourceSchema

_MAX_RELATION_DEPTH = 2
_PLAIN_TEXT = (sql_types.String, sql_types.Text, sql_types.VARCHAR, sql_types.TEXT, sql_types.Unicode)
_BY_PYTHON_TYPE: Mapping[type, AttributeType] = {
    int: AttributeType.INTEGER,
    bool: AttributeType.BOOLEAN,
    UUID: AttributeType.UUID,
    datetime: AttributeType.TIMESTAMP,
}


def schema_from_model(model: Any) -> ResourceSchema:
    """What policy files may say about a mapped class: its columns, and its to-one relations two levels deep.

    A column whose type compares differently in Python and in a database is opaque: it may stand in
    field lists, not in conditions. Relations that do not lead to a primary key, or that have
    conditions of their own, are left out of conditions as well.
    """
    return _schema(inspect(model).mapper, _MAX_RELATION_DEPTH)


def _schema(mapper: Mapper[Any], depth: int) -> ResourceSchema:
    attributes = {}
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        attributes[attribute.key] = Attribute(_attribute_type(column.type), bool(getattr(column, "nullable", True)))
    followed = [relation for relation in mapper.relationships if _is_plain_to_one(relation)]
    others = frozenset(relation.key for relation in mapper.relationships) - {relation.key for relation in followed}
    relations = {relation.key: _schema(relation.mapper, depth - 1) for relation in followed} if depth else {}
    return ResourceSchema(mapper.local_table.description, attributes, relations, others)


def _attribute_type(kind: TypeEngine[Any]) -> AttributeType:
    if isinstance(kind, sql_types.String):
        # CHAR pads, an enumeration checks, a collation folds: equality would not be Python's.
        is_plain = type(kind) in _PLAIN_TEXT and kind.collation is None
        return AttributeType.STRING if is_plain else AttributeType.OPAQUE
    try:
        python_type = (kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type
    except NotImplementedError:
        return AttributeType.OPAQUE
    found = _BY_PYTHON_TYPE.get(python_type, AttributeType.OPAQUE)
    # A plain DateTime comes back naive from SQLite; only a type of our own can promise UTC. Of any
    # other type of our own, nothing is known about how its stored form compares.
    if isinstance(kind, TypeDecorator) is not (found is AttributeType.TIMESTAMP):
        return AttributeType.OPAQUE
    return found


def _is_plain_to_one(relation: RelationshipProperty[Any]) -> bool:
    """True if the relation leads by equal columns to a primary key: then it names at most one row."""
    pairs = relation.local_remote_pairs or []
    comparisons = [part for part in visitors.iterate(relation.primaryjoin) if isinstance(part, BinaryExpression)]
    return (
        relation.direction is RelationshipDirection.MANYTOONE
        and relation.secondary is None
        and relation.mapper.inherits is None
        and {remote for _, remote in pairs} == set(relation.mapper.primary_key)
        and len(comparisons) == len(pairs)
        and all(part.operator is operators.eq for part in comparisons)
    )

"""Static types: a condition that passes cannot meet a value of a type it does not expect.

The type rules are narrower than CEL's. String ordering is refused because databases collate, and a
comparison of two constants is refused because it says nothing about the caller or the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_never
from uuid import UUID

from secure_api.policy.schema import PRINCIPAL_SCHEMA, REQUEST_SCHEMA, Attribute, AttributeType, ResourceSchema
from secure_api.policy.source import SourceText, suggestion
from secure_api.policy.syntax import (
    AlwaysNode,
    AndNode,
    BareNode,
    CompareNode,
    ConditionNode,
    HasNode,
    InNode,
    ListNode,
    LiteralNode,
    NotNode,
    OrNode,
    PathNode,
    TimestampNode,
    ValueNode,
)
from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Container,
    Literal,
    LiteralList,
    Membership,
    Not,
    Operand,
    Or,
    Presence,
    Presentable,
    PrincipalAttribute,
    RelationPath,
    RequestAttribute,
    ResourcePath,
    Scalar,
    Truth,
)

# RFC 3339 with at most microseconds: PostgreSQL and Python keep no more.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LITERAL_TYPES: Mapping[type, AttributeType] = {
    bool: AttributeType.BOOLEAN,
    int: AttributeType.INTEGER,
    str: AttributeType.STRING,
}


def check_condition(node: ConditionNode, schema: ResourceSchema, source: SourceText) -> Condition:
    """The typed tree of a parsed condition.

    Raises:
        PolicyError: at the first unknown name or type mismatch, with a suggestion where one is near.
    """
    return _Checker(schema, source).condition(node)


def timestamp_of(text: str) -> datetime | None:
    """The instant that an RFC 3339 text names, in UTC; None if it is none."""
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _Checker:
    def __init__(self, schema: ResourceSchema, source: SourceText) -> None:
        self._schema = schema
        self._source = source

    def condition(self, node: ConditionNode) -> Condition:
        match node:
            case AlwaysNode():
                return Always()
            case NotNode(term):
                return Not(self.condition(term))
            case AndNode(terms):
                return And(tuple(self.condition(term) for term in terms))
            case OrNode(terms):
                return Or(tuple(self.condition(term) for term in terms))
            case CompareNode():
                return self._comparison(node)
            case InNode():
                return self._membership(node)
            case HasNode(path):
                return Presence(self._presentable(path))
            case BareNode(path):
                return self._truth(path)
            case _:
                assert_never(node)

    # --- leaves ---

    def _comparison(self, node: CompareNode) -> Comparison:
        left, right = self._pair(node.left, node.right, node.offset)
        if node.operator not in ("==", "!=") and not left.type.is_ordered:
            raise self._source.refusal(
                node.offset,
                f"`{node.operator}` orders integers and timestamps only, not {_article(left.type)}"
                + (": databases collate text differently" if left.type is AttributeType.STRING else ""),
            )
        return Comparison(node.operator, left, right)

    def _pair(self, first: ValueNode, second: ValueNode, offset: int) -> tuple[Operand, Operand]:
        if not isinstance(first, PathNode) and not isinstance(second, PathNode):
            raise self._source.refusal(offset, "both sides are constants, so the outcome never varies")
        expected = next(self._path(node).type for node in (first, second) if isinstance(node, PathNode))
        left, right = self._operand(first, expected), self._operand(second, expected)
        if left.type is not right.type:
            raise self._source.refusal(
                offset, f"cannot compare {_article(left.type)} with {_article(right.type)}{_uuid_hint(left, right)}"
            )
        return left, right

    def _membership(self, node: InNode) -> Membership:
        container = node.container
        if isinstance(container, ListNode):
            if not isinstance(node.item, PathNode):
                raise self._source.refusal(node.offset, "both sides are constants, so the outcome never varies")
            item = self._operand(node.item, None)
            return Membership(item, self._literal_list(container, item.type))
        elements = self._list_attribute(container)
        item = self._operand(node.item, AttributeType.STRING)
        if item.type is not AttributeType.STRING:
            raise self._source.refusal(node.offset, f"cannot look for {_article(item.type)} in a list of strings")
        return Membership(item, elements)

    def _list_attribute(self, node: PathNode) -> Container:
        if node.parts[0] == "principal" and len(node.parts) == 2:
            attribute = self._known(PRINCIPAL_SCHEMA, node, 1, "the principal")
            if attribute.type is AttributeType.STRING_LIST:
                return PrincipalAttribute(node.parts[1], attribute.type)
        raise self._source.refusal(node.offset, f"`{node}` is not a list; a list is `[…]` or `principal.roles`")

    def _literal_list(self, node: ListNode, expected: AttributeType) -> LiteralList:
        values = []
        for entry in node.items:
            value = self._literal(entry, expected)
            if value.type is not expected:
                raise self._source.refusal(
                    entry.offset, f"the list must hold {expected.value} values, not {_article(value.type)}"
                )
            values.append(value.value)
        return LiteralList(tuple(dict.fromkeys(values)), expected)

    def _presentable(self, node: PathNode) -> Presentable:
        schema = self._schema
        if node.parts[0] == "resource" and len(node.parts) > 1:
            for index, part in enumerate(node.parts[1:], 1):
                if part not in schema.relations:
                    break
                schema = schema.relations[part]
                if index == len(node.parts) - 1:
                    return RelationPath(node.parts[1:])
        return self._path(node)

    def _truth(self, node: PathNode) -> Condition:
        path = self._path(node)
        if path.type is not AttributeType.BOOLEAN or not isinstance(path, ResourcePath):
            raise self._source.refusal(
                node.offset, f"`{node}` is {_article(path.type)}, not a boolean; compare it with something"
            )
        return Truth(path)

    # --- operands ---

    def _operand(self, node: ValueNode, expected: AttributeType | None) -> Operand:
        if not isinstance(node, PathNode):
            return self._literal(node, expected)
        operand = self._path(node)
        if operand.type is AttributeType.STRING_LIST:
            raise self._source.refusal(node.offset, f"`{node}` is a list; write `… in {node}`")
        return operand

    def _literal(self, node: LiteralNode | TimestampNode, expected: AttributeType | None) -> Literal:
        if isinstance(node, TimestampNode):
            instant = timestamp_of(node.text)
            if instant is None:
                raise self._source.refusal(
                    node.offset, "not an RFC 3339 timestamp; write it like 2026-01-31T23:59:59Z (at most microseconds)"
                )
            return Literal(instant, AttributeType.TIMESTAMP)
        if expected is AttributeType.UUID and isinstance(node.value, str):
            return Literal(self._uuid(node.value, node.offset), AttributeType.UUID)
        if expected is AttributeType.TIMESTAMP and isinstance(node.value, str):
            raise self._source.refusal(node.offset, f'write `timestamp("{node.value}")` to compare with a timestamp')
        return Literal(node.value, _LITERAL_TYPES[type(node.value)])

    def _uuid(self, text: str, offset: int) -> Scalar:
        """CEL knows no UUID: the text must be the canonical form, so that equal texts are equal values."""
        try:
            value = UUID(text)
        except ValueError:
            raise self._source.refusal(offset, f'"{text}" is not a UUID') from None
        if str(value) != text:
            raise self._source.refusal(offset, f'write the UUID in its canonical form, "{value}"')
        return value

    def _path(self, node: PathNode) -> ResourcePath | PrincipalAttribute | RequestAttribute:
        root = node.parts[0]
        if len(node.parts) == 1:
            raise self._source.refusal(node.offset, f"`{root}` is no value; name an attribute, such as `{root}.…`")
        if root == "resource":
            return self._resource_path(node)
        if len(node.parts) > 2:
            raise self._source.refusal(node.offsets[2], f"`{root}.{node.parts[1]}` has no attributes")
        if root == "principal":
            attribute = self._known(PRINCIPAL_SCHEMA, node, 1, "the principal")
            return PrincipalAttribute(node.parts[1], attribute.type)
        attribute = self._known(REQUEST_SCHEMA, node, 1, "the request")
        return RequestAttribute(node.parts[1], attribute.type)

    def _resource_path(self, node: PathNode) -> ResourcePath:
        schema = self._schema
        for index, part in enumerate(node.parts[1:-1], 1):
            if part not in schema.relations:
                reason = (
                    f"`{part}` is an attribute and has none of its own"
                    if part in schema.attributes
                    else f"`{schema.name}` has no to-one relation `{part}`{suggestion(part, schema.relations)}"
                )
                raise self._source.refusal(node.offsets[index], reason)
            schema = schema.relations[part]
        last = node.parts[-1]
        if last in schema.relations:
            raise self._source.refusal(
                node.offsets[-1], f"`{last}` is a relation; name one of its attributes, or ask `has({node})`"
            )
        if last in schema.collections:
            raise self._source.refusal(
                node.offsets[-1], f"`{last}` is a collection; conditions follow to-one paths only"
            )
        attribute = self._known(schema.attributes, node, len(node.parts) - 1, f"`{schema.name}`")
        if attribute.type is AttributeType.OPAQUE:
            raise self._source.refusal(node.offsets[-1], f"the column type of `{last}` cannot be used in conditions")
        return ResourcePath(node.parts[1:], attribute.type)

    def _known(self, known: Mapping[str, Attribute], node: PathNode, index: int, owner: str) -> Attribute:
        name = node.parts[index]
        if name not in known:
            usable = (key for key, attribute in known.items() if attribute.type is not AttributeType.OPAQUE)
            raise self._source.refusal(
                node.offsets[index], f"{owner} has no attribute `{name}`{suggestion(name, usable)}"
            )
        return known[name]


def _article(kind: AttributeType) -> str:
    return ("an " if kind in (AttributeType.INTEGER, AttributeType.OPAQUE) else "a ") + kind.value


def _uuid_hint(left: Operand, right: Operand) -> str:
    if {left.type, right.type} == {AttributeType.UUID, AttributeType.STRING}:
        return "; a UUID compares with a UUID only"
    return ""

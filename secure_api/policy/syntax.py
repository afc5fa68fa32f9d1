"""The untyped tree that the parser builds. Each node knows the offset to blame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiteralNode:
    """`5`, `"text"`, `true`."""

    value: int | str | bool
    offset: int


@dataclass(frozen=True, slots=True)
class TimestampNode:
    """`timestamp("2026-01-01T00:00:00Z")`; the offset is that of the text."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class ListNode:
    """`[a, b]`."""

    items: tuple[LiteralNode | TimestampNode, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class PathNode:
    """`resource.customer.user_id`, with the offset of each part."""

    parts: tuple[str, ...]
    offsets: tuple[int, ...]

    @property
    def offset(self) -> int:
        """Where the path begins."""
        return self.offsets[0]

    def __str__(self) -> str:
        return ".".join(self.parts)


ValueNode = LiteralNode | TimestampNode | PathNode


@dataclass(frozen=True, slots=True)
class CompareNode:
    """`left == right`; the offset is that of the operator."""

    operator: str
    left: ValueNode
    right: ValueNode
    offset: int


@dataclass(frozen=True, slots=True)
class InNode:
    """`item in container`; the offset is that of `in`."""

    item: ValueNode
    container: ListNode | PathNode
    offset: int


@dataclass(frozen=True, slots=True)
class HasNode:
    """`has(path)`."""

    path: PathNode
    offset: int


@dataclass(frozen=True, slots=True)
class BareNode:
    """A path standing alone as a condition."""

    path: PathNode


@dataclass(frozen=True, slots=True)
class NotNode:
    """`!term`."""

    term: ConditionNode


@dataclass(frozen=True, slots=True)
class AndNode:
    """`a && b && c`."""

    terms: tuple[ConditionNode, ...]


@dataclass(frozen=True, slots=True)
class OrNode:
    """`a || b || c`."""

    terms: tuple[ConditionNode, ...]


@dataclass(frozen=True, slots=True)
class AlwaysNode:
    """`always`, alone."""


ConditionNode = CompareNode | InNode | HasNode | BareNode | NotNode | AndNode | OrNode | AlwaysNode

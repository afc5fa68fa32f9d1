"""Two tables full of NULLs, and strategies for conditions over them: the material of the equality test.

Each condition exists twice: in our text, and in full CEL, where a timestamp is text to be converted
and everything else is the same text.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry, relationship

from secure_api.db.base import UtcDateTime
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import CredentialKind, Principal, PrincipalKind

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANTS = [NOW, NOW - timedelta(days=1), NOW + timedelta(microseconds=1), datetime(1999, 12, 31, 23, 59, 59, 1, UTC)]
INTEGERS = [0, 1, -1, 7, 2**31 - 1, -(2**31)]
BIG_INTEGERS = [*INTEGERS, 2**31, 2**63 - 1, -(2**63)]
STRINGS = ["", "a", "A", "b", "a ", "it's", 'a "quoted" \\ one', "\u00e4", "a\u0308", "\U0001f600", "mfa", "session"]
UUIDS = [UUID(int=number) for number in (1, 2, 3, 2**128 - 1)]
ROLES = ["reader", "editor", "a", "b"]


class Base(DeclarativeBase):
    registry = registry(type_annotation_map={datetime: UtcDateTime(), UUID: Uuid()})


class Person(Base):
    __tablename__ = "world_people"
    __table_args__ = {"prefixes": ["TEMPORARY"]}  # noqa: RUF012 - SQLAlchemy's own attribute

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(50))
    level: Mapped[int | None] = mapped_column(Integer)
    active: Mapped[bool | None]
    seen: Mapped[datetime | None]
    mark: Mapped[UUID | None]
    boss_id: Mapped[UUID | None] = mapped_column(ForeignKey("world_people.id"))
    boss: Mapped[Person | None] = relationship(remote_side=[id])


class Item(Base):
    __tablename__ = "world_items"
    __table_args__ = {"prefixes": ["TEMPORARY"]}  # noqa: RUF012 - as above

    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int | None] = mapped_column(Integer)
    total: Mapped[int | None] = mapped_column(BigInteger)
    label: Mapped[str | None] = mapped_column(String(50))
    note: Mapped[str | None] = mapped_column(Text)
    flag: Mapped[bool | None]
    done: Mapped[bool | None]
    mark: Mapped[UUID | None]
    made: Mapped[datetime | None]
    changed: Mapped[datetime | None]
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("world_people.id"))
    reviewer_id: Mapped[UUID | None] = mapped_column(ForeignKey("world_people.id"))
    owner: Mapped[Person | None] = relationship(foreign_keys=[owner_id])
    reviewer: Mapped[Person | None] = relationship(foreign_keys=[reviewer_id])


def make_rows(items: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """People and items, the same on every call; about a third of all nullable values is NULL."""
    dice = random.Random(20260301)  # noqa: S311 - test data

    def maybe(values: list[Any]) -> Any:
        return None if dice.random() < 0.35 else dice.choice(values)

    ids = [UUID(int=number) for number in range(1, 9)]
    people = [
        {
            "id": id_,
            "name": maybe(STRINGS),
            "level": maybe(INTEGERS),
            "active": maybe([True, False]),
            "seen": maybe(INSTANTS),
            "mark": maybe(UUIDS),
            "boss_id": maybe(ids[:index]) if index else None,
        }
        for index, id_ in enumerate(ids)
    ]
    rows = [
        {
            "id": number,
            "count": maybe(INTEGERS),
            "total": maybe(BIG_INTEGERS),
            "label": maybe(STRINGS),
            "note": maybe(STRINGS),
            "flag": maybe([True, False]),
            "done": maybe([True, False]),
            "mark": maybe(UUIDS),
            "made": maybe(INSTANTS),
            "changed": maybe(INSTANTS),
            "owner_id": maybe(ids),
            "reviewer_id": maybe(ids),
        }
        for number in range(1, items + 1)
    ]
    return people, rows


def as_cel(value: Any) -> Any:
    """A row, person or attribute table as CEL sees it: what is None is not there."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {key: as_cel(inner) for key, inner in value.items() if inner is not None}
    return str(value) if isinstance(value, str) else value


def person_for_cel(person: Person | None, depth: int = 2) -> Any:
    if person is None or depth == 0:
        return None
    values = {key: getattr(person, key) for key in ("id", "name", "level", "active", "seen", "mark", "boss_id")}
    return as_cel(values | {"boss": person_for_cel(person.boss, depth - 1)})


def item_for_cel(item: Item) -> Any:
    values = {column.key: getattr(item, column.key) for column in Item.__table__.columns}
    return as_cel(values | {"owner": person_for_cel(item.owner), "reviewer": person_for_cel(item.reviewer)})


# --- conditions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """One condition, or a part of one, in both languages."""

    ours: str
    cel: str


def _same(text: str) -> Pair:
    return Pair(text, text)


def _join(left: Pair, operator: str, right: Pair) -> Pair:
    return Pair(f"{left.ours} {operator} {right.ours}", f"{left.cel} {operator} {right.cel}")


_PATHS = {
    "integer": ["resource.count", "resource.total", "resource.owner.level", "resource.reviewer.boss.level"],
    "string": [
        "resource.label",
        "resource.note",
        "resource.owner.name",
        "resource.owner.boss.name",
        "principal.issuer",
        "principal.subject",
        "principal.acr",
        "principal.kind",
        "request.acr",
        "request.credential",
    ],
    "uuid": [
        "resource.mark",
        "resource.owner_id",
        "resource.owner.id",
        "resource.owner.mark",
        "resource.reviewer.mark",
        "principal.user_id",
        "principal.customer_id",
    ],
    "boolean": ["resource.flag", "resource.done", "resource.owner.active", "resource.owner.boss.active"],
    "timestamp": ["resource.made", "resource.changed", "resource.owner.seen", "principal.auth_time", "request.time"],
}
_LITERALS: dict[str, list[str]] = {
    "integer": [str(number) for number in BIG_INTEGERS],
    "string": [json.dumps(text, ensure_ascii=False) for text in [*STRINGS, *ROLES]],
    "uuid": [f'"{value}"' for value in UUIDS],
    "boolean": ["true", "false"],
    "timestamp": [f'timestamp("{as_cel(instant)}")' for instant in INSTANTS],
}
_RELATIONS = ["resource.owner", "resource.reviewer", "resource.owner.boss"]
_KINDS = st.sampled_from(sorted(_PATHS))


def _path(kind: str) -> st.SearchStrategy[Pair]:
    wrap = "timestamp({})" if kind == "timestamp" else "{}"
    return st.sampled_from(_PATHS[kind]).map(lambda path: Pair(path, wrap.format(path)))


def _literal(kind: str) -> st.SearchStrategy[Pair]:
    return st.sampled_from(_LITERALS[kind]).map(_same)


@st.composite
def _comparisons(draw: st.DrawFn) -> Pair:
    kind = draw(_KINDS)
    ordered = kind in ("integer", "timestamp")
    operator = draw(st.sampled_from(["==", "!=", *(["<", "<=", ">", ">="] if ordered else [])]))
    sides = [draw(_path(kind)), draw(st.one_of(_path(kind), _literal(kind)))]
    if draw(st.booleans()):
        sides.reverse()
    return _join(sides[0], operator, sides[1])


@st.composite
def _memberships(draw: st.DrawFn) -> Pair:
    if draw(st.booleans()):
        item = draw(st.one_of(_path("string"), _literal("string")))
        return _join(item, "in", _same("principal.roles"))
    kind = draw(_KINDS)
    literals = draw(st.lists(_literal(kind), min_size=1, max_size=3))
    return _join(draw(_path(kind)), "in", _same("[" + ", ".join(literal.ours for literal in literals) + "]"))


_PRESENCES = st.sampled_from(
    [*(path for paths in _PATHS.values() for path in paths), *_RELATIONS, "principal.roles"]
).map(lambda path: _same(f"has({path})"))
_LEAVES = st.one_of(_comparisons(), _memberships(), _PRESENCES, _path("boolean"))


@st.composite
def _combined(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    """AND, OR, NOT. Parentheses are often left out: then both parsers must agree about precedence."""
    if draw(st.integers(0, 2)) == 0:
        term, marks = draw(inner), draw(st.sampled_from(["!", "!!"]))
        return Pair(f"{marks}({term.ours})", f"{marks}({term.cel})")
    terms, operator = draw(st.lists(inner, min_size=2, max_size=3)), draw(st.sampled_from([" && ", " || "]))
    shape = "({})" if draw(st.booleans()) else "{}"
    return Pair(
        operator.join(shape.format(term.ours) for term in terms),
        operator.join(shape.format(term.cel) for term in terms),
    )


def conditions() -> st.SearchStrategy[Pair]:
    """Random conditions that the type checker accepts."""
    return st.one_of(
        st.recursive(_LEAVES, _combined, max_leaves=6),
        st.recursive(_LEAVES, _combined, max_leaves=6),
        st.just(Pair("always", "true")),
    )


@st.composite
def principals(draw: st.DrawFn) -> Principal:
    """Callers with and without each attribute."""

    def maybe(values: list[Any]) -> Any:
        return draw(st.one_of(st.none(), st.sampled_from(values)))

    return Principal(
        kind=PrincipalKind.USER,
        credential=draw(st.sampled_from([CredentialKind.SESSION, CredentialKind.API_KEY])),
        issuer=maybe(STRINGS),
        subject=maybe(STRINGS),
        user_id=maybe(UUIDS),
        customer_id=maybe(UUIDS),
        acr=maybe(["mfa", "a"]),
        auth_time=maybe(INSTANTS),
        roles=frozenset(draw(st.sets(st.sampled_from(ROLES)))),
        scopes=None,
    )


REQUEST = RequestAttributes(NOW)
PRINCIPAL_KEYS = ("issuer", "subject", "user_id", "customer_id", "acr", "auth_time", "kind", "credential")


def principal_for_cel(principal: Principal, roles: frozenset[str]) -> Any:
    return as_cel({key: getattr(principal, key) for key in PRINCIPAL_KEYS}) | {"roles": sorted(roles)}


def request_for_cel(principal: Principal) -> Any:
    return as_cel({"time": NOW, "credential": principal.credential, "acr": principal.acr})

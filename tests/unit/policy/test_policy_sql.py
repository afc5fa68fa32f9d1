"""The SQL back-end: what its binds and its schemas guarantee beyond equality with the closure."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    CHAR,
    JSON,
    Boolean,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    Numeric,
    String,
    Uuid,
    create_engine,
    delete,
    select,
    update,
)
from sqlalchemy import (
    false as sa_false,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from secure_api.db.base import UtcDateTime
from secure_api.db.policy_sql import schema_from_model, scope_expression
from secure_api.errors import PolicyFault
from secure_api.policy.decision import FunctionDecision
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.roles import Roles
from secure_api.policy.rule_reader import Vocabulary, read_resource
from secure_api.policy.schema import AttributeType
from secure_api.policy.yaml_nodes import read_table
from secure_api.principal import Principal

from .conditions import CALLER, REQUEST

POSTGRESQL: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
SQLITE: Any = sqlite.dialect()


class Base(DeclarativeBase):
    pass


class Colour(StrEnum):
    RED = "red"


class Region(Base):
    __tablename__ = "regions"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    name: Mapped[str | None]
    region_id: Mapped[int | None] = mapped_column(ForeignKey("regions.id"))
    region: Mapped[Region | None] = relationship()
    things: Mapped[list[Thing]] = relationship(back_populates="owner", foreign_keys="Thing.owner_id")


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int | None] = mapped_column("size_column", Integer)
    label: Mapped[str | None] = mapped_column(String(20))
    flag: Mapped[bool | None] = mapped_column(Boolean)
    made: Mapped[datetime | None] = mapped_column(UtcDateTime())
    plain_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    padded: Mapped[str | None] = mapped_column(CHAR(5))
    folded: Mapped[str | None] = mapped_column(String(20, collation="NOCASE"))
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour))
    price: Mapped[Any] = mapped_column(Numeric, nullable=True)
    data: Mapped[Any] = mapped_column(JSON, nullable=True)
    text_uuid: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("owners.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="things", foreign_keys=[owner_id])
    named_owner: Mapped[Owner | None] = relationship(
        primaryjoin="and_(Thing.owner_id == Owner.id, Owner.name == 'x')", viewonly=True, foreign_keys=[owner_id]
    )


SCHEMA = schema_from_model(Thing)
ROLES = Roles({"member": frozenset({"member"})}, {})
CALLERS = replace(CALLER, roles=frozenset({"member"}))


def grant(*whens: str, deny: str | None = None, extra: str = "", principal: Principal = CALLERS) -> FunctionDecision:
    rules = [("allow", when) for when in whens] + ([("deny", deny)] if deny else [])
    lines = ["version: 1", "resource: things", "actions: [list]", "rules:"]
    for index, (effect, when) in enumerate(rules):
        lines += [f"  - id: things.r{index}", f"    effect: {effect}", "    roles: [authenticated]"]
        lines += ["    actions: [list]", f"    when: '{when}'"]
        lines += ["    scopes: {list: none}", extra] if effect == "allow" else []
    faults: list[PolicyFault] = []
    table = read_table("\n".join(lines).encode(), "policies/things.yaml", faults)
    assert table is not None, faults
    policy = read_resource(table, "things", Vocabulary(SCHEMA, ROLES.names, None), faults)
    assert faults == []
    return PolicySet({"things": policy}, ROLES, "digest").function_decision(principal, "things", "list")


def sql(expression: Any, dialect: Any = None) -> str:
    compiled = select(Thing.id).where(expression).compile(dialect=dialect or SQLITE)
    return re.sub(r"\s+", " ", str(compiled).partition("WHERE ")[2])


def where(*whens: str, principal: Principal = CALLERS, dialect: Any = None, **keys: Any) -> str:
    return sql(scope_expression(grant(*whens, principal=principal, **keys), Thing, principal, REQUEST), dialect)


def test_a_closed_function_scopes_to_nothing() -> None:
    """`false()`, even if somebody forgot to look at `allowed`."""
    opened = grant("always")
    assert sql(scope_expression(opened, Thing, CALLERS, REQUEST)) == "1 = 1"
    assert sql(scope_expression(replace(opened, allowed=False), Thing, CALLERS, REQUEST)) == "0 = 1"


def test_an_absent_attribute_of_the_caller_is_not_rendered_as_is_null() -> None:
    """`column IS NULL` would give everybody without a customer the rows without an owner."""
    when = "resource.owner_id == principal.customer_id"
    assert where(when) == "0 = 1"
    assert where(when, principal=replace(CALLERS, customer_id=UUID(int=7))) == "things.owner_id = ?"
    assert where("!(resource.owner_id == principal.customer_id)") == "0 = 1"


def test_every_bind_has_its_own_name() -> None:
    """The same parameter in IN and NOT IN over-grants on PostgreSQL."""
    whens = (
        "resource.label in principal.roles && resource.size == 5",
        "!(resource.label in principal.roles) || resource.size == 5",
    )
    expression = scope_expression(grant(*whens), Thing, CALLERS, REQUEST)
    compiled = select(Thing.id).where(expression).compile(dialect=POSTGRESQL)
    roles = sorted(grant("always").roles)
    assert sorted(map(str, compiled.params.values())) == sorted([*roles, *roles, "5", "5"])


def test_an_empty_list_is_neither_in_nor_out_for_an_absent_item() -> None:
    """`NOT IN ()` is true of NULL as well."""
    nobody = replace(grant("resource.label in principal.roles"), roles=frozenset())
    assert sql(scope_expression(nobody, Thing, CALLERS, REQUEST)) == "0 = 1"
    outside = replace(grant("!(resource.label in principal.roles)"), roles=frozenset())
    assert sql(scope_expression(outside, Thing, CALLERS, REQUEST)) == "things.label IS NOT NULL"


def test_integers_are_bound_as_64_bits() -> None:
    """A 32-bit parameter would overflow on PostgreSQL, where the comparison has an answer."""
    expression = scope_expression(grant("resource.size < 9223372036854775807"), Thing, CALLERS, REQUEST)
    compiled = select(Thing.id).where(expression).compile(dialect=POSTGRESQL)
    (name,) = compiled.params
    assert str(compiled.binds[name].type) == "BIGINT"


def test_has_behind_a_relation_is_not_a_missing_relation() -> None:
    """`!has(a.b)` means: a is there and b is NULL."""
    text = where("!has(resource.owner.name)")
    assert re.fullmatch(
        r"EXISTS \(SELECT 1 FROM owners AS (\w+) WHERE things.owner_id = \1.id AND \1.name IS NULL\)", text
    ), text
    assert where("!has(resource.owner)").startswith("NOT (EXISTS")


def test_deny_rules_leave_only_what_is_definitely_false() -> None:
    """No NOT over a column: NULL must not slip through."""
    assert where("always", deny="resource.flag") == "things.flag IS 0"
    assert where("always", deny="resource.size == 5") == "things.size_column != ?"
    assert where("always", deny="resource.size == 5", dialect=POSTGRESQL).startswith("things.size_column != ")
    assert where("always", deny='principal.acr == "mfa"') == "0 = 1"


def test_unmet_step_up_rules_open_no_rows_unless_asked_for() -> None:
    """A list leaves them out; a point read finds the row, and then answers 401."""
    opened = grant("resource.size == 5", extra="    step_up: {acr: mfa}")
    assert sql(scope_expression(opened, Thing, CALLERS, REQUEST)) == "0 = 1"
    assert sql(scope_expression(opened, Thing, CALLERS, REQUEST, with_unmet_step_up=True)) == "things.size_column = ?"
    strong = replace(CALLERS, acr="mfa")
    assert sql(scope_expression(opened, Thing, strong, REQUEST)) == "things.size_column = ?"


def test_an_attribute_of_the_wrong_type_stops_the_query() -> None:
    """A customer id that is text would be unequal to all, so `!=` would open all."""
    wrong = replace(CALLERS, customer_id="7")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        scope_expression(grant("resource.owner_id != principal.customer_id"), Thing, wrong, REQUEST)


def test_a_column_under_another_name_and_two_relations_deep() -> None:
    """Attributes are named as the model names them; bulk UPDATE and DELETE keep to the scope as well."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        north, owner = Region(id=1, name="north"), Owner(id=UUID(int=1), name=None, region_id=1)
        session.add_all([north, owner, Thing(id=1, size=5, owner_id=owner.id), Thing(id=2, size=5)])
        session.commit()
        when = 'resource.size == 5 && resource.owner.region.name == "north" && has(resource.owner.region)'
        scope = scope_expression(grant(when), Thing, CALLERS, REQUEST)
        assert session.scalars(select(Thing.id).where(scope)).all() == [1]
        session.execute(update(Thing).where(scope).values(label="seen"))
        assert session.scalars(select(Thing.label).order_by(Thing.id)).all() == ["seen", None]
        session.execute(delete(Thing).where(scope))
        assert session.scalars(select(Thing.id)).all() == [2]
    engine.dispose()


def test_the_schema_tells_usable_columns_from_opaque_ones() -> None:
    """A type that compares differently in Python and in a database stays out of conditions."""
    types = {name: attribute.type for name, attribute in SCHEMA.attributes.items()}
    opaque = {"plain_time", "padded", "folded", "colour", "price", "data", "text_uuid"}
    assert {name for name, kind in types.items() if kind is AttributeType.OPAQUE} == opaque
    assert types["size"] is AttributeType.INTEGER
    assert types["label"] is AttributeType.STRING
    assert types["flag"] is AttributeType.BOOLEAN
    assert types["made"] is AttributeType.TIMESTAMP
    assert types["owner_id"] is AttributeType.UUID
    assert SCHEMA.attributes["size"].nullable
    assert not SCHEMA.attributes["id"].nullable


def test_the_schema_follows_plain_to_one_relations_and_ends() -> None:
    """A collection, or a relation with a condition of its own, is a field and no path."""
    assert set(SCHEMA.relations) == {"owner"}
    assert SCHEMA.collections == {"named_owner"}
    owner = SCHEMA.relations["owner"]
    assert set(owner.relations) == {"region"}
    assert owner.collections == {"things"}
    assert owner.relations["region"].relations == {}
    assert {"owner", "named_owner", "price"} <= SCHEMA.fields


def test_one_decision_serves_callers_of_every_shape() -> None:
    """The prepared SQL is shared by callers; what a caller lacks, or who it is, never passes to the next."""
    opened = grant(
        'resource.owner_id == principal.customer_id || principal.acr == "mfa"', "resource.label == principal.subject"
    )
    anna, ben = (replace(CALLERS, customer_id=UUID(int=number)) for number in (1, 2))

    def text_and_values(caller: Principal) -> tuple[str, list[Any]]:
        expression = scope_expression(opened, Thing, caller, REQUEST)
        return sql(expression), list(select(Thing.id).where(expression).compile(dialect=SQLITE).params.values())

    owned = "things.owner_id = ?"
    for caller, expected in (
        (anna, (owned, [anna.customer_id])),
        (CALLERS, ("0 = 1", [])),
        (ben, (owned, [ben.customer_id])),
        (replace(ben, acr="mfa"), ("1 = 1", [])),
        (replace(anna, subject="x"), (f"{owned} OR things.label = ?", [anna.customer_id, "x"])),
        (replace(CALLERS, subject="x"), ("things.label = ?", ["x"])),
        (anna, (owned, [anna.customer_id])),
    ):
        assert text_and_values(caller) == expected


def test_the_scopes_of_two_callers_stand_in_one_statement() -> None:
    """The callers' values stay apart, behind a relation too, though the SQL was prepared once."""
    opened = grant("resource.owner.id == principal.customer_id && resource.size < 9")
    scopes = [
        scope_expression(opened, Thing, replace(CALLERS, customer_id=UUID(int=number)), REQUEST) for number in (1, 2)
    ]
    values = list(select(Thing.id).where(scopes[0], ~scopes[1]).compile(dialect=SQLITE).params.values())
    assert values == [UUID(int=1), 9, UUID(int=2)]  # the constant of the rule is one parameter
    assert scope_expression(opened, Thing, CALLERS, REQUEST).compare(sa_false())


def test_a_prepared_scope_without_its_values_opens_no_row() -> None:
    """Should a value ever be forgotten, the database compares with NULL."""
    opened = grant("resource.size != 5 && resource.owner_id != principal.customer_id")
    caller = replace(CALLERS, customer_id=UUID(int=1))
    scope_expression(opened, Thing, caller, REQUEST)
    (template,) = (value for key, value in opened.prepared.items() if isinstance(key, tuple))
    assert None in select(Thing.id).where(template.expression).compile(dialect=SQLITE).params.values()

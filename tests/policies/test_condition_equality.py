"""One rule, two back-ends, three judges: the closure, SQLite, PostgreSQL and an independent CEL agree.

`POLICY_EXAMPLES` raises the number of examples (default 150) and makes them random.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from cel_expr_python import cel  # type: ignore[import-untyped]
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Select, create_engine, func, insert, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, aliased, selectinload, with_loader_criteria

from secure_api.db.policy_sql import schema_from_model, scope_expression
from secure_api.errors import PolicyFault
from secure_api.policy.decision import FunctionDecision, row_values_from
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.roles import Roles
from secure_api.policy.rule_reader import Vocabulary, read_resource
from secure_api.policy.yaml_nodes import read_table
from secure_api.principal import CredentialKind, Principal, PrincipalKind
from tests.support.machine import POSTGRESQL_URL

from .condition_world import (
    REQUEST,
    ROLES,
    Base,
    Item,
    Pair,
    Person,
    conditions,
    item_for_cel,
    make_rows,
    principal_for_cel,
    principals,
    request_for_cel,
)

EXAMPLES = int(os.environ.get("POLICY_EXAMPLES", "150"))
# A seeded defect needs one counterexample, not the smallest one: shrinking takes most of the time.
PHASES = (Phase.explicit, Phase.generate) if "POLICY_FIRST_FAILURE" in os.environ else tuple(Phase)
ITEMS = 60
SCHEMA = schema_from_model(Item)
WORLD_ROLES = Roles({role: frozenset({role}) for role in ROLES}, {})
ALLOW, DENY = "allow", "deny"


class World:
    """The same rows in SQLite, as objects, for CEL, and in PostgreSQL."""

    def __init__(self, sqlite: Connection, postgresql: Connection, items: list[Item]) -> None:
        self.sqlite = sqlite
        self.postgresql = postgresql
        self.items = items
        self.for_cel = {item.id: item_for_cel(item) for item in items}
        self.tally = {"examples": 0, "rows": 0, "allowed": 0}


def _filled(url: str) -> Connection:
    connection = create_engine(url).connect()
    people, rows = make_rows(ITEMS)
    Base.metadata.create_all(connection)
    for person in people:  # one by one: a person's boss comes first
        connection.execute(insert(Person), [person])
    connection.execute(insert(Item), rows)
    return connection


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    try:
        postgresql = _filled(POSTGRESQL_URL)
    except OperationalError as error:
        pytest.skip(f"PostgreSQL is away ({POSTGRESQL_URL}): {error.orig}")
    sqlite = _filled("sqlite://")
    with Session(sqlite) as session:
        boss = selectinload(Person.boss)
        items = list(
            session.scalars(select(Item).options(selectinload(Item.owner).options(boss), selectinload(Item.reviewer)))
        )
        made = World(sqlite, postgresql, items)
        yield made
    sqlite.close()
    postgresql.close()
    sqlite.engine.dispose()
    postgresql.engine.dispose()
    print(f"\ncondition equality: {made.tally}")


def _grant(rules: list[tuple[str, Pair]], principal: Principal) -> FunctionDecision:
    """The function decision under rules that went the whole way: YAML, parser, checker, normal form."""
    lines = ["version: 1", "resource: items", "actions: [list]", "rules:"]
    for index, (effect, text) in enumerate(rules):
        lines += [
            f"  - id: items.r{index}",
            f"    effect: {effect}",
            "    roles: [authenticated]",
            "    actions: [list]",
            f"    when: {json.dumps(text.ours, ensure_ascii=False)}",
        ]
        lines += ["    scopes: {list: none}"] if effect == ALLOW else []
    faults: list[PolicyFault] = []
    table = read_table("\n".join(lines).encode(), "policies/items.yaml", faults)
    assert table is not None, faults
    policy = read_resource(table, "items", Vocabulary(SCHEMA, WORLD_ROLES.names, None), faults)
    assert faults == []
    return PolicySet({"items": policy}, WORLD_ROLES, "digest").function_decision(principal, "items", "list")


_TABLE = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_CEL = cel.NewEnv(variables={"resource": _TABLE, "principal": _TABLE, "request": _TABLE})


def _allowed_by_cel(
    world: World, rules: list[tuple[str, Pair]], principal: Principal, roles: frozenset[str]
) -> set[int]:
    """The judge from outside. An error of CEL's is "unknown": it allows nothing, and a deny rule fires."""
    compiled = [(effect, _CEL.compile(text.cel)) for effect, text in rules]
    caller, request = principal_for_cel(principal, roles), request_for_cel(principal)
    allowed = set()
    for id_, row in world.for_cel.items():
        data = {"resource": row, "principal": caller, "request": request}
        outcomes = [(effect, expression.eval(data=data).value()) for effect, expression in compiled]
        fired = any(value is not False for effect, value in outcomes if effect == DENY)
        if not fired and any(value is True for effect, value in outcomes if effect == ALLOW):
            allowed.add(id_)
    return allowed


def _statements(road: str, grant: FunctionDecision, principal: Principal) -> tuple[Select[Any], Select[Any]]:
    """The rows and their number, under the same scope, on each road that a query may take."""
    other = aliased(Item)
    scope = scope_expression(grant, other if road == "alias" else Item, principal, REQUEST)
    if road != "criteria on an alias":
        rows = select(other.id if road == "alias" else Item.id).where(scope)
        return rows, select(func.count()).select_from(rows.subquery())
    # The option belongs on the outermost statement: on the inner one of a count it has no effect.
    criteria = with_loader_criteria(Item, scope, include_aliases=True)
    rows = select(other.id)
    return rows.options(criteria), select(func.count()).select_from(rows.subquery()).options(criteria)


NOBODY = Principal(PrincipalKind.USER, CredentialKind.SESSION, scopes=None)


@example(
    [Pair("resource.owner_id == principal.customer_id", "resource.owner_id == principal.customer_id")],
    [],
    NOBODY,
    "plain",
)
@example([Pair("!(resource.count < 7)", "!(resource.count < 7)")], [], NOBODY, "plain")
@settings(
    max_examples=EXAMPLES,
    phases=PHASES,
    derandomize="POLICY_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    allows=st.lists(conditions(), min_size=1, max_size=2),
    denies=st.lists(conditions(), max_size=1),
    principal=principals(),
    road=st.sampled_from(["plain", "alias", "criteria on an alias"]),
)
def test_closure_and_both_databases_and_cel_agree(
    world: World, allows: list[Pair], denies: list[Pair], principal: Principal, road: str
) -> None:
    """For random rules and callers, all four allow the same rows out of many with NULLs."""
    rules = [*((ALLOW, text) for text in allows), *((DENY, text) for text in denies)]
    grant = _grant(rules, principal)
    expected = _allowed_by_cel(world, rules, principal, grant.roles)
    by_closure = set()
    for item in world.items:
        decision = grant.decide(row_values_from(item, grant.condition_paths), principal, REQUEST)
        assert decision.failure == ""
        if decision.allowed:
            by_closure.add(item.id)
    assert by_closure == expected, "closure"
    for name, connection in (("SQLite", world.sqlite), ("PostgreSQL", world.postgresql)):
        with Session(connection) as session:
            rows, count = _statements(road, grant, principal)
            assert set(session.scalars(rows)) == expected, name
            assert session.scalar(count) == len(expected), f"a count on {name}"
    world.tally["examples"] += 1
    world.tally["rows"] += len(world.items)
    world.tally["allowed"] += len(expected)


def test_the_comparison_is_not_empty(world: World) -> None:
    """Agreement means nothing where everything is denied, or everything allowed."""
    assert world.tally["rows"] * 0.1 < world.tally["allowed"] < world.tally["rows"] * 0.9

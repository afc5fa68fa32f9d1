"""The JSON Schemas that editors use: they know the same keys as the loader, and refuse what it refuses."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml

from secure_api.errors import PolicyError
from secure_api.policy.loader import load_policies
from secure_api.policy.reading import Reader
from secure_api.policy.schema import PRINCIPAL_SCHEMA
from secure_api.policy.yaml_nodes import Node
from secure_api.principal import CredentialKind, PrincipalKind
from tests.unit.policy.conditions import SCHEMA
from tests.unit.policy.test_policy_loader import BAD_ROLES, ORDERS, ROLES

from .json_schema import faults_in

FOLDER = Path(__file__).parents[2] / "policies"
POLICY, ROLE_FILE = (
    json.loads((FOLDER / "schema" / f"{name}.schema.json").read_text(encoding="utf-8")) for name in ("policy", "roles")
)


class _Loader(yaml.SafeLoader):
    """YAML as an editor reads it: an instant stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def faults(text: str, schema: dict[str, Any] = POLICY) -> list[str]:
    return list(faults_in(yaml.load(text, Loader=_Loader), schema, schema))  # noqa: S506 - a safe loader's child


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_file_satisfies_its_schema(path: Path) -> None:
    """Otherwise an editor would underline what the loader accepts."""
    assert faults(path.read_text(encoding="utf-8"), ROLE_FILE if path.name == "roles.yaml" else POLICY) == []


def test_the_schemas_know_exactly_the_loaders_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader says itself which keys it takes of each table, while it reads files that hold all kinds of tables."""
    asked = dict[str, tuple[set[str], set[str]]]()
    plain = Reader.table

    def noting(
        self: Reader, node: Node | None, what: str, *, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> dict[str, Node]:
        name = what if what != "the file" else f"the file with {sorted(required)[-1]}"
        asked[name] = (set(required), {*required, *optional})
        return plain(self, node, what, required=required, optional=optional)

    monkeypatch.setattr(Reader, "table", noting)
    (tmp_path / "roles.yaml").write_text(ROLES)
    (tmp_path / "orders.yaml").write_text(
        ORDERS.replace("    read: [status", "    step_up: {acr: mfa}\n    read: [status")
    )
    with pytest.raises(PolicyError, match=r"expected allow by orders\.own, got step_up"):
        load_policies(tmp_path, {"orders": SCHEMA})

    def keys(table: dict[str, Any]) -> tuple[set[str], set[str]]:
        assert table["additionalProperties"] is False
        return set(table.get("required", ())), set(table["properties"])

    parts, rule = POLICY["$defs"], POLICY["$defs"]["rule"]
    assert {
        "the file with version": keys(POLICY),
        "the rule": keys(rule),
        "`step_up`": keys(rule["properties"]["step_up"]),
        "the test": keys(parts["test"]),
        "the principal": keys(parts["principal"]),
        "the case": keys(parts["case"]),
        "the role `customer`": keys(ROLE_FILE["$defs"]["role"]),
    }.items() <= asked.items()
    assert keys(ROLE_FILE) == ({"version", "roles"}, {"version", "roles"})


def test_the_schema_knows_every_kind_and_attribute() -> None:
    """An attribute or a kind of credential that is added to the code is added to the schema."""
    principal, rule = POLICY["$defs"]["principal"]["properties"], POLICY["$defs"]["rule"]["properties"]
    assert set(principal) == {*PRINCIPAL_SCHEMA, "scopes"}
    assert principal["kind"]["enum"] == list(PrincipalKind)
    assert principal["credential"]["enum"] == list(CredentialKind)
    assert rule["credentials"]["items"]["enum"] == [kind for kind in CredentialKind if kind is not CredentialKind.NONE]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("version: 1", "version: 2", "/version: const"),
        ("rules:", "rulse:", ": required"),
        ("effect: allow", "effect: alow", "/rules/0/effect: enum"),
        ("roles: [customer]", 'roles: ["*"]', "/rules/0/roles/0: pattern"),
        ("roles: [customer]", "roles: []", "/rules/0/roles: minItems"),
        ("roles: [customer]", "roles: customer", "/rules/0/roles: type"),
        ("    when: resource.archived\n", "", "/rules/1: required"),
        ("when: resource.archived", "when: true", "/rules/1/when: type"),
        ("read: [status, total]", 'read: ["*"]', "/rules/0/read/0: pattern"),
        ("read: [status, total]", 'write: "*"', "/rules/0/write: type"),
        ("read: [status, total]", "read: [status, status]", "/rules/0/read: uniqueItems"),
        ("read: [status, total]", "credentials: [none]", "/rules/0/credentials/0: enum"),
        ("read: [status, total]", "step_up: {}", "/rules/0/step_up: minProperties"),
        ("read: [status, total]", "step_up: {akr: mfa}", "/rules/0/step_up/akr: not allowed"),
        ("actions: [update]", "actions: [update]\n    read: [status]", "/rules/1/read: not allowed"),
        ("expect: allow", "expect: yes", "/tests/0/cases/0/expect: enum"),
        ("roles: [customer], customer_id", "role: [customer], customer_id", "/tests/0/principal/role: not allowed"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str, place: str) -> None:
    """The good file passes; with one fault the editor points at it."""
    assert faults(ORDERS) == []
    assert old in ORDERS
    assert place in faults(ORDERS.replace(old, new, 1))


def test_the_schema_of_roles_refuses_what_the_loader_refuses() -> None:
    """All but circles and unknown parents, which no schema can express."""
    assert faults(ROLES, ROLE_FILE) == []
    beyond = ("circle", "circle: customer → customer", "did you mean `manager`?")
    for content, _, _, message in BAD_ROLES:
        assert bool(faults(content, ROLE_FILE)) is (message not in beyond), message

"""Malformed policy files: each is refused with its file, line and column, and nothing is half-loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.loader import load_policies
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.yaml_nodes import MAX_FILE_BYTES, _table_in

from .conditions import SCHEMA

SHIPPED = [path.read_text() for path in sorted((Path(__file__).parents[3] / "policies").glob("*.yaml"))]
ROLES = """\
version: 1
roles:
  customer: {}
  manager: {description: Runs the shop.}
  admin: {inherits: [manager]}
"""
ORDERS = """\
version: 1
resource: orders
actions: [list, update]
rules:
  - id: orders.own
    effect: allow
    roles: [customer]
    scopes: {list: orders:read}
    actions: [list]
    when: resource.customer_id == principal.customer_id
    read: [status, total]
  - id: orders.closed
    effect: deny
    roles: ["*"]
    actions: [update]
    when: resource.archived
tests:
  - name: own
    principal: {roles: [customer], customer_id: 7}
    action: list
    cases:
      - {row: {customer_id: 7}, expect: allow, rule: orders.own, read: [status, total], write: []}
      - {row: {customer_id: 8}, expect: deny, rule: default-deny}
"""


def load(folder: Path, **files: str | bytes) -> PolicySet:
    """Load a folder of the given files; `orders` and `roles` are the good ones if they are not given."""
    for name, content in ({"orders": ORDERS, "roles": ROLES} | files).items():
        path = folder / f"{name.replace('__', '.')}{'' if '__' in name else '.yaml'}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_policies(folder, {"orders": SCHEMA}, known_scopes={"orders:read", "orders:write"})


def faults_of(folder: Path, **files: str | bytes) -> tuple[PolicyFault, ...]:
    with pytest.raises(PolicyError) as caught:
        load(folder, **files)
    return caught.value.faults


def test_the_good_files_load(tmp_path: Path) -> None:
    """The twin of every refusal below."""
    policies = load(tmp_path)
    assert policies.permissions == {"orders:list", "orders:update"}
    assert policies.all_fields("orders") == {"status", "total"}
    assert policies.roles.names == {"customer", "manager", "admin", "anonymous", "authenticated"}


def changed(old: str, new: str) -> str:
    """The good file with the first `old` in it changed."""
    assert old in ORDERS, old
    return ORDERS.replace(old, new, 1)


NESTED = "version: 1\nroles: " + "[" * 500_000
DEEP = "version: 1\nroles: " + "[" * 100_000
BAD_ORDERS: list[tuple[str | bytes, int, int, str]] = [
    # YAML
    (ORDERS + "version: 1\n", 24, 1, "stands twice; first on line 1"),
    (changed("effect: allow", "effect: allow\n    effect: deny"), 7, 5, "`effect` stands twice"),
    (changed("    read: [status, total]", "\tread: [status]"), 11, 1, "tab"),
    (changed("roles: [customer]", "roles: &r [customer]"), 7, 12, "anchors"),
    (changed('roles: ["*"]', "roles: *r"), 14, 12, "anchors and aliases"),
    (changed('roles: ["*"]', "roles: [*]"), 14, 13, 'write `"*"`'),
    (
        changed("when: resource.archived", "when: !has(resource.status)"),
        16,
        11,
        "tags are not accepted; put a condition",
    ),
    (changed("when: resource.archived", "when: !!str resource.archived"), 16, 11, "tags"),
    ("%TAG ! !foo\n---\n" + ORDERS, 1, 1, "directives"),
    (ORDERS + "---\nversion: 1\n", 24, 1, "second document"),
    (changed("actions: [list]\n", "actions: [list\n"), 10, 9, "not YAML"),
    (changed("name: own", 'name: "own'), 24, 1, "not YAML"),
    (ORDERS.encode().replace(b"orders.own", b"orders.\xff", 1), 5, 16, "not UTF-8"),
    (ORDERS.replace("orders.own", "orders.\x07", 1), 5, 16, "does not allow"),
    ("", 1, 1, "must hold a table"),
    ("- a\n", 1, 1, "must hold a table"),
    (NESTED, 2, MAX_FILE_BYTES - 10, "larger than"),
    (DEEP, 2, 19, "nested deeper than 12"),
    (changed("version: 1", "version: 2"), 1, 10, "`version: 1`"),
    (changed("version: 1", 'version: "1"'), 1, 10, "`version: 1`"),
    ("? [a]\n: 1\n" + ORDERS, 1, 3, "a key must be text"),
    ("no: 1\n" + ORDERS, 1, 1, "reads the key `no` as bool"),
    ("<<: 1\n" + ORDERS, 1, 1, "reads the key `<<` as merge"),
    # the file's keys
    ("titel: x\n" + ORDERS, 1, 1, "has no key `titel`"),
    (ORDERS.replace("rules:", "rulse:"), 4, 1, "did you mean `rules`?"),
    (ORDERS.replace("version: 1\n", ""), 1, 1, "lacks `version`"),
    (changed("resource: orders", "resource: order"), 2, 11, "its resource is `orders`"),
    (changed("[list, update]", "list"), 3, 10, "must be a list"),
    (changed("[list, update]", "[list, update, Refund]"), 3, 25, "lower-case"),
    (changed("[list, update]", "[list, update, list]"), 3, 25, "stands twice"),
    (changed("[list, update]", "[list, update, on]"), 3, 25, "YAML 1.1 reads `on` as bool"),
    # rules
    (changed("id: orders.own", "id: own"), 5, 9, "begins with its resource"),
    (changed("id: orders.closed", "id: orders.own"), 12, 5, "stands twice; first on line 5"),
    (changed("effect: allow", "effect: alow"), 6, 13, "did you mean `allow`?"),
    (changed("roles: [customer]", "roles: [custmer]"), 7, 13, "did you mean `customer`?"),
    (changed("roles: [customer]", 'roles: ["*"]'), 7, 12, "deny rules only"),
    (changed("roles: [customer]", "roles: []"), 7, 12, "empty"),
    (changed("roles: [customer]", "roles: customer"), 7, 12, "must be a list"),
    (changed("actions: [list]\n", "actions: [lst]\n"), 9, 15, "did you mean `list`?"),
    (changed("{list: orders:read}", "{list: orders:reed}"), 8, 20, "did you mean `orders:read`?"),
    (changed("{list: orders:read}", "{update: orders:read}"), 8, 14, "no action of this rule"),
    (changed("{list: orders:read}", "{}"), 5, 5, "asks no scope for `list`"),
    (changed("    scopes: {list: orders:read}\n", ""), 5, 5, "or write `list: none`"),
    (changed("{list: orders:read}", "{list: Orders Read}"), 8, 20, "is no scope"),
    (changed("    when: resource.archived\n", ""), 12, 5, "lacks `when`"),
    (changed("when: resource.archived", "when:"), 16, 10, "is empty"),
    (changed("when: resource.archived", "when: true"), 16, 11, "write `always`"),
    (changed("when: resource.archived", "when: 1"), 16, 11, "YAML 1.1 reads `1` as int"),
    (changed("when: resource.archived", "when: [always]"), 16, 11, "must be text"),
    (changed("when: resource.archived", "when: resource.archive"), 16, 20, "did you mean `archived`?"),
    (changed("when: resource.archived", "when: 'resource.archive'"), 16, 21, "did you mean `archived`?"),
    (
        changed("when: resource.archived", "when: >-\n      resource.archived\n      && resource.totl == 5"),
        18,
        19,
        "did you mean `total`?",
    ),
    (
        changed("when: resource.archived", 'when: resource.status == "a # b"'),
        16,
        30,
        "not closed",
    ),
    (changed("read: [status, total]", "read: [status, totl]"), 11, 20, "did you mean `total`?"),
    (changed("read: [status, total]", 'read: "*"'), 11, 11, "list the fields"),
    (changed("read: [status, total]", 'write: ["*"]'), 11, 13, "list the fields"),
    (changed("read: [status, total]", 'write: "*"'), 11, 12, "list the fields"),
    (changed("read: [status, total]", "read: [status, status]"), 11, 20, "stands twice"),
    (changed("read: [status, total]", "read: [customer.name]"), 11, 12, "unknown name"),
    (changed("read: [status, total]", "credentials: [sesion]"), 11, 19, "did you mean `session`?"),
    (changed("read: [status, total]", "credentials: [none]"), 11, 19, "unknown name `none`"),
    (changed("read: [status, total]", "step_up: {}"), 11, 14, "demands nothing"),
    (changed("read: [status, total]", "step_up: {max_age_seconds: 5:00}"), 11, 32, "plain decimal"),
    (changed("read: [status, total]", "step_up: {max_age_seconds: 0300}"), 11, 32, "plain decimal"),
    (changed("read: [status, total]", "step_up: {acr: []}"), 11, 20, "is empty"),
    (changed("read: [status, total]", "step_up: {akr: mfa}"), 11, 15, "did you mean `acr`?"),
    (changed("actions: [update]", "actions: [update]\n    read: [status]"), 16, 5, "no meaning in a deny rule"),
    (changed("actions: [update]", "actions: [update]\n    scopes: {}"), 16, 5, "no meaning in a deny rule"),
    # embedded tests
    (changed("customer_id: 8}, expect: deny", "customer_id: 7}, expect: deny"), 23, 9, "got allow by orders.own"),
    (changed("rule: default-deny", "rule: orders.own"), 23, 9, "expected deny by orders.own, got deny by default-deny"),
    (changed("rule: default-deny", "rule: orders.owned"), 23, 53, "did you mean `orders.own`?"),
    (changed("read: [status, total], write", "read: [status], write"), 22, 72, "differs"),
    (changed("write: []", "write: [status]"), 22, 96, "differs"),
    (changed("expect: allow", "expect: yes"), 22, 41, "YAML 1.1 reads `yes` as bool"),
    (changed("{row: {customer_id: 8}, ", "{row: {custmer_id: 8}, "), 23, 16, "did you mean `customer_id`?"),
    (changed("{row: {customer_id: 8}, ", "{row: {customer_id: eight}, "), 23, 29, "expected a value of type UUID"),
    (changed("action: list", "action: refund"), 20, 13, "`action` cannot be `refund`"),
    (changed("roles: [customer], customer_id", "roles: [custommer], customer_id"), 19, 25, "did you mean `customer`?"),
    (changed("roles: [customer], customer_id", "role: [customer], customer_id"), 19, 17, "did you mean `roles`?"),
    (
        changed("    cases:\n      - {row: {customer_id: 7}", "    cases: []\n  - {row: {customer_id: 7}").split(
            "  - {row"
        )[0],
        21,
        12,
        "no cases",
    ),
]


@pytest.mark.parametrize(("content", "line", "column", "message"), BAD_ORDERS)
def test_a_malformed_resource_file_stops_the_load(
    tmp_path: Path, content: str | bytes, line: int, column: int, message: str
) -> None:
    """The first fault is exactly where the file went wrong."""
    first = faults_of(tmp_path, orders=content)[0]
    assert (first.file, first.line, first.column) == (f"{tmp_path.name}/orders.yaml", line, column), first
    assert message in first.message


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("content", [ROLES, ORDERS, *SHIPPED, *(content for content, *_ in BAD_ORDERS)])
def test_libyaml_reads_what_the_parser_of_the_messages_reads(content: str | bytes) -> None:
    """The same tree with the same places, or a refusal by both: one machine accepts what another accepts."""
    text = content if isinstance(content, str) else content.decode(errors="replace")
    trees, refusals = [], []
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        faults: list[PolicyFault] = []
        trees.append(_table_in(text, "policies/orders.yaml", loader, faults))
        refusals.append(bool(faults))
    assert trees[0] == trees[1]
    assert refusals[0] == refusals[1]


BAD_ROLES = [
    (
        ROLES.replace("customer: {}", "customer: {inherits: [admin]}").replace(
            "Runs the shop.}", "x, inherits: [customer]}"
        ),
        4,
        40,
        "circle",
    ),
    (ROLES.replace("customer: {}", "customer: {inherits: [customer]}"), 3, 25, "circle: customer → customer"),
    (ROLES.replace("inherits: [manager]", "inherits: [manger]"), 5, 22, "did you mean `manager`?"),
    (ROLES.replace("customer: {}", "anonymous: {}"), 3, 3, "is built in"),
    (ROLES.replace("customer: {}", "Customer: {}"), 3, 3, "lower-case"),
    (ROLES.replace("customer: {}", "customer:"), 3, 12, "must be a table"),
    (ROLES.replace("inherits: [manager]", "inherit: [manager]"), 5, 11, "did you mean `inherits`?"),
    ("version: 1\nroles: [customer]\n", 2, 8, "must be a table"),
    ("version: 1\nroles:\n" + "".join(f"  r{n}: {{}}\n" for n in range(201)), 203, 3, "more than 200"),
]


@pytest.mark.parametrize(("content", "line", "column", "message"), BAD_ROLES)
def test_a_malformed_roles_file_stops_the_load(
    tmp_path: Path, content: str, line: int, column: int, message: str
) -> None:
    """Roles are the ground of every rule, so their faults are exact as well."""
    found = [fault for fault in faults_of(tmp_path, roles=content) if fault.file.endswith("roles.yaml")]
    assert [(fault.line, fault.column) for fault in found][:1] == [(line, column)], found
    assert message in found[0].message


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    """Two faults in one rule and one in another file come in one error, in order."""
    orders = ORDERS.replace("effect: allow", "effect: alow").replace("[status, total]\n", "[statsu, total]\n")
    found = faults_of(tmp_path, orders=orders, product="version: 1\n")
    assert [(Path(fault.file).name, fault.line) for fault in found] == [
        ("orders.yaml", 6),
        ("orders.yaml", 11),
        ("product.yaml", 1),
    ]
    assert "there is no resource `product`" in found[2].message


def test_a_folder_without_roles_is_refused(tmp_path: Path) -> None:
    """One clear message instead of one per rule."""
    (tmp_path / "orders.yaml").write_text(ORDERS)
    with pytest.raises(PolicyError, match=r"roles\.yaml:1:1: the file is missing"):
        load_policies(tmp_path, {"orders": SCHEMA})
    with pytest.raises(PolicyError, match="no such folder"):
        load_policies(tmp_path / "absent", {"orders": SCHEMA})


def test_a_file_with_the_other_suffix_is_refused(tmp_path: Path) -> None:
    """Left aside, its deny rules would silently be missing."""
    assert "end in .yaml" in faults_of(tmp_path, orders__yml=ORDERS)[0].message


def test_sub_folders_are_not_read(tmp_path: Path) -> None:
    """`policies/tests/` belongs to `secure-api policy test`."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "personas.yaml").write_text("anything: at all\n")
    load(tmp_path)


def test_the_digest_covers_names_and_contents(tmp_path: Path) -> None:
    """A comment changes it; the same files give it again."""
    first, again = load(tmp_path).digest, load(tmp_path).digest
    other = load(tmp_path, roles=ROLES + "# changed\n").digest
    assert first == again != other
    assert len(first) == 64


def test_a_row_that_omits_what_is_never_null_is_refused(tmp_path: Path) -> None:
    """Otherwise a test would prove something about a row that cannot exist."""
    orders = ORDERS.replace(
        "when: resource.customer_id == principal.customer_id", "when: resource.created_at < request.time"
    )
    assert "lacks `created_at`" in faults_of(tmp_path, orders=orders)[0].message


def test_embedded_tests_know_relations_times_and_step_up(tmp_path: Path) -> None:
    """A relation is given as a table, an absent one is NULL."""
    orders = """\
version: 1
resource: orders
actions: [read]
rules:
  - id: orders.named
    effect: allow
    roles: [customer]
    scopes: {read: orders:read}
    actions: [read]
    when: >-
      !has(resource.customer.name)
      && resource.created_at < request.time
    step_up: {acr: [mfa, phrh], max_age_seconds: 300}
tests:
  - name: fresh
    principal: {roles: [customer], acr: phrh, auth_time: 2026-05-01T00:00:00Z, scopes: [orders:read]}
    action: read
    time: 2026-05-01T00:05:00Z
    cases:
      - {row: {customer: {name: null}, created_at: 2026-01-01T00:00:00Z}, expect: allow}
      - {row: {customer: {name: Ann}, created_at: 2026-01-01T00:00:00Z}, expect: deny}
      - {row: {customer: null, created_at: 2026-01-01T00:00:00Z}, expect: deny}
      - {row: {created_at: 2026-01-01T00:00:00Z}, expect: deny}
  - name: old
    principal: {roles: [customer], acr: phrh, auth_time: 2026-05-01T00:00:00Z}
    action: read
    time: 2026-05-01T00:05:01Z
    cases:
      - {row: {customer: {}, created_at: 2026-01-01T00:00:00Z}, expect: step_up, rule: orders.named}
  - name: anonymous
    principal: {kind: anonymous}
    action: read
    cases:
      - {row: {customer: {}, created_at: 2026-01-01T00:00:00Z}, expect: deny, rule: default-deny}
"""
    load(tmp_path, orders=orders)

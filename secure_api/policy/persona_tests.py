"""`policies/tests/<resource>_test.yaml`: tests that name personas and rows instead of writing them out.

The form is that of the tests inside a policy file, with `as:` and `with:` in place of `principal:`, and
with the name of a row where a table could stand. They run by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.embedded_tests import run_tests
from secure_api.policy.personas import Personas
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.reading import Reader
from secure_api.policy.source import suggestion
from secure_api.policy.yaml_nodes import Items, Node, Scalar, Table, read_table

SUFFIX = "_test.yaml"


@dataclass(frozen=True, slots=True)
class PolicyTestResult:
    """One test of a file: where it stands, its name, how many cases it has, and what failed."""

    source: str
    name: str
    cases: int
    faults: tuple[PolicyFault, ...]


def run_all_tests(folder: Path, policies: PolicySet, personas: Personas) -> list[PolicyTestResult]:
    """Every test of a policy folder, those inside the policy files first.

    Raises:
        PolicyError: if a test file cannot be read or is named after no resource.
    """
    embedded = [(name, folder / f"{name}.yaml", folder.name) for name in sorted(policies.resources)]
    separate = [
        (path.name.removesuffix(SUFFIX), path, f"{folder.name}/tests")
        for path in sorted((folder / "tests").glob(f"*{SUFFIX}"))
    ]
    results: list[PolicyTestResult] = []
    for resource, path, shown in (*embedded, *separate):
        results += _file(resource, path, f"{shown}/{path.name}", policies, None if path.parent == folder else personas)
    return results


def _file(
    resource: str, path: Path, shown: str, policies: PolicySet, personas: Personas | None
) -> Iterator[PolicyTestResult]:
    faults = list[PolicyFault]()
    table = read_table(path.read_bytes(), shown, faults)
    if resource not in policies.resources:
        faults.append(PolicyFault(shown, 1, 1, f"no policy file `{resource}.yaml` stands beside it"))
    reader = Reader(faults)
    if table is not None and personas is not None:
        reader.version(reader.table(table, "the file", required=("version", "resource", "tests")).get("version"))
    if faults or table is None:
        raise PolicyError(faults)
    for test in reader.items(table.entries.get("tests"), "tests"):
        found = list[PolicyFault]()
        written = test if personas is None else _written_out(test, resource, personas, found)
        cases = 0 if found else run_tests(_only(table, written), resource, policies, found)
        yield PolicyTestResult(str(test.place), _name(test), cases, tuple(found))


def _only(table: Table, test: Node) -> Table:
    return replace(table, entries={"tests": Items((test,), test.place)})


def _written_out(test: Node, resource: str, personas: Personas, faults: list[PolicyFault]) -> Node:
    """The test as a policy file would hold it: the persona as a table, the named rows likewise."""
    reader = Reader(faults)
    optional = ("with", "time")
    keys = dict(reader.table(test, "the test", required=("name", "as", "action", "cases"), optional=optional))
    role = reader.one_of(keys.pop("as", None), "as", personas.personas)
    credential = reader.one_of(keys.pop("with", None), "with", personas.credentials)
    if faults or role is None or not isinstance(test, Table):
        return test
    keys["principal"] = personas.principal_node(role, credential)
    rows = personas.row_nodes.get(resource, {})
    cases = [_case(case, rows, reader) for case in reader.items(keys["cases"], "cases")]
    keys["cases"] = Items(tuple(cases), keys["cases"].place)
    named = {key: scalar for key, scalar in test.keys.items() if key not in ("as", "with")}
    return replace(test, entries=keys, keys=named)


def _case(case: Node, rows: Mapping[str, Node], reader: Reader) -> Node:
    row = case.entries.get("row") if isinstance(case, Table) else None
    if not isinstance(case, Table) or not isinstance(row, Scalar):
        return case
    if row.text not in rows:
        reader.refuse(row, f"no row is named `{row.text}`{suggestion(row.text, rows)}")
    return replace(case, entries={**case.entries, "row": rows.get(row.text, row)})


def _name(test: Node) -> str:
    name = test.entries.get("name") if isinstance(test, Table) else None
    return name.text if isinstance(name, Scalar) else "a test without a name"

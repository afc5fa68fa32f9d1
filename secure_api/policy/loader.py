"""Policy files from a folder: all of them or none, and every fault in one go."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.embedded_tests import run_tests
from secure_api.policy.model import ResourcePolicy
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.roles import read_roles
from secure_api.policy.rule_reader import Vocabulary, read_resource
from secure_api.policy.schema import ResourceSchema
from secure_api.policy.source import suggestion
from secure_api.policy.yaml_nodes import read_table

ROLES_FILE = "roles.yaml"


def load_policies(
    folder: Path, schemas: Mapping[str, ResourceSchema], *, known_scopes: Collection[str] | None = None
) -> PolicySet:
    """The policies of a folder, valid as a whole: every name exists and every embedded test passes.

    Files directly in the folder are read, sub-folders are not.

    Args:
        folder: holds `roles.yaml` and one `<resource>.yaml` per resource.
        schemas: the resources that exist; one without a file is denied to everybody.
        known_scopes: the scopes that exist; None accepts every well-formed one.

    Raises:
        PolicyError: with every fault found, each with file, line and column.
    """
    faults = list[PolicyFault]()
    contents = _contents(folder, faults)
    tables = {
        name: table
        for name, content in contents.items()
        if (table := read_table(content, f"{folder.name}/{name}", faults)) is not None
    }
    roles_table = tables.pop(ROLES_FILE, None)
    if roles_table is None:
        # Without roles every rule would be at fault: one message is clearer.
        raise _error(faults)
    roles = read_roles(roles_table, faults)
    resources = dict[str, ResourcePolicy]()
    for file, table in tables.items():
        name = file.removesuffix(".yaml")
        if name not in schemas:
            place = table.keys.get("resource", table)
            faults.append(place.place.fault(f"there is no resource `{name}`{suggestion(name, schemas)}"))
            continue
        resources[name] = read_resource(table, name, Vocabulary(schemas[name], roles.names, known_scopes), faults)
    if faults:
        raise _error(faults)
    policies = PolicySet(resources, roles, _digest(contents))
    for file, table in tables.items():
        run_tests(table, file.removesuffix(".yaml"), policies, faults)
    if faults:
        raise _error(faults)
    return policies


def _contents(folder: Path, faults: list[PolicyFault]) -> dict[str, bytes]:
    """File name -> content, in the order of the names."""
    contents = dict[str, bytes]()
    if not folder.is_dir():
        raise PolicyError([PolicyFault(str(folder), 1, 1, "there is no such folder")])
    for path in sorted(folder.iterdir()):
        if path.suffix == ".yml":
            # Left aside, its deny rules would be missing and nobody would notice.
            faults.append(PolicyFault(f"{folder.name}/{path.name}", 1, 1, "policy files end in .yaml"))
        if path.suffix != ".yaml":
            continue
        try:
            contents[path.name] = path.read_bytes()
        except OSError as error:
            faults.append(PolicyFault(f"{folder.name}/{path.name}", 1, 1, f"cannot be read: {error.strerror}"))
    if ROLES_FILE not in contents:
        faults.append(PolicyFault(f"{folder.name}/{ROLES_FILE}", 1, 1, "the file is missing"))
    return contents


def _digest(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents; the lengths keep two different sets from looking alike."""
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _error(faults: list[PolicyFault]) -> PolicyError:
    return PolicyError(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.column)))

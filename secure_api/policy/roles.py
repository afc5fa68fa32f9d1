"""Roles and their inheritance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secure_api.errors import PolicyFault
from secure_api.policy.model import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, BUILT_IN_ROLES
from secure_api.policy.reading import Reader
from secure_api.policy.source import suggestion
from secure_api.policy.yaml_nodes import Scalar, Table
from secure_api.principal import Principal, PrincipalKind

MAX_ROLES = 200


@dataclass(frozen=True)
class Roles:
    """The known roles; `inherited` maps each to itself and everything it inherits."""

    inherited: Mapping[str, frozenset[str]]
    descriptions: Mapping[str, str]

    @property
    def names(self) -> frozenset[str]:
        """Every role that a rule may name, the built-in ones included."""
        return frozenset(self.inherited) | BUILT_IN_ROLES

    def held_by(self, principal: Principal) -> frozenset[str]:
        """The principal's roles with all they inherit and the built-in ones; unknown roles give nothing."""
        if principal.kind is PrincipalKind.ANONYMOUS:
            return frozenset({ANONYMOUS_ROLE})
        own = (self.inherited.get(role, frozenset()) for role in principal.roles)
        return BUILT_IN_ROLES.union(*own)


def read_roles(table: Table, faults: list[PolicyFault]) -> Roles:
    """The roles of `roles.yaml`; faults are added for unknown parents, cycles and reserved names."""
    reader = Reader(faults)
    top = reader.table(table, "the file", required=("version", "roles"))
    reader.version(top.get("version"))
    declared = reader.entries(top.get("roles"), "roles")
    if len(declared) > MAX_ROLES:
        faults.append(declared[MAX_ROLES][0].place.fault(f"more than {MAX_ROLES} roles"))
        return Roles({}, {})
    parents, descriptions = dict[str, list[Scalar]](), dict[str, str]()
    for key, node in declared:
        if key.text in BUILT_IN_ROLES:
            faults.append(key.place.fault(f"`{key.text}` is built in: {_BUILT_IN_MEANING[key.text]}"))
            continue
        reader.name(key, "a role")
        values = reader.table(node, f"the role `{key.text}`", optional=("description", "inherits"))
        descriptions[key.text] = reader.text(values.get("description"), "description") or ""
        parents[key.text] = reader.texts(values.get("inherits"), "inherits")
    return Roles(_closed(parents, faults), descriptions)


_BUILT_IN_MEANING = {
    ANONYMOUS_ROLE: "every principal holds it",
    AUTHENTICATED_ROLE: "every principal that is not anonymous holds it",
}


def _closed(parents: dict[str, list[Scalar]], faults: list[PolicyFault]) -> dict[str, frozenset[str]]:
    """Each role with all its ancestors. A cycle is a fault, and the edge that closes it is left out."""
    for node in (node for nodes in parents.values() for node in nodes):
        if node.text not in parents:
            faults.append(node.place.fault(f"unknown role `{node.text}`{suggestion(node.text, parents)}"))
    closed = dict[str, frozenset[str]]()

    def close(role: str, trail: tuple[str, ...]) -> frozenset[str]:
        if role in closed:
            return closed[role]
        held = {role}
        for parent in parents[role]:
            if parent.text in (walked := [*trail, role]):
                cycle = " → ".join([*walked[walked.index(parent.text) :], parent.text])
                faults.append(parent.place.fault(f"roles inherit in a circle: {cycle}"))
            elif parent.text in parents:
                held |= close(parent.text, (*trail, role))
        closed[role] = frozenset(held)
        return closed[role]

    for role in parents:
        close(role, ())
    return closed

"""The matrix: which status every route answers every caller with, as the policies have it.

Pure: routes come in as data. The order of refusals is the one of `docs/request-path.md`; a live test
asks the API for every cell, so the two cannot drift apart.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.decision import Decision, FunctionDecision
from secure_api.policy.personas import ABSENT, NEW, NO_OBJECT, PERSONAS_FILE, Personas
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import RequestAttributes, ResourceSchema
from secure_api.principal import CredentialKind, Principal, PrincipalKind

COLUMNS = ("route", "method", "role", "credential", "object", "status")
Key = tuple[str, str, str, str, str]
Change = Literal["opens", "closes", "changes"]


@dataclass(frozen=True, slots=True)
class MatrixRoute:
    """What the matrix needs to know of a declared route and method."""

    path: str  # "/api/v1/orders/{order_id}"
    method: str
    resource: str
    action: str
    objects: Literal["collection", "item", "new"]
    credentials: frozenset[CredentialKind]
    requires_authentication: bool = True
    is_page: bool = False

    @property
    def reading_action(self) -> str:
        """The action that finds the rows and shows the answer."""
        return "list" if self.objects == "collection" else "read"

    @property
    def success(self) -> int:
        """The status of a request that everything allowed."""
        return 201 if self.objects == "new" else 204 if self.method == "DELETE" else 200


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer: the status, the rule that decided, and the fields that may be seen and set."""

    route: str
    method: str
    role: str
    credential: str
    object: str
    status: int
    rule: str = ""
    source: str = ""
    read: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        """What tells this cell from every other one."""
        return (self.route, self.method, self.role, self.credential, self.object)

    @property
    def is_allowed(self) -> bool:
        """True if the request does what it asks for."""
        return self.status < 300


def matrix_cells(
    policies: PolicySet, routes: Iterable[MatrixRoute], personas: Personas, request: RequestAttributes
) -> tuple[Cell, ...]:
    """Every route for every caller and every kind of object, in that order.

    Raises `PolicyError` if a row of the personas lacks a column that the rules read and that is never NULL.
    """
    return tuple(
        _cell(policies, route, role, credential, principal, name, personas, request)
        for route in routes
        for role, credential, principal in personas.callers()
        for name in (personas.objects_of(route.resource) if route.objects == "item" else [NO_OBJECT])
    )


def to_csv(cells: Iterable[Cell]) -> str:
    """The cells as lines of `policies/matrix.csv`, with their header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*cell.key, cell.status) for cell in cells)
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class CellChange:
    """A cell that differs between two policy folders; one side is None where the cell is there once only."""

    before: Cell | None
    after: Cell | None

    @property
    def kind(self) -> Change:
        """`opens` if something became possible or more is shown, `closes` for the opposite, else `changes`."""
        before, after = _reach(self.before), _reach(self.after)
        return (
            "changes" if before == after else "opens" if before <= after else "closes" if after <= before else "opens"
        )


def changed_cells(before: Iterable[Cell], after: Iterable[Cell]) -> list[CellChange]:
    """The cells whose status or fields differ, in the order of `after`; those that went away come last."""
    old = {cell.key: cell for cell in before}
    new = {cell.key: cell for cell in after}
    return [
        CellChange(old.get(key), new.get(key))
        for key in (*new, *(key for key in old if key not in new))
        if _answer(old.get(key)) != _answer(new.get(key))
    ]


def _answer(cell: Cell | None) -> object:
    return (cell.status, cell.read, cell.write) if cell else None


def _reach(cell: Cell | None) -> frozenset[str]:
    if cell is None or not cell.is_allowed:
        return frozenset()
    return frozenset({"allowed", *(f"read {name}" for name in cell.read), *(f"write {name}" for name in cell.write)})


def _cell(
    policies: PolicySet,
    route: MatrixRoute,
    role: str,
    credential: str,
    principal: Principal,
    name: str,
    personas: Personas,
    request: RequestAttributes,
) -> Cell:
    key = (route.path, route.method, role, credential, name)
    is_anonymous = principal.kind is PrincipalKind.ANONYMOUS
    unauthenticated = 303 if route.is_page else 401  # a page sends people to sign in
    if is_anonymous and route.requires_authentication:
        return Cell(*key, unauthenticated)
    if not is_anonymous and principal.credential not in route.credentials:
        return Cell(*key, 403, "credential kind")
    grants = [policies.function_decision(principal, route.resource, action) for action in _actions(route)]
    for grant in grants:
        if not grant.allowed:
            status = unauthenticated if is_anonymous else 403
            return Cell(*key, status, f"{grant.rule_id}, missing {grant.missing or 'nothing'}", grant.source)
    grant, reading = grants[0], grants[-1]
    if route.objects == "collection":
        return _function_cell(key, route, grant, reading, principal, request)
    if name == ABSENT:
        return Cell(*key, 404)
    row_name = NEW if route.objects == "new" else name
    row = personas.objects.get(route.resource, {}).get(row_name, {})
    schema = policies.resources[route.resource].schema
    read = reading.decide(_values(reading, row, row_name, schema), principal, request)
    if route.objects == "item" and not read.allowed and read.step_up is None:
        return Cell(*key, 404, read.rule_id, read.source)
    decision = grant.decide(_values(grant, row, row_name, schema), principal, request)
    return Cell(
        *key, _status(decision, route), decision.rule_id, decision.source, read.read_fields, decision.write_fields
    )


def _function_cell(
    key: Key,
    route: MatrixRoute,
    grant: FunctionDecision,
    reading: FunctionDecision,
    principal: Principal,
    request: RequestAttributes,
) -> Cell:
    if grant.step_up_for(principal, request) is not None:
        return Cell(*key, 401, grant.candidates[0].id, grant.candidates[0].source)
    rules = ", ".join(rule.id for rule in grant.candidates)
    return Cell(*key, route.success, rules, grant.candidates[0].source, frozenset(reading.readable_fields))


def _actions(route: MatrixRoute) -> Iterator[str]:
    """The action and, last, the one that reads; once if they are the same."""
    yield from dict.fromkeys((route.action, route.reading_action))


def _values(grant: FunctionDecision, row: Mapping[str, object], name: str, schema: ResourceSchema) -> dict[str, object]:
    for path in grant.condition_paths:
        # Taken for NULL, it would let a deny rule fire that no real row meets.
        if path not in row and path in schema.attributes and not schema.attributes[path].nullable:
            message = (
                f"the row `{name}` of `{schema.name}` lacks `{path}`, which the rules read and which is never NULL"
            )
            raise PolicyError([PolicyFault(f"tests/{PERSONAS_FILE}", 1, 1, message)])
    return {path: row.get(path) for path in grant.condition_paths}


def _status(decision: Decision, route: MatrixRoute) -> int:
    if decision.step_up is not None:
        return 401
    return route.success if decision.allowed else 403

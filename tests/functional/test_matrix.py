"""The matrix: every route × role × credential × object, as reviewed, as live, and as the policies generate it.

`policies/matrix.csv` is written by hand from what the shop is meant to do, never from the engine's output.
"""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from secure_api.commands.folders import cells_of, personas_of, policies_of, routes_of
from secure_api.credentials.accounts import UserRole
from secure_api.policy.matrix import COLUMNS, Cell, MatrixRoute, to_csv
from secure_api.policy.personas import NO_OBJECT, Personas
from secure_api.policy.policy_set import PolicySet
from secure_api.resources.orders.model import Order
from secure_api.resources.products.model import Product
from secure_api.seed import demo_id
from secure_api.settings import PROJECT_ROOT
from tests.functional.test_sign_in import HOST, SESSION, sign_in
from tests.support.shop import ADA, ALICE, BOB, MIA, Shop

FOLDER = PROJECT_ROOT / "policies"
ERIN = "erin"  # signed in without a role, for as long as the test lasts
PEOPLE = {"customer": ALICE, "manager": MIA, "admin": ADA, "nobody": ERIN}
WHO_OWNS = {"own": ALICE, "archived": ALICE, "foreign": BOB}
# A body that the route accepts, for the methods that take one.
BODIES: dict[tuple[str, str], Callable[[], object]] = {
    ("/api/v1/orders/{order_id}", "PATCH"): lambda: {"internal_note": "matrix"},
    ("/api/v1/products", "POST"): lambda: {"sku": _sku(), "name": "Matrix", "price_minor": 100, "currency": "EUR"},
    ("/api/v1/products/{product_id}", "PATCH"): lambda: {"stock": 5},
}


def _sku() -> str:
    return f"MTX-{secrets.token_hex(6).upper()}"


def expected_cells() -> dict[tuple[str, ...], int]:
    """The reviewed expectation: the first five columns → the status."""
    with (FOLDER / "matrix.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert tuple(lines[0]) == COLUMNS
    found = {tuple(line[:5]): int(line[5]) for line in lines[1:]}
    assert len(found) == len(lines) - 1, "a cell stands twice in policies/matrix.csv"
    return found


def difference(expected: dict[tuple[str, ...], int], cells: Iterable[Cell]) -> str:
    """What the reviewed file lacks, has too much, or says otherwise than `cells`; empty if they agree."""
    generated = {cell.key: cell for cell in cells}
    missing = [cell for key, cell in generated.items() if key not in expected]
    message = ""
    if missing:
        message += "policies/matrix.csv lacks these lines. Decide each from what the API is meant to do, then add it:\n"
        message += "".join(f"  {','.join(cell.key)},?    (the policies say {cell.status})\n" for cell in missing)
    if gone := sorted(expected.keys() - generated.keys()):
        message += "policies/matrix.csv has lines that no route, role, credential or object stands for; remove:\n"
        message += "".join(f"  {','.join(key)}\n" for key in gone)
    for key, cell in generated.items():
        if key in expected and expected[key] != cell.status:
            message += f"{','.join(key)}: {expected[key]} is expected, the policies say {cell.status} by {cell.rule}\n"
    return message


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    return policies_of(FOLDER)


@pytest.fixture(scope="module")
def personas(policies: PolicySet) -> Personas:
    return personas_of(FOLDER, policies)


@pytest.fixture(scope="module")
def routes() -> list[MatrixRoute]:
    return routes_of(FOLDER)


# --- the policies generate the same table ---------------------------------------------------------------


def test_the_policies_generate_the_reviewed_matrix(
    policies: PolicySet, routes: list[MatrixRoute], personas: Personas
) -> None:
    """What the rules say equals what the reviewers expect, cell by cell (checklist line 93)."""
    assert difference(expected_cells(), cells_of(policies, routes, personas)) == ""


def test_a_new_route_is_not_left_out(policies: PolicySet, routes: list[MatrixRoute], personas: Personas) -> None:
    """Who adds a route is told each line to add, with nothing filled in."""
    assert difference(expected_cells(), cells_of(policies, routes, personas)) == ""
    added = replace(routes[-1], path="/api/v1/exports", method="POST", objects="collection")
    message = difference(expected_cells(), cells_of(policies, [*routes, added], personas))
    assert message.count("/api/v1/exports,POST,") == len(personas.callers())
    assert "/api/v1/exports,POST,anonymous,none,-,?" in message


def test_a_new_role_is_not_left_out(tmp_path: Path, routes: list[MatrixRoute]) -> None:
    """A role without a persona is refused with the line to add; then the matrix asks for its lines."""
    folder = tmp_path / "policies"
    (folder / "tests").mkdir(parents=True)
    for file in [*FOLDER.glob("*.yaml"), *(FOLDER / "tests").glob("*.yaml")]:
        (folder / file.relative_to(FOLDER)).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    names = folder / "tests" / "personas.yaml"
    changed = policies_of(folder)
    assert difference(expected_cells(), cells_of(changed, routes, personas_of(folder, changed))) == ""

    with (folder / "roles.yaml").open("a", encoding="utf-8") as file:
        file.write("  auditor:\n    description: Reads everything.\n")
    changed = policies_of(folder)
    with pytest.raises(Exception, match=r"no persona has the role `auditor`; add `auditor: {roles: \[auditor\]}`"):
        personas_of(folder, changed)

    text = names.read_text(encoding="utf-8").replace(
        "  admin: {roles: [admin]}", "  admin: {roles: [admin]}\n  auditor: {roles: [auditor]}"
    )
    names.write_text(text, encoding="utf-8")
    message = difference(expected_cells(), cells_of(changed, routes, personas_of(folder, changed)))
    assert "/api/v1/orders,GET,auditor,session,-,?" in message
    assert message.count(",auditor,") == 88


def test_every_rule_decides_some_cell(policies: PolicySet, routes: list[MatrixRoute], personas: Personas) -> None:
    """A rule that no cell names is not covered by the matrix: it is dead, or a persona or an object is missing."""
    named = " ".join(cell.rule for cell in cells_of(policies, routes, personas))
    rules = {rule.id for resource in policies.resources.values() for rule in resource.rules}
    # The cost price is a field and no status: its rule adds to the public one, which is named first.
    assert {rule for rule in rules if rule not in named} == set()


# --- the live API answers the same ----------------------------------------------------------------------


class Asker:
    """Asks the live API for single cells; fresh objects for what changes them."""

    def __init__(self, shop: Shop, personas: Personas) -> None:
        self._shop = shop
        self._http = requests.Session()
        self._personas = personas
        self._cookies = {role: sign_in(shop, name).cookies[HOST][SESSION] for role, name in PEOPLE.items()}
        self._kept: dict[tuple[str, str], object] = {}

    def status(self, cell: Cell) -> int:
        """The status that the API answers this cell with."""
        object_id = self._object(cell)
        path = re.sub(r"\{\w+\}", str(object_id), cell.route)
        headers = self._headers(cell)
        body = BODIES.get((cell.route, cell.method), lambda: None)()
        options = {"json": body} if body is not None else {}
        answer = self._http.request(
            cell.method, f"{self._shop.api}{path}", headers=headers, allow_redirects=False, timeout=30, **options
        )
        if answer.status_code >= 400:
            for word in ("total_minor", "price_minor", "only for staff"):
                assert word not in answer.text, f"{cell.key}: the refusal tells {word}"
        return answer.status_code

    def _headers(self, cell: Cell) -> dict[str, str]:
        if cell.credential == "none":
            return {}
        if cell.credential == "session":
            return {"Cookie": f"{SESSION}={self._cookies[cell.role]}", "X-CSRF": "1", "Origin": self._shop.api}
        scopes = self._personas.credentials[cell.credential].scopes or frozenset()
        return {"Authorization": f"Bearer {self._shop.token(PEOPLE[cell.role], ' '.join(sorted(scopes)))}"}

    def _object(self, cell: Cell) -> object:
        if cell.object in (NO_OBJECT, "absent"):
            return uuid4()
        if cell.method == "DELETE" and cell.is_allowed:
            return self._made(cell)
        key = (cell.route, cell.object)
        if key not in self._kept:
            self._kept[key] = self._made(cell)
        return self._kept[key]

    def _made(self, cell: Cell) -> object:
        if "/orders/" in cell.route:
            return self._shop.add_order(WHO_OWNS[cell.object], archived=cell.object == "archived")
        product = Product(id=uuid4(), sku=_sku(), name="Matrix", price_minor=100, currency="EUR", stock=1)
        with Session(self._shop.engine) as session:
            session.add(product)
            session.commit()
            return product.id

    def untouched(self) -> bool:
        """True if every object that no allowed DELETE was for is still there, and no refused write changed one."""
        with Session(self._shop.engine) as session:
            for (route, name), object_id in self._kept.items():
                row = session.get(Order if "/orders/" in route else Product, object_id)
                if row is None or (name == "archived" and row.internal_note != "only for staff"):
                    return False
        return True


@pytest.fixture
def without_roles(shop: Shop) -> Iterator[Callable[[], None]]:
    """Takes Erin's roles away, after she has signed in; they are back afterwards."""
    erin = demo_id("user", "Erin Eriksen")
    with Session(shop.engine) as session:
        kept = list(session.scalars(select(UserRole.role).where(UserRole.user_id == erin)))

    def take() -> None:
        with Session(shop.engine) as session:
            session.execute(delete(UserRole).where(UserRole.user_id == erin))
            session.commit()

    yield take
    take()
    with Session(shop.engine) as session:
        session.execute(insert(UserRole), [{"user_id": erin, "role": role} for role in kept])
        session.commit()


def test_the_api_answers_every_cell_as_reviewed(
    shop: Shop, routes: list[MatrixRoute], policies: PolicySet, personas: Personas, without_roles: Callable[[], None]
) -> None:
    """Every cell over HTTP. What is allowed is asked first: a refusal of the same request then means something."""
    expected = expected_cells()
    cells = [replace(cell, status=expected[cell.key]) for cell in cells_of(policies, routes, personas)]
    asker = Asker(shop, personas)
    without_roles()
    wrong = []
    for cell in sorted(cells, key=lambda cell: not cell.is_allowed):
        status = asker.status(cell)
        if status != cell.status:
            wrong.append(f"{','.join(cell.key)}: {cell.status} is expected, the API answers {status}")
    assert wrong == []
    assert {(cell.route, cell.method) for cell in cells} == {
        (cell.route, cell.method) for cell in cells if cell.is_allowed
    }, "a route that allows nobody proves nothing"
    assert asker.untouched()
    assert len(cells) == len(to_csv(cells).splitlines()) - 1 == 374

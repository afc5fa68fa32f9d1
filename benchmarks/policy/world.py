"""The rules, callers and rows that everybody is measured with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy import Engine, create_engine, insert

from secure_api.db.base import Base
from secure_api.db.policy_sql import schema_from_model
from secure_api.policy.loader import load_policies
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import CredentialKind, Principal, PrincipalKind
from secure_api.resources.customers.model import Customer
from secure_api.resources.orders.model import Order

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUEST = RequestAttributes(NOW)
OWN_FIELDS = ("id", "status", "total_minor", "currency", "note", "created_at", "updated_at")
ALL_FIELDS = (*OWN_FIELDS, "customer_id", "internal_note", "archived")
ROLES = "version: 1\nroles:\n  customer: {}\n  clerk: {}\n  manager: {}\n"
ORDERS = f"""\
version: 1
resource: orders
actions: [list, read, update]
rules:
  - id: orders.own
    effect: allow
    roles: [customer]
    scopes: {{list: orders:read, read: orders:read}}
    actions: [list, read]
    when: resource.customer_id == principal.customer_id
    read: [{", ".join(OWN_FIELDS)}]
  - id: orders.all
    effect: allow
    roles: [manager]
    scopes: {{list: orders:read}}
    actions: [list]
    when: always
    read: [{", ".join(ALL_FIELDS)}]
  - id: orders.note
    effect: allow
    roles: [customer]
    scopes: {{update: orders:write}}
    actions: [update]
    when: resource.customer_id == principal.customer_id
    write: [note]
  - id: orders.small
    effect: allow
    roles: [clerk]
    scopes: {{update: orders:write}}
    actions: [update]
    when: resource.total_minor <= 50000
    write: [status]
  - id: orders.archived
    effect: deny
    roles: ["*"]
    actions: [read, update]
    when: resource.archived
"""
ANNA = Principal(
    PrincipalKind.USER,
    CredentialKind.ACCESS_TOKEN,
    user_id=UUID(int=11),
    customer_id=UUID(int=1),
    roles=frozenset({"customer"}),
    scopes=frozenset({"orders:read", "orders:write"}),
)
MANAGER = replace(ANNA, customer_id=None, roles=frozenset({"manager"}))
CLERK = replace(ANNA, roles=frozenset({"customer", "clerk"}))

Row = dict[str, object]


def row(customer: int = 1, total_minor: int = 1_000, *, archived: bool = False) -> Row:
    """What the conditions read of one order."""
    return {"customer_id": UUID(int=customer), "total_minor": total_minor, "archived": archived}


def policies() -> PolicySet:
    """The rules above, loaded from files as a server does."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "roles.yaml").write_text(ROLES)
        (folder / "orders.yaml").write_text(ORDERS)
        return load_policies(folder, {"orders": schema_from_model(Order)})


@contextmanager
def database(orders_per_customer: int = 20, customers: int = 50) -> Iterator[tuple[Engine, UUID]]:
    """SQLite in memory with orders of many customers, and the id of one order of the first."""
    engine = create_engine("sqlite://")
    tables = [Base.metadata.tables[model.__tablename__] for model in (Customer, Order)]
    for table in tables:
        table.create(engine)
    with engine.begin() as connection:
        connection.execute(
            insert(Order),
            [
                {
                    "id": UUID(int=customer * 1_000 + number),
                    "customer_id": UUID(int=customer),
                    "status": "new",
                    "total_minor": number * 997,
                    "currency": "EUR",
                    "note": "leave it at the door",
                    "internal_note": None,
                    "archived": number % 5 == 4,
                    "created_at": NOW - timedelta(minutes=customer * 100 + number),
                    "updated_at": NOW,
                }
                for customer in range(1, customers + 1)
                for number in range(orders_per_customer)
            ],
        )
    yield engine, UUID(int=1_000)
    engine.dispose()

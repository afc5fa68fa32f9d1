"""No module outside `db` reaches the database by a way that its guards do not see.

A cursor of the driver passes every hook of SQLAlchemy, and a mark set by hand passes for a scope. Nothing at
run time can stop that, so it must not be written: each use outside `db` is listed here with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_api.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "secure_api"
# Names that may not be imported from SQLAlchemy, wherever in it they are.
NAMES = frozenset(
    {"text", "literal_column", "TextClause", "create_engine", "Session", "sessionmaker", "scoped_session", "Connection"}
)
# Attributes that lead past the session or into the driver, on any object.
ATTRIBUTES = frozenset(
    {"exec_driver_sql", "raw_connection", "driver_connection", "dbapi_connection", "bulk_save_objects",
     "bulk_insert_mappings", "bulk_update_mappings", "from_statement"}
)  # fmt: skip
# Attributes that do so on an engine or a session.
ON_ENGINE = frozenset({"connect", "begin", "execution_options"})
ON_SESSION = frozenset({"connection", "get_bind"})
# The roads that no policy narrows, and the marks of `db.scoping`.
ROADS = frozenset(
    {"system_select", "system_writes", "stored_values", "SCOPED_BY", "BY_POLICY", "WITH_UNMET_STEP_UP", "Confined",
     "PolicyPart", "confined"}
)  # fmt: skip

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("commands/policy.py", "create_engine"): "a refused reload is recorded where no application could be made",
    ("commands/policy_explain.py", "system_select"): "an operator at the shell asks about one row",
    ("credentials/single_use.py", "connection"): "asks for the dialect's name and runs nothing on it",
    ("pipeline/policy_generations.py", "Session"): "a reload acts outside any request",
    ("seed.py", "system_select"): "counts the users of an empty database before anyone can call",
    ("pipeline/scope.py", "WITH_UNMET_STEP_UP"): "a point read that a stronger login would open is 401 and not 404",
}


def uses(source: str) -> Iterator[str]:
    """Every forbidden thing that a module's source uses, by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = {alias.name for alias in node.names}
            yield from sorted(names & NAMES if module.partition(".")[0] == "sqlalchemy" else ())
            yield from sorted(names & ROADS if module.startswith("secure_api.db") else ())
        elif isinstance(node, ast.Attribute):
            owner = node.value.func if isinstance(node.value, ast.Call) else node.value
            holder = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if (
                node.attr in ATTRIBUTES
                or (holder in {"sqlalchemy", "sa", "orm", "sql"} and node.attr in NAMES)
                or (holder in {"scoping", "enforcement", "confinement"} and node.attr in ROADS)
                or ("engine" in holder and node.attr in ON_ENGINE)
                or ("session" in holder and node.attr in ON_SESSION)
            ):
                yield node.attr


def modules() -> list[str]:
    files = sorted(PACKAGE.rglob("*.py"))
    return [str(file.relative_to(PACKAGE)) for file in files if file.relative_to(PACKAGE).parts[0] != "db"]


@pytest.mark.parametrize("module", modules())
def test_a_module_outside_db_cannot_pass_its_guards(module: str) -> None:
    found = {name for name in uses((PACKAGE / module).read_text(encoding="utf-8")) if (module, name) not in EXCEPTIONS}
    assert not found, f"{module}: go through `secure_api.db`, or list the use with its reason"


def test_every_exception_is_still_needed() -> None:
    for module, name in EXCEPTIONS:
        assert name in uses((PACKAGE / module).read_text(encoding="utf-8")), (module, name)


WAYS_AROUND = [
    "from sqlalchemy import text",
    "from sqlalchemy.orm import Session",
    "from sqlalchemy.sql.expression import literal_column",
    "import sqlalchemy\nsqlalchemy.text('x')",
    "import sqlalchemy as sa\nsa.text('x')",
    "session.connection().exec_driver_sql('x')",
    "database.session.connection()",
    "context.session.connection().connection.cursor()",
    "database.engine.connect()",
    "engine.begin()",
    "with database.engine.connect() as c:\n    pass",
    "engine.raw_connection()",
    "get_engine().connect()",
    "session.bulk_save_objects([])",
    "from secure_api.db.scoping import SCOPED_BY",
    "from secure_api.db import scoping\nscoping.system_select(x, reason='y')",
]


@pytest.mark.parametrize("source", WAYS_AROUND)
def test_the_lint_sees_each_way_around(source: str) -> None:
    assert not list(uses("from sqlalchemy import select\nsession.execute(select(1))\nsocket.connect(x)"))
    assert list(uses(source))


def test_the_lint_reads_the_whole_package() -> None:
    assert {"app.py", "pipeline/scope.py", "resources/orders/service.py"} <= set(modules())
    assert not [module for module in modules() if Path(module).parts[0] == "db"]

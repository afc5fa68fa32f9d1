"""Imports go down only: the contracts hold, and each of them catches what it is there for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from secure_api.settings import PROJECT_ROOT

CONTRACTS = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS, INDEPENDENCE, PURE, OUTBOUND, SERVICES = (contract["name"] for contract in CONTRACTS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of both packages and their contracts."""
    for package in ("secure_api", "idp_mock"):
        shutil.copytree(PROJECT_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT_ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> tuple[int, set[str], str]:
    """The exit code, the names of the broken contracts, and the report."""
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [command, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "500", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    report = done.stdout + done.stderr
    broken = {contract["name"] for contract in CONTRACTS if f"{contract['name']} BROKEN" in report}
    return done.returncode, broken, report


def test_every_contract_is_kept(copy: Path) -> None:
    code, broken, report = lint(copy)
    assert (code, broken) == (0, set()), report
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in report


# file, what is planted, and the contract that must break
PLANTED = [
    ("secure_api/db/base.py", "import secure_api.pipeline", LAYERS),
    ("secure_api/errors.py", "import secure_api.settings", LAYERS),
    ("secure_api/web/limits.py", "import secure_api.credentials.accounts", LAYERS),
    ("secure_api/credentials/accounts.py", "import secure_api.web.csrf", LAYERS),
    ("secure_api/pipeline/scope.py", "import secure_api.resources.orders.model", LAYERS),
    ("secure_api/login/views.py", "import secure_api.resources.orders.model", LAYERS),
    ("secure_api/policy/model.py", "from secure_api.protocol import origin", LAYERS),
    ("secure_api/principal.py", "def late():\n    import secure_api.db", LAYERS),
    ("secure_api/helpers.py", "x = 1", LAYERS),
    ("secure_api/login/views.py", "import idp_mock.keys", INDEPENDENCE),
    ("idp_mock/keys.py", "from secure_api.protocol import jwt", INDEPENDENCE),
    ("secure_api/policy/decision.py", "import flask", PURE),
    ("secure_api/protocol/jwt.py", "import requests", PURE),
    ("secure_api/principal.py", "import sqlalchemy", PURE),
    ("secure_api/errors.py", "import werkzeug", PURE),
    ("secure_api/protocol/jwt.py", "import http.client", PURE),
    ("secure_api/login/relying_party.py", "import requests", OUTBOUND),
    ("secure_api/resources/orders/v1.py", "import urllib3", OUTBOUND),
    ("secure_api/web/problems.py", "import http.client", OUTBOUND),
    ("secure_api/resources/orders/service.py", "from flask import request", SERVICES),
    ("secure_api/resources/products/service.py", "import werkzeug", SERVICES),
]


@pytest.mark.parametrize(("file", "planted", "contract"), PLANTED, ids=[f"{row[0]}: {row[1]}" for row in PLANTED])
def test_a_module_cannot_import_what_its_contract_forbids(copy: Path, file: str, planted: str, contract: str) -> None:
    """Each contract is broken by one line that breaks it."""
    path = copy / file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{text}\n\n{planted}\n", encoding="utf-8")
    code, broken, report = lint(copy)
    assert code == 1
    assert contract in broken, report

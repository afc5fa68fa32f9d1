"""What stops a start: an undeclared route and a misspelt policy, each in one message with file and line."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
UNDECLARED = """

@blueprint.get("/orders/export")
def export_orders() -> str:
    return "every order"
"""


def copy_of_the_project(folder: Path) -> Path:
    """What a start needs, to be changed by a test."""
    for name in ("secure_api", "config", "policies", "docs"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`db upgrade` in that copy: it builds the whole application, and ends by itself."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SECURE_API_")},
        "PYTHONPATH": str(folder),
        "SECURE_API_SECRET_KEY": secrets.token_urlsafe(48),
        "SECURE_API_DATABASE_URL": f"sqlite:///{folder / 'start.sqlite3'}",
        "SHOP_WEB_CLIENT_SECRET": secrets.token_urlsafe(32),
        **variables,
    }
    command = [sys.executable, "-m", "secure_api", "db", "upgrade"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def line_of(path: Path, needle: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if needle in line)


def test_route_without_a_declaration_stops_the_start(tmp_path: Path) -> None:
    """One line that names the file, the line, the route and what to do; exit code 3."""
    project = copy_of_the_project(tmp_path)
    assert start(project).returncode == 0
    views = project / "secure_api/resources/orders/v1.py"
    views.write_text(views.read_text() + UNDECLARED)
    done = start(project)
    assert done.returncode == 3
    [message] = done.stderr.splitlines()
    line = line_of(views, '@blueprint.get("/orders/export")')
    assert f"secure_api/resources/orders/v1.py:{line}" in message
    assert "/api/v1/orders/export" in message
    assert "endpoint()" in message


def test_misspelt_column_in_a_policy_stops_the_start(tmp_path: Path) -> None:
    """One line with file:line:column and the column that was meant; exit code 3."""
    project = copy_of_the_project(tmp_path)
    assert start(project).returncode == 0
    policy = project / "policies/orders.yaml"
    policy.write_text(policy.read_text().replace("when: resource.customer_id ==", "when: resource.custmer_id =="))
    done = start(project)
    assert done.returncode == 3
    [message] = done.stderr.splitlines()
    line = line_of(policy, "custmer_id")
    column = policy.read_text().splitlines()[line - 1].index("custmer_id") + 1
    assert f"policies/orders.yaml:{line}:" in message
    assert abs(int(message.partition(f"orders.yaml:{line}:")[2].partition(":")[0]) - column) <= len("resource.")
    assert "customer_id" in message


def test_every_fault_of_the_settings_is_named_at_once(tmp_path: Path) -> None:
    """A production start with development's settings lists all that is wrong, one line each; exit code 3."""
    project = copy_of_the_project(tmp_path)
    done = start(project, SECURE_API_ENV="production", SECURE_API_SECRET_KEY="short", SECURE_API_DATABSE_URL="x")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) >= 1
    assert "SECURE_API_DATABSE_URL" in done.stderr
    done = start(project, SECURE_API_ENV="production", SECURE_API_SECRET_KEY="short")
    assert done.returncode == 3
    assert "SECURE_API_SECRET_KEY" in done.stderr
    assert "SECURE_API_BASE_URL" in done.stderr

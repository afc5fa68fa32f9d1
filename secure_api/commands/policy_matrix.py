"""`secure-api policy matrix` and `secure-api policy diff`: what the policies mean for every route and caller."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

import click
from jinja2 import Environment, PackageLoader

from secure_api.commands.folders import (
    DEFAULT_FOLDER,
    FOLDER,
    FOLDER_VARIABLE,
    cells_of,
    personas_of,
    policies_of,
    routes_of,
)
from secure_api.commands.outcomes import FAILED, explained
from secure_api.policy.matrix import Cell, CellChange, changed_cells, to_csv

FILE = click.Path(path_type=Path, dir_okay=False)
MEANINGS = {
    200: "allowed",
    201: "created",
    204: "deleted",
    303: "to sign-in",
    401: "sign in",
    403: "refused",
    404: "hidden",
}


@click.command("matrix")
@click.argument("folder", type=FOLDER, default=DEFAULT_FOLDER, envvar=FOLDER_VARIABLE)
@click.option("--csv", "csv_file", type=FILE, help="Write the cells as lines: route, method, role, credential, …")
@click.option("--html", "html_file", type=FILE, help="Write a page to read and hand on; it needs no other file.")
@explained
def policy_matrix(folder: Path, csv_file: Path | None, html_file: Path | None) -> None:
    """Show what every route answers every role, with every kind of credential, for every kind of object.

    The routes are those that the application declares; roles, credentials and objects are those of
    FOLDER/tests/personas.yaml. Without an option the lines go to standard output. Never write them over
    policies/matrix.csv: that file is what the reviewers expect, and is compared with this.

    Example: secure-api policy matrix --html matrix.html

    Exit codes: 0 done, 3 the policies or the settings are refused.
    """
    policies = policies_of(folder)
    cells = cells_of(policies, routes_of(folder), personas_of(folder, policies))
    if csv_file is None and html_file is None:
        click.echo(to_csv(cells), nl=False)
    if csv_file is not None:
        csv_file.write_text(to_csv(cells), encoding="utf-8")
        click.echo(f"{csv_file}: {len(cells)} cells")
    if html_file is not None:
        html_file.write_text(matrix_page(cells, policies.digest), encoding="utf-8")
        click.echo(f"{html_file}: {len(cells)} cells")


@click.command("diff")
@click.argument("old", type=FOLDER)
@click.argument("new", type=FOLDER)
@explained
def policy_diff(old: Path, new: Path) -> None:
    """Show which cells of the matrix change from the policies in OLD to those in NEW, fields included.

    `opens` marks what becomes possible or is shown in addition: read these lines first. The personas are
    those of NEW/tests/personas.yaml.

    Example: git worktree add ../before main && secure-api policy diff ../before/policies policies

    Exit codes: 0 no cell changes, 1 some do, 3 a folder or the settings are refused.
    """
    after = policies_of(new)
    personas, routes = personas_of(new, after), routes_of(new)
    changes = changed_cells(cells_of(policies_of(old), routes, personas), cells_of(after, routes, personas))
    for change in changes:
        click.echo(_line(change))
    opened = sum(change.kind == "opens" for change in changes)
    click.echo(f"{len(changes)} cells change, {opened} of them open something" if changes else "no cell changes")
    sys.exit(FAILED if changes else 0)


def matrix_page(cells: tuple[Cell, ...], digest: str) -> str:
    """The matrix as one self-contained page, a table for each route."""
    tables = []
    for (route, method), group in groupby(cells, key=lambda cell: (cell.route, cell.method)):
        rows = [
            (role, credential, list(row))
            for (role, credential), row in groupby(group, key=lambda cell: (cell.role, cell.credential))
        ]
        tables.append((route, method, [cell.object for cell in rows[0][2]], rows))
    pages = Environment(loader=PackageLoader("secure_api.commands"), autoescape=True, trim_blocks=True)
    template = pages.get_template("matrix.html")
    return template.render(tables=tables, digest=digest, count=len(cells), meanings=MEANINGS)


def _line(change: CellChange) -> str:
    before, after = change.before, change.after
    cell = after or before
    if cell is None:
        return ""
    parts = [f"{change.kind:7}", f"{cell.method} {cell.route}", f"{cell.role}/{cell.credential}", cell.object]
    old, new = (str(side.status) if side else "none" for side in (before, after))
    parts.append(f"{old} -> {new}" if old != new else new)
    for name in ("read", "write"):
        had, has = (getattr(side, name) if side else frozenset() for side in (before, after))
        parts += [f"{name} +{field}" for field in sorted(has - had)]
        parts += [f"{name} -{field}" for field in sorted(had - has)]
    parts.append(f"({before.rule if before else ''} -> {after.rule if after else ''})")
    return "  ".join(parts)

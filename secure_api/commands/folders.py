"""What the policy commands work on: a folder of policies, the personas in it, and the routes of the application."""

from __future__ import annotations

import dataclasses
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from secure_api.app import create_app
from secure_api.pipeline.declared_routes import declared_routes
from secure_api.policy.loader import load_policies
from secure_api.policy.matrix import Cell, MatrixRoute, matrix_cells
from secure_api.policy.personas import Personas, load_personas
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import RequestAttributes
from secure_api.resources import SCOPES, resource_schemas
from secure_api.settings import PROJECT_ROOT, load_settings

FOLDER = click.Path(path_type=Path)
DEFAULT_FOLDER = PROJECT_ROOT / "policies"
FOLDER_VARIABLE = "SECURE_API_POLICIES"


def policies_of(folder: Path) -> PolicySet:
    """The valid policies of a folder. Raises `PolicyError` with every fault."""
    return load_policies(folder, resource_schemas(), known_scopes=SCOPES.keys())


def personas_of(folder: Path, policies: PolicySet) -> Personas:
    """The personas that stand beside the policies. Raises `PolicyError` with every fault."""
    return load_personas(folder, policies, SCOPES.keys())


def routes_of(folder: Path) -> list[MatrixRoute]:
    """Every route that the application declares, with `folder` as its policies. No database is opened.

    Raises `SettingsError`, `PolicyError` or `UndeclaredRoute`, as a start would.
    """
    # A reviewer has no secret, and needs none: nothing is signed, sealed or served.
    given = {"SECURE_API_SECRET_KEY": secrets.token_urlsafe(48), **os.environ}
    settings = load_settings(given)
    reviewed = dataclasses.replace(
        settings, policies=folder, database_url="sqlite://", redis_url=None, log_level="ERROR"
    )
    return declared_routes(create_app(reviewed))


def cells_of(policies: PolicySet, routes: list[MatrixRoute], personas: Personas) -> tuple[Cell, ...]:
    """The whole matrix, for a request that is made now."""
    return matrix_cells(policies, routes, personas, RequestAttributes(datetime.now(UTC)))

"""`secure-api policy …`: check the policy files, test them, ask them, and put them in force."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from sqlalchemy import create_engine

from secure_api.app import create_app
from secure_api.commands.folders import DEFAULT_FOLDER, FOLDER, FOLDER_VARIABLE, personas_of, policies_of
from secure_api.commands.outcomes import FAILED, explained, faults_of
from secure_api.commands.policy_explain import policy_explain
from secure_api.commands.policy_matrix import policy_diff, policy_matrix
from secure_api.db.base import engine_options, prepare_engine
from secure_api.errors import PolicyError, StartupError, UndeclaredRoute
from secure_api.pipeline.policies_in_force import PoliciesInForce
from secure_api.pipeline.policy_generations import record_refusal
from secure_api.pipeline.services import EXTENSION
from secure_api.policy.persona_tests import run_all_tests
from secure_api.settings import Settings, load_settings


@click.group()
def policy() -> None:
    """Check, test, explain and compare the policy files, and put them in force.

    The usual way of a change: `policy check`, `policy test`, `policy diff`, then `policy reload`.
    """


@policy.command("check")
@click.argument("folder", type=FOLDER, default=DEFAULT_FOLDER, envvar=FOLDER_VARIABLE)
@explained
def policy_check(folder: Path) -> None:
    """Check every policy file of FOLDER: names, types, conditions, embedded tests. Prints file:line:column.

    Example: secure-api policy check policies

    Exit codes: 0 no fault, 1 a fault.
    """
    try:
        policies = policies_of(folder)
    except PolicyError as error:
        _end_with(error)
    rules = sum(len(resource.rules) for resource in policies.resources.values())
    click.echo(f"{len(policies.resources)} resources, {rules} rules: no fault; digest {policies.digest[:16]}")


@policy.command("test")
@click.argument("folder", type=FOLDER, default=DEFAULT_FOLDER, envvar=FOLDER_VARIABLE)
@explained
def policy_test(folder: Path) -> None:
    """Run every policy test of FOLDER and print each: those inside the policy files, and tests/<resource>_test.yaml.

    The second kind names its callers and rows; tests/personas.yaml says who and what they are.

    Example: secure-api policy test policies

    Exit codes: 0 every test passed, 1 one failed or a file has a fault.
    """
    try:
        policies = policies_of(folder)
        results = run_all_tests(folder, policies, personas_of(folder, policies))
    except PolicyError as error:
        _end_with(error)
    for result in results:
        click.echo(f"{'FAILED' if result.faults else 'passed'}  {result.source}  {result.name}")
        for fault in result.faults:
            click.echo(f"        {fault}")
    failed = sum(bool(result.faults) for result in results)
    click.echo(f"{len(results)} tests with {sum(result.cases for result in results)} cases, {failed} failed")
    sys.exit(FAILED if failed else 0)


@policy.command("reload")
@explained
def policy_reload() -> None:
    """Put the policy files in force in every worker, without a restart.

    The folder is checked first: if it has a fault, nothing changes, an alert event is kept and this command
    ends with 1. Else a new generation is written to the database, and every worker follows it from its next
    request on. A worker on another machine needs the same files there; until it has them it keeps its old
    rules and /readyz says 503. Uses the same settings as the API.

    Example: secure-api policy check && secure-api policy reload

    Exit codes: 0 in force, 1 the files have a fault or the database is away, 3 the settings are refused.
    """
    settings = load_settings(os.environ)
    try:
        app = create_app(settings)
    except (PolicyError, UndeclaredRoute) as error:
        _record(settings, error)
        _end_with(error)
    in_force: PoliciesInForce = app.extensions[EXTENSION].policies
    generation, changed = in_force.announce("command")
    digest = f"generation {generation.number}, digest {generation.digest[:16]}"
    click.echo(f"in force from the next request on: {digest}" if changed else f"nothing changed: {digest}")


def _record(settings: Settings, error: StartupError) -> None:
    engine = create_engine(settings.database_url, **engine_options(settings.database_url))
    prepare_engine(engine)
    try:
        record_refusal(engine, error, trigger="command")
    finally:
        engine.dispose()


def _end_with(error: StartupError) -> None:
    for fault in faults_of(error):
        click.echo(fault, err=True)
    sys.exit(FAILED)


for _command in (policy_explain, policy_matrix, policy_diff):
    policy.add_command(_command)

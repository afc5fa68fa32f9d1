"""`secure-api policy explain`: why the policies answer one caller as they do."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import joinedload

from secure_api.app import create_app
from secure_api.commands.folders import DEFAULT_FOLDER, FOLDER, FOLDER_VARIABLE, personas_of, policies_of
from secure_api.commands.outcomes import explained
from secure_api.db import Base, database
from secure_api.db.policy_sql import scope_expression
from secure_api.db.scoping import row_values, system_select
from secure_api.policy.explanation import ConditionNode, Explanation, RuleExplanation, explain, explained_paths
from secure_api.policy.personas import Personas
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.schema import PRINCIPAL_SCHEMA, AttributeType, RequestAttributes
from secure_api.policy.source import suggestion
from secure_api.principal import Principal
from secure_api.resources import MODELS
from secure_api.settings import load_settings

_SETTABLE = {name: attribute.type for name, attribute in PRINCIPAL_SCHEMA.items() if attribute.type in (
    AttributeType.UUID, AttributeType.STRING) and name not in ("kind", "credential")}  # fmt: skip


@click.command("explain")
@click.option("--as", "role", required=True, metavar="PERSONA", help="Who asks; tests/personas.yaml names them.")
@click.option("--with", "credential", metavar="CREDENTIAL", help="What they come with; a browser session if absent.")
@click.option("--action", required=True, metavar="ACTION", help="What they want to do, such as read.")
@click.option("--resource", required=True, metavar="RESOURCE", help="To what, such as orders.")
@click.option("--id", "row_id", type=click.UUID, help="Decide on this row of the database.")
@click.option("--row", "row_name", metavar="NAME", help="Decide on this row of tests/personas.yaml, such as own.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change the caller: customer_id=<id>.")
@click.option("--policies", "folder", type=FOLDER, default=DEFAULT_FOLDER, envvar=FOLDER_VARIABLE, help="The folder.")
@explained
def policy_explain(
    role: str,
    credential: str | None,
    action: str,
    resource: str,
    row_id: UUID | None,
    row_name: str | None,
    changes: tuple[str, ...],
    folder: Path,
) -> None:
    """Explain a decision: the rule and its line, what was missing, and the truth value of each condition.

    Without a row it also prints the SQL that a list is limited by. With --id it reads the row from the
    database of the settings, whoever it belongs to: this command is for operators.

    Example: secure-api policy explain --as customer --action read --resource orders --row foreign

    Exit codes: 0 explained, whatever was decided; 1 the database is away; 2 a name is unknown;
    3 the policies or the settings are refused.
    """
    policies = policies_of(folder)
    personas = personas_of(folder, policies)
    _require_known("--as", role, personas.personas)
    _require_known("--resource", resource, policies.resources)
    _require_known("--action", action, policies.resources[resource].actions)
    if credential is not None:
        _require_known("--with", credential, personas.credentials)
    if row_id is not None and row_name is not None:
        raise click.UsageError("--id and --row both name a row; give one of them")
    principal = _changed(personas.caller(role, credential), changes)
    request = RequestAttributes(datetime.now(UTC))
    paths = explained_paths(policies, resource, action)
    values = _row_of_database(resource, row_id, paths) if row_id is not None else None
    if row_name is not None:
        values = _row_of_personas(personas, resource, row_name, paths)
    explanation = explain(policies, principal, resource, action, values, request)
    caller = f"{role} with {credential or principal.credential.value}"
    sql = _sql_lines(policies, explanation, principal, request) if values is None else ()
    for line in (*_explained_lines(explanation, caller), *sql):
        click.echo(line)


def _require_known(option: str, name: str, known: Any) -> None:
    if name not in known:
        raise click.BadParameter(f"there is no {name!r}{suggestion(name, known)}", param_hint=option)


def _changed(principal: Principal, changes: tuple[str, ...]) -> Principal:
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        _require_known("--set", name, _SETTABLE)
        try:
            values[name] = UUID(text) if _SETTABLE[name] is AttributeType.UUID else text
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not an id", param_hint="--set") from error
    return dataclasses.replace(principal, **values)


def _model(resource: str) -> type[Base]:
    return next(model for model in MODELS if model.policy_resource == resource)


def _row_of_database(resource: str, row_id: UUID, paths: tuple[str, ...]) -> Mapping[str, object]:
    model: Any = _model(resource)
    relations = sorted({path.split(".")[0] for path in paths} & set(model.__mapper__.relationships.keys()))
    statement = system_select(model, reason="an operator asks why").where(model.id == row_id)
    with create_app(load_settings(os.environ)).app_context():
        try:
            row = database.session.scalar(statement.options(*(joinedload(getattr(model, name)) for name in relations)))
            if row is None:
                raise click.BadParameter(f"there is no row with the id {row_id}", param_hint="--id")
            return row_values(row, paths)
        finally:
            database.session.remove()
            database.engine.dispose()


def _row_of_personas(personas: Personas, resource: str, name: str, paths: tuple[str, ...]) -> Mapping[str, object]:
    rows = personas.objects.get(resource, {})
    _require_known("--row", name, rows)
    return {path: rows[name].get(path) for path in paths}


# --- what is printed ----------------------------------------------------------------------------------


def _explained_lines(explanation: Explanation, caller: str) -> Iterator[str]:
    effect = {"deny": "DENIED", "allow": "ALLOWED", "step_up": "NEEDS A STRONGER SIGN-IN"}.get(explanation.effect)
    yield f"{caller}: {explanation.resource}:{explanation.action} {effect or 'depends on the row'}"
    if explanation.rule_id:
        yield f"  decided by  {explanation.rule_id}" + (f" ({explanation.source})" if explanation.source else "")
    yield f"  roles       {', '.join(sorted(explanation.roles))}"
    if explanation.missing:
        yield f"  missing     {explanation.missing}" + _asked_for(explanation)
    if explanation.failure:
        yield f"  failure     {explanation.failure}"
    for name, fields in (("may read", explanation.read_fields), ("may write", explanation.write_fields)):
        if fields:
            yield f"  {name:<10}  {', '.join(sorted(fields))}"
    yield f"  policies    digest {explanation.policy_digest}"
    for rule in explanation.rules:
        yield from _rule_lines(rule)
    if not explanation.rules:
        yield "  no rule is about this action, so everybody is denied"


def _asked_for(explanation: Explanation) -> str:
    if explanation.required_scopes:
        return f" {' '.join(explanation.required_scopes)}"
    if explanation.step_up is None:
        return ""
    age = explanation.step_up.max_age_seconds
    wanted = [f"acr {' or '.join(explanation.step_up.acr_values)}"] if explanation.step_up.acr_values else []
    wanted += [f"not older than {age} s"] if age is not None else []
    return f": {', '.join(wanted)}"


def _rule_lines(rule: RuleExplanation) -> Iterator[str]:
    missing = f", missing {rule.missing}" if rule.status == "not_open" and rule.missing else ""
    scope = f" {rule.required_scope}" if rule.missing == "scope" and rule.required_scope else ""
    yield f"  {rule.effect.value:<5} {rule.rule_id} ({rule.source}): {rule.status.replace('_', ' ')}{missing}{scope}"
    yield from _condition_lines(rule.condition, "        ")


def _condition_lines(node: ConditionNode, indent: str) -> Iterator[str]:
    values = "; ".join(f"{read.name} is {_shown(read.value)}" for read in node.values)
    yield f"{indent}{node.truth.replace('_', ' ')}: {node.text}" + (f"   [{values}]" if values else "")
    for term in node.terms:
        yield from _condition_lines(term, f"{indent}  ")


def _shown(value: object) -> str:
    if value is None:
        return "absent"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _sql_lines(
    policies: PolicySet,
    explanation: Explanation,
    principal: Principal,
    request: RequestAttributes,
) -> Iterator[str]:
    grant = policies.function_decision(principal, explanation.resource, explanation.action)
    compiled = scope_expression(grant, _model(explanation.resource), principal, request).compile()
    yield "  rows in reach, as SQL"
    yield f"        {compiled}".replace("\n", "\n        ")
    for name, value in compiled.params.items():
        yield f"        :{name} = {_shown(value)}"

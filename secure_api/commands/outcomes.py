"""How a command ends: its exit codes, and a refusal as one line for each fault."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from secure_api.errors import PolicyError, SettingsError, StartupError

FAILED, USAGE, REFUSED = 1, 2, 3


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a refused start, or a database that is away, into one line per fault, without a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except StartupError as error:
            for fault in faults_of(error):
                click.echo(f"secure-api: {fault}", err=True)
            sys.exit(REFUSED)
        except OperationalError as error:
            # The driver's first line names host and reason; its message holds no password.
            reason = str(error.orig).partition("\n")[0]
            click.echo(f"secure-api: the database cannot be used: {reason}", err=True)
            sys.exit(FAILED)

    return run


def faults_of(error: StartupError) -> list[str]:
    """What is wrong, one line for each fault."""
    if isinstance(error, SettingsError | PolicyError):
        return [str(fault) for fault in error.faults]
    return error.log_detail.splitlines()

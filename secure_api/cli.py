"""The `secure-api` command.

Exit codes: 0 done, 1 failed, 2 wrong usage or a port in use, 3 the start was refused (settings,
policies, routes).
"""

from __future__ import annotations

import os
import sys

import click

from secure_api import demo as demo_command
from secure_api.app import create_app
from secure_api.commands.outcomes import USAGE, explained
from secure_api.commands.policy import policy
from secure_api.credentials.providers import load_providers
from secure_api.db import database
from secure_api.db.migrate import upgrade
from secure_api.errors import SettingsError, StartupError
from secure_api.pipeline.services import EXTENSION
from secure_api.seed import seed_demo
from secure_api.server import require_free_port, serve
from secure_api.settings import PROJECT_ROOT, Settings, load_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run, prepare and check the API.

    Settings come from config/<environment>.toml and from SECURE_API_* variables; SECURE_API_ENV picks
    the environment (development, testing, production).

    Exit codes: 0 done, 1 failed, 2 wrong usage or port in use, 3 start refused.
    """


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Worker processes. More than one needs PostgreSQL and Redis."
)
@explained
def run(host: str, port: int, workers: int | None) -> None:
    """Serve the API with gunicorn.

    Example: SECURE_API_SECRET_KEY=... secure-api run --port 8000

    SIGTERM lets requests in flight finish. SIGHUP does what `secure-api policy reload` does.
    """
    _refuse_used_port(host, port)
    app = create_app(_settings())
    serve(
        app,
        host=host,
        port=port,
        workers=workers,
        config_file=PROJECT_ROOT / "config" / "gunicorn.conf.py",
        reload=app.extensions[EXTENSION].policies.reload,
        ready=lambda: click.echo(f"secure-api: listening on http://{host}:{port}", err=True),
    )


@main.command()
@explained
def demo() -> None:
    """Start the whole demo: database, demo data, the mock identity provider and the API.

    API_PORT and IDP_PORT change the ports (8000 and 9000). Ctrl-C ends both. The demo's database is
    made anew at each start, in .demo/.
    """
    sys.exit(demo_command.run_demo(os.environ))


@main.group()
def db() -> None:
    """Prepare the database."""


@db.command("upgrade")
@explained
def db_upgrade() -> None:
    """Bring the database to the newest schema. Safe to run again."""
    with create_app(_settings()).app_context():
        upgrade(database.engine)
    click.echo("secure-api: the database has the newest schema")


@main.command()
@click.option("--provider", default="mock", show_default=True, help="The identity provider whose users the demo has.")
@explained
def seed(provider: str) -> None:
    """Fill an empty database with the demo shop. Refused in production."""
    settings = _settings()
    if settings.is_production:
        raise SettingsError(["demo users are refused in production"])
    found = load_providers(settings.identity_providers, settings.variables, allow_http_loopback=True).by_name(provider)
    if found is None:
        raise SettingsError([f"there is no enabled identity provider {provider!r}"])
    with create_app(settings).app_context():
        counts = seed_demo(database.session, found.issuer)
    made = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"secure-api: {made}" if counts else "secure-api: the database has users already; nothing was added")


main.add_command(policy)


def _settings() -> Settings:
    return load_settings(os.environ)


def _refuse_used_port(host: str, port: int) -> None:
    try:
        require_free_port(host, port)
    except StartupError as error:
        click.echo(f"secure-api: {error.log_detail}", err=True)
        sys.exit(USAGE)

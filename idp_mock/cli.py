"""The `idp-mock` command."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from idp_mock.app import create_app
from idp_mock.config import DEMO_CLIENTS, DEMO_USERS, LOOPBACK_HOSTS, Config, check_issuer
from idp_mock.keys import KeyRing
from idp_mock.profiles.imitated import ALWAYS_THERE, profile_of
from idp_mock.serving import BindError, bind, serve
from idp_mock.stores import Stores
from idp_mock.stores.sql import open_database
from idp_mock.toml_file import ConfigError

EXIT_USAGE = 2
_MIN_ROTATION_SECONDS = 60
_DESCRIPTION = "A strict OpenID Connect identity provider for demos and tests."
_EPILOG = """\
examples:
  # the demo's people and clients, sign-in by one click
  SHOP_WEB_CLIENT_SECRET=$(openssl rand -hex 32) idp-mock run --one-click

  # your own people and clients
  idp-mock run --users users.toml --clients clients.toml

  # records and keys that survive a restart; then, while it runs, new signing keys
  idp-mock run --store sqlite:///idp.db
  idp-mock keys rotate --store sqlite:///idp.db --issuer http://localhost:9000

  # unattended: a free port, no pages for ...&login_hint=alice, wrong tokens on request
  idp-mock run --port 0 --auto-login --test-endpoints

exit codes: 0 stopped by a signal; 2 wrong option or file, or the port is taken
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "keys":
        return _keys(options)
    try:
        _refuse_unsafe(options)
        listener = bind(options.host, options.port)
        port = listener.getsockname()[1]
        issuer = options.issuer or f"http://localhost:{port}"
        conformance = options.conformance_issuer
        further = dict.fromkeys((*ALWAYS_THERE, *options.extra_issuer, *([conformance] if conformance else [])))
        app = create_app(
            Config(
                issuers=(issuer, *(issuer.rstrip("/") + path for path in further)),
                environment=os.environ,
                users_file=options.users,
                clients_file=options.clients,
                audience=options.audience,
                one_click=options.one_click,
                auto_login=options.auto_login,
                test_endpoints=options.test_endpoints,
                store=options.store,
                rotate_keys_seconds=options.rotate_keys_every,
                conformance_issuer=issuer.rstrip("/") + conformance if conformance else None,
            )
        )
    except (BindError, ConfigError) as error:
        sys.stderr.write(f"idp-mock: {error}\n")
        return EXIT_USAGE
    if options.port == 0:
        sys.stdout.write(f"listening on http://{_url_host(options.host)}:{port}\n")
    serve(app, listener, f"idp-mock: issuer {issuer} ready")
    return 0


def _keys(options: argparse.Namespace) -> int:
    """Take the step on the keys that the running processes share through the database, and list them."""
    try:
        check_issuer(options.issuer)
        store = Stores.in_database(open_database(options.store), options.issuer, time.time).keys
    except ConfigError as error:
        sys.stderr.write(f"idp-mock: {error}\n")
        return EXIT_USAGE
    ring = KeyRing(profile_of(options.issuer).signing_algorithms, store)
    if options.step == "announce":
        ring.announce()
    elif options.step == "rotate":
        ring.rotate()
    for alg, kid, state, since in ring.states():
        sys.stdout.write(f"{alg}\t{kid}\t{state}\t{datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}\n")
    return 0


def _refuse_unsafe(options: argparse.Namespace) -> None:
    if options.host in LOOPBACK_HOSTS:
        return
    if options.test_endpoints:
        raise ConfigError("--test-endpoints signs anything for anybody, so --host must be a loopback address")
    if not options.allow_public_bind:
        raise ConfigError(f"--host {options.host} can be reached by others; add --allow-public-bind if you mean it")


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _issuer_path(text: str) -> str:
    if not text.startswith("/") or text.endswith("/"):
        raise argparse.ArgumentTypeError("write a path such as /second")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("write a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < _MIN_ROTATION_SECONDS:
        raise argparse.ArgumentTypeError(f"write a number of seconds, at least {_MIN_ROTATION_SECONDS}")
    return int(text)


def _add_keys_options(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser(
        "keys",
        help="list and rotate the signing keys in a database",
        description="List and rotate the signing keys of an issuer that runs with --store; it notices at once.",
    )
    keys.add_argument(
        "step",
        choices=("list", "announce", "rotate"),
        help="announce publishes the next keys; rotate signs with them and retires the present ones",
    )
    keys.add_argument("--store", metavar="URL", required=True, help="the database that `run --store` uses")
    keys.add_argument("--issuer", required=True, help="issuer URL, exactly as clients know it")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="idp-mock", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, dest="command", metavar="run | keys")
    _add_keys_options(commands)
    run = commands.add_parser(
        "run",
        help="serve the identity provider",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    run.add_argument("--port", type=_port, default=9000, help="port; 0 chooses a free one (default: %(default)s)")
    run.add_argument("--issuer", help="issuer URL, exactly as clients know it (default: http://localhost:PORT)")
    run.add_argument(
        "--extra-issuer",
        metavar="PATH",
        type=_issuer_path,
        action="append",
        default=[],
        help="a further issuer below the first, with keys and sessions of its own; repeatable. "
        "/google and /okta/oauth2/default are always there; /okta is an Okta org server; others are plain",
    )
    run.add_argument(
        "--users", metavar="FILE", type=Path, default=DEMO_USERS, help="TOML file of people (default: the demo's)"
    )
    run.add_argument(
        "--clients", metavar="FILE", type=Path, default=DEMO_CLIENTS, help="TOML file of clients (default: the demo's)"
    )
    run.add_argument(
        "--audience", metavar="URL", help="the API that access tokens are for (default: the clients file says)"
    )
    run.add_argument(
        "--store",
        metavar="URL",
        help="keep records and keys in a database: sqlite:///FILE or postgresql+psycopg://HOST/DATABASE "
        "(default: in this process's memory)",
    )
    run.add_argument(
        "--rotate-keys-every",
        metavar="SECONDS",
        type=_seconds,
        default=0,
        help="how long a signing key signs; its successor is published half that time before (default: for ever)",
    )
    run.add_argument("--one-click", action="store_true", help="sign in by choosing a name, without a password")
    run.add_argument(
        "--auto-login",
        action="store_true",
        help="TESTS AND DEMOS ONLY: a request whose login_hint names a person is signed in and consented, no page",
    )
    run.add_argument(
        "--test-endpoints",
        action="store_true",
        help="TESTS ONLY: tokens with arbitrary claims, faults and a log under /_test/; needs a loopback --host",
    )
    run.add_argument(
        "--conformance-issuer",
        metavar="PATH",
        type=_issuer_path,
        help="TESTS ONLY, with --test-endpoints: a further issuer at which a confidential client that sends a nonce "
        "may omit PKCE, as the OpenID Foundation's Basic OP plan does",
    )
    run.add_argument("--allow-public-bind", action="store_true", help="permit a --host that other machines can reach")
    return parser

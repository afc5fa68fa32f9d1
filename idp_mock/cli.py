"""The `idp-mock` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from idp_mock.app import create_app
from idp_mock.config import DEMO_CLIENTS, DEMO_USERS, LOOPBACK_HOSTS, Config
from idp_mock.serving import BindError, bind, serve
from idp_mock.toml_file import ConfigError

EXIT_USAGE = 2
_DESCRIPTION = "A strict OpenID Connect identity provider for demos and tests."
_EPILOG = """\
examples:
  # the demo's people and clients, sign-in by one click
  SHOP_WEB_CLIENT_SECRET=$(openssl rand -hex 32) idp-mock run --one-click

  # your own people and clients
  idp-mock run --users users.toml --clients clients.toml

  # unattended: a free port, no pages for ...&login_hint=alice, wrong tokens on request
  idp-mock run --port 0 --auto-login --test-endpoints

exit codes: 0 stopped by a signal; 2 wrong option or file, or the port is taken
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _refuse_unsafe(options)
        listener = bind(options.host, options.port)
        port = listener.getsockname()[1]
        issuer = options.issuer or f"http://localhost:{port}"
        app = create_app(
            Config(
                issuers=(issuer, *(issuer.rstrip("/") + path for path in options.extra_issuer)),
                environment=os.environ,
                users_file=options.users,
                clients_file=options.clients,
                audience=options.audience,
                one_click=options.one_click,
                auto_login=options.auto_login,
                test_endpoints=options.test_endpoints,
            )
        )
    except (BindError, ConfigError) as error:
        sys.stderr.write(f"idp-mock: {error}\n")
        return EXIT_USAGE
    if options.port == 0:
        sys.stdout.write(f"listening on http://{_url_host(options.host)}:{port}\n")
    serve(app, listener, f"idp-mock: issuer {issuer} ready")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="idp-mock", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="run")
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
        help="a further issuer below the first, with keys and sessions of its own; repeatable",
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
    run.add_argument("--one-click", action="store_true", help="sign in by choosing a name, without a password")
    run.add_argument(
        "--auto-login",
        action="store_true",
        help="TESTS AND DEMOS ONLY: a request whose login_hint names a person is signed in and consented, no page",
    )
    run.add_argument(
        "--test-endpoints",
        action="store_true",
        help="TESTS ONLY: POST /_test/tokens signs arbitrary claims; needs a loopback --host",
    )
    run.add_argument("--allow-public-bind", action="store_true", help="permit a --host that other machines can reach")
    return parser

"""A third-party OAuth2 client on the command line: it asks a person for access and prints the orders it may see.

It is a native app as RFC 8252 describes it: the system's browser, a redirect to a free loopback port,
the code flow with PKCE (RFC 7636), no client secret. It needs Python's standard library and nothing else.

    python examples/third_party_client.py                        # asks in your browser
    python examples/third_party_client.py --login-hint alice     # unattended, with the mock's --auto-login

Exit codes: 0 orders printed, 1 refused (the reason is printed), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import secrets
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

WAIT_SECONDS = 180


class Refused(Exception):
    """Somebody said no: the person, the identity provider, or the API."""


def main() -> int:
    options = _options()
    try:
        provider = _get_json(f"{options.issuer}/.well-known/openid-configuration")
        if provider["issuer"] != options.issuer:
            raise Refused("the discovery document is of another issuer")
        token = _authorize(options, provider)
        _print_orders(options.api, token)
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    except urllib.error.URLError as error:
        print(f"cannot reach the service: {error.reason}; is `make demo` running?", file=sys.stderr)
        return 1
    return 0


def _authorize(options: argparse.Namespace, provider: dict[str, Any]) -> str:
    """An access token for the person who consents: code flow with PKCE S256."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    state = secrets.token_urlsafe(16)
    with _Receiver() as receiver:
        request = {
            "response_type": "code",
            "client_id": options.client_id,
            "redirect_uri": receiver.redirect_uri,
            "scope": options.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": options.api,
        }
        if options.login_hint:
            request["login_hint"] = options.login_hint
        address = f"{provider['authorization_endpoint']}?{urllib.parse.urlencode(request)}"
        if options.login_hint:
            # The mock signs the hinted user in by itself; its redirect leads straight to our receiver.
            _visit(address)
        else:
            print(f"Opening your browser. If nothing happens, open this address:\n  {address}", file=sys.stderr)
            webbrowser.open(address)
        answer = receiver.wait()
    # RFC 9207: the answer must come from the provider that was asked; the state ties it to this run.
    if answer.get("state") != state or answer.get("iss") != provider["issuer"]:
        raise Refused("the answer does not belong to this request")
    if "error" in answer:
        raise Refused(answer.get("error_description") or answer["error"])
    granted = _post_form(
        provider["token_endpoint"],
        {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": receiver.redirect_uri,
            "client_id": options.client_id,
            "code_verifier": verifier,
        },
    )
    return str(granted["access_token"])


def _print_orders(api: str, token: str) -> None:
    """The first page of the orders that the token's person let us see."""
    page = _get_json(f"{api}/api/v1/orders?limit=50", token)
    for order in page["data"]:
        amount = f"{order['total_minor'] // 100}.{order['total_minor'] % 100:02d} {order['currency']}"
        print(f"{order['created_at'][:10]}  {order['status']:<10} {amount:>14}  {order['id']}")
    print(f"{len(page['data'])} orders", file=sys.stderr)


class _Receiver:
    """A loopback HTTP server that takes one redirect (RFC 8252 §7.3)."""

    def __enter__(self) -> _Receiver:
        self._answer: dict[str, str] = {}
        self._arrived = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                is_redirect = path == "/callback"
                if is_redirect and not receiver._arrived.is_set():
                    receiver._answer = dict(urllib.parse.parse_qsl(query))
                    receiver._arrived.set()
                body = b"You can close this window and return to the terminal." if is_redirect else b""
                self.send_response(200 if is_redirect else 404)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing: the request line holds the code."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.redirect_uri = f"http://127.0.0.1:{self._server.server_port}/callback"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def wait(self) -> dict[str, str]:
        """The parameters of the redirect."""
        if not self._arrived.wait(WAIT_SECONDS):
            raise Refused("nobody answered in the browser")
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _visit(address: str) -> None:
    try:
        urllib.request.urlopen(address, timeout=30).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise Refused("the identity provider did not sign that user in by itself; leave out --login-hint") from error


def _get_json(address: str, token: str | None = None) -> dict[str, Any]:
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    return _send(urllib.request.Request(address, headers=headers))


def _post_form(address: str, form: dict[str, str]) -> dict[str, Any]:
    return _send(urllib.request.Request(address, data=urllib.parse.urlencode(form).encode()))


def _send(request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(_explain(error)) from error


def _explain(error: urllib.error.HTTPError) -> str:
    """Status, the challenge's error code if there is one (RFC 6750 §3.1), and what the body says."""
    challenge = error.headers.get("WWW-Authenticate", "")
    code = challenge.partition('error="')[2].partition('"')[0]
    try:
        body = json.load(error)
    except ValueError:
        body = {}
    detail = body.get("detail") or body.get("error_description") or body.get("error") or ""
    return " ".join(part for part in (str(error.code), code, detail) if part)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Ask a person for access and print the orders that this program may see."
    )
    parser.add_argument(
        "--issuer", default="http://localhost:9000", help="the identity provider (default: %(default)s)"
    )
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="the API (default: %(default)s)")
    parser.add_argument("--client-id", default="example-cli", help="registered client (default: %(default)s)")
    parser.add_argument("--scope", default="orders:read", help="scopes to ask for (default: %(default)s)")
    parser.add_argument(
        "--login-hint", metavar="USER", help="sign in as USER without a browser (mock with --auto-login)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

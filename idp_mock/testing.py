"""For tests: a running provider, a client that is as right or wrong as asked, and a person who fills in forms.

Everything is real: the command in a process of its own, on a free loopback port, spoken to over HTTP. The client
and the person work against any issuer.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from requests.cookies import RequestsCookieJar

from idp_mock.profiles.imitated import profile_of

CLI_REDIRECT = "http://127.0.0.1:51234/callback"
TIMEOUT_SECONDS = 10
_START_SECONDS = 20
_STOP_SECONDS = 5
_READY = " ready\n"
DEFAULT_OPTIONS = ("--one-click", "--auto-login", "--test-endpoints")


class IdpServer:
    """One `idp-mock run --port 0` process; use it as a context manager or call `stop()`.

    `address` is where it listens, `issuer` its issuer, `shop_web_secret` and `service_secret` the secrets of the
    demo's web client and service, `registration_token` the initial access token for dynamic registration.
    """

    def __init__(self, options: Sequence[str] = DEFAULT_OPTIONS, environment: Mapping[str, str] | None = None) -> None:
        self.shop_web_secret = secrets.token_urlsafe(32)
        self.service_secret = secrets.token_urlsafe(32)
        self.registration_token = secrets.token_urlsafe(32)
        own = {
            "SHOP_WEB_CLIENT_SECRET": self.shop_web_secret,
            "EXAMPLE_SERVICE_CLIENT_SECRET": self.service_secret,
            "IDP_MOCK_REGISTRATION_TOKEN": self.registration_token,
        }
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop()
        self.process = subprocess.Popen(  # nosec B603
            [sys.executable, "-m", "idp_mock", "run", "--port", "0", *options],
            env={**os.environ, **own, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.address, self.issuer = self._wait_until_ready()

    def mint(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        key: str = "current",
        issuer: str | None = None,
    ) -> str:
        """A token with any claims, right or wrong: see `idp_mock.endpoints.mint` for the members."""
        wish = {"issuer": issuer or self.issuer, "claims": dict(claims or {}), "header": dict(header or {}), "key": key}
        answer = requests.post(f"{self.issuer}/_test/tokens", json=wish, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["token"])

    def fault(self, name: str, *, issuer: str | None = None, until_cleared: bool = False, **options: Any) -> None:
        """Ask for a misbehaviour, once or until `clear_faults()`: docs/identity-provider-faults.md has them all."""
        wish = {"issuer": issuer or self.issuer, "fault": name, "with": options, "until_cleared": until_cleared}
        answer = requests.post(f"{self.issuer}/_test/faults", json=wish, timeout=TIMEOUT_SECONDS)
        if answer.status_code != 201:
            raise ValueError(answer.text)

    def set_claims(self, claims: Mapping[str, Any], *, of: str = "id_token", issuer: str | None = None) -> None:
        """Put these claims into every token of the kind until `clear_faults()`; None takes one out."""
        self.fault("token_claims_set", issuer=issuer, until_cleared=True, token=of, claims=dict(claims))

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are set and not used up."""
        answer = requests.get(f"{self.issuer}/_test/faults", timeout=TIMEOUT_SECONDS)
        found: list[dict[str, Any]] = answer.json()["faults"]
        return found

    def clear_faults(self) -> None:
        """Be honest again."""
        requests.delete(f"{self.issuer}/_test/faults", timeout=TIMEOUT_SECONDS).raise_for_status()

    def log(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """What was asked of the provider, oldest first, without secrets; of one endpoint or of all."""
        answer = requests.get(f"{self.issuer}/_test/log", timeout=TIMEOUT_SECONDS)
        return [line for line in answer.json()["requests"] if endpoint in (None, line["endpoint"])]

    def clear_log(self) -> None:
        """Forget what was asked."""
        requests.delete(f"{self.issuer}/_test/log", timeout=TIMEOUT_SECONDS).raise_for_status()

    def stop(self) -> int:
        """End the process; the answer is its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout:
                self.process.stdout.close()
            self._errors.close()

    def __enter__(self) -> IdpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> tuple[str, str]:
        address = ""
        # A closed pipe (the process ended) ends the loop; a process that hangs is the test run's own timeout.
        for line in self.process.stdout or ():
            if line.startswith("listening on "):
                address = line.removeprefix("listening on ").strip()
            if line.startswith("idp-mock: issuer ") and line.endswith(_READY):
                return address, line.removeprefix("idp-mock: issuer ").removesuffix(_READY)
        self.process.wait(_START_SECONDS)
        self._errors.seek(0)
        message = self._errors.read()
        self.stop()
        raise RuntimeError(f"idp-mock did not start: {message}")


def pkce_pair() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def answer_of(location: str) -> dict[str, str]:
    """The parameters of an authorization response; each exactly once."""
    values = parse_qs(urlsplit(location).query, keep_blank_values=True)
    if any(len(found) != 1 for found in values.values()):
        raise AssertionError(f"a parameter is repeated: {location}")
    return {name: found[0] for name, found in values.items()}


@dataclass
class OAuthClient:
    """One client of the issuer, as strict or as wrong as a test wants."""

    issuer: str
    client_id: str = "example-cli"
    redirect_uri: str = CLI_REDIRECT
    scope: str = "openid profile orders:read"
    secret: str | None = None
    verifier: str = ""

    def address(self, endpoint: str) -> str:
        """Where the issuer has this endpoint."""
        return self.issuer.rstrip("/") + profile_of(self.issuer).paths[endpoint]

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """A complete authorization request; `None` takes a parameter out."""
        self.verifier, challenge = pkce_pair()
        usual = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": secrets.token_urlsafe(8),
            "nonce": secrets.token_urlsafe(8),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**usual, **changes}.items() if value is not None}

    def authorize(self, **changes: str | None) -> requests.Response:
        """The answer to an authorization request from a browser without cookies; redirects are not followed."""
        return requests.get(
            self.address("authorize"),
            params=self.parameters(**changes),
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )

    def code(self, login_hint: str = "alice", **changes: str | None) -> str:
        """A fresh code through the server's auto-login."""
        response = self.authorize(login_hint=login_hint, **changes)
        if response.status_code != 303:
            raise AssertionError(response.text)
        return answer_of(response.headers["Location"])["code"]

    def token(self, **changes: str | None) -> requests.Response:
        """The token endpoint's answer; `None` takes a parameter out."""
        form = {
            "grant_type": "authorization_code",
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            "client_id": self.client_id,
            **changes,
        }
        auth = (self.client_id, self.secret) if self.secret else None
        return requests.post(
            self.address("token"), data=form, auth=auth, allow_redirects=False, timeout=TIMEOUT_SECONDS
        )

    def tokens(self, login_hint: str = "alice", **changes: str | None) -> dict[str, Any]:
        """A complete flow's token response."""
        response = self.token(code=self.code(login_hint, **changes))
        if response.status_code != 200:
            raise AssertionError(response.text)
        body: dict[str, Any] = response.json()
        return body

    def userinfo(self, access_token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return requests.get(self.address("userinfo"), headers=headers, timeout=TIMEOUT_SECONDS)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.forms.append({"action": values.get("action") or "", "hidden": {}, "buttons": []})
        elif tag == "input" and values.get("type") == "hidden":
            self.forms[-1]["hidden"][values["name"]] = values.get("value") or ""
        elif tag == "button":
            self.forms[-1]["buttons"].append((values.get("name"), values.get("value")))


@dataclass
class Person:
    """Somebody with a browser: follows redirects within the issuer, stops at the first one that leaves it."""

    issuer: str
    cookies: RequestsCookieJar = field(default_factory=RequestsCookieJar)
    form_status: int = 0

    def open(self, url: str, params: dict[str, str] | None = None) -> requests.Response:
        return self._follow(self._send("GET", url, params=params))

    def press(self, page: requests.Response, button: str, value: str = "1", **fields: str) -> requests.Response:
        """Submit the form that has this button."""
        form = next(form for form in _forms(page) if (button, value) in form["buttons"])
        return self.post(urljoin(page.url, form["action"]), {**form["hidden"], button: value, **fields})

    def post(self, url: str, form: dict[str, str], headers: dict[str, str] | None = None) -> requests.Response:
        """Post and follow; the status of the first answer is kept in `form_status`."""
        response = self._send("POST", url, data=form, headers=headers)
        self.form_status = response.status_code
        return self._follow(response)

    def sign_in(self, client: OAuthClient, name: str = "alice", **changes: str | None) -> requests.Response:
        """Open an authorization request and click on a name: the consent page, or the redirect to the client."""
        page = self.open(client.address("authorize"), client.parameters(**changes))
        return self.press(page, "user", name)

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        with requests.Session() as session:
            session.cookies = self.cookies
            return session.request(method, url, allow_redirects=False, timeout=TIMEOUT_SECONDS, **options)

    def _follow(self, response: requests.Response) -> requests.Response:
        while "Location" in response.headers:
            target = urljoin(response.url, response.headers["Location"])
            if urlsplit(target).netloc != urlsplit(self.issuer).netloc:
                break
            response = self._send("GET", target)
        return response


def hidden_fields(page: requests.Response) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    fields: dict[str, str] = _forms(page)[0]["hidden"]
    return fields


def _forms(page: requests.Response) -> list[dict[str, Any]]:
    parser = _FormReader()
    parser.feed(page.text)
    return parser.forms

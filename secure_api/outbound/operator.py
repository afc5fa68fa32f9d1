"""Requests to destinations that the operator configured: identity providers, above all."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import requests
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from secure_api.errors import OutboundFailed
from secure_api.outbound.deadline import DeadlineAdapter, deadline_in
from secure_api.protocol import strict_json
from secure_api.protocol.origin import origin_of

MAX_RESPONSE_BYTES: Final = 262_144

# RFC 6749 §5.2 and RFC 6750 §3.1: a refusal is an answer, and carries a JSON body that says why.
_OAUTH_STATUSES: Final = frozenset({200, 400, 401, 403})


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A complete answer: its status and its JSON object."""

    status: int
    body: Mapping[str, Any]


class OperatorClient:
    """Requests to `allowed_origins` and to nowhere else, each with a bound on time and on size.

    Private addresses are fine: the operator named them. No redirect is followed, no proxy, netrc or
    certificate setting of the environment is used, no cookie kept, no compressed answer taken (that
    was not asked for, and a small one can grow without end). One object serves all threads and keeps
    connections open.

    Source: ASVS v5.0.0-1.3.6, 12.2.1, 12.3.2 and 16.5.2; OWASP API7:2023.
    """

    def __init__(
        self,
        allowed_origins: Iterable[str],
        *,
        connect_timeout_seconds: float = 3.0,
        read_timeout_seconds: float = 5.0,
        total_timeout_seconds: float = 8.0,
        max_bytes: int = MAX_RESPONSE_BYTES,
        pool_size: int = 10,
        ca_file: str | None = None,
    ) -> None:
        """A client for `allowed_origins`; opens nothing yet.

        Args: each origin is `scheme://host[:port]`; `max_bytes` caps a response body; `ca_file` is the
        path of the only certificates to trust, in PEM form, instead of the system's.
        Raises ValueError where an origin is not an http or https address.
        """
        self._origins = frozenset(origin_of(origin) for origin in allowed_origins)
        self._total_seconds = total_timeout_seconds
        self._timeouts = (
            min(connect_timeout_seconds, total_timeout_seconds),
            min(read_timeout_seconds, total_timeout_seconds),
        )
        self._max_bytes = max_bytes
        session = requests.Session()
        session.trust_env = False
        session.verify = ca_file or True
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        session.headers.update(
            {"User-Agent": "secure-api", "Accept": "application/json", "Accept-Encoding": "identity"}
        )
        adapter = DeadlineAdapter(pool_connections=len(self._origins) or 1, pool_maxsize=pool_size, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        self._session = session

    def get_json(self, url: str, *, bearer_token: str | None = None) -> dict[str, Any]:
        """The JSON object at `url`, from a 200 answer.

        Raises: `errors.OutboundFailed` where the origin is not allowed, the peer does not answer in time,
        or the answer is no 200, too large, compressed, not JSON by its type, or ambiguous JSON.
        """
        headers = {} if bearer_token is None else {"Authorization": f"Bearer {bearer_token}"}
        return self._exchange("GET", url, headers, None, frozenset({200}))[1]

    def post_form(self, url: str, data: Mapping[str, str], *, auth: tuple[str, str] | None = None) -> JsonResponse:
        """The answer of an OAuth endpoint to `data`: 200, or a refusal (400, 401, 403) with its JSON object.

        Args: `auth` is a client's id and secret, sent as `client_secret_basic`.
        Raises: `errors.OutboundFailed` as `get_json`. Source: RFC 6749 §2.3.1, §4.1.3 and §5.2.
        """
        headers = {} if auth is None else {"Authorization": _basic(*auth)}
        return JsonResponse(*self._exchange("POST", url, headers, data, _OAUTH_STATUSES))

    def close(self) -> None:
        """Closes the connections that are open and idle."""
        self._session.close()

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None,
        statuses: Collection[int],
    ) -> tuple[int, dict[str, Any]]:
        try:
            allowed = origin_of(url) in self._origins
        except ValueError:
            raise _failed(f"{method}: not an absolute http or https address") from None
        where = f"{method} {_loggable(url)}"
        if not allowed:
            raise _failed(f"{where}: not an origin that the configuration allows")
        try:
            with (
                deadline_in(self._total_seconds),
                self._session.request(
                    method,
                    url,
                    headers=dict(headers),
                    data=data,
                    timeout=self._timeouts,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                if response.status_code not in statuses:
                    raise _failed(f"{where}: status {response.status_code}")
                if not _is_json(response.headers.get("Content-Type", "")):
                    raise _failed(f"{where}: not JSON by its content type")
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise _failed(f"{where}: compressed, though this was not asked for")
                body = self._read(response)
        # Only the kind of failure is kept: the text of these exceptions holds the query and more.
        except (RequestException, HTTPError, OSError) as error:
            raise _failed(f"{where}: {type(error).__name__}") from None
        if len(body) > self._max_bytes:
            raise _failed(f"{where}: more than {self._max_bytes} bytes")
        try:
            return response.status_code, strict_json.parse_object(body)
        except ValueError as error:
            raise _failed(f"{where}: {error}") from None

    def _read(self, response: requests.Response) -> bytes:
        """At most one byte more than the cap. It reads to the very end, where urllib3 notices a cut-off body."""
        body = bytearray()
        while len(body) <= self._max_bytes:
            piece = response.raw.read(self._max_bytes + 1 - len(body), decode_content=False)
            if not piece:
                break
            body += piece
        return bytes(body)


def _failed(log_detail: str) -> OutboundFailed:
    return OutboundFailed("A service that this request depends on did not answer.", log_detail=log_detail)


def _loggable(url: str) -> str:
    """The address without its query, which may hold secrets."""
    return urlsplit(url)._replace(query="").geturl()


def _is_json(content_type: str) -> bool:
    """True for `application/json` and every `application/…+json` (RFC 6839 §3.1)."""
    name = content_type.partition(";")[0].strip().lower()
    return name == "application/json" or (name.startswith("application/") and name.endswith("+json"))


def _basic(client_id: str, client_secret: str) -> str:
    """Both halves are form-encoded first, so that a colon or an umlaut in them survives (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"

"""Puts the faults that were asked for into answers, and keeps the log of what was asked. Around the whole application.

The endpoints themselves stay honest: this module sees requests before them and finished responses after them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, g, json, request
from werkzeug.exceptions import RequestEntityTooLarge

from idp_mock.endpoints.local_only import is_test_request
from idp_mock.faults import Fault, FaultBoard, SetFault
from idp_mock.faults.answers import ANSWER_FAULTS, instead
from idp_mock.faults.documents import (
    BODY_CHANGES,
    BODY_FAULTS,
    RESPONSE_CHANGES,
    RESPONSE_FAULTS,
    response_parameters,
    with_parameters,
)
from idp_mock.faults.tokens import TOKEN_FAULTS, changed_token, with_at_hash
from idp_mock.issuer import Issuer
from idp_mock.places import places

FAULTS: Mapping[str, Fault] = {
    fault.name: fault for fault in (*TOKEN_FAULTS, *BODY_FAULTS, *RESPONSE_FAULTS, *ANSWER_FAULTS)
}
# The only values that are written down; of every other parameter just the name is.
_SHOWN = frozenset(
    {
        *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "grant_type", "resource"),
        *("prompt", "max_age", "acr_values", "login_hint", "code_challenge_method", "token_type_hint", "ui_locales"),
    }
)
_SCHEMES = frozenset({"basic", "bearer", "dpop"})
_MAX_ENTRIES = 1_000
_MAX_VALUE = 300


@dataclass
class Injector:
    """One for the application: a board for each issuer, one log for all."""

    issuers: Mapping[str, Issuer]

    def __post_init__(self) -> None:
        self.boards = {url: FaultBoard() for url in self.issuers}
        self.log: deque[dict[str, Any]] = deque(maxlen=_MAX_ENTRIES)
        self._lock = threading.Lock()
        self._last_code: dict[str, str] = {}
        self._places = places(self.issuers.values())
        for issuer in self.issuers.values():
            issuer.outgoing.change = partial(self._changed_logout_token, issuer)
            issuer.outgoing.note = partial(self.note, issuer)

    def surround(self, app: Flask) -> None:
        app.before_request(self._before)
        app.after_request(self._after)

    def _changed_logout_token(self, issuer: Issuer, token: str) -> str:
        faults = self.boards[issuer.url].take(lambda entry: entry.options.get("token") == "logout_token")
        return changed_token(issuer, token, faults) if faults else token

    def note(self, issuer: Issuer, endpoint: str, **facts: Any) -> None:
        """One line of the log; `facts` hold no secret."""
        self.log.append({"at": issuer.now(), "issuer": issuer.url, "endpoint": endpoint, **facts})

    def _place(self) -> tuple[Issuer, str] | None:
        return None if is_test_request() else self._places.get(request.path)

    def _before(self) -> Response | None:
        g.faults = []
        if (place := self._place()) is None or request.method == "OPTIONS":
            return None
        issuer, endpoint = place
        for entry in self.boards[issuer.url].take(
            lambda entry: entry.fault in ANSWER_FAULTS and entry.options["endpoint"] == endpoint
        ):
            g.faults.append(entry.fault.name)
            answer = instead(entry.fault.name, entry.options)
            if answer is not None:
                g.replaced = True
                return answer
        return None

    def _after(self, response: Response) -> Response:
        if (place := self._place()) is None:
            return response
        issuer, endpoint = place
        if not g.get("replaced"):
            self._change(issuer, endpoint, response)
        scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
        self.note(
            issuer,
            endpoint,
            method=request.method,
            path=request.path,
            parameters=_parameters(),
            authentication=scheme if scheme in _SCHEMES else None,
            status=response.status_code,
            faults=list(g.faults),
        )
        return response

    def _change(self, issuer: Issuer, endpoint: str, response: Response) -> None:
        if "Location" in response.headers:
            self._change_redirect(issuer, response)
        elif response.is_json and response.status_code == 200 and isinstance(body := response.get_json(), dict):
            before = json.dumps(body)
            if endpoint == "token":
                self._change_tokens(issuer, body)
            for entry in self._take(issuer, lambda entry: entry.fault.on == endpoint and _is_body(entry)):
                BODY_CHANGES[entry.fault.name](issuer, body, entry.options)
            if json.dumps(body) != before:
                response.set_data(json.dumps(body))

    def _change_redirect(self, issuer: Issuer, response: Response) -> None:
        parameters = response_parameters(str(response.location))
        # An authorization response, not the way to one of our own pages.
        if "iss" not in parameters or not {"code", "error"} & set(parameters):
            return
        with self._lock:
            earlier = self._last_code.get(issuer.url)
            if code := parameters.get("code"):
                self._last_code[issuer.url] = code
        faults = self._take(issuer, lambda entry: entry.fault.name in RESPONSE_CHANGES)
        for entry in faults:
            RESPONSE_CHANGES[entry.fault.name](parameters, entry.options, earlier)
        if faults:
            response.location = with_parameters(str(response.location), parameters)

    def _change_tokens(self, issuer: Issuer, body: dict[str, Any]) -> None:
        for member in ("access_token", "id_token"):
            token = body.get(member)
            if not isinstance(token, str):
                continue
            faults = self._take(issuer, lambda entry, name=member: entry.options.get("token") == name)
            if faults:
                body[member] = changed_token(issuer, token, faults)
                if member == "access_token" and isinstance(body.get("id_token"), str):
                    body["id_token"] = with_at_hash(issuer, body["id_token"], body[member])

    def _take(self, issuer: Issuer, matches: Any) -> list[SetFault]:
        taken = self.boards[issuer.url].take(matches)
        g.faults.extend(entry.fault.name for entry in taken)
        return taken


def _is_body(entry: SetFault) -> bool:
    return entry.fault.name in BODY_CHANGES


def _parameters() -> dict[str, str]:
    try:
        pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
    except RequestEntityTooLarge:
        return {}
    return {name[:_MAX_VALUE]: value[:_MAX_VALUE] if name in _SHOWN else "…" for name, value in pairs[:40]}

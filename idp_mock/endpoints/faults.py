"""Asks for faults, and tells what was asked of the provider. Mounted only with `--test-endpoints`.

`POST /_test/faults` with `{"issuer": …, "fault": name, "with": {options}, "until_cleared": false}`; `GET` lists those
that are set, `DELETE` clears them (all issuers, or `?issuer=…`). `GET /_test/log` lists the latest requests without
their secrets, `DELETE` empties it. The faults and their options: docs/identity-provider-faults.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, abort, jsonify, request

from idp_mock.endpoints.local_only import read_wish, refusal, require_this_machine
from idp_mock.faults import TOKENS, Fault
from idp_mock.faults.injector import FAULTS, Injector
from idp_mock.places import METADATA

_MEMBERS = frozenset({"issuer", "fault", "with", "until_cleared"})


def add_routes(app: Flask, injector: Injector) -> None:
    first = next(iter(injector.issuers))

    def ask() -> tuple[Response, int]:
        wish = read_wish(_MEMBERS)
        issuer, fault = wish.get("issuer", first), FAULTS.get(str(wish.get("fault")))
        options, lasting = wish.get("with", {}), wish.get("until_cleared", False)
        if issuer not in injector.boards:
            abort(refusal("unknown issuer"))
        if fault is None:
            abort(refusal(f"unknown fault; known: {', '.join(FAULTS)}"))
        if not isinstance(options, dict) or not isinstance(lasting, bool):
            abort(refusal("'with' is an object and 'until_cleared' true or false"))
        if problem := _problem(injector, issuer, fault, options):
            abort(refusal(problem))
        return jsonify(injector.boards[issuer].ask(fault, options, lasting=lasting).described(issuer)), 201

    def listed() -> Response:
        require_this_machine()
        found = [entry.described(url) for url, board in injector.boards.items() for entry in board.all()]
        return jsonify(faults=found, known=sorted(FAULTS))

    def clear() -> Response:
        require_this_machine()
        wanted = request.args.get("issuer")
        if wanted is not None and wanted not in injector.boards:
            abort(refusal("unknown issuer"))
        boards = [board for url, board in injector.boards.items() if wanted in (None, url)]
        return jsonify(cleared=sum(board.clear() for board in boards))

    def log() -> Response:
        require_this_machine()
        return jsonify(requests=list(injector.log))

    def empty_log() -> Response:
        require_this_machine()
        count = len(injector.log)
        injector.log.clear()
        return jsonify(cleared=count)

    for method, view in (("POST", ask), ("GET", listed), ("DELETE", clear)):
        app.add_url_rule("/_test/faults", f"test_faults_{method}", view, methods=[method])
    app.add_url_rule("/_test/log", "test_log", log, methods=["GET"])
    app.add_url_rule("/_test/log", "test_log_empty", empty_log, methods=["DELETE"])


def _problem(injector: Injector, issuer: str, fault: Fault, options: Mapping[str, Any]) -> str | None:
    """Why the options do not fit the fault, or None."""
    if unknown := sorted(set(options) - set(fault.options)):
        return f"{fault.name} has no option {', '.join(unknown)}; known: {', '.join(fault.options)}"
    for name, value in options.items():
        usual = fault.options[name]
        if usual is not None and (type(value) is not type(usual)) and not (_is_number(value) and _is_number(usual)):
            return f"{name} is of the wrong type: the usual value is {usual!r}"
    if options.get("token", "id_token") not in TOKENS:
        return f"token is one of {', '.join(TOKENS)}"
    endpoints = {*injector.issuers[issuer].profile.paths, METADATA}
    if options.get("endpoint", METADATA) not in endpoints:
        return f"endpoint is one of {', '.join(sorted(endpoints))}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

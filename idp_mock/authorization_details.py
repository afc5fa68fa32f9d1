"""Rich authorization requests: what exactly the client wants to do, beyond scopes (RFC 9396).

The list travels as JSON text, because a grant keeps it as it was asked for. Nothing in it gives more than a type
that the client is registered for; the person sees all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from authlib.oauth2 import OAuth2Error

from idp_mock.clients import Client

_COMMON_LISTS = ("locations", "actions", "datatypes", "privileges")
_MAX_ENTRIES = 10


class InvalidAuthorizationDetailsError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The details are malformed, of a type not registered for the client, or were not granted (RFC 9396 §5)."""

    error = "invalid_authorization_details"


def read_details(client: Client, text: str | None) -> str:
    """The JSON text of a requested list, empty for none; raises `InvalidAuthorizationDetailsError`."""
    if text is None:
        return ""
    details = _parsed(text)
    for entry in details:
        if entry.get("type") not in client.details_types:
            raise InvalidAuthorizationDetailsError("A type is unknown here or not registered for this client.")
        for name in _COMMON_LISTS:
            values = entry.get(name, [])
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise InvalidAuthorizationDetailsError("A common field is not a list of strings.")
        if not isinstance(entry.get("identifier", ""), str):
            raise InvalidAuthorizationDetailsError("An identifier is not a string.")
    return json.dumps(details)


def narrowed_details(client: Client, text: str | None, granted: str) -> str:
    """The details for one access token: those named, each granted before as it is; else all granted (§6)."""
    if text is None:
        return granted
    wanted = json.loads(read_details(client, text))
    allowed = json.loads(granted or "[]")
    if any(entry not in allowed for entry in wanted):
        raise InvalidAuthorizationDetailsError("These details were not granted.")
    return json.dumps(wanted)


def described_details(text: str, words: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """For the consent page: the words of each entry's type, and every other field with its value."""
    return [
        (
            words[entry["type"]],
            [
                (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
                for name, value in entry.items()
                if name != "type"
            ],
        )
        for entry in json.loads(text or "[]")
    ]


def _parsed(text: str) -> list[dict[str, Any]]:
    try:
        details = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise InvalidAuthorizationDetailsError("The details are not JSON.") from None
    if not isinstance(details, list) or not 0 < len(details) <= _MAX_ENTRIES:
        raise InvalidAuthorizationDetailsError("The details are not a list of one to ten objects.")
    if not all(isinstance(entry, dict) and isinstance(entry.get("type"), str) for entry in details):
        raise InvalidAuthorizationDetailsError("Each entry is an object with a type.")
    return details


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two members with one name the page might show one and a resource server read the other.
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member is repeated")
    return dict(pairs)

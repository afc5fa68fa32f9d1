"""Strict JSON bodies: what a parser would silently mend is refused (ASVS v5.0.0-15.3.5)."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from flask import Request

from secure_api.errors import BadRequest, UnsupportedMediaType

JSON_TYPES = frozenset({"application/json"})
MAX_DEPTH = 20
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
MAX_INTEGER_DIGITS = 18  # fits 64 bits; longer ones are an attack on the integer parser


def read_json(request: Request) -> Any:
    """The body as JSON values: no duplicate members, NaN, huge integers, deep nesting or other media types.

    Raises `UnsupportedMediaType` and `BadRequest`; a body over the limit raises werkzeug's 413.
    """
    if request.mimetype not in JSON_TYPES:
        raise UnsupportedMediaType("Send the body as application/json.", log_detail=f"type {request.mimetype!r}")
    body = request.get_data(cache=False)
    # A chunked body over the limit was cut off at it, silently; only this further read raises the 413.
    request.stream.read(1)
    return parse_json(body)


def parse_json(text: bytes) -> Any:
    """`text` as JSON values under the same rules. Raises `BadRequest`."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadRequest("The body is not valid JSON.", log_detail=type(error).__name__) from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.", log_detail="recursion limit") from error
    _check(value, MAX_DEPTH)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # The parser would keep the last one, a proxy in front may have checked the first.
        raise BadRequest("The body has a member twice.", log_detail="duplicate JSON member")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body holds {name}, which JSON does not have.", log_detail=f"constant {name}")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise BadRequest("The body holds a number that is too large.", log_detail="integer digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadRequest("The body holds a number that is too large.", log_detail="float overflow")
    return number


def _check(value: Any, left: int) -> None:
    """Depth, and text that no later step could keep: PostgreSQL holds no NUL, no encoder a lone surrogate."""
    if left == 0:
        raise BadRequest("The body is nested too deeply.", log_detail="depth")
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise BadRequest(
            "The body holds a character that is not allowed.", log_detail="NUL or lone surrogate character"
        )
    children = (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check(child, left - 1)

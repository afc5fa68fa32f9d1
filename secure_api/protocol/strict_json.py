"""JSON objects that every parser reads alike (I-JSON, RFC 7493)."""

from __future__ import annotations

import json
import math
from typing import Any, Final

MAX_CONTAINERS: Final = 1000


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, refused where two parsers could read it differently.

    Stopped: duplicate members (one parser checks the first, another uses the last), NaN and
    infinities, numbers that overflow to infinity, other encodings than UTF-8, lone surrogates
    (they break the first log line or database row that holds them), and nesting that exhausts the
    stack.

    Raises ValueError; its text holds nothing from `data`.
    Source: RFC 7493 §2, RFC 7515 §4 and §10.12, RFC 8725 §2.4.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    if text.count("[") + text.count("{") > MAX_CONTAINERS:
        raise ValueError("too many arrays and objects")
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("lone surrogate") from error
    except json.JSONDecodeError as error:
        raise ValueError("not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(_: str) -> float:
    raise ValueError("NaN or infinity")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)

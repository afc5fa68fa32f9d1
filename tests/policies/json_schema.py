"""As much of JSON Schema (draft 2020-12) as the shipped schemas use; an unknown keyword is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES = {"object": dict, "array": list, "string": str, "integer": int}
_ANNOTATIONS = {"$schema", "$defs", "title", "description"}
_APPLIED_WITH_IF = {"then", "else"}


def faults_in(value: Any, schema: Any, root: dict[str, Any], place: str = "") -> Iterator[str]:
    """Where a value breaks the schema, and by which keyword."""
    if isinstance(schema, bool):
        if not schema:
            yield f"{place}: not allowed"
        return
    for keyword, wanted in schema.items():
        if keyword in _ANNOTATIONS | _APPLIED_WITH_IF or (
            keyword == "additionalProperties" and not isinstance(value, dict)
        ):
            continue
        if keyword == "$ref":
            yield from faults_in(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, place)
        elif keyword in ("properties", "additionalProperties", "items", "propertyNames"):
            for part, inner, name in _parts(keyword, value, schema):
                yield from faults_in(part, inner, root, f"{place}/{name}")
        elif keyword == "if":
            branch = "else" if any(faults_in(value, wanted, root)) else "then"
            yield from faults_in(value, schema.get(branch, True), root, place)
        elif keyword == "anyOf":
            if all(any(faults_in(value, one, root)) for one in wanted):
                yield f"{place}: anyOf"
        elif not _keeps(keyword, wanted, value):
            yield f"{place}: {keyword}"


def _parts(keyword: str, value: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, Any, str]]:
    """The parts of a value that a keyword speaks of, with their schemas."""
    if keyword == "items" and isinstance(value, list):
        yield from ((item, schema["items"], str(index)) for index, item in enumerate(value))
    elif isinstance(value, dict):
        listed = schema.get("properties", {})
        for name, part in value.items():
            if keyword == "propertyNames":
                yield name, schema[keyword], name
            elif keyword == "properties" and name in listed:
                yield part, listed[name], name
            elif keyword == "additionalProperties" and name not in listed:
                yield part, schema[keyword], name


def _keeps(keyword: str, wanted: Any, value: Any) -> bool:
    match keyword:
        case "type":
            return isinstance(value, _TYPES[wanted]) and not (wanted == "integer" and isinstance(value, bool))
        case "const":
            return type(value) is type(wanted) and bool(value == wanted)
        case "enum":
            return value in wanted
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "maxLength":
            return not isinstance(value, str) or len(value) <= wanted
        case "minimum":
            return not isinstance(value, int) or value >= wanted
        case "minItems":
            return not isinstance(value, list) or len(value) >= wanted
        case "uniqueItems":
            return not isinstance(value, list) or len({repr(item) for item in value}) == len(value)
        case "minProperties":
            return not isinstance(value, dict) or len(value) >= wanted
        case "maxProperties":
            return not isinstance(value, dict) or len(value) <= wanted
        case "required":
            return not isinstance(value, dict) or set(wanted) <= set(value)
        case _:
            raise KeyError(f"the schemas use `{keyword}`, which this check does not know")

"""What a view answers with. It names rows; the `fields` stage decides what of them is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One row, many rows, or nothing, with a status; a page names its template as well.

    `context` holds what a template needs beside the rows; it never holds rows.
    """

    status: int = 200
    row: Any = None
    rows: Sequence[Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


def one(row: Any) -> Reply:
    """200 with one row."""
    return Reply(row=row)


def many(rows: Sequence[Any]) -> Reply:
    """200 with a page of rows."""
    return Reply(rows=rows)


def created(row: Any, location: str) -> Reply:
    """201 with the new row and where it is (RFC 9110 §15.3.2)."""
    return Reply(status=201, row=row, headers={"Location": location})


def deleted() -> Reply:
    """204: the row is gone."""
    return Reply(status=204)


def page(template: str, rows: Sequence[Any] | None = None, **context: Any) -> Reply:
    """200 with a rendered page."""
    return Reply(rows=rows, template=template, context=context)

"""The few open endpoints of the service itself: probes, protected-resource metadata, problem pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import orjson
from flask import Blueprint, Response, render_template
from sqlalchemy.exc import SQLAlchemyError

from secure_api.db import AnySession, database
from secure_api.db.migrate import is_current
from secure_api.errors import NotFound, ServiceUnavailable
from secure_api.protocol.resource_metadata import metadata_path, resource_metadata
from secure_api.settings import PROJECT_ROOT

PROBLEM_PAGES = PROJECT_ROOT / "docs" / "problems"
_SLUG = re.compile(r"[a-z]+(-[a-z]+)*")


def public_blueprint(
    base_url: str, issuers: list[str], scopes: list[str], *, ready: Callable[[AnySession], None]
) -> Blueprint:
    """The blueprint; the metadata document is made once, here.

    `ready` raises `ServiceUnavailable` if another part of this process cannot serve.
    """
    blueprint = Blueprint("web", __name__)
    metadata = orjson.dumps(
        resource_metadata(
            base_url, authorization_servers=issuers, scopes_supported=scopes, resource_name="Secure API shop"
        )
    )

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response(b'{"status":"ok"}', mimetype="application/json")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        try:
            current = is_current(database.engine)
        except SQLAlchemyError as error:
            raise ServiceUnavailable(log_detail=f"database: {type(error).__name__}") from error
        if not current:
            raise ServiceUnavailable(log_detail="the database lacks a migration: run `secure-api db upgrade`")
        ready(database.session)
        return Response(b'{"status":"ready"}', mimetype="application/json")

    @blueprint.get(metadata_path(base_url))
    def protected_resource_metadata() -> Response:
        response = Response(metadata, mimetype="application/json")
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    @blueprint.get("/problems/<slug>")
    def problem_page(slug: str) -> Response:
        if not _SLUG.fullmatch(slug):
            raise NotFound("There is no such problem type.")
        title, paragraphs = _read_problem_page(PROBLEM_PAGES / f"{slug}.md")
        html = render_template("problem_type.html", slug=slug, title=title, paragraphs=paragraphs)
        return Response(html, mimetype="text/html", headers={"Cache-Control": "public, max-age=3600"})

    return blueprint


def _read_problem_page(path: Path) -> tuple[str, list[str]]:
    """Title and paragraphs of a page under `docs/problems/`. Raises `NotFound`."""
    if not path.is_file():
        raise NotFound("There is no such problem type.")
    title, *paragraphs = path.read_text(encoding="utf-8").strip().split("\n\n")
    return title.removeprefix("# "), [" ".join(paragraph.splitlines()) for paragraph in paragraphs]

"""The style sheet and the icon of the pages."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

from idp_mock.issuer import Issuer

_FOLDER = Path(__file__).parent.parent / "pages" / "assets"


def add_routes(blueprint: Blueprint, _issuer: Issuer) -> None:
    def asset(name: str) -> Response:
        return send_from_directory(_FOLDER, name, max_age=3600)

    blueprint.add_url_rule("/assets/<name>", "asset", asset)

"""The start page of an issuer, for people who open its address: what this is and where the documents are."""

from __future__ import annotations

from flask import Blueprint, Response

from idp_mock import browser, pages
from idp_mock.issuer import Issuer


def add_routes(blueprint: Blueprint, issuer: Issuer) -> None:
    def home() -> Response:
        authentication = browser.signed_in(issuer)
        person = issuer.users.by_sub(authentication.sub) if authentication else None
        return pages.page(issuer, "home.html", person=person)

    blueprint.add_url_rule("/", "home", home)

"""The few open endpoints, and what the application tells about itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine

from secure_api.resources import SCOPES
from tests.unit.conftest import BASE_URL, ISSUER, MakeApp


def test_probes_say_yes(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready"}


@pytest.mark.parametrize("statement", ["DROP TABLE alembic_version", "UPDATE alembic_version SET version_num = '0000'"])
def test_a_database_of_another_schema_is_not_ready(app: Flask, statement: str) -> None:
    """Traffic must not reach a worker whose database it does not know."""
    assert app.test_client().get("/readyz").status_code == 200
    engine = create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert app.test_client().get("/readyz").status_code == 503
    assert app.test_client().get("/healthz").status_code == 200


def test_a_database_that_is_away_is_503_and_tells_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(database_url=f"sqlite:///{tmp_path / 'nowhere' / 'canary.sqlite3'}")
    for path in ("/readyz", "/api/v1/products", "/auth/login/nobody"):
        answer = app.test_client().get(path)
        assert answer.status_code == 503, path
        assert "canary" not in answer.text


def test_clients_learn_whose_tokens_are_taken(app: Flask) -> None:
    """RFC 9728: the resource is exactly the address that callers use."""
    answer = app.test_client().get("/.well-known/oauth-protected-resource")
    document = answer.get_json()
    assert document["resource"] == BASE_URL
    assert document["authorization_servers"] == [ISSUER]
    assert document["bearer_methods_supported"] == ["header"]
    assert set(document["scopes_supported"]) == set(SCOPES)
    assert answer.headers["Cache-Control"] == "public, max-age=3600"


def test_the_metadata_of_a_resource_with_a_path_is_below_the_well_known_name(make_app: MakeApp) -> None:
    app = make_app(base_url="https://api.example.com/shop")
    answer = app.test_client().get("/.well-known/oauth-protected-resource/shop", base_url="https://api.example.com")
    assert answer.get_json()["resource"] == "https://api.example.com/shop"


def test_no_version_and_no_documentation_is_told(app: Flask) -> None:
    client = app.test_client()
    for path in ("/healthz", "/nowhere", "/sign-in"):
        headers = str(client.get(path).headers).lower()
        for name in ("werkzeug", "flask", "python", "gunicorn", "x-powered-by"):
            assert name not in headers
    for path in ("/metrics", "/debug", "/console", "/.env", "/.git/config", "/config/default.toml", "/static/x"):
        assert client.get(path).status_code == 404


def test_the_sign_in_page_offers_the_providers_and_keeps_a_local_return_path(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/sign-in?return_to=/account").text
    assert "Continue with Imaginary sign-in" in page
    assert "/auth/login/mock?return_to=/account" in page
    hostile = client.get('/sign-in?return_to=//evil.example"><script>').text
    assert "evil.example" not in hostile
    assert "<script" not in hostile

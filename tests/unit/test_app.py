"""The wiring: what an application is made of, and what stops it from being made."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from secure_api.errors import PolicyError, SettingsError
from secure_api.pipeline.services import EXTENSION
from secure_api.settings import PROJECT_ROOT
from tests.unit.conftest import PROVIDERS, MakeApp
from tests.unit.pipeline.callers import policy_folder

HTTPS = "https://api.example.com"


def test_an_application_is_made_without_opening_a_connection(make_app: MakeApp) -> None:
    """Neither the database nor a provider is needed to start."""
    assert make_app(database_url="postgresql+psycopg://nobody@127.0.0.1:1/nowhere") is not None


def test_two_applications_share_nothing(make_app: MakeApp) -> None:
    first, second = make_app(), make_app(secret_key="another secret key, long enough for a test")
    assert first.extensions[EXTENSION] is not second.extensions[EXTENSION]


def test_production_refuses_the_mock_provider(make_app: MakeApp) -> None:
    make_app(base_url=HTTPS)
    with pytest.raises(SettingsError, match="mock identity provider is refused in production"):
        make_app(environment="production", base_url=HTTPS)


def test_production_refuses_a_plain_http_issuer(make_app: MakeApp, tmp_path: Path) -> None:
    file = tmp_path / "plain.toml"
    file.write_text(
        PROVIDERS.replace("https://idp.example", "http://127.0.0.1:9000").replace("[providers.mock", "[providers.local")
    )
    make_app(identity_providers=file, base_url=HTTPS)
    with pytest.raises(SettingsError, match="must be an https address"):
        make_app(environment="production", identity_providers=file, base_url=HTTPS)


def test_a_misspelt_column_stops_the_start_with_its_place(make_app: MakeApp, tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "policies" / "orders.yaml").read_text().replace("internal_note,", "internl_note,", 1)
    with pytest.raises(PolicyError) as refused:
        make_app(policies=policy_folder(tmp_path, PROJECT_ROOT / "policies", orders=text))
    (fault,) = refused.value.faults
    assert (Path(fault.file).name, fault.line > 1, "internal_note" in fault.message) == ("orders.yaml", True, True)


def test_debugging_is_off_everywhere(app: Flask) -> None:
    assert not app.debug
    assert not app.testing
    assert app.config["PROPAGATE_EXCEPTIONS"] is None
    assert app.jinja_env.autoescape

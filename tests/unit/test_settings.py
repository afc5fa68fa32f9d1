"""Settings: what is refused, that every fault is named, and which source wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from secure_api.errors import SettingsError
from secure_api.settings import PROJECT_ROOT, Settings, load_settings

SECRET = "q7-Jv2LmX0rT5wYb9HsKd3NfPz8Ac6Ge1Ui4Ro"
GOOD: Mapping[str, str] = {"SECURE_API_SECRET_KEY": SECRET}
PRODUCTION: Mapping[str, str] = {
    "SECURE_API_ENV": "production",
    "SECURE_API_BASE_URL": "https://api.example.com",
    "SECURE_API_DATABASE_URL": "postgresql+psycopg://user@db.example/name",
    "SECURE_API_SECRET_KEY": SECRET,
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a developer's own .env must not decide a test


def faults_of(environ: Mapping[str, str], config: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ, config=config)
    return refused.value.faults


def test_development_starts_with_a_secret_alone() -> None:
    settings = load_settings(GOOD)
    assert (settings.environment, settings.base_url) == ("development", "http://127.0.0.1:8000")
    assert settings.policies == PROJECT_ROOT / "policies"
    assert not settings.is_production
    assert not settings.serves_https


def test_production_starts_with_what_its_example_file_lists() -> None:
    settings = load_settings(PRODUCTION)
    assert settings.is_production
    assert settings.serves_https
    assert settings.session_idle_seconds == 900


@pytest.mark.parametrize("environment", ["prod", "Production", "", "staging"])
def test_an_unknown_environment_is_refused_with_the_known_ones(environment: str) -> None:
    (fault,) = faults_of({**GOOD, "SECURE_API_ENV": environment})
    assert "development, testing, production" in fault


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"SECURE_API_SECRET_KEY": ""}, id="empty"),
        pytest.param({"SECURE_API_SECRET_KEY": "short"}, id="short"),
        pytest.param({"SECURE_API_SECRET_KEY": SECRET[:31]}, id="31 bytes"),
        pytest.param({"SECURE_API_SECRET_KEY": "a" * 64}, id="one letter"),
        pytest.param({"SECURE_API_SECRET_KEY": "changeme" * 8}, id="a word repeated"),
    ],
)
@pytest.mark.parametrize("base", [GOOD, PRODUCTION], ids=["development", "production"])
def test_a_weak_secret_is_refused_everywhere(base: Mapping[str, str], changes: Mapping[str, str]) -> None:
    (fault,) = faults_of({**base, **changes})
    assert fault.startswith("SECURE_API_SECRET_KEY")
    assert SECRET[:31] not in fault
    assert "changeme" not in fault


def test_a_missing_secret_is_refused_with_the_command_that_makes_one() -> None:
    (fault,) = faults_of({})
    assert "secrets.token_urlsafe(48)" in fault


@pytest.mark.parametrize(
    "address",
    [
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://api.example.com/",
        "https://api.example.com?x=1",
        "https://api.example.com#x",
        "https://user:pw@api.example.com",
        "https://API.example.com",
        "https://api.example.com:443",
        "https://api.example.com:70000",
        "https://[::1",
        "https://api.example.com\r\nX: y",
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_a_base_url_that_callers_or_browsers_would_read_otherwise_is_refused(address: str) -> None:
    (fault,) = faults_of({**GOOD, "SECURE_API_BASE_URL": address})
    assert fault.startswith("SECURE_API_BASE_URL must be")


@pytest.mark.parametrize("address", ["http://localhost:8000", "http://127.0.0.2", "http://[::1]:8000"])
def test_plain_http_is_for_loopback_outside_production(address: str) -> None:
    assert load_settings({**GOOD, "SECURE_API_BASE_URL": address}).base_url == address
    (fault,) = faults_of({**PRODUCTION, "SECURE_API_BASE_URL": address})
    assert "must be https" in fault


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite+pysqlite://", "sqlite:///file::memory:?uri=true"]
)
def test_production_refuses_a_database_in_memory(url: str) -> None:
    assert load_settings({**GOOD, "SECURE_API_DATABASE_URL": url}).database_url == url
    (fault,) = faults_of({**PRODUCTION, "SECURE_API_DATABASE_URL": url})
    assert "in memory" in fault


@pytest.mark.parametrize("url", ["", "nonsense", "://", "cassandra://db.example/name"])
def test_an_address_that_names_no_database_is_refused(url: str) -> None:
    (fault,) = faults_of({**GOOD, "SECURE_API_DATABASE_URL": url})
    assert fault.startswith("SECURE_API_DATABASE_URL")


@pytest.mark.parametrize("name", ["IDENTITY_PROVIDERS", "POLICIES", "RATE_LIMITS"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    (fault,) = faults_of({**GOOD, f"SECURE_API_{name}": "/nowhere/at/all"})
    assert fault == f"SECURE_API_{name} names /nowhere/at/all, which does not exist"


@pytest.mark.parametrize(
    "name",
    ["MAX_BODY_BYTES", "SESSION_IDLE_SECONDS", "SESSION_ABSOLUTE_SECONDS", "LOGIN_TRANSACTION_SECONDS"],
)
@pytest.mark.parametrize("value", ["", "many", "1.5", "0", "-1", "1_000", "٣٠", "9" * 5000])
def test_a_number_that_is_no_positive_whole_number_is_refused(name: str, value: str) -> None:
    (fault,) = faults_of({**GOOD, f"SECURE_API_{name}": value})
    assert fault.startswith(f"SECURE_API_{name} must be a whole number")


@pytest.mark.parametrize("level", ["LOUD", "info", ""])
def test_an_unknown_log_level_is_refused(level: str) -> None:
    (fault,) = faults_of({**GOOD, "SECURE_API_LOG_LEVEL": level})
    assert fault.startswith("SECURE_API_LOG_LEVEL")


def test_production_refuses_debug_logging() -> None:
    assert load_settings({**GOOD, "SECURE_API_LOG_LEVEL": "DEBUG"}).log_level == "DEBUG"
    (fault,) = faults_of({**PRODUCTION, "SECURE_API_LOG_LEVEL": "DEBUG"})
    assert fault.startswith("SECURE_API_LOG_LEVEL")


def test_every_fault_of_the_values_is_named_at_once() -> None:
    faults = faults_of(
        {
            "SECURE_API_ENV": "production",
            "SECURE_API_SECRET_KEY": "short",
            "SECURE_API_BASE_URL": "http://api.example.com",
            "SECURE_API_DATABASE_URL": "sqlite://",
            "SECURE_API_POLICIES": "/nowhere",
        }
    )
    assert [fault.split()[0] for fault in faults] == [
        "SECURE_API_SECRET_KEY",
        "SECURE_API_BASE_URL",
        "SECURE_API_DATABASE_URL",
        "SECURE_API_POLICIES",
    ]


def test_every_fault_of_the_names_is_named_at_once(tmp_path: Path) -> None:
    folder = config_folder(tmp_path, default='base_ulr = "x"\nsecret_key = "in a file"\n')
    faults = faults_of({**GOOD, "SECURE_API_POLICYS": "p", "SECURE_API_MAX_BODY_BYTES": "many"}, config=folder)
    assert len(faults) == 4
    assert f"{folder / 'default.toml'}: unknown setting 'base_ulr'; did you mean 'base_url'?" in faults
    assert any("secret_key is a secret; set SECURE_API_SECRET_KEY in the environment" in fault for fault in faults)
    assert "unknown variable SECURE_API_POLICYS; did you mean SECURE_API_POLICIES?" in faults


def test_an_unknown_variable_without_a_likeness_gets_no_suggestion() -> None:
    (fault,) = faults_of({**GOOD, "SECURE_API_QQQQQQ": "1"})
    assert fault == "unknown variable SECURE_API_QQQQQQ"


@pytest.mark.parametrize("name", ["VARIABLES", "ENVIRONMENT"])
def test_a_member_that_is_not_settable_is_no_variable(name: str) -> None:
    (fault,) = faults_of({**GOOD, f"SECURE_API_{name}": "x"})
    assert fault.startswith(f"unknown variable SECURE_API_{name}")


def test_the_variables_of_provider_tables_are_left_to_them() -> None:
    settings = load_settings({**GOOD, "SECURE_API_OIDC_CLIENT": "abc", "OKTA_ISSUER": "https://okta.example"})
    assert settings.variables["SECURE_API_OIDC_CLIENT"] == "abc"
    assert settings.variables["OKTA_ISSUER"] == "https://okta.example"


def test_provider_tables_see_the_base_url_that_is_in_force() -> None:
    assert load_settings(GOOD).variables["SECURE_API_BASE_URL"] == "http://127.0.0.1:8000"


def config_folder(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(exist_ok=True)
    shipped = (PROJECT_ROOT / "config" / "default.toml").read_text(encoding="utf-8")
    (folder / "default.toml").write_text(shipped + files.pop("default", ""), encoding="utf-8")
    (folder / "development.toml").write_text(files.pop("development", ""), encoding="utf-8")
    return folder


def test_the_later_source_wins(tmp_path: Path) -> None:
    folder = config_folder(tmp_path)
    assert load_settings(GOOD, config=folder).max_body_bytes == 65_536
    folder = config_folder(tmp_path, development="max_body_bytes = 2000\n")
    assert load_settings(GOOD, config=folder).max_body_bytes == 2_000
    Path(".env").write_text("SECURE_API_MAX_BODY_BYTES=3000\n", encoding="utf-8")
    assert load_settings(GOOD, config=folder).max_body_bytes == 3_000
    assert load_settings({**GOOD, "SECURE_API_MAX_BODY_BYTES": "4000"}, config=folder).max_body_bytes == 4_000


def test_a_dotenv_file_is_read_with_comments_and_blank_lines() -> None:
    Path(".env").write_text(
        f"# SECURE_API_LOG_LEVEL=DEBUG\n\nSECURE_API_SECRET_KEY = {SECRET}\nno separator\nOTHER=a=b\n", encoding="utf-8"
    )
    settings = load_settings({})
    assert settings.secret_key == SECRET
    assert settings.log_level == "INFO"
    assert settings.variables["OTHER"] == "a=b"


def test_an_unknown_variable_in_a_dotenv_file_is_refused_too() -> None:
    Path(".env").write_text("SECURE_API_BASE_ULR=x\n", encoding="utf-8")
    assert faults_of(GOOD) == ("unknown variable SECURE_API_BASE_ULR; did you mean SECURE_API_BASE_URL?",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("base_url = ", "is not valid TOML"), ("base_url = 5", "BASE_URL must be text"), ("policies = 1", "must be text")],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, expected: str) -> None:
    faults = faults_of(GOOD, config=config_folder(tmp_path, development=content))
    assert any(expected in fault for fault in faults)


@pytest.mark.parametrize("content", ["max_body_bytes = 1.5", "max_body_bytes = true", "max_body_bytes = [1]"])
def test_a_number_in_a_file_must_be_a_whole_number(tmp_path: Path, content: str) -> None:
    (fault,) = faults_of(GOOD, config=config_folder(tmp_path, development=content))
    assert fault.startswith("SECURE_API_MAX_BODY_BYTES must be a whole number")


def test_a_missing_file_and_what_it_would_have_held_are_named(tmp_path: Path) -> None:
    (fault,) = faults_of({**GOOD, "SECURE_API_CONFIG": str(tmp_path)})[:1]
    assert fault == f"{tmp_path / 'default.toml'} cannot be read: No such file or directory"


def test_what_no_source_sets_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("default", "development"):
        (folder / f"{name}.toml").write_text("", encoding="utf-8")
    faults = faults_of(GOOD, config=folder)
    assert {fault.split()[0] for fault in faults} == {
        "SECURE_API_BASE_URL",
        "SECURE_API_DATABASE_URL",
        "SECURE_API_IDENTITY_PROVIDERS",
        "SECURE_API_POLICIES",
        "SECURE_API_RATE_LIMITS",
    }


def test_no_secret_is_in_the_text_of_the_settings() -> None:
    settings = load_settings(
        {
            **GOOD,
            "SECURE_API_DATABASE_URL": "postgresql+psycopg://u:canary-db@db.example/n",
            "SECURE_API_REDIS_URL": "redis://:canary-redis@r.example/0",
            "SHOP_WEB_CLIENT_SECRET": "canary-client",
        }
    )
    assert settings.variables["SHOP_WEB_CLIENT_SECRET"] == "canary-client"
    assert SECRET not in repr(settings)
    assert "canary" not in repr(settings)


def test_settings_cannot_be_changed_after_the_start() -> None:
    settings: Settings = load_settings(GOOD)
    with pytest.raises(FrozenInstanceError):
        settings.base_url = "https://elsewhere.example"  # type: ignore[misc]

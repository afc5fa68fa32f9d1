"""Settings, loaded once into a frozen object. Nothing reads the environment after `load_settings`.

Order, the later one wins: `config/default.toml`, `config/<environment>.toml`, a `.env` file in the
working directory, `SECURE_API_*` variables. Production refuses what is missing, weak or made for
development, and names every fault at once (ASVS v5.0.0-13.4.2).
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from secure_api.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PREFIX = "SECURE_API_"
MINIMUM_SECRET_BYTES = 32

Environment = Literal["development", "testing", "production"]
ENVIRONMENTS: tuple[Environment, ...] = ("development", "testing", "production")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DATABASES = frozenset({"sqlite", "postgresql"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of the API, typed. Construct it with `load_settings`, or directly in a test."""

    environment: Environment
    base_url: str
    database_url: str = field(repr=False)  # may hold a password
    identity_providers: Path
    policies: Path
    rate_limits: Path
    secret_key: str = field(repr=False)  # never in a log line or a traceback
    redis_url: str | None = field(default=None, repr=False)
    trusted_proxies: str = ""  # networks whose Client-Cert header is believed, separated by commas
    max_body_bytes: int = 65_536
    session_idle_seconds: int = 1_800
    session_absolute_seconds: int = 43_200
    login_transaction_seconds: int = 600
    log_level: str = "INFO"
    # What the provider tables may refer to as ${NAME}: read once here, so that nothing reads it later.
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_production(self) -> bool:
        """True where nothing made for development may run."""
        return self.environment == "production"

    @property
    def serves_https(self) -> bool:
        """True if callers reach the API over TLS; decides HSTS."""
        return self.base_url.startswith("https://")


_DEFAULT_PORTS = {"http": 80, "https": 443}

# Keys that only the environment may set: a secret does not belong in a file that is committed.
_ENVIRONMENT_ONLY = {"secret_key"}
_NOT_SETTABLE = {"variables", "environment"}
_KEYS = {f.name for f in dataclasses.fields(Settings)} - _NOT_SETTABLE
_INTEGERS = {f.name for f in dataclasses.fields(Settings) if f.type == "int"}
_PATHS = {f.name for f in dataclasses.fields(Settings) if f.type == "Path"}
# A missing secret has a fault of its own, with the command that makes one.
_REQUIRED = {f.name for f in dataclasses.fields(Settings) if f.default is dataclasses.MISSING} & (
    _KEYS - _ENVIRONMENT_ONLY
)


def load_settings(environ: Mapping[str, str], *, config: Path | None = None) -> Settings:
    """Settings that are complete, typed and fit for their environment.

    `environ` is the process environment, read once. Raises `SettingsError` with every fault found.
    """
    environ = {**_read_dotenv(Path(".env")), **environ}
    environment = environ.get(f"{PREFIX}ENV", "development")
    if environment not in ENVIRONMENTS:
        raise SettingsError([f"{PREFIX}ENV is {environment!r}; it must be one of {', '.join(ENVIRONMENTS)}"])
    folder = config or Path(environ.get(f"{PREFIX}CONFIG", PROJECT_ROOT / "config"))
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name in ("default", environment):
        values.update(_read_file(folder / f"{name}.toml", faults))
    values.update(_read_variables(environ, faults))
    values = _coerce(values, faults)
    faults += [f"{PREFIX}{key.upper()} is not set" for key in sorted(_REQUIRED - values.keys()) if not faults]
    if faults:
        raise SettingsError(faults)
    settings = Settings(
        environment=environment,
        variables={**environ, f"{PREFIX}BASE_URL": values["base_url"]},
        secret_key=values.pop("secret_key", ""),  # a missing one is refused below, with the other faults
        **values,
    )
    faults = check_settings(settings)
    if faults:
        raise SettingsError(faults)
    return settings


def check_settings(settings: Settings) -> list[str]:
    """Every reason why this environment must not start with these settings; empty if there is none."""
    faults: list[str] = []
    if len(settings.secret_key.encode()) < MINIMUM_SECRET_BYTES:
        faults.append(
            f"{PREFIX}SECRET_KEY is missing or shorter than {MINIMUM_SECRET_BYTES} bytes; "
            'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
        )
    elif len(set(settings.secret_key)) < 10:
        faults.append(f"{PREFIX}SECRET_KEY has almost no variety; use random bytes")
    faults += _base_url_faults(settings)
    faults += _database_faults(settings)
    try:
        [ipaddress.ip_network(part.strip()) for part in settings.trusted_proxies.split(",") if part.strip()]
    except ValueError as error:
        faults.append(f"{PREFIX}TRUSTED_PROXIES: {error}")
    if settings.log_level not in LOG_LEVELS:
        faults.append(f"{PREFIX}LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {settings.log_level!r}")
    elif settings.is_production and settings.log_level == "DEBUG":
        faults.append(f"{PREFIX}LOG_LEVEL is DEBUG, which is for development")
    for key in sorted(_INTEGERS):
        if getattr(settings, key) < 1:
            faults.append(f"{PREFIX}{key.upper()} must be a whole number above zero")
    for path in sorted(_PATHS):
        if not getattr(settings, path).exists():
            faults.append(f"{PREFIX}{path.upper()} names {getattr(settings, path)}, which does not exist")
    return faults


def _base_url_faults(settings: Settings) -> list[str]:
    """Browsers name our origin in one spelling, and clients compare the resource identifier by characters."""
    try:
        base = urlsplit(settings.base_url)
        host, port = base.hostname, base.port
    except ValueError:
        base, host, port = urlsplit(""), None, None
    name = f"[{host}]" if host and ":" in host else host
    canonical = f"{base.scheme}://{name}{f':{port}' if port is not None else ''}{base.path}"
    if base.scheme not in _DEFAULT_PORTS or not host or canonical.endswith("/") or canonical != settings.base_url:
        wanted = "an http(s) address in lower case, without user, query, fragment or trailing slash"
        return [f"{PREFIX}BASE_URL must be {wanted}"]
    if port == _DEFAULT_PORTS[base.scheme]:
        return [f"{PREFIX}BASE_URL must be without the port that its scheme implies"]
    if base.scheme == "http" and (settings.is_production or not _is_loopback(host)):
        return [f"{PREFIX}BASE_URL must be https; plain http is for loopback outside production"]
    return []


def _database_faults(settings: Settings) -> list[str]:
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        url = None  # its message could hold the password
    if url is None or url.get_backend_name() not in DATABASES:
        return [f"{PREFIX}DATABASE_URL must be the address of an SQLite or PostgreSQL database"]
    in_memory = url.get_backend_name() == "sqlite" and (not url.database or ":memory:" in url.database)
    if settings.is_production and (in_memory or "memory" in url.query.get("mode", "")):
        return [f"{PREFIX}DATABASE_URL names a database in memory; production data would be lost"]
    return []


def _read_file(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(f"{path} cannot be read: {error.strerror}")
        return {}
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path} is not valid TOML: {error}")
        return {}
    for key in values:
        if key in _ENVIRONMENT_ONLY:
            faults.append(f"{path}: {key} is a secret; set {PREFIX}{key.upper()} in the environment instead")
        elif key not in _KEYS:
            faults.append(f"{path}: unknown setting {key!r}{_suggest(key)}")
    return {key: value for key, value in values.items() if key in _KEYS - _ENVIRONMENT_ONLY}


def _read_variables(environ: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in {f"{PREFIX}ENV", f"{PREFIX}CONFIG"}:
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in _KEYS:
            values[key] = value
        elif not key.startswith("oidc_"):  # SECURE_API_OIDC_* are the provider tables' own variables
            faults.append(f"unknown variable {name}{_suggest(key, upper=True)}")
    return values


def _coerce(values: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for key, value in values.items():
        if key in _INTEGERS:
            # Neither 1.5, true nor 1_000, which int() would all take.
            if type(value) is int or (
                isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19
            ):
                typed[key] = int(value)
            else:
                faults.append(f"{PREFIX}{key.upper()} must be a whole number, not {value!r}")
        elif not isinstance(value, str):
            faults.append(f"{PREFIX}{key.upper()} must be text")
        elif key in _PATHS:
            path = Path(value)
            typed[key] = path if path.is_absolute() else PROJECT_ROOT / path
        else:
            typed[key] = value
    return typed


def _read_dotenv(path: Path) -> dict[str, str]:
    """`NAME=value` lines of a `.env` file; comments and blank lines are skipped."""
    if not path.is_file():
        return {}
    pairs: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            pairs[name.strip()] = value.strip()
    return pairs


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _suggest(key: str, *, upper: bool = False) -> str:
    close = difflib.get_close_matches(key, _KEYS, n=1)
    if not close:
        return ""
    return f"; did you mean {PREFIX}{close[0].upper()}?" if upper else f"; did you mean {close[0]!r}?"

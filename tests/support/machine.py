"""What this machine has: tests name what they need, and a run says what it had to leave out."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

POSTGRESQL_URL = os.environ.get("TEST_POSTGRESQL_URL", "postgresql+psycopg://127.0.0.1:5432/postgres")
# Each worker of a parallel run (gw0, gw1, …) has a Redis database of its own.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
REDIS_URL = os.environ.get("TEST_REDIS_URL", f"redis://127.0.0.1:6379/{15 - _WORKER}")


def chromium_path() -> str | None:
    """The system's Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _has_postgresql() -> bool:
    try:
        engine = create_engine(POSTGRESQL_URL, connect_args={"connect_timeout": 3})
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
    except SQLAlchemyError:
        return False
    return True


def _has_node() -> bool:
    return shutil.which("node") is not None and Path("tests/conformance/node_modules/openid-client").is_dir()


def _has_redis() -> bool:
    try:
        with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=3) as client:
            client.ping()
    except redis.RedisError:
        return False
    return True


# name → (is it here?, what to do if it is not)
_PARTS: dict[str, tuple[Callable[[], bool], str]] = {
    "chromium": (lambda: chromium_path() is not None, "install Chromium (Debian: apt-get install chromium)"),
    "postgresql": (_has_postgresql, "start PostgreSQL, or name one in TEST_POSTGRESQL_URL"),
    "redis": (_has_redis, "start Redis, or name one in TEST_REDIS_URL"),
    "node": (_has_node, "install Node 20, then: cd tests/conformance && npm ci --ignore-scripts"),
    "requests-oauthlib": (
        lambda: importlib.util.find_spec("requests_oauthlib") is not None,
        "pip install requests-oauthlib",
    ),
    "make": (lambda: shutil.which("make") is not None, "install make"),
    "git": (lambda: shutil.which("git") is not None and Path(".git").exists(), "run in a git checkout"),
}


@cache
def missing_reason(part: str) -> str | None:
    """None if the machine has `part`; else what is missing and how to get it."""
    is_here, advice = _PARTS[part]
    return None if is_here() else f"{part} is not here: {advice}"


def processes_with(word: str) -> list[int]:
    """The ids of the processes whose command line holds `word` as an argument's part; ours excepted."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if word in command:
            found.append(int(entry.name))
    return found

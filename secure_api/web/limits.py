"""Rate limits from `config/rate_limits.toml`, on Flask-Limiter's storage and strategy.

The address limit stands before authentication, so that a flood of bad tokens costs neither signature
checks nor audit rows. The class limit counts by principal, after it.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse

from secure_api.errors import RateLimited, SettingsError

_ONCE_A_MINUTE = parse("1/minute")


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The parsed limits: `address` for everyone, `classes` by the name that an endpoint declares."""

    address: tuple[RateLimitItem, ...]
    classes: Mapping[str, tuple[RateLimitItem, ...]]


def load_rate_limits(path: Path) -> RateLimits:
    """The limits of the file. Raises `SettingsError` if it is malformed or lacks a part."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if unknown := sorted(document.keys() - {"address", "classes"}):
            raise ValueError(f"unknown key {unknown[0]!r}")
        return RateLimits(
            address=_parse(document["address"]),
            classes={name: _parse(values) for name, values in document["classes"].items()},
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise SettingsError([f"{path}: {type(error).__name__}: {error}"]) from error


class RateLimiter:
    """Counts requests and refuses those over a limit."""

    def __init__(self, limits: RateLimits, storage_uri: str | None) -> None:
        self._limits = limits
        self._extension = Limiter(
            get_remote_address, storage_uri=storage_uri or "memory://", strategy="fixed-window", headers_enabled=False
        )

    def init_app(self, app: Flask) -> None:
        """Open the storage. Limits are enforced by the pipeline and not by the extension's own hooks."""
        self._extension.init_app(app)

    @property
    def class_names(self) -> frozenset[str]:
        """The classes of limits that the file defines."""
        return frozenset(self._limits.classes)

    def hit_address(self, address: str) -> None:
        """Count one request of that address. Raises `RateLimited`."""
        self._hit(self._limits.address, "address", address)

    def hit_class(self, name: str, key: str) -> None:
        """Count one request of class `name` by the caller `key`. Raises `RateLimited`."""
        self._hit(self._limits.classes[name], name, key)

    def is_first_in_minute(self, *key: str) -> bool:
        """True once a minute per `key`, in all workers: what a flood would repeat is told once."""
        return bool(self._extension.limiter.hit(_ONCE_A_MINUTE, "once", *key))

    def _hit(self, items: tuple[RateLimitItem, ...], name: str, key: str) -> None:
        strategy = self._extension.limiter
        for item in items:
            if not strategy.hit(item, name, key):
                reset_at = strategy.get_window_stats(item, name, key).reset_time
                raise RateLimited(max(1, int(reset_at - time.time()) + 1), log_detail=f"{name}: {item}")


def _parse(values: list[str]) -> tuple[RateLimitItem, ...]:
    if not isinstance(values, list) or not values:
        raise ValueError('expected a list of limits such as ["10/second"]')
    return tuple(parse(value) for value in values)

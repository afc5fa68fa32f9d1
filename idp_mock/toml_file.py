"""Reads the users and clients files: strict TOML tables, with `${NAME}` filled from the environment.

Every fault is a `ConfigError` that names the file, the table and the key, so that a misspelling is found at
start and not as a refused login an hour later.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class ConfigError(Exception):
    """The process must not start: the message is one line for the person who runs it."""


def load_toml(path: Path) -> dict[str, Any]:
    """Parse the file, or raise `ConfigError` naming it."""
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


class Table:
    """One table of a file, consumed key by key; `finish()` refuses what nobody asked for."""

    def __init__(self, values: object, where: str, environment: Mapping[str, str]) -> None:
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: must be a table")
        self._values: dict[str, Any] = values
        self._asked: list[str] = []
        self._environment = environment
        self.where = where

    def fault(self, key: str, message: str) -> ConfigError:
        return ConfigError(f"{self.where}: {key}: {message}")

    def text(self, key: str, default: str | None = None) -> str:
        """The string under `key`; with no default it is required and may not be empty."""
        value = self._take(key)
        if value is None:
            if default is None:
                raise self.fault(key, "is required")
            return default
        text = self._fill(key, value)
        if not text and default is None:
            raise self.fault(key, "must not be empty")
        return text

    def optional_text(self, key: str) -> str | None:
        value = self._take(key)
        return None if value is None else self._fill(key, value)

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self._take(key)
        if value is None:
            if default is None:
                raise self.fault(key, "is required")
            return default
        if not isinstance(value, list):
            raise self.fault(key, "must be a list of strings")
        texts = tuple(self._fill(key, item) for item in value)
        if len(set(texts)) != len(texts):
            raise self.fault(key, "lists a value twice")
        return texts

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self.fault(key, f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(key, "must be true or false")
        return value

    def tables(self, key: str) -> list[Table]:
        value = self._take(key)
        if not isinstance(value, list) or not value:
            raise self.fault(key, f"write at least one [[{key}]] table")
        return [Table(item, f"{self.where}: {key}[{index}]", self._environment) for index, item in enumerate(value)]

    def table(self, key: str) -> Table:
        return Table(self._take(key) or {}, f"{self.where}: [{key}]", self._environment)

    def every_text(self) -> dict[str, str]:
        """All keys of a table whose keys are free, such as `[scopes]`."""
        return {key: self.text(key) for key in self._values}

    def finish(self) -> None:
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(sorted(self._asked))}"
                raise ConfigError(f"{self.where}: unknown key {key!r}{hint}")

    def _take(self, key: str) -> Any:
        if key not in self._asked:
            self._asked.append(key)
        return self._values.get(key)

    def _fill(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.fault(key, "must be a string")
        # Filled after parsing: a variable's value can never add keys or tables to the file.
        return _VARIABLE.sub(self._substitute(key), value)

    def _substitute(self, key: str) -> Callable[[re.Match[str]], str]:
        def replace(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            value = self._environment.get(name, default)
            if value is None:
                raise self.fault(key, f"the environment variable {name} is not set")
            return value

        return replace

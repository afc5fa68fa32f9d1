"""Typed reading of one table of a providers file: each fault with its key, no key left unread."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

# What stands in for a variable that is not set, so that the rest of the table can still be checked.
# Its provider is left out, so the value is never used; `.invalid` never resolves (RFC 6761 §6.4).
_UNSET: Final = ".unset.invalid"
_VARIABLE: Final = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^{}]*))?\}")


class TableReader:
    """Reads the keys of one table and collects faults instead of raising, so that one start shows them all.

    `where` is the table's name for messages. `missing_variables` are the environment variables that a
    value needs and that are neither set nor have a default.
    """

    def __init__(self, table: Mapping[str, object], where: str, environment: Mapping[str, str]) -> None:
        self.where = where
        self.faults: list[str] = []
        self.missing_variables: list[str] = []
        self._table = table
        self._environment = environment
        self._read: set[str] = set()

    def text(self, key: str) -> str | None:
        """The string under `key`, with the environment put in; None where it is absent or empty."""
        value = self._take(key)
        if value is not None and not isinstance(value, str):
            self.fault(key, "must be a string")
        return (self._substitute(key, value) or None) if isinstance(value, str) else None

    def required_text(self, key: str) -> str:
        """As `text`; an absent or empty value is a fault."""
        value = self.text(key)
        if not value:
            self.fault(key, "is missing")
        return value or ""

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        """The string under `key`, which must be one of `choices`."""
        value = self.text(key) or default
        if value not in choices:
            self.fault(key, f"{value!r} is not one of {', '.join(sorted(choices))}{_hint(value, choices)}")
            return default
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """The boolean under `key`; also the texts "true" and "false", which a variable can hold."""
        value = self._take(key)
        if isinstance(value, str):
            text = self._substitute(key, value)
            value = default if text.endswith(_UNSET) else {"true": True, "false": False}.get(text, text)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(key, "must be true or false")
            return default
        return value

    def seconds(self, key: str, default: int, *, low: int, high: int) -> int:
        """The whole number of seconds under `key`, between `low` and `high`."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(key, f"must be a whole number from {low} to {high}")
            return default
        return value

    def texts(self, key: str, default: Iterable[str] = (), *, empty: bool = False) -> tuple[str, ...]:
        """The array of distinct strings under `key`, with the environment put in.

        Empty entries fall out, as an unset `${NAME:-}` makes them, unless `empty` gives them a meaning.
        """
        value = self._take(key)
        if value is None:
            return tuple(default)
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.fault(key, "must be an array of strings")
            return tuple(default)
        found = [text for text in (self._substitute(key, entry) for entry in value) if text or empty]
        if len(set(found)) != len(found):
            self.fault(key, "has an entry twice")
        return tuple(found)

    def path(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A path of member names: one string (a name that may hold dots) or an array of them."""
        if isinstance(self._table.get(key), str):
            name = self.text(key)
            return (name,) if name else default
        return self.texts(key, default) or default

    def text_table(self, key: str) -> dict[str, str]:
        """The table of strings under `key`."""
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(entry, str) and entry for entry in value.values()):
            self.fault(key, "must be a table of strings")
            return {}
        return {name: self._substitute(key, entry) for name, entry in value.items()}

    def table(self, key: str) -> TableReader:
        """A reader for the table under `key`, empty where there is none.

        It notes faults and missing variables where this one does.
        """
        value = self._take(key)
        if value is not None and not isinstance(value, dict):
            self.fault(key, "must be a table")
        where = f"{self.where}.{key}" if self.where else key
        reader = TableReader(value if isinstance(value, dict) else {}, where, self._environment)
        reader.faults, reader.missing_variables = self.faults, self.missing_variables
        return reader

    def tables(self, key: str) -> dict[str, TableReader]:
        """A reader for each table in the table under `key`, in order.

        Each notes faults where this one does, but has missing variables of its own.
        """
        inner = self.table(key)
        readers = {name: inner.table(name) for name in inner._table}
        for reader in readers.values():
            reader.missing_variables = []
        return readers

    def has(self, key: str) -> bool:
        """True if the table has `key`, which then counts as read."""
        return self._take(key) is not None

    def fault(self, key: str, message: str) -> None:
        """Notes a fault of `key`."""
        self.faults.append(f"[{self.where}] {key}: {message}" if self.where else f"{key}: {message}")

    def refuse_unread(self) -> None:
        """Notes each key that nothing has read: a misspelt security setting must not be ignored."""
        for key in sorted(self._table.keys() - self._read):
            self.fault(key, f"unknown key{_hint(key, self._read)}")

    def _take(self, key: str) -> object:
        self._read.add(key)
        return self._table.get(key)

    def _substitute(self, key: str, value: str) -> str:
        def replace(match: re.Match[str]) -> str:
            name, default = match.groups()
            found = self._environment.get(name) or default
            if found is None:
                self.missing_variables.append(name)
                return f"https://{name.lower().replace('_', '-')}{_UNSET}"
            return found

        # Looked for in what stands around the variables: what a variable holds is never read again.
        if "${" in _VARIABLE.sub("", value):
            self.fault(key, "has a ${ that is not ${NAME} or ${NAME:-default}")
        return _VARIABLE.sub(replace, value)


def _hint(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""

"""A cache with a bound on entries and on bytes, for what a worker may know twice."""

from __future__ import annotations

import threading
from typing import Final, Generic, TypeVar

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 16 * 1024 * 1024

_Value = TypeVar("_Value")


class BoundedCache(Generic[_Value]):
    """At most `max_entries` values of together at most `max_bytes`; the oldest leave first. For all threads.

    A look-up takes no lock and moves nothing, so it costs one dictionary access. What a value is worth now is
    for its reader to check: nothing here looks at a clock.
    """

    def __init__(self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: dict[bytes, tuple[_Value, int]] = {}
        self._bytes = 0
        self._writing = threading.Lock()

    def get(self, key: bytes) -> _Value | None:
        """The value under `key`, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: bytes, value: _Value, size_bytes: int) -> None:
        """Keep `value`, which counts as `size_bytes`; one that is larger than the whole bound is not kept."""
        if size_bytes > self._max_bytes:
            return
        with self._writing:
            self._remove(key)
            self._entries[key] = (value, size_bytes)
            self._bytes += size_bytes
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))

    def drop(self, key: bytes) -> None:
        """Forget the value under `key`, if there is one."""
        with self._writing:
            self._remove(key)

    @property
    def size_bytes(self) -> int:
        """What the kept values count as, together."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[1]

"""Records in this process's memory: expired ones leave, and the number of live ones is bounded."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Clock = Callable[[], float]
RecordT = TypeVar("RecordT")


class MemoryStore(Generic[RecordT]):
    """A thread-safe map whose entries end after their time.

    `change()` is the only way to alter a record and is atomic: of sixteen threads that mark a code as used,
    exactly one is told that it was unused before.
    """

    def __init__(self, clock: Clock, max_entries: int = 50_000) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[float, RecordT]] = {}
        self._ends: list[tuple[float, str]] = []

    def put(self, key: str, record: RecordT, ttl_seconds: float) -> None:
        """Store the record; when full, the entry that would end first makes room."""
        with self._lock:
            ends_at = self._clock() + ttl_seconds
            self._entries[key] = (ends_at, record)
            heapq.heappush(self._ends, (ends_at, key))
            self._drop_ended()
            while len(self._entries) > self._max_entries:
                self._drop_first()
            if len(self._ends) > 2 * len(self._entries) + 64:
                self._ends = [(end, name) for name, (end, _) in self._entries.items()]
                heapq.heapify(self._ends)

    def get(self, key: str) -> RecordT | None:
        with self._lock:
            return self._live(key)

    def change(self, key: str, change: Callable[[RecordT], RecordT]) -> RecordT | None:
        """Replace the record by `change(record)`; the answer is the record as it was before."""
        with self._lock:
            before = self._live(key)
            if before is not None:
                self._entries[key] = (self._entries[key][0], change(before))
            return before

    def remove(self, key: str) -> RecordT | None:
        with self._lock:
            before = self._live(key)
            self._entries.pop(key, None)
            return before

    def __len__(self) -> int:
        with self._lock:
            self._drop_ended()
            return len(self._entries)

    def _live(self, key: str) -> RecordT | None:
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self._clock() else None

    def _drop_ended(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            self._drop_first()

    def _drop_first(self) -> None:
        ends_at, key = heapq.heappop(self._ends)
        entry = self._entries.get(key)
        # An entry stored again since then has a later end and its own place in the heap.
        if entry is not None and entry[0] == ends_at:
            del self._entries[key]

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
        self._adding = threading.Lock()
        self._entries: dict[str, tuple[float, RecordT]] = {}
        # The keys that end within each second, and a heap of those seconds: a tenth of a heap of all keys.
        self._ending: dict[int, list[str]] = {}
        self._ends: list[int] = []
        self._listed = 0

    def put(self, key: str, record: RecordT, ttl_seconds: float) -> None:
        """Store the record; when full, an entry that would end first makes room."""
        with self._lock:
            ends_at = self._clock() + ttl_seconds
            self._entries[key] = (ends_at, record)
            self._list(key, ends_at)
            self._drop_ended()
            while len(self._entries) > self._max_entries:
                self._drop_first()
            if self._listed > 2 * len(self._entries) + 64:
                self._list_anew()

    def add(self, key: str, record: RecordT, ttl_seconds: float) -> bool:
        """Store the record only where no live one has the key; True for the one caller whose record it is."""
        with self._adding:
            if self.get(key) is not None:
                return False
            self.put(key, record, ttl_seconds)
            return True

    def get(self, key: str) -> RecordT | None:
        with self._lock:
            return self._live(key)

    def with_prefix(self, prefix: str) -> list[tuple[str, RecordT]]:
        """The live records whose key begins so."""
        now = self._clock()
        with self._lock:
            entries = list(self._entries.items())
        return [(key, record) for key, (end, record) in entries if key.startswith(prefix) and end > now]

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
        now = self._clock()
        with self._lock:
            return sum(ends_at > now for ends_at, _ in self._entries.values())

    def _live(self, key: str) -> RecordT | None:
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self._clock() else None

    def _list(self, key: str, ends_at: float) -> None:
        second = int(ends_at)
        if second not in self._ending:
            self._ending[second] = []
            heapq.heappush(self._ends, second)
        self._ending[second].append(key)
        self._listed += 1

    def _list_anew(self) -> None:
        self._ending, self._ends, self._listed = {}, [], 0
        for key, (ends_at, _) in self._entries.items():
            self._list(key, ends_at)

    def _drop_ended(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0] + 1 <= now:
            self._drop_first()

    def _drop_first(self) -> None:
        second = self._ends[0]
        key = self._ending[second].pop()
        self._listed -= 1
        if not self._ending[second]:
            del self._ending[heapq.heappop(self._ends)]
        entry = self._entries.get(key)
        # An entry stored again since then has a later end and is listed there.
        if entry is not None and int(entry[0]) == second:
            del self._entries[key]

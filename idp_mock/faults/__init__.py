"""Misbehaviour on request. Honest code knows nothing of it: a fault changes the finished answer on its way out.

Mounted only with `--test-endpoints`. `docs/identity-provider-faults.md` has the table; a test keeps both alike.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TOKENS = ("id_token", "access_token", "logout_token")


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of misbehaviour. `options` are its parameters with their defaults; `on` is what it changes."""

    name: str
    on: str
    does: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetFault:
    """A fault that was asked for; it ends with its first use unless it is `lasting`."""

    number: int
    fault: Fault
    options: Mapping[str, Any]
    lasting: bool

    def described(self, issuer: str) -> dict[str, Any]:
        return {
            "number": self.number,
            "issuer": issuer,
            "fault": self.fault.name,
            "until_cleared": self.lasting,
            "with": dict(self.options),
        }


class FaultBoard:
    """The faults that one issuer is asked for, in the order of asking; thread-safe."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: list[SetFault] = []

    def ask(self, fault: Fault, options: Mapping[str, Any], *, lasting: bool) -> SetFault:
        wanted = SetFault(next(self._numbers), fault, {**fault.options, **options}, lasting)
        with self._lock:
            self._set.append(wanted)
        return wanted

    def take(self, matches: Callable[[SetFault], bool]) -> list[SetFault]:
        """The faults for this answer; one that was asked for once is given out once."""
        with self._lock:
            found = [entry for entry in self._set if matches(entry)]
            self._set = [entry for entry in self._set if entry.lasting or entry not in found]
        return found

    def all(self) -> list[SetFault]:
        with self._lock:
            return list(self._set)

    def clear(self) -> int:
        """End all; the answer is how many there were."""
        with self._lock:
            count, self._set = len(self._set), []
        return count

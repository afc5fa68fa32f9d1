"""Timing in short turns of processor time, for subjects of a few microseconds on a machine that others use too."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from time import thread_time_ns

_TURN_NANOSECONDS = 400_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds for one call. `best` is the fastest twentieth of the turns, where least interfered."""

    best: float
    median: float
    lower: float
    upper: float


def timings(subjects: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Timing]:
    """The timing of each subject. In every round each of them runs for about 0.4 ms, in turn.

    Another one begins each round, so that no subject always follows the same one. Garbage is collected
    between the rounds only.
    """
    repeats = {name: _repeats(subject) for name, subject in subjects.items()}
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    gc.disable()
    try:
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                measured[name].append(_turn(subjects[name], repeats[name]))
            gc.collect(0)
    finally:
        gc.enable()
    return {name: _timing(values) for name, values in measured.items()}


def _timing(values: list[float]) -> Timing:
    twentieths = quantiles(values, n=20)
    return Timing(twentieths[0], median(values), twentieths[4], twentieths[14])


def _turn(subject: Callable[[], object], repeats: int) -> float:
    begin = thread_time_ns()
    for _ in range(repeats):
        subject()
    return (thread_time_ns() - begin) / repeats


def _repeats(subject: Callable[[], object]) -> int:
    """How many calls fill a turn, by the fastest of some tries; these warm the subject up as well."""
    nanoseconds = min(_turn(subject, 20) for _ in range(20))
    return max(1, round(_TURN_NANOSECONDS / nanoseconds))

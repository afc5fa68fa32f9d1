"""Timing: subjects take turns, so that a busy machine slows all of them alike.

What is counted is the thread's processor time. Nothing measured here waits for anything, so on an idle
machine that is the elapsed time; on a shared one it leaves out the time of the others. The garbage
collector stays on, as in a server: without it, what statements leave behind would slow all that follows.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from time import thread_time_ns

_ROUND_NANOSECONDS = 300_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds of processor time for one call: the median over the rounds, and the middle half of them."""

    median: float
    lower: float
    upper: float
    rounds: tuple[float, ...]

    def ratio_to(self, other: Timing) -> float:
        """The median of the rounds' own ratios: what slowed a whole round down is in both, and cancels out."""
        return median(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))


def timings(subjects: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Timing]:
    """The timing of each subject. In every round each of them runs for about a third of a millisecond,
    but for one call at least."""
    repeats = {name: _repeats(subject) for name, subject in subjects.items()}
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    order, dice = list(subjects), random.Random(0)  # noqa: S311 - nothing secret about an order
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        dice.shuffle(order)
        for name in order:
            # What the one before left behind is not this one's to clear away.
            gc.collect()
            measured[name].append(_once(subjects[name], repeats[name]))
    gc.unfreeze()
    return {name: _timing(values) for name, values in measured.items()}


def _timing(values: list[float]) -> Timing:
    lower, _, upper = quantiles(values, n=4)
    return Timing(median(values), lower, upper, tuple(values))


def _once(subject: Callable[[], object], repeats: int) -> float:
    begin = thread_time_ns()
    for _ in range(repeats):
        subject()
    return (thread_time_ns() - begin) / repeats


def _repeats(subject: Callable[[], object]) -> int:
    """How many calls fill one round; the calls made here warm the subject up as well."""
    repeats = 1
    while (nanoseconds := _once(subject, repeats) * repeats) < _ROUND_NANOSECONDS and repeats < 1_000_000:
        repeats = max(repeats + 1, min(repeats * 10, int(repeats * _ROUND_NANOSECONDS / max(nanoseconds, 1))))
    return repeats

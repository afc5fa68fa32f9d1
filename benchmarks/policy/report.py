"""The figures as JSON and as a Markdown page."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

from benchmarks.policy.decisions import ENGINE, HAND
from benchmarks.policy.measuring import Timing

_PACKAGES = ("sqlalchemy", "pyyaml", "pycasbin", "cedarpy", "cel-expr-python")


@dataclass(frozen=True)
class Measurement:
    """Everybody's timing in one situation. `limit` is the highest accepted ratio of ours to the hand-written one."""

    group: str
    name: str
    timings: Mapping[str, Timing]
    limit: float | None

    def ratio(self, subject: str) -> float | None:
        """How many times as long as the hand-written code of the same scope; None where there is none."""
        scope = subject.removeprefix(ENGINE).removeprefix(HAND)
        peer = self.timings.get(f"{HAND}{scope}" if f"{ENGINE}{scope}" in self.timings else HAND)
        return None if peer is None else self.timings[subject].ratio_to(peer)

    @property
    def kept(self) -> bool:
        """True if every subject of ours is within the limit."""
        if self.limit is None:
            return True
        ratios = (self.ratio(name) for name in self.timings if name.startswith(ENGINE))
        return all(ratio is None or ratio <= self.limit for ratio in ratios)


def as_data(measurements: list[Measurement], startup: dict[str, object], absent: dict[str, str]) -> dict[str, object]:
    """All figures, in nanoseconds, seconds and bytes."""
    return {
        "machine": _machine(),
        "measurements": [
            {
                "group": one.group,
                "name": one.name,
                "limit": one.limit,
                "kept": one.kept,
                "nanoseconds": {
                    name: {"median": timing.median, "lower": timing.lower, "upper": timing.upper}
                    for name, timing in one.timings.items()
                },
                "ratios": {name: one.ratio(name) for name in one.timings},
            }
            for one in measurements
        ],
        "startup": startup,
        "absent_peers": absent,
    }


def as_markdown(
    measurements: list[Measurement], startup: list[tuple[str, str, str, bool]], absent: dict[str, str]
) -> str:
    """The page `docs/benchmarks/policy.md`."""
    machine = _machine()
    lines = [
        "# Policy engine",
        "",
        "Written by `make bench`. All subjects of a table ran in one process, taking turns. A figure is the median",
        "of the rounds in processor time; the spread is the middle half of the rounds. A ratio is to the hand-written",
        "code: the median of the ratios in each round. Every engine gave the same answers on allowed, foreign and",
        "archived rows before it was timed.",
        "",
        f"{machine['time']}, Python {machine['python']}, {machine['system']}, {machine['processors']} processors; "
        + ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),  # type: ignore[attr-defined]
        "",
    ]
    group = ""
    for one in measurements:
        if one.group != group:
            group = one.group
            lines += [f"## {group}", "", _NOTES[group], ""]
        goal = (
            ""
            if one.limit is None
            else f" Goal: at most {one.limit} × by hand. {'Kept.' if one.kept else '**Missed.**'}"
        )
        lines += [f"**{one.name}.**{goal}", "", "| | median | spread | ratio |", "|---|---:|---:|---:|"]
        for name, timing in one.timings.items():
            ratio = one.ratio(name)
            shown = "" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"
            spread = f"{_duration(timing.lower)} – {_duration(timing.upper)}"
            lines.append(f"| {name} | {_duration(timing.median)} | {spread} | {shown} |")
        lines.append("")
    lines += ["## Start-up", "", _NOTES["Start-up"], "", "| | measured | goal | |", "|---|---:|---:|---|"]
    lines += [
        f"| {what} | {value} | {goal} | {'kept' if kept else '**missed**'} |" for what, value, goal, kept in startup
    ]
    if absent:
        lines += ["", "## Peers that did not run", ""]
        lines += [f"- {name}: {reason}" for name, reason in absent.items()]
    return "\n".join(lines) + "\n"


_NOTES = {
    "Decisions": (
        "One row under rules that are loaded. `secure-api` and `by hand` return the rule's id and the field sets, and\n"
        "a deny overrides. The bare boolean does neither. The other engines answer yes or no; for them the time\n"
        "includes handing over the row and the caller, because there is no decision without it."
    ),
    "Scopes": "The WHERE clause alone. None of the other engines makes one.",
    "Queries": (
        "The whole query on SQLite in memory, 1,000 orders of 50 customers: building the statement, executing it,\n"
        "fetching the rows. The hand-written one selects the same columns with the same condition."
    ),
    "Fields": (
        "Rows reduced to the fields that the caller may read. Ours decides about each row once more, as the pipeline\n"
        "does; by hand the one condition is checked, or nothing."
    ),
    "Start-up": (
        "50 resources with 20 rules and 20 tested cases each, in fresh processes: reading, checking, compiling, and\n"
        "running the tests in the files. The median of the processes."
    ),
}


def _machine() -> dict[str, object]:
    versions = dict[str, str]()
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count() or 0,
        "packages": versions,
    }


def _duration(nanoseconds: float) -> str:
    if nanoseconds < 10_000:
        return f"{nanoseconds:,.0f} ns"
    return f"{nanoseconds / 1_000:,.0f} µs" if nanoseconds < 10_000_000 else f"{nanoseconds / 1_000_000:,.0f} ms"

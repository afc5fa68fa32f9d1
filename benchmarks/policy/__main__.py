"""Run every benchmark of the policy engine; exit code 1 if a goal is missed.

`python -m benchmarks.policy [--quick]` writes `docs/benchmarks/policy.md` and `test-results/policy-benchmark.json`.
A quick run has a fifth of the rounds and writes the JSON only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.policy.decisions import CASES, subjects_of
from benchmarks.policy.measuring import timings
from benchmarks.policy.queries import query_subjects, scope_subjects
from benchmarks.policy.report import Measurement, as_data, as_markdown
from benchmarks.policy.startup import in_fresh_processes

ROOT = Path(__file__).parents[2]
DECISION_LIMIT, QUERY_LIMIT, STARTUP_SECONDS, TABLE_BYTES = 3.0, 1.15, 2.0, 30_000_000
ROUNDS, STARTUP_RUNS = 500, 5


class _Run:
    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.measurements = list[Measurement]()

    def measure(
        self, group: str, name: str, subjects: Mapping[str, Callable[[], object]], limit: float | None = None
    ) -> None:
        """Time the subjects and say so."""
        _say(f"{group}: {name} …")
        self.measurements.append(Measurement(group, name, timings(subjects, rounds=self._rounds), limit))


def main() -> int:
    """Measure, write, and say which goals were missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds; leaves the page in docs/ as it is")
    quick = parser.parse_args().quick
    run, absent = _Run(ROUNDS // 5 if quick else ROUNDS), dict[str, str]()
    for case in CASES:
        subjects, missing = subjects_of(case)
        absent |= missing
        run.measure("Decisions", case.name, subjects, DECISION_LIMIT)
    for name, subjects in scope_subjects():
        run.measure("Scopes", name, subjects)
    with query_subjects() as queries:
        for name, subjects in queries:
            is_query = name.startswith("query")
            run.measure("Queries" if is_query else "Fields", name, subjects, QUERY_LIMIT if is_query else None)
    _say("Start-up: 50 resources of 20 rules, in fresh processes …")
    *timed, traced = in_fresh_processes(2 if quick else STARTUP_RUNS)
    seconds, held = median(one["processor_seconds"] for one in timed), traced["held_bytes"]
    elapsed = median(one["seconds"] for one in timed)
    startup = [
        (
            f"processor time ({elapsed:.2f} s elapsed, on this machine as busy as it was)",
            f"{seconds:.2f} s",
            f"{STARTUP_SECONDS:.0f} s",
            seconds <= STARTUP_SECONDS,
        ),
        ("memory held by the table", f"{held / 1e6:.1f} MB", f"{TABLE_BYTES / 1e6:.0f} MB", held <= TABLE_BYTES),
    ]
    results = ROOT / "test-results"
    results.mkdir(exist_ok=True)
    data = as_data(run.measurements, {"processes": [*timed, traced], "median_seconds": seconds}, absent)
    (results / "policy-benchmark.json").write_text(json.dumps(data, indent=1))
    page = as_markdown(run.measurements, startup, absent)
    if not quick:
        (ROOT / "docs" / "benchmarks").mkdir(parents=True, exist_ok=True)
        (ROOT / "docs" / "benchmarks" / "policy.md").write_text(page)
    sys.stdout.write(page)
    missed = [one.name for one in run.measurements if not one.kept]
    missed += [f"start-up: {what}" for what, _, _, kept in startup if not kept]
    _say(f"missed: {'; '.join(missed)}" if missed else "every goal was kept")
    return 1 if missed else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

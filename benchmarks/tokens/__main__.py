"""`python -m benchmarks.tokens`: what checking an access token costs, beside its peers, in one run.

Writes docs/benchmarks/tokens.json and tokens.md. Exit code 1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from benchmarks.tokens.measuring import Timing, timings
from benchmarks.tokens.subjects import ALGORITHMS, CACHED, COLD, JOSERFC, RAW, subjects
from secure_api.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "docs" / "benchmarks"
PACKAGES = ("cryptography", "joserfc", "pyjwt", "authlib", "flask-jwt-extended")
# algorithm, subject, what it is compared with, and how often as long it may take
BOUNDS = (
    ("RS256", COLD, RAW, 3.0),
    ("ES256", COLD, RAW, 2.2),
    ("RS256", CACHED, JOSERFC, 1 / 35),
    ("ES256", CACHED, JOSERFC, 1 / 35),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="rounds; in each, every subject runs for about 0.4 ms")
    rounds: int = parser.parse_args().rounds
    load_before = os.getloadavg()[0]
    measured: dict[str, dict[str, Timing]] = {}
    for algorithm in ALGORITHMS:
        sys.stderr.write(f"{algorithm}: {rounds} rounds …\n")
        measured[algorithm] = timings(subjects(algorithm), rounds=rounds)
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "rounds": rounds,
        "packages": {name: version(name) for name in PACKAGES},
    }
    bounds = [_bound(measured, *bound) for bound in BOUNDS]
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = _markdown(measured, machine, bounds)
    (FOLDER / "tokens.md").write_text(text, encoding="utf-8")
    (FOLDER / "tokens.json").write_text(_json(measured, machine, bounds), encoding="utf-8")
    sys.stdout.write(text)
    return 0 if all(bound["holds"] for bound in bounds) else 1


def _bound(
    measured: dict[str, dict[str, Timing]], algorithm: str, subject: str, peer: str, limit: float
) -> dict[str, Any]:
    mine, other = measured[algorithm][subject], measured[algorithm][peer]
    ratio = mine.best / other.best
    return {
        "algorithm": algorithm,
        "subject": subject,
        "peer": peer,
        "limit": limit,
        "ratio": ratio,
        "ratio_of_medians": mine.median / other.median,
        "holds": ratio <= limit,
    }


def _factor(ratio: float) -> str:
    return f"{ratio:.2f} ×" if ratio >= 0.2 else f"1/{1 / ratio:.0f}"


def _markdown(measured: dict[str, dict[str, Timing]], machine: dict[str, Any], bounds: list[dict[str, Any]]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    lines = [
        "# Checking an access token",
        "",
        "Written by `python -m benchmarks.tokens` (part of `make bench`). One RFC 9068 token; the subjects take turns",
        "in one process, and what counts is the thread's processor time. Other work on the machine still slows it (by",
        "the caches, and where a virtual processor waits for a real one): so the bounds are held against *best*, the",
        "fastest twentieth of the turns, and the medians stand beside it.",
        f"{machine['at']}, Python {machine['python']}, {machine['processors']} processors, load "
        f"{machine['load_before']} before and {machine['load_after']} after; {packages}.",
        "",
        "*secure-api* checks all that its profile demands: form, `typ`, key, signature, issuer, audience, times,",
        "lifetime, required claims. *joserfc* and *cryptography* check the signature alone. *PyJWT* has the key ready;",
        "*flask-jwt-extended* reads it from PEM text each time, as its documentation sets it up.",
        "",
    ]
    for algorithm, timed in measured.items():
        lines += [
            f"## {algorithm}",
            "",
            "| subject | best µs | median µs | middle half µs | best against the signature alone | … joserfc |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name, timing in timed.items():
            spread = f"{timing.lower / 1000:.1f} to {timing.upper / 1000:.1f}"
            ratios = " | ".join(_factor(timing.best / timed[peer].best) for peer in (RAW, JOSERFC))
            times = f"{timing.best / 1000:.1f} | {timing.median / 1000:.1f} | {spread}"
            lines.append(f"| {name} | {times} | {ratios} |")
        lines.append("")
    lines += ["## Bounds", "", "| bound | best | medians | |", "|---|---:|---:|---|"]
    for bound in bounds:
        what = f"{bound['algorithm']}: {bound['subject']} ≤ {_factor(bound['limit'])} of {bound['peer']}"
        ratios = f"{_factor(bound['ratio'])} | {_factor(bound['ratio_of_medians'])}"
        lines.append(f"| {what} | {ratios} | {'holds' if bound['holds'] else '**does not hold**'} |")
    return "\n".join(lines) + "\n"


def _json(measured: dict[str, dict[str, Timing]], machine: dict[str, Any], bounds: list[dict[str, Any]]) -> str:
    nanoseconds = {
        algorithm: {
            name: {
                "best": timing.best,
                "median": timing.median,
                "lower_quartile": timing.lower,
                "upper_quartile": timing.upper,
            }
            for name, timing in timed.items()
        }
        for algorithm, timed in measured.items()
    }
    return json.dumps({"machine": machine, "nanoseconds": nanoseconds, "bounds": bounds}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())

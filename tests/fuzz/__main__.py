"""`python -m tests.fuzz [--inputs N] [--seed N]`: the long fuzz run over everything that reads foreign text.

Exit code 0: no fault. 1: at least one, each told with its input.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.targets import LONGEST_SECONDS, run
from tests.fuzz.test_token_parsers import NAMES, SEED


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=300_000, help="inputs in all, shared among the targets")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed gives the same inputs")
    options = parser.parse_args()
    started = time.monotonic()
    each = -(-options.inputs // len(NAMES))
    faults: list[str] = []
    total, slowest = 0, 0.0
    for name in NAMES:
        result = run(name, options.seed, each, lambda line: print(line, file=sys.stderr, flush=True))
        outcomes = ", ".join(f"{outcome} {count:,}" for outcome, count in result.outcomes.most_common())
        print(f"{name}: {result.inputs:,} inputs, slowest {result.slowest_seconds * 1000:.1f} ms; {outcomes}")
        total += result.inputs
        slowest = max(slowest, result.slowest_seconds)
        faults += result.faults
    for fault in faults[:50]:
        print(f"FAULT {fault}")
    print(
        f"{total:,} inputs, seed {options.seed}, {time.monotonic() - started:.0f} s: {len(faults)} faults; "
        f"slowest input {slowest * 1000:.1f} ms of processor time (bound: {LONGEST_SECONDS * 1000:.0f} ms)"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

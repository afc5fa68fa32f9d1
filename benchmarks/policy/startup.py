"""Start-up with a large table of rules: time and memory, in a process of its own.

`python -m benchmarks.policy.startup` measures and prints JSON; the run of all benchmarks calls it.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from secure_api.db.policy_sql import schema_from_model
from secure_api.policy.loader import load_policies
from secure_api.policy.schema import ResourceSchema
from secure_api.resources.orders.model import Order

RESOURCES, RULES, ROLES = 50, 20, 10
_CONDITIONS = (
    "resource.customer_id == principal.customer_id",
    'resource.total_minor <= {number} && resource.status in ["new", "paid"]',
    "!(resource.archived || !has(resource.note))",
    'resource.created_at > timestamp("2026-01-{day:02}T00:00:00Z") || principal.acr == "mfa"',
    "resource.customer.id == principal.customer_id",
)


def resource_file(name: str) -> str:
    """A policy file of 20 rules over all forms of conditions, every fifth a deny rule, and 20 tested cases."""
    lines = ["version: 1", f"resource: {name}", "actions: [list, read, create, update, delete]", "rules:"]
    for number in range(RULES):
        deny = number % 5 == 4
        condition = _CONDITIONS[number % len(_CONDITIONS)].format(number=number * 1_000, day=number + 1)
        role = '"*"' if deny else f"role_{number % ROLES}"
        lines += [
            f"  - id: {name}.rule-{number}",
            f"    effect: {'deny' if deny else 'allow'}",
            f"    roles: [{role}]",
            "    actions: [update, delete]" if deny else "    actions: [list, read]",
            f"    when: {json.dumps(condition)}",
        ]
        if not deny:
            lines += ["    scopes: {list: orders:read, read: orders:read}", "    read: [id, status, total_minor, note]"]
    lines += ["tests:"]
    for number in range(0, RULES, 5):
        lines += [
            f"  - name: owners of rule {number}",
            f"    principal: {{roles: [role_{number % ROLES}], customer_id: 7}}",
            "    action: read",
            "    cases:",
        ]
        row = "total_minor: 999999999, status: x, archived: true, created_at: 2020-01-01T00:00:00Z"
        for customer in (7, 8, 9, 10, 11):
            outcome = f"allow, rule: {name}.rule-{number % ROLES}" if customer == 7 else "deny, rule: default-deny"
            lines += [f"      - {{row: {{customer_id: {customer}, {row}}}, expect: {outcome}}}"]
    return "\n".join(lines) + "\n"


def write_files(folder: Path) -> dict[str, ResourceSchema]:
    """The folder of 50 files and their schemas."""
    roles = "".join(f"  role_{number}: {{}}\n" for number in range(ROLES))
    (folder / "roles.yaml").write_text(f"version: 1\nroles:\n{roles}")
    schema = schema_from_model(Order)
    names = [f"things_{number}" for number in range(RESOURCES)]
    for name in names:
        (folder / f"{name}.yaml").write_text(resource_file(name))
    return dict.fromkeys(names, schema)


def measured(*, traced: bool) -> dict[str, float]:
    """Seconds for loading, and where traced the bytes that the table holds; tracing makes the time meaningless."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        schemas = write_files(folder)
        gc.collect()
        if traced:
            tracemalloc.start()
        begin, processor_begin = perf_counter(), process_time()
        policies = load_policies(folder, schemas, known_scopes={"orders:read"})
        seconds, processor_seconds = perf_counter() - begin, process_time() - processor_begin
        gc.collect()
        held, peak = tracemalloc.get_traced_memory() if traced else (0, 0)
        rules = sum(len(policy.rules) for policy in policies.resources.values())
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "held_bytes": held,
        "peak_bytes": peak,
        "rules": rules,
    }


def in_fresh_processes(runs: int) -> Iterator[dict[str, float]]:
    """The measurement in new processes, the last one for memory."""
    for number in range(runs + 1):
        command = [sys.executable, "-m", "benchmarks.policy.startup", *(["traced"] if number == runs else [])]
        yield json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(traced="traced" in sys.argv)))

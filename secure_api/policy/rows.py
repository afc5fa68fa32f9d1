"""The rules of one function, compiled into one Python function that decides about a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

from secure_api.policy.closure import Row, Source
from secure_api.policy.schema import RequestAttributes
from secure_api.policy.tree import Condition
from secure_api.principal import Principal

Outcome = TypeVar("Outcome")
Demand = Callable[[Principal, RequestAttributes], bool]
RowFunction = Callable[[Row, Principal, RequestAttributes], Outcome]


def row_function(
    denies: tuple[Condition, ...],
    allows: tuple[tuple[Condition, Demand | None], ...],
    roles: frozenset[str],
    *,
    denied: tuple[Outcome, ...],
    unmet: tuple[Outcome | None, ...],
    matched: Mapping[int, Outcome],
    nothing: Outcome,
    failed: Callable[[Exception], Outcome],
) -> RowFunction[Outcome]:
    """The function of a row, a principal and a request that gives one of the outcomes.

    Deny overrides: the first deny rule that is not definitely false decides. Then every allow rule is
    asked. Any exception ends in `failed`.

    Args:
        denies: "definitely false" of each deny rule, in normal form.
        allows: "definitely true" of each allow rule, and what else it demands of the caller's sign-in.
        roles: the effective ones.
        denied: the outcome for each deny rule.
        unmet: for each allow rule, the outcome where only its demand is not met.
        matched: the outcome for each set of matching allow rules, a bit for each, the first the lowest.
        nothing: the outcome where no rule matches.
        failed: gives the outcome of an exception.
    """
    demands = tuple(demand for _, demand in allows)
    bind = _compiled(denies, tuple((condition, demand is not None) for condition, demand in allows))
    function: RowFunction[Outcome] = bind(roles, denied, unmet, demands, matched, nothing, failed)
    return function


# Pure: the same rules give the same code, whoever calls, so callers with different roles share it.
@lru_cache(maxsize=1_024)
def _compiled(
    denies: tuple[Condition, ...], allows: tuple[tuple[Condition, bool], ...]
) -> Callable[..., RowFunction[Outcome]]:
    source = Source()
    names, body = list[str](), list[str]()
    for index, condition in enumerate(denies):
        names.append(f"denied_{index} = denied[{index}]")
        body += [f"if not {source.condition(condition)}:", f"    return denied_{index}"]
    if len(allows) == 1 and not allows[0][1]:
        names.append("only = matched[1]")
        body += [f"return only if {source.condition(allows[0][0])} else nothing"]
    else:
        body += ["matching, weak = 0, nothing"]
        for index, (condition, has_demand) in enumerate(allows):
            body += [f"if {source.condition(condition)}:"]
            if has_demand:
                names += [f"met_{index} = demands[{index}]", f"unmet_{index} = unmet[{index}]"]
                body += [f"    if met_{index}(principal, request):", f"        matching |= {1 << index}"]
                body += ["    elif weak is nothing:", f"        weak = unmet_{index}"]
            else:
                body += [f"    matching |= {1 << index}"]
        body += ["return matched[matching] if matching else weak"]
    lines = [
        "def bind(roles, denied, unmet, demands, matched, nothing, failed):",
        *(f"    {line}" for line in names),
        "    def decide(row, principal, request):",
        "        try:",
        *(f"            {line}" for line in body),
        "        except Exception as error:",
        "            return failed(error)",
        "    return decide",
    ]
    bind: Callable[..., RowFunction[Outcome]] = source.compiled("\n".join(lines) + "\n")
    return bind

"""Decisions about one row: the engine, code written by hand for the same rules, and other engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.policy.peers import Peer, peers_for
from benchmarks.policy.world import ALL_FIELDS, ANNA, CLERK, MANAGER, OWN_FIELDS, REQUEST, Row, policies, row
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import Principal


class Disagreement(Exception):
    """Two subjects do not do the same job, so their times cannot be compared."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision written by hand returns: as much as the engine's `Decision` says."""

    allowed: bool
    rule_id: str
    read_fields: frozenset[str] = frozenset()
    write_fields: frozenset[str] = frozenset()


_OWN = Outcome(True, "orders.own", frozenset(OWN_FIELDS))
_ALL = Outcome(True, "orders.all", frozenset(ALL_FIELDS))
_NOTE = Outcome(True, "orders.note", write_fields=frozenset({"note"}))
_NOTE_AND_STATUS = Outcome(True, "orders.note", write_fields=frozenset({"note", "status"}))
_STATUS = Outcome(True, "orders.small", write_fields=frozenset({"status"}))
_ARCHIVED = Outcome(False, "orders.archived")
_NOTHING = Outcome(False, "default-deny")

Hand = Callable[[Row, Principal, RequestAttributes], Outcome]


def read_own(row: Row, principal: Principal, _request: RequestAttributes) -> Outcome:
    """Own orders; archived ones are denied, and so are those of which it is not known."""
    if row["archived"] is not False:
        return _ARCHIVED
    customer_id = principal.customer_id
    if customer_id is not None and row["customer_id"] == customer_id:
        return _OWN
    return _NOTHING


def list_all(_row: Row, _principal: Principal, _request: RequestAttributes) -> Outcome:
    """Staff lists every order."""
    return _ALL


def update(row: Row, principal: Principal, _request: RequestAttributes) -> Outcome:
    """The note of an own order, the status of a small one; no archived order."""
    if row["archived"] is not False:
        return _ARCHIVED
    customer_id, total_minor = principal.customer_id, row["total_minor"]
    is_small = total_minor is not None and total_minor <= 50_000  # type: ignore[operator]
    if customer_id is not None and row["customer_id"] == customer_id:
        return _NOTE_AND_STATUS if is_small else _NOTE
    return _STATUS if is_small else _NOTHING


def is_own(row: Row, principal: Principal) -> bool:
    """The bare check: no rule id, no fields, NULL not thought of."""
    return not row["archived"] and row["customer_id"] == principal.customer_id


def is_anything(_row: Row, _principal: Principal) -> bool:
    """The bare check for staff."""
    return True


def is_updatable(row: Row, principal: Principal) -> bool:
    """The bare check of the two allow rules and the deny rule."""
    return not row["archived"] and (row["customer_id"] == principal.customer_id or row["total_minor"] <= 50_000)  # type: ignore[operator]


@dataclass(frozen=True)
class Case:
    """One situation, its rows (the first is the one that is timed), and everybody who decides about it."""

    name: str
    action: str
    principal: Principal
    rows: tuple[Row, ...]
    hand: Hand
    bare: Callable[[Row, Principal], bool]
    function_by_hand: Callable[[Principal], bool]


CASES = (
    Case(
        "a customer reads an own order (one allow rule, one deny rule)",
        "read",
        ANNA,
        (row(), row(2), row(archived=True)),
        read_own,
        is_own,
        lambda caller: "customer" in caller.roles and (caller.scopes is None or "orders:read" in caller.scopes),
    ),
    Case(
        "staff lists every order (`always`)",
        "list",
        MANAGER,
        (row(), row(2), row(archived=True)),
        list_all,
        is_anything,
        lambda caller: "manager" in caller.roles and (caller.scopes is None or "orders:read" in caller.scopes),
    ),
    Case(
        "an update under two allow rules and one deny rule",
        "update",
        CLERK,
        (row(), row(2), row(total_minor=60_000), row(2, 60_000), row(archived=True)),
        update,
        is_updatable,
        lambda caller: (
            ("customer" in caller.roles or "clerk" in caller.roles)
            and (caller.scopes is None or "orders:write" in caller.scopes)
        ),
    ),
)

ENGINE, HAND, BARE = "secure-api", "by hand", "by hand, bare boolean"


def subjects_of(case: Case) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """The calls to time, and the peers that are missing with the reason. All of them must agree on every row.

    Raises:
        Disagreement: if one of them decides differently.
    """
    table = policies()
    grant = table.function_decision(case.principal, "orders", case.action)
    decide, principal, hand, bare = grant.decide, case.principal, case.hand, case.bare
    found, absent = peers_for(case.action)
    for one in case.rows:
        ours, theirs = decide(one, principal, REQUEST), hand(one, principal, REQUEST)
        same = (ours.allowed, ours.rule_id, ours.read_fields, ours.write_fields)
        if same != (theirs.allowed, theirs.rule_id, theirs.read_fields, theirs.write_fields):
            raise Disagreement(f"{HAND}: {case.name}: {one}")
        for name, peer in [(BARE, bare), *found.items()]:
            if peer(one, principal) != ours.allowed:
                raise Disagreement(f"{name}: {case.name}: {one}")
    first, by_hand_opened = case.rows[0], case.function_by_hand

    def whole() -> object:
        return table.function_decision(principal, "orders", case.action).decide(first, principal, REQUEST)

    def whole_by_hand() -> object:
        return hand(first, principal, REQUEST) if by_hand_opened(principal) else _NOTHING

    def timed(peer: Peer) -> Callable[[], object]:
        return lambda: peer(first, principal)

    subjects: dict[str, Callable[[], object]] = {
        ENGINE: lambda: grant.decide(first, principal, REQUEST),
        HAND: lambda: hand(first, principal, REQUEST),
        BARE: lambda: bare(first, principal),
        f"{ENGINE}, with role and scope": whole,
        f"{HAND}, with role and scope": whole_by_hand,
        **{name: timed(peer) for name, peer in found.items()},
    }
    return subjects, absent

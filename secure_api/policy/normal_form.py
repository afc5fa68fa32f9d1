"""Negation normal form: no `Not` is left, and every leaf means "definitely true".

With three truth values, `NOT x` of an unknown x is unknown, in SQL as in CEL. A back-end that
answers only "definitely true or not" cannot negate. So negation moves into the leaves, where each
kind of leaf has a negated form of its own; AND and OR of "definitely true" are then plain.
"""

from __future__ import annotations

from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Membership,
    Not,
    Or,
    Presence,
    Truth,
)

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def holds(condition: Condition) -> Condition:
    """The normal form that is definitely true exactly where `condition` is definitely true."""
    return _normal(condition, negated=False)


def fails(condition: Condition) -> Condition:
    """The normal form that is definitely true exactly where `condition` is definitely false."""
    return _normal(condition, negated=True)


def _normal(condition: Condition, *, negated: bool) -> Condition:
    match condition:
        case Not(term):
            return _normal(term, negated=not negated)
        case And(terms):
            inner = tuple(_normal(term, negated=negated) for term in terms)
            return Or(inner) if negated else And(inner)
        case Or(terms):
            inner = tuple(_normal(term, negated=negated) for term in terms)
            return And(inner) if negated else Or(inner)
        case Comparison(operator, left, right):
            return Comparison(_OPPOSITE[operator], left, right) if negated else condition
        case Membership(item, container, was_negated):
            return Membership(item, container, was_negated != negated)
        case Presence(subject, was_negated):
            return Presence(subject, was_negated != negated)
        case Truth(subject, was_negated):
            return Truth(subject, was_negated != negated)
        case Always(was_negated):
            return Always(was_negated != negated)

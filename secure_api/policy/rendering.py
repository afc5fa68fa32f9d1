"""The typed tree of a condition as text again, in the language of the policy files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from secure_api.policy.tree import (
    Always,
    And,
    Comparison,
    Condition,
    Container,
    Literal,
    LiteralList,
    Membership,
    Not,
    Operand,
    Or,
    Presence,
    PrincipalAttribute,
    RelationPath,
    RequestAttribute,
    ResourcePath,
    Scalar,
    Truth,
)

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def condition_text(condition: Condition) -> str:
    """The condition as a policy file would say it; the parser reads what it once parsed back as the same tree."""
    match condition:
        case Always(negated):
            return "!always" if negated else "always"
        case Comparison(symbol, left, right):
            return f"{operand_text(left)} {symbol} {operand_text(right)}"
        case Membership(item, container, negated):
            return _negated(f"{operand_text(item)} in {operand_text(container)}", negated=negated)
        case Presence(subject, negated):
            return f"{'!' if negated else ''}has({operand_text(subject)})"
        case Truth(subject, negated):
            return f"{'!' if negated else ''}{operand_text(subject)}"
        case And(terms):
            return " && ".join(map(_term, terms))
        case Or(terms):
            return " || ".join(map(_term, terms))
        case Not(term):
            plain = isinstance(term, Presence | Truth)
            return f"!{condition_text(term)}" if plain else f"!({condition_text(term)})"
        case _:
            assert_never(condition)


def operand_text(operand: Operand | Container | RelationPath) -> str:
    """An operand, a list or a path as a policy file would say it."""
    match operand:
        case Literal(value, _):
            return _literal(value)
        case LiteralList(values, _):
            return f"[{', '.join(map(_literal, values))}]"
        case ResourcePath(path) | RelationPath(path):
            return ".".join(("resource", *path))
        case PrincipalAttribute(name, _):
            return f"principal.{name}"
        case RequestAttribute(name, _):
            return f"request.{name}"
        case _:
            assert_never(operand)


def _term(condition: Condition) -> str:
    text = condition_text(condition)
    return f"({text})" if isinstance(condition, And | Or) else text


def _negated(text: str, *, negated: bool) -> str:
    return f"!({text})" if negated else text


def _literal(value: Scalar) -> str:
    if isinstance(value, datetime):
        return f'timestamp("{value.astimezone(UTC).isoformat().replace("+00:00", "Z")}")'
    if isinstance(value, int):
        return str(value).lower()
    return f'"{str(value).translate(_ESCAPES)}"'

"""Conditions as Python functions that answer "definitely true" for one row.

The input is a normal form (`normal_form.holds` or `fails`): it holds no `Not`. A function raises
TypeError on a value of the wrong type and KeyError on a row without a path it reads; the caller
denies. It never guesses: `"7" != 7` would be true, and a deny rule would not fire.

The functions are compiled, because they run for every row. Their source is put together from the
fixed pieces below and from numbered names; what a policy file says enters as constants only, never
as source text.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any, assert_never
from uuid import UUID

from secure_api.policy.guards import FAST_CHECK, GUARDS, compared, contained, guard
from secure_api.policy.schema import AttributeType, RequestAttributes
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
    Presentable,
    PrincipalAttribute,
    RelationPath,
    RequestAttribute,
    ResourcePath,
    Truth,
)
from secure_api.principal import Principal

Row = Mapping[str, object]  # dotted paths -> values
Test = Callable[[Row, Principal, RequestAttributes, frozenset[str]], bool]
Fetch = Callable[[Row, Principal, RequestAttributes, frozenset[str]], Any]

_ARGUMENTS = "row, principal, request, roles"


def compile_condition(condition: Condition) -> Test:
    """The function of a normal form: true where the condition is definitely true.

    Its arguments are the row, the principal, the request and the effective roles.
    """
    source = Source()
    test: Test = _function(source, source.condition(condition))
    return test


def fetch_of(operand: Operand) -> Fetch:
    """The function that gives an operand's value, None where it is absent.

    The function raises TypeError if the value is not of the operand's type.
    """
    source = Source()
    fetch: Fetch = _function(source, source.guarded(operand))
    return fetch


def _function(source: Source, expression: str) -> Any:
    return source.compiled(f"def condition({_ARGUMENTS}):\n    return {expression}\n")


class Source:
    """Writes the expressions of one function, and compiles it with the constants that they name."""

    def __init__(self) -> None:
        self._constants = dict[str, object]()
        self._locals = 0

    def compiled(self, text: str) -> Any:
        """The one function that `text` defines, with its constants in place."""
        module = ast.fix_missing_locations(_Inlined(self._constants).visit(ast.parse(text)))
        code = compile(module, "<policy>", "exec", dont_inherit=True)
        (function,) = (constant for constant in code.co_consts if isinstance(constant, CodeType))
        # No builtins: the function can reach nothing but its arguments, constants and guards.
        return FunctionType(function, {"__builtins__": {}, **GUARDS, **self._constants})

    def condition(self, condition: Condition) -> str:
        """An expression that is True where a normal form is definitely true, else False."""
        match condition:
            case Always(negated):
                return "False" if negated else "True"
            case And(terms):
                return "(" + " and ".join(map(self.condition, terms)) + ")"
            case Or(terms):
                return "(" + " or ".join(map(self.condition, terms)) + ")"
            case Comparison(symbol, left, right):
                return self._comparison(symbol, left, right)
            case Membership(item, container, negated):
                return self._membership(item, container, negated=negated)
            case Presence(subject, negated):
                return self._presence(subject, negated=negated)
            case Truth(subject, negated):
                value = self._local()
                wanted, other = ("False", "True") if negated else ("True", "False")
                plain = f"({value} := {self._fetch(subject)}) is {wanted}"
                # What is neither boolean is unknown if it is None, and a TypeError otherwise.
                return f"({plain} or ({value} is not {other} and guard_boolean({value}) is {wanted}))"
            case Not():
                raise TypeError("not a normal form")
            case _:
                assert_never(condition)

    def guarded(self, operand: Operand) -> str:
        """An expression for the operand's value: None or of its type, or TypeError."""
        if isinstance(operand, Literal) or operand.type is AttributeType.STRING_LIST:
            return self._fetch(operand)
        return f"{guard(operand.type)}({self._fetch(operand)})"

    # --- leaves: a check of the types first; only where it fails, the slow function that tells why ---

    def _comparison(self, symbol: str, left: Operand, right: Operand) -> str:
        names, checks, sides = list[str](), list[str](), (left, right)
        for side in sides:
            if isinstance(side, Literal):
                names.append(self._constant(_comparable(side.value)))
            else:
                name = self._local()
                checks.append(FAST_CHECK[side.type].format(name=name, value=self._fetch(side)))
                names.append(f"{name}.int" if side.type is AttributeType.UUID else name)
        slow = self._constant(compared(symbol, left.type))
        fetched = ", ".join(map(self._fetch, sides))
        return f"({names[0]} {symbol} {names[1]} if {' and '.join(checks)} else {slow}({fetched}))"

    def _membership(self, item: Operand, container: Container, *, negated: bool) -> str:
        word = "not in" if negated else "in"
        if isinstance(item, Literal):
            return f"({self._constant(item.value)} {word} roles)"
        name, value = self._local(), self._fetch(item)
        slow, full, quick = self._constant(contained(item.type, negated=negated)), "roles", "roles"
        if isinstance(container, LiteralList):
            full = self._constant(frozenset(container.values))
            quick = self._constant(frozenset(map(_comparable, container.values)))
        looked_for = f"{name}.int" if item.type is AttributeType.UUID else name
        check = FAST_CHECK[item.type].format(name=name, value=value)
        return f"({looked_for} {word} {quick} if {check} else {slow}({value}, {full}))"

    def _presence(self, subject: Presentable, *, negated: bool) -> str:
        if isinstance(subject, RelationPath | ResourcePath):
            value = self._row_value(subject.path)
            if not negated:
                return f"({value} is not None)"
            holder = f"{self._row_value(subject.path[:-1])} is not None and " if len(subject.path) > 1 else ""
            return f"({holder}{value} is None)"
        return f"({self.guarded(subject)} is {'' if negated else 'not '}None)"

    # --- values ---

    def _fetch(self, operand: Operand) -> str:
        match operand:
            case Literal(value, _):
                return self._constant(value)
            case ResourcePath(path, _):
                return self._row_value(path)
            case PrincipalAttribute("roles", _):
                return "roles"
            case RequestAttribute("time", _):
                return "request.time"
            case PrincipalAttribute(name, _) | RequestAttribute(name, _):
                # `request.credential` and `request.acr` are the principal's: one truth for both names.
                return f"principal.{self._attribute(name)}"
            case _:
                assert_never(operand)

    def _row_value(self, path: tuple[str, ...]) -> str:
        return f"row[{self._constant('.'.join(path))}]"

    def _attribute(self, name: str) -> str:
        return self._constant(name)

    def _constant(self, value: object) -> str:
        name = f"k{len(self._constants)}"
        self._constants[name] = value
        return name

    def _local(self) -> str:
        self._locals += 1
        return f"v{self._locals}"


def _comparable(value: object) -> object:
    """What stands for a constant in a fast comparison; a UUID's integer, as equality of UUIDs is written in Python."""
    return value.int if isinstance(value, UUID) else value


class _Inlined(ast.NodeTransformer):
    """Puts constants where their names stand: simple ones as literals, others stay names of globals."""

    def __init__(self, constants: Mapping[str, object]) -> None:
        self._constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._constants.get(node.id)
        # Exactly: compiled code holds no subclass of a simple type.
        return ast.Constant(value) if type(value) is str or type(value) is int or type(value) is bool else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        node.value = self.visit(node.value)
        node.attr = str(self._constants.get(node.attr, node.attr))
        return node

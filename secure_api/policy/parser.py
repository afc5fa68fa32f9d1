"""Conditions from text: a subset of CEL's grammar, with the same precedence (cel-spec, langdef.md, "Syntax").

condition   = "always" | either
either      = both { "||" both }
both        = unary { "&&" unary }
unary       = { "!" } primary
primary     = "(" either ")" | has | comparison | path
has         = "has" "(" path ")"
comparison  = value ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) value | value "in" ( list | path )
value       = integer | string | "true" | "false" | 'timestamp("…")' | path
"""

from __future__ import annotations

from typing import Final

from secure_api.errors import PolicyError
from secure_api.policy.lexer import Kind, Token, tokens_of
from secure_api.policy.source import SourceText, suggestion
from secure_api.policy.syntax import (
    AlwaysNode,
    AndNode,
    BareNode,
    CompareNode,
    ConditionNode,
    HasNode,
    InNode,
    ListNode,
    LiteralNode,
    NotNode,
    OrNode,
    PathNode,
    TimestampNode,
    ValueNode,
)

MAX_DEPTH: Final = 32
MAX_LIST_ITEMS: Final = 200
ROOTS: Final = ("resource", "principal", "request")

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_WORDS = {"and": "&&", "or": "||", "not": "!", "is": "==", "AND": "&&", "OR": "||", "NOT": "!"}
_NULLS = frozenset({"null", "None", "NULL", "nil"})
_KEYWORDS = frozenset({"in", "has", "always", "true", "false", "timestamp"})


def parse_condition(source: SourceText) -> ConditionNode:
    """The untyped tree of a condition.

    Raises:
        PolicyError: with the line and column of the first character that does not fit.
    """
    return _Parser(source).condition()


class _Parser:
    def __init__(self, source: SourceText) -> None:
        self._source = source
        self._tokens = tokens_of(source)
        self._index = 0
        self._depth = 0

    # --- tokens ---

    def _peek(self) -> Token:
        return self._tokens[self._index]

    def _is(self, *operators: str) -> bool:
        return self._peek().kind is Kind.OPERATOR and self._peek().value in operators

    def _is_name(self, name: str) -> bool:
        return self._peek().kind is Kind.NAME and self._peek().value == name

    def _next(self) -> Token:
        token = self._peek()
        self._index += 1
        return token

    def _expect(self, operator: str, after: str) -> Token:
        if not self._is(operator):
            raise self._refusal(f"expected `{operator}` {after}, found {self._found()}")
        return self._next()

    def _found(self) -> str:
        token = self._peek()
        return "the end" if token.kind is Kind.END else f"`{token.value}`"

    def _refusal(self, message: str, token: Token | None = None) -> PolicyError:
        return self._source.refusal((token or self._peek()).offset, message)

    # --- grammar ---

    def condition(self) -> ConditionNode:
        if self._peek().kind is Kind.END:
            raise self._refusal("the condition is empty; write `always` if that is meant")
        if self._is_name("always") and self._tokens[self._index + 1].kind is Kind.END:
            return AlwaysNode()
        node = self._either()
        if self._peek().kind is not Kind.END:
            raise self._trailing()
        return node

    def _trailing(self) -> PolicyError:
        word = self._peek().value
        if self._peek().kind is Kind.NAME and word in _WORDS:
            return self._refusal(f"`{word}` is no operator; write `{_WORDS[str(word)]}`")
        if self._is(*_COMPARISONS) or self._is_name("in"):
            return self._refusal("comparisons cannot be chained, and a condition is no operand; use `&&`")
        return self._refusal(f"expected `&&`, `||` or the end, found {self._found()}")

    def _either(self) -> ConditionNode:
        terms = [self._both()]
        while self._is("||"):
            self._next()
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else OrNode(tuple(terms))

    def _both(self) -> ConditionNode:
        terms = [self._unary()]
        while self._is("&&"):
            self._next()
            terms.append(self._unary())
        return terms[0] if len(terms) == 1 else AndNode(tuple(terms))

    def _unary(self) -> ConditionNode:
        negations = 0
        while self._is("!"):
            self._next()
            negations += 1
        node = self._primary(negated=negations > 0)
        # An even number of negations is none, in three-valued logic as well.
        return NotNode(node) if negations % 2 else node

    def _primary(self, *, negated: bool) -> ConditionNode:
        if self._is("("):
            # Counted here, because here the parser recurses; a deep tree would exhaust Python's stack.
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._refusal(f"the condition is nested deeper than {MAX_DEPTH}")
            self._next()
            node = self._either()
            if self._peek().kind is Kind.NAME and self._peek().value in _WORDS:
                raise self._trailing()
            self._expect(")", "after the condition in parentheses")
            self._depth -= 1
            return node
        if self._is_name("has"):
            return self._has()
        start = self._peek()
        left = self._value()
        if self._is(*_COMPARISONS) or self._is_name("in"):
            if negated:
                # CEL binds `!` closer than `==`: `!a == b` compares the negation of a.
                raise self._refusal("`!` binds closer than a comparison; write `!(a == b)` or `a != b`")
            return self._comparison(left)
        if isinstance(left, PathNode):
            return BareNode(left)
        raise self._refusal("a constant is no condition; write `always` if that is meant", start)

    def _comparison(self, left: ValueNode) -> ConditionNode:
        operator = self._next()
        if operator.value != "in":
            return CompareNode(str(operator.value), left, self._value(), operator.offset)
        container = self._list() if self._is("[") else self._value()
        if not isinstance(container, ListNode | PathNode):
            raise self._source.refusal(container.offset, "after `in` stands a list: `[…]` or `principal.roles`")
        return InNode(left, container, operator.offset)

    def _has(self) -> HasNode:
        start = self._next()
        self._expect("(", "after `has`")
        path = self._value()
        if not isinstance(path, PathNode):
            raise self._source.refusal(path.offset, "`has()` takes a path such as `resource.note`")
        self._expect(")", "after the path of `has()`")
        return HasNode(path, start.offset)

    def _list(self) -> ListNode:
        start, items = self._next(), list[LiteralNode | TimestampNode]()
        while not self._is("]"):
            item = self._value()
            if isinstance(item, PathNode):
                raise self._source.refusal(item.offset, "a list holds constants only")
            items.append(item)
            if len(items) > MAX_LIST_ITEMS:
                raise self._source.refusal(item.offset, f"the list is longer than {MAX_LIST_ITEMS}")
            if not self._is("]"):
                self._expect(",", "or `]` after an item of the list")
        self._next()
        if not items:
            raise self._refusal("the list is empty, so nothing is in it", start)
        return ListNode(tuple(items), start.offset)

    def _value(self) -> ValueNode:
        token = self._peek()
        if token.kind in (Kind.INTEGER, Kind.STRING):
            self._next()
            return LiteralNode(token.value, token.offset)
        if token.kind is Kind.NAME:
            return self._named_value(self._next())
        if self._is("["):
            raise self._refusal("a list may only stand after `in`")
        raise self._refusal(f"expected a path or a constant, found {self._found()}")

    def _named_value(self, name: Token) -> ValueNode:
        word = str(name.value)
        if word in ("true", "false"):
            return LiteralNode(word == "true", name.offset)
        if word == "timestamp":
            self._expect("(", "after `timestamp`")
            text = self._peek()
            if text.kind is not Kind.STRING:
                raise self._refusal('`timestamp()` takes a text such as "2026-01-01T00:00:00Z"')
            self._next()
            self._expect(")", "after the text of `timestamp()`")
            return TimestampNode(str(text.value), text.offset)
        if word in ROOTS:
            return self._path(name)
        if word in _NULLS:
            raise self._refusal(f"there is no `{word}`; ask `has(…)` or `!has(…)`", name)
        if word == "always":
            raise self._refusal("`always` stands alone", name)
        if word in _WORDS:
            raise self._refusal(f"`{word}` is no operator; write `{_WORDS[word]}`", name)
        if self._is("("):
            known = suggestion(word, ("has", "timestamp"))
            raise self._refusal(f"there is no function `{word}`{known}", name)
        if self._is("."):
            raise self._refusal(f"a path does not begin with `{word}`{suggestion(word, ROOTS)}", name)
        hint = suggestion(word, (*ROOTS, *_KEYWORDS)) if not word.islower() else f"; did you mean `resource.{word}`?"
        raise self._refusal(f"unknown name `{word}`{hint}", name)

    def _path(self, root: Token) -> PathNode:
        parts, offsets = [str(root.value)], [root.offset]
        while self._is("."):
            self._next()
            if self._peek().kind is not Kind.NAME:
                raise self._refusal(f"expected a name after `.`, found {self._found()}")
            token = self._next()
            if self._is("("):
                raise self._refusal(f"there is no method `{token.value}()` in conditions", token)
            parts.append(str(token.value))
            offsets.append(token.offset)
        if self._is("["):
            raise self._refusal("there is no indexing in conditions")
        return PathNode(tuple(parts), tuple(offsets))

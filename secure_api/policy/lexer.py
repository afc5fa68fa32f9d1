"""Words of the condition language, a subset of CEL's (cel-spec, langdef.md, "Syntax")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from secure_api.policy.source import SourceText

MAX_CONDITION_CHARACTERS = 4_096
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**63 - 1

_TOKEN = re.compile(
    r"""(?P<space>[ \n]+)
      | (?P<number>-?[0-9][0-9A-Za-z_.]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator>==|!=|<=|>=|&&|\|\||[<>!()\[\],.])
      | (?P<quote>["'])""",
    re.VERBOSE,
)
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}
_HINTS = {
    "=": "`=` is no operator; write `==`",
    "&": "write `&&`",
    "|": "write `||`",
    "-": "there is no arithmetic; `-` may only stand directly before a number",
    "+": "there is no arithmetic in conditions",
    "*": "there is no arithmetic in conditions",
    "/": "there is no arithmetic in conditions",
    "%": "there is no arithmetic in conditions",
    "?": "there is no `? :` in conditions; use `&&` and `||`",
    "{": "there are no maps in conditions",
    "“": "use straight quotes",
    "”": "use straight quotes",
}


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    INTEGER = "integer"
    STRING = "string"
    OPERATOR = "operator"
    END = "end of the condition"


@dataclass(frozen=True, slots=True)
class Token:
    """One word. `value` is the text of a name or operator, or the value of a literal."""

    kind: Kind
    value: str | int
    offset: int


def tokens_of(source: SourceText) -> list[Token]:
    """All tokens of a condition, ending with END.

    Raises:
        PolicyError: at the first character that starts no token.
    """
    text, offset, found = source.text, 0, list[Token]()
    if len(text) > MAX_CONDITION_CHARACTERS:
        raise source.refusal(0, f"the condition is longer than {MAX_CONDITION_CHARACTERS} characters")
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise source.refusal(offset, _hint(text[offset]))
        group, word = match.lastgroup, match.group()
        if group == "quote":
            value, end = _string(source, offset)
            found.append(Token(Kind.STRING, value, offset))
            offset = end
            continue
        if group == "number":
            found.append(Token(Kind.INTEGER, _integer(source, word, offset), offset))
        elif group == "name":
            found.append(Token(Kind.NAME, word, offset))
        elif group == "operator":
            found.append(Token(Kind.OPERATOR, word, offset))
        offset = match.end()
    found.append(Token(Kind.END, "", len(text)))
    return found


def _hint(character: str) -> str:
    return _HINTS.get(character, f"{character!r} has no meaning in a condition")


def _integer(source: SourceText, word: str, offset: int) -> int:
    """A decimal integer of 64 bits; nothing that CEL or a database would read differently."""
    digits = word.removeprefix("-")
    if "." in digits or (not digits.isdigit() and re.fullmatch(r"[0-9]+[eE][0-9]+", digits)):
        raise source.refusal(offset, "there are no floats in conditions; money is integer minor units")
    if not digits.isdigit():
        raise source.refusal(offset, f"`{word}` is not a decimal integer")
    if len(digits) > 1 and digits[0] == "0":
        raise source.refusal(offset, f"`{word}` has a leading zero")
    # The length first: Python refuses to convert thousands of digits with an error of its own.
    if len(digits) > 19 or not _SMALLEST_INTEGER <= int(word) <= _LARGEST_INTEGER:
        raise source.refusal(offset, "the integer does not fit into 64 bits")
    return int(word)


def _string(source: SourceText, start: int) -> tuple[str, int]:
    """The value of the quoted string at `start`, and the offset after it."""
    text, quote, offset, characters = source.text, source.text[start], start + 1, list[str]()
    while offset < len(text):
        character = text[offset]
        if character == quote:
            return "".join(characters), offset + 1
        if character in "\n\r":
            break
        if character == "\\":
            character, length = _escape(source, offset)
            offset += length - 1
        # PostgreSQL stores neither, SQLite stores both: the back-ends would part.
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise source.refusal(offset, "the string holds a character that not every database can store")
        characters.append(character)
        offset += 1
    raise source.refusal(start, "the string is not closed")


def _escape(source: SourceText, offset: int) -> tuple[str, int]:
    letter = source.text[offset + 1 : offset + 2]
    if letter in _ESCAPES:
        return _ESCAPES[letter], 2
    digits = source.text[offset + 2 : offset + 6]
    if letter == "u" and re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
        return chr(int(digits, 16)), 6
    raise source.refusal(offset, f"unknown escape `\\{letter}`; known: \\\\ \\\" \\' \\n \\r \\t \\uXXXX")

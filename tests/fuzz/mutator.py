"""Inputs for the fuzz run: whole tokens, headers, claims and key sets, taken apart and put together wrongly.

Everything comes from one `random.Random(seed)`: the same seed gives the same inputs on every machine.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

# Values that parsers like to stumble over; each may stand in for any value of a header or of the claims.
ODD_VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, -(10**30), 0.5, -0.0, 1e300, 1e-300,
    "", " ", "none", "None", "RS256", "ES256", "HS256", "EdDSA", "JWT", "at+jwt", "application/at+jwt", "a" * 300,
    "\x00", "\n", "\r\nX: y", "\u202e", "\ud800", "é", "İ", "ß", "\U0001f600", "../../dev/null", "' OR 1=1 --", "${x}",
    "%00", "{}", "[]", [], [[]], ["x"], [1], [None], ["x", 1], ["x"] * 600, {}, {"x": 1}, {"": ""}, {"jkt": "x"},
    {"jkt": 1}, {"a": {"b": {"c": []}}}, [{}] * 50, "1e5", "1700000000", 1_700_000_000,
    253_402_300_799, 253_402_300_800,
)  # fmt: skip
MEMBERS = (
    "alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "iss", "sub", "aud", "exp",
    "iat", "nbf", "jti", "client_id", "azp", "cid", "uid", "scp", "scope", "groups", "realm_access", "acr", "amr",
    "auth_time", "cnf", "nonce", "events", "at_hash", "x", "", "__proto__", "kty", "crv", "y",
    "n", "e", "use", "key_ops",
)  # fmt: skip
# Pieces of JSON text that are wrong by themselves or by their place.
JSON_PIECES = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"01", b"1.", b".5", b"0x10", b"9" * 4400, b"\\u0000",
    b'"\\ud800"', b'"\\udc00\\ud800"', b"\xff", b"\xef\xbb\xbf", b"\x00", b"{", b"}", b"[", b"]", b",", b":", b'"',
    b"'", b"//", b"/**/", b"[" * 1500, b'{"a":' * 400, b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"true",
    b"null", b'"a":1,"a":2,', b'"\\u0061":1,"a":2,',
)  # fmt: skip
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TEXT_PIECES = (
    ".",
    "..",
    "...",
    "=",
    "==",
    "+",
    "/",
    "-",
    "_",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\x00",
    "é",
    "\ud800",
    "\u2028",
    ",",
)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Mutator:
    """An endless supply of inputs that resemble `tokens`, whose parts are `objects`."""

    def __init__(self, seed: str, tokens: Sequence[str], objects: Sequence[dict[str, Any]]) -> None:
        self.random = Random(seed)  # noqa: S311 - reproducible inputs, not secrets
        self._tokens = tokens
        self._objects = objects

    def json_object(self, *objects: dict[str, Any]) -> dict[str, Any]:
        """One of `objects` (or of all of them) with up to four members changed, added or taken away."""
        members = dict(self.random.choice(objects or self._objects))
        for _ in range(self.random.randrange(5)):
            name = self.random.choice((*members, *MEMBERS))
            if self.random.random() < 0.25:
                members.pop(name, None)
            else:
                members[name] = self.random.choice(ODD_VALUES)
        return members

    def json_text(self, *objects: dict[str, Any]) -> bytes:
        """Such an object as text, often broken."""
        text = json.dumps(self.json_object(*objects), ensure_ascii=self.random.random() < 0.7).encode(
            "utf-8", "surrogatepass"
        )
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 4))):
            text = self._broken(text)
        return text

    def data(self) -> bytes:
        """Any bytes: random, JSON, or a part of a token."""
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.randbytes(self.random.choice((0, 1, 2, 3, 4, 31, 64, 500, 9000)))
        if kind == 1:
            return self.json_text()
        part = self.random.choice(self.random.choice(self._tokens).split(".")).encode("utf-8", "surrogatepass")
        return self._broken(part) if kind == 2 else part

    def token(self) -> str:
        """A text in the place of a token: put together from parts, or a whole one with its text changed."""
        kind = self.random.randrange(10)
        if kind < 5:
            parts = [
                b64(self.json_text()),
                b64(self.json_text()),
                b64(self.random.randbytes(self.random.choice((0, 64, 256)))),
            ]
            if kind == 0:
                self.random.shuffle(parts)
            text = ".".join(parts)
        else:
            text = self.random.choice(self._tokens)
            if kind == 5:
                mine, other = text.split("."), self.random.choice(self._tokens).split(".")
                text = ".".join(self.random.choice(pair) for pair in zip(mine, other, strict=False))
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 5)) if kind < 5 else 1):
            text = self._changed(text)
        return text

    def key_set(self, keys: Sequence[dict[str, Any]]) -> bytes:
        """A key set whose keys, or whose text, are changed."""
        members = []
        for _ in range(self.random.choice((0, 1, 1, 2, 3, 70))):
            key = dict(self.random.choice(keys))
            for _ in range(self.random.randrange(3)):
                key[self.random.choice((*key, *MEMBERS))] = self.random.choice(ODD_VALUES)
            members.append(key)
        document = {"keys": self.random.choice((members, members, members, *ODD_VALUES[:4]))}
        text = json.dumps(document).encode()
        return text if self.random.random() < 0.6 else self._broken(text)

    def _changed(self, text: str) -> str:
        at = self.random.randrange(len(text) + 1)
        change: Callable[[], str] = self.random.choice(
            (
                lambda: text[:at],
                lambda: text[at:],
                lambda: text[:at] + text[at + 1 :],
                lambda: text[:at] + self.random.choice(TEXT_PIECES) + text[at:],
                lambda: text[:at] + chr(self.random.choice(ALPHABET)) + text[at + 1 :],
                lambda: text[:at] + chr(self.random.choice(ALPHABET)) + text[at + 1 :],
                lambda: text[:at] + chr(self.random.randrange(0x110000)) + text[at:],
                lambda: text + text[at:],
                lambda: text * self.random.choice((2, 10)),
            )
        )
        return change()

    def _broken(self, text: bytes) -> bytes:
        at = self.random.randrange(len(text) + 1)
        change: Callable[[], bytes] = self.random.choice(
            (
                lambda: text[:at],
                lambda: text[at:],
                lambda: text[:at] + self.random.choice(JSON_PIECES) + text[at:],
                lambda: text[:at] + self.random.randbytes(1) + text[at + 1 :],
                lambda: text[:at] + text[at + self.random.randrange(20) :],
                lambda: text + text,
                lambda: text.decode("latin-1").encode("utf-16"),
            )
        )
        return change()

"""Places in policy files: every fault of a condition names its exact line and column."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from secure_api.errors import PolicyError, PolicyFault


@dataclass(frozen=True, slots=True)
class SourceText:
    """Text taken from a file, with the line and column (from 1) of each character and of its end.

    `places` is empty for text that stands alone: then the columns are those of the text itself.
    """

    text: str
    file: str = "<condition>"
    places: Sequence[tuple[int, int]] = ()

    def refusal(self, offset: int, message: str) -> PolicyError:
        """The error to raise for the character at `offset`."""
        line, column = self.places[offset] if self.places else (1, offset + 1)
        return PolicyError([PolicyFault(self.file, line, column, message)])


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known name that a misspelt word most likely means; empty if none is near."""
    return difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)


def suggestion(word: str, known: Iterable[str]) -> str:
    """A sentence to append to "unknown name" messages: the nearest known name, else all of them."""
    names = sorted(known)
    for near in nearest(word, names):
        return f"; did you mean `{near}`?"
    if 0 < len(names) <= 12:
        return "; known: " + ", ".join(names)
    return ""

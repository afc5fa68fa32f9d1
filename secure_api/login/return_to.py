"""Where a sign-in may lead back to: paths of this service, nothing else (ASVS v5.0.0-3.7.2)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

DEFAULT_PATH = "/account"
MAX_CHARACTERS = 500


def local_path_or_default(value: str | None) -> str:
    """`value` if it is a path of this origin, whatever a browser makes of it; else the account page.

    Browsers read `\\` as `/`, skip tabs and line breaks, and decode what a proxy encoded: `//evil`,
    `/\\evil`, `/%2fevil` and their kin all lead away. None of them is mended; all are dropped.
    """
    if not value or len(value) > MAX_CHARACTERS:
        return DEFAULT_PATH
    for form in (value, unquote(value), unquote(unquote(value))):
        if not form.startswith("/") or form.startswith("//") or "\\" in form:
            return DEFAULT_PATH
        if any(ord(character) < 0x21 or ord(character) == 0x7F for character in form):
            return DEFAULT_PATH
    parts = urlsplit(value)
    return value if not parts.scheme and not parts.netloc else DEFAULT_PATH

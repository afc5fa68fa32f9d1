"""base64url without padding, exactly one text per byte string (RFC 7515 §2, RFC 4648 §3.5)."""

from __future__ import annotations

import base64
import binascii


def encode(data: bytes) -> str:
    """The one base64url text of `data`, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: bytes | str) -> bytes:
    """The bytes whose base64url text is exactly `text`; every other spelling is refused.

    Encoding the result again and comparing stops padding, line breaks, the `+/` alphabet, stray
    characters (the standard library skips them) and non-zero unused bits: with any of those, one
    signed token would have many texts, and a block list or cache keyed by the text could be passed.

    Raises ValueError. Source: RFC 4648 §3.5 and §12, RFC 8725 §3.11.
    """
    raw = text.encode("ascii") if isinstance(text, str) else text
    try:
        data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=") != raw:
        raise ValueError("not canonical base64url")
    return data

"""One-time codes of an authenticator app: time-based, six digits, thirty seconds (RFC 6238, RFC 4226)."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct

STEP_SECONDS = 30
_DIGITS = 6
# One step to either side, for a slow hand or a clock that is a little off (RFC 6238 §5.2).
_STEPS_AROUND = (0, -1, 1)
_MIN_SECRET_BYTES = 16


def secret_fault(secret: str) -> str | None:
    """Why the text cannot be a shared secret, or None when it can (RFC 4226 §4: at least 128 bits)."""
    try:
        key = _key(secret)
    except (binascii.Error, ValueError):
        return "is not base32"
    return None if len(key) >= _MIN_SECRET_BYTES else f"must be at least {_MIN_SECRET_BYTES} bytes (26 characters)"


def code_at(secret: str, step: int) -> str:
    """The code of one time step (RFC 4226 §5.3)."""
    # HMAC-SHA-1 is what authenticator apps compute; its weakness against collisions does not matter here.
    digest = hmac.digest(_key(secret), struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0x0F
    number = int(struct.unpack(">I", digest[offset : offset + 4])[0]) & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def matching_step(secret: str, code: str, now: float) -> int | None:
    """The time step whose code this is, near `now`; the caller refuses a step that was used (RFC 6238 §5.2)."""
    current = int(now) // STEP_SECONDS
    digits = code.replace(" ", "").encode()
    found = None
    for step in (current + distance for distance in _STEPS_AROUND):
        if hmac.compare_digest(code_at(secret, step).encode(), digits):
            found = step
    return found


def _key(secret: str) -> bytes:
    text = secret.replace(" ", "").upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))

"""One-time codes: the RFC's own vectors, the window, and secrets that are no secrets."""

from __future__ import annotations

import base64

import pytest

from idp_mock.totp import STEP_SECONDS, code_at, matching_step, secret_fault

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_of_the_standard(seconds: int, code: str) -> None:
    """RFC 6238 appendix B, SHA-1 row, the last six digits."""
    assert code_at(SECRET, seconds // STEP_SECONDS) == code
    assert matching_step(SECRET, code, seconds) == seconds // STEP_SECONDS


def test_one_step_around_counts_and_two_do_not() -> None:
    """RFC 6238 §5.2: the delay that is allowed, and no more."""
    now, step = 1_000_000_000, 1_000_000_000 // STEP_SECONDS
    for distance in (-1, 0, 1):
        assert matching_step(SECRET, code_at(SECRET, step + distance), now) == step + distance
    for distance in (-2, 2):
        assert matching_step(SECRET, code_at(SECRET, step + distance), now) is None


def test_a_code_may_be_typed_in_two_groups() -> None:
    assert matching_step(SECRET, "287 082", 59) == 1
    for wrong in ("", "287083", "2870821", "28708", "é87082"):
        assert matching_step(SECRET, wrong, 59) is None


@pytest.mark.parametrize(
    ("secret", "fault"), [("JBSWY3DP", "16 bytes"), ("not base32!", "base32"), ("1" * 32, "base32")]
)
def test_a_weak_secret_is_refused(secret: str, fault: str) -> None:
    """RFC 4226 §4, R6: at least 128 bits."""
    assert secret_fault(SECRET) is None
    assert secret_fault(SECRET.lower()) is None
    assert fault in str(secret_fault(secret))

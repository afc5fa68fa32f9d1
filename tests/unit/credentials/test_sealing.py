"""Encryption at rest: only the same key, purpose and row give a text back."""

from __future__ import annotations

from uuid import uuid4

import pytest

from secure_api.credentials.sealing import NONCE_BYTES, Sealer

KEY = "a secret key of the tests, long enough"
SEALER = Sealer(KEY, "upstream id token")


@pytest.mark.parametrize("text", ["", "token", "ä€😀", "x" * 10_000])
def test_what_was_sealed_comes_back_in_its_row(text: str) -> None:
    row = uuid4().bytes
    assert SEALER.unseal(SEALER.seal(text, bound_to=row), bound_to=row) == text
    assert Sealer(KEY, "upstream id token").unseal(SEALER.seal(text, bound_to=row), bound_to=row) == text


def test_the_sealed_form_shows_nothing_and_is_never_the_same() -> None:
    row = uuid4().bytes
    first, second = SEALER.seal("canary", bound_to=row), SEALER.seal("canary", bound_to=row)
    assert b"canary" not in first
    assert first != second
    assert first[:NONCE_BYTES] != second[:NONCE_BYTES]


def test_a_reader_of_the_database_cannot_unseal_a_moved_or_altered_text() -> None:
    """Whoever can write rows can neither swap two secrets nor change one."""
    row = uuid4().bytes
    sealed = SEALER.seal("canary", bound_to=row)
    assert SEALER.unseal(sealed, bound_to=row) == "canary"
    assert SEALER.unseal(sealed, bound_to=uuid4().bytes) is None
    assert SEALER.unseal(sealed, bound_to=b"") is None
    for place in range(len(sealed)):
        altered = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        assert SEALER.unseal(altered, bound_to=row) is None
    for length in range(len(sealed)):
        assert SEALER.unseal(sealed[:length], bound_to=row) is None
    assert SEALER.unseal(sealed + b"x", bound_to=row) is None


@pytest.mark.parametrize("other", [Sealer(KEY + "x", "upstream id token"), Sealer(KEY, "another purpose")])
def test_another_key_or_purpose_cannot_unseal(other: Sealer) -> None:
    """A changed secret key makes old secrets unreadable, and one purpose cannot read another's."""
    row = uuid4().bytes
    sealed = SEALER.seal("canary", bound_to=row)
    assert SEALER.unseal(sealed, bound_to=row) == "canary"
    assert other.unseal(sealed, bound_to=row) is None

"""A verifier that accepts a known-bad token keeps `/readyz` red (row N7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from secure_api.credentials import access_tokens
from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.possession import Possession
from secure_api.credentials.self_attack import GOOD
from secure_api.errors import InvalidToken
from secure_api.pipeline.services import EXTENSION
from secure_api.protocol import jws, rfc9068
from tests.unit.pipeline.callers import Callers

Break = Callable[[pytest.MonkeyPatch], None]


def without_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access_tokens, "verify_signature", lambda *_: None)


def without_times(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rfc9068, "check_times", lambda claims, **_: (claims.get("exp", 2e9), claims.get("iat")))


def without_audience(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rfc9068, "audiences", lambda _: ("https://self-attack.invalid/api",))


def without_possession(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Possession, "require", lambda *_: None)


def without_type(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rfc9068, "media_type", lambda _: "at+jwt")


def without_processing_members(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(jws, "_PROCESSING_MEMBERS", ())


BREAKS: dict[str, tuple[Break, str]] = {
    "signature": (without_signature, "another signature"),
    "times": (without_times, "expired"),
    "audience": (without_audience, "another audience"),
    "possession": (without_possession, "bound to a key"),
    "type": (without_type, "another type of token"),
    "critical headers": (without_processing_members, "critical header"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_process_cannot_be_ready_without_its_check_of(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Green at first; red with one alert when the check is gone; and red it stays when the check is back."""
    assert callers.call("GET", "/readyz").status_code == 200
    before = len(callers.events())
    break_it, attack = BREAKS[name]
    with monkeypatch.context() as patch:
        break_it(patch)
        answers = [callers.call("GET", "/readyz") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert attack not in answers[0].get_data(as_text=True)
    [event] = callers.events()[before:]
    assert (event.event, event.outcome) == ("sys_self_attack", "failure")
    assert attack in event.body["reason"]
    assert callers.call("GET", "/readyz").status_code == 503


def test_process_cannot_be_ready_with_a_live_verifier_that_accepts_anything(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attacks reach the very object that serves callers."""
    assert callers.call("GET", "/readyz").status_code == 200
    live = callers.app.extensions[EXTENSION].access_tokens
    monkeypatch.setattr(live, "_verify", lambda _: AcceptedToken())
    assert callers.call("GET", "/readyz").status_code == 503
    assert "unsigned, as" in callers.events()[-1].body["reason"]


def test_process_cannot_be_ready_with_a_verifier_that_refuses_everything(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the attacks would prove nothing."""
    assert callers.call("GET", "/readyz").status_code == 200

    def refuse(*_: Any) -> None:
        raise InvalidToken("never")

    monkeypatch.setattr(AccessTokenVerifier, "verify_access_token", refuse)
    assert callers.call("GET", "/readyz").status_code == 503
    assert callers.events()[-1].body["reason"] == GOOD


def test_the_attacks_ask_nobody(callers: Callers) -> None:
    """The imaginary provider of the test does not exist: a fetch would fail, and be logged."""
    live = callers.app.extensions[EXTENSION].access_tokens
    for keys in live._issuer_keys.values():
        assert keys._keys is None
    assert callers.call("GET", "/readyz").status_code == 200
    for keys in live._issuer_keys.values():
        assert keys._keys_missed_at is None


class AcceptedToken:
    """What a broken verifier might let through."""

    class claims:  # noqa: N801 - the attribute's name
        confirmation = None

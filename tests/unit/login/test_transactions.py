"""Sign-ins under way: single use, one browser, one provider, for a short time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.orm import Session

from secure_api.db import begin_write, utc_now
from secure_api.db.base import engine_options, prepare_engine
from secure_api.db.migrate import upgrade
from secure_api.errors import LoginFailed
from secure_api.login.transactions import Begun, LoginTransaction, begin_transaction, take_transaction
from tests.support.shop import open_store

LIFETIME = timedelta(minutes=10)


def begun(session: Session, *, provider: str = "mock", browser: str | None = None, return_to: str = "/a") -> Begun:
    begun = begin_transaction(session, provider=provider, return_to=return_to, lifetime=LIFETIME, browser=browser)
    session.commit()
    return begun


def take(session: Session, begun: Begun, **changes: str | None) -> LoginTransaction:
    wish = {"state": begun.state, "browser": begun.browser, "provider": "mock", **changes}
    return take_transaction(session, **wish)  # type: ignore[arg-type]


def test_a_sign_in_is_taken_up_where_it_was_begun(session: Session) -> None:
    first = begun(session)
    taken = take(session, first)
    assert (taken.nonce, taken.verifier, taken.return_to) == (first.nonce, first.verifier, "/a")


def test_a_callback_cannot_use_a_sign_in_twice(session: Session) -> None:
    """A replayed callback, from history or a log, finds nothing."""
    first = begun(session)
    take(session, first)
    session.commit()
    with pytest.raises(LoginFailed) as refused:
        take(session, first)
    assert refused.value.reason == "unknown_transaction"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"browser": None}, "other_browser"),
        ({"browser": ""}, "other_browser"),
        ({"browser": "somebody else's"}, "other_browser"),
        ({"provider": "google"}, "other_provider"),
        ({"state": ""}, "unknown_transaction"),
        ({"state": "unknown"}, "unknown_transaction"),
    ],
)
def test_a_callback_cannot_end_a_sign_in_that_is_not_its_own(
    session: Session, changes: dict[str, str | None], reason: str
) -> None:
    """Neither another browser nor another provider; and the real one can still be ended."""
    take(session, begun(session))
    first = begun(session)
    with pytest.raises(LoginFailed) as refused:
        take(session, first, **changes)
    session.commit()
    assert refused.value.reason == reason
    assert take(session, first).nonce == first.nonce


def test_a_callback_cannot_use_the_state_of_another_sign_in_of_the_table(session: Session) -> None:
    """The state opens only together with the browser that began it."""
    mine, theirs = begun(session), begun(session)
    with pytest.raises(LoginFailed, match="other_browser"):
        take(session, theirs, browser=mine.browser)
    assert take(session, mine).nonce == mine.nonce


def test_a_callback_that_comes_too_late_finds_nothing(session: Session) -> None:
    """The limit is a matter of the table and not of the cookie."""
    first = begun(session)
    session.execute(update(LoginTransaction).values(expires_at=utc_now() - timedelta(seconds=1)))
    with pytest.raises(LoginFailed) as refused:
        take(session, first)
    assert refused.value.reason == "unknown_transaction"


def test_two_tabs_sign_in_side_by_side(session: Session) -> None:
    first = begun(session, return_to="/one")
    second = begun(session, return_to="/two", browser=first.browser)
    assert second.browser == first.browser
    assert take(session, first).return_to == "/one"
    assert take(session, second).return_to == "/two"


def test_everything_is_fresh_for_each_sign_in(session: Session) -> None:
    every = [begun(session) for _ in range(3)]
    for name in ("state", "nonce", "verifier", "browser"):
        values = {getattr(one, name) for one in every}
        assert len(values) == 3
        assert all(len(value) >= 43 for value in values)  # 256 random bits


def test_the_table_holds_neither_state_nor_cookie(session: Session) -> None:
    first = begun(session)
    row = session.scalars(select(LoginTransaction)).one()
    values = [str(getattr(row, column.key)) for column in LoginTransaction.__table__.columns]
    assert not any(secret in value for value in values for secret in (first.state, first.browser))


def test_what_expired_is_swept_by_the_next_sign_in(session: Session) -> None:
    begun(session)
    session.execute(update(LoginTransaction).values(expires_at=utc_now() - timedelta(seconds=1)))
    begun(session)
    assert session.scalar(select(func.count()).select_from(LoginTransaction)) == 1


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))])
def store_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with open_store(request.param, tmp_path) as store:
        engine = create_engine(store.database_url, **engine_options(store.database_url))
        prepare_engine(engine)
        upgrade(engine)
        yield engine
        engine.dispose()


def test_two_callbacks_at_once_cannot_both_use_a_sign_in(store_engine: Engine) -> None:
    """Single use holds also where both read before either has written."""
    with Session(store_engine, autoflush=False) as session:
        first = begun(session)
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def callback() -> None:
        with Session(store_engine, autoflush=False, expire_on_commit=False) as session:
            together.wait(10)
            try:
                begin_write(session)
                take(session, first)
                session.commit()
                outcomes.append("taken")
            except LoginFailed as error:
                outcomes.append(error.reason)
            except Exception as error:
                outcomes.append(repr(error))

    threads = [threading.Thread(target=callback) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["taken", *["unknown_transaction"] * 3]

"""From a verified identity to the user record."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, find_account, find_account_by_id
from secure_api.errors import LoginFailed
from secure_api.login.provisioning import Identity, Provisioned, provision

ISSUER = "https://idp.example"


def identity(**changes: Any) -> Identity:
    usual: dict[str, Any] = {
        "issuer": ISSUER,
        "subject": "usr_1",
        "email": "alice@shop.example",
        "email_verified": True,
        "name": "Alice",
        "groups": (),
    }
    return Identity(**{**usual, **changes})


def sign_in(session: Session, *roles: str, may_create: bool = True, **changes: Any) -> Provisioned:
    done = provision(session, identity(**changes), frozenset(roles), may_create=may_create)
    session.commit()
    return done


def test_the_first_sign_in_makes_the_account(session: Session) -> None:
    done = sign_in(session, "customer")
    assert done.created
    assert done.roles == {"customer"}
    account = find_account(session, ISSUER, "usr_1")
    assert account is not None
    assert (account.user_id, account.name, account.roles) == (done.user_id, "Alice", {"customer"})


def test_the_second_sign_in_finds_it(session: Session) -> None:
    first, second = sign_in(session, "customer"), sign_in(session, "customer")
    assert (second.user_id, second.created, second.roles_changed) == (first.user_id, False, False)
    assert session.scalar(select(func.count(User.id))) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [(["customer"], ["manager", "customer"]), (["manager", "customer"], ["customer"]), (["admin"], []), ([], ["x"])],
)
def test_roles_follow_the_provider_both_ways(session: Session, before: list[str], after: list[str]) -> None:
    sign_in(session, *before)
    done = sign_in(session, *after)
    assert done.roles_changed
    account = find_account_by_id(session, done.user_id)
    assert account is not None
    assert account.roles == set(after)


def test_a_disabled_user_cannot_sign_in(session: Session) -> None:
    """Not even to have the roles renewed."""
    done = sign_in(session, "customer")
    session.get_one(User, done.user_id).disabled = True
    session.commit()
    with pytest.raises(LoginFailed) as refused:
        sign_in(session, "admin")
    session.rollback()
    assert refused.value.reason == "user_disabled"
    account = find_account_by_id(session, done.user_id)
    assert account is not None
    assert account.roles == {"customer"}


def test_an_unknown_person_cannot_get_an_account_where_the_provider_makes_none(session: Session) -> None:
    """Who has an account signs in all the same."""
    done = sign_in(session, "customer")
    assert sign_in(session, "customer", may_create=False).user_id == done.user_id
    with pytest.raises(LoginFailed) as refused:
        sign_in(session, "customer", may_create=False, subject="usr_2")
    session.rollback()
    assert refused.value.reason == "no_account"
    assert session.scalar(select(func.count(User.id))) == 1


@pytest.mark.parametrize("changes", [{"issuer": "https://other.example"}, {"subject": "usr_2"}])
def test_an_equal_email_cannot_open_another_persons_account(session: Session, changes: dict[str, str]) -> None:
    """Neither a second provider nor a second subject is linked by its address, verified or not."""
    done = sign_in(session, "admin")
    other = sign_in(session, "customer", **changes)
    assert other.created
    assert other.user_id != done.user_id
    account = find_account_by_id(session, done.user_id)
    assert account is not None
    assert account.roles == {"admin"}


def test_an_unverified_email_is_not_kept(session: Session) -> None:
    done = sign_in(session, email_verified=False)
    assert session.get_one(User, done.user_id).email is None
    sign_in(session)
    sign_in(session, email="evil@evil.example", email_verified=False)
    assert session.get_one(User, done.user_id).email == "alice@shop.example"


def test_the_profile_follows_the_provider(session: Session) -> None:
    done = sign_in(session)
    sign_in(session, name="Alice A.", email="alice@new.example")
    user = session.get_one(User, done.user_id)
    assert (user.name, user.email) == ("Alice A.", "alice@new.example")
    sign_in(session, name=None)
    assert session.get_one(User, done.user_id).name == "Alice A."

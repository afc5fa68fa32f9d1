"""User records: keyed by issuer and subject, with exactly the roles that were last given."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, UserRole, find_account, find_account_by_id, replace_roles

ISSUER = "https://idp.example"


def add_user(session: Session, issuer: str = ISSUER, subject: str = "usr_1", **values: object) -> UUID:
    user = User(id=uuid4(), issuer=issuer, subject=subject, **values)
    session.add(user)
    session.flush()
    return user.id


def test_an_account_is_found_by_issuer_and_subject_with_its_roles(session: Session) -> None:
    user_id = add_user(session, name="Alice")
    replace_roles(session, user_id, ["manager", "customer", "manager"])
    session.flush()
    account = find_account(session, ISSUER, "usr_1")
    assert account is not None
    assert (account.user_id, account.name, account.disabled) == (user_id, "Alice", False)
    assert account.roles == {"customer", "manager"}
    assert find_account_by_id(session, user_id) == account


def test_an_account_without_roles_has_none(session: Session) -> None:
    add_user(session)
    account = find_account(session, ISSUER, "usr_1")
    assert account is not None
    assert account.roles == frozenset()


@pytest.mark.parametrize(
    ("issuer", "subject"),
    [
        (ISSUER, "usr_2"),
        (ISSUER, "USR_1"),
        (ISSUER, "usr_1 "),
        (ISSUER, ""),
        ("https://other.example", "usr_1"),
        (ISSUER + "/", "usr_1"),
        ("HTTPS://IDP.EXAMPLE", "usr_1"),
        (ISSUER, "usr_%"),
    ],
)
def test_a_similar_identity_is_not_the_account(session: Session, issuer: str, subject: str) -> None:
    """Both are compared character by character."""
    add_user(session)
    assert find_account(session, ISSUER, "usr_1") is not None
    assert find_account(session, issuer, subject) is None


def test_the_same_email_of_another_issuer_is_another_user(session: Session) -> None:
    """Whoever controls an address at a second provider must not get the first one's account."""
    first = add_user(session, email="alice@shop.example")
    second = add_user(session, issuer="https://other.example", email="alice@shop.example")
    replace_roles(session, first, ["admin"])
    session.flush()
    found = find_account(session, "https://other.example", "usr_1")
    assert found is not None
    assert (found.user_id, found.roles) == (second, frozenset())


def test_one_identity_has_one_account(session: Session) -> None:
    add_user(session)
    with pytest.raises(IntegrityError):
        add_user(session)


def test_roles_are_replaced_and_not_added_to(session: Session) -> None:
    user_id, other = add_user(session), add_user(session, subject="usr_2")
    replace_roles(session, other, ["admin"])
    for roles in (["admin", "customer"], ["customer"], [], ["manager", "customer"]):
        replace_roles(session, user_id, roles)
        session.commit()
        account = find_account_by_id(session, user_id)
        assert account is not None
        assert account.roles == set(roles)
    assert session.scalar(select(func.count()).where(UserRole.user_id == other)) == 1


def test_roles_go_with_their_user(session: Session) -> None:
    user_id = add_user(session)
    replace_roles(session, user_id, ["admin"])
    session.flush()
    session.delete(session.get_one(User, user_id))
    session.flush()
    assert session.scalar(select(func.count(UserRole.role))) == 0
    assert find_account_by_id(session, user_id) is None

"""`provision = "token"`: the first valid token makes an account without a role, and nothing else does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, UserRole
from tests.support.issuers import Forge, provider_table, shop_with
from tests.support.shop import Shop
from tests.unit.credentials import token_workshop as workshop
from tests.unit.outbound.loopback_server import running_server

PRODUCTS = "/api/v1/products"


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Forge]]:
    """A shop where the forge's first tokens make accounts, and Okta's do not."""
    with running_server() as forge, running_server() as okta:
        forge.publish(workshop.JWKS[workshop.MOCK])
        okta.publish(workshop.JWKS[workshop.OKTA])
        tables = provider_table("forge", forge.url, "rfc9068", 'provision = "token"\n')
        tables += provider_table("okta", okta.url, "okta", 'provision = "login"\n')
        folder: Path = tmp_path_factory.mktemp("open")
        with shop_with(folder, tables) as shop:
            yield shop, Forge({"forge": forge, "okta": okta}, shop.api)


def users(shop: Shop, subject: str) -> list[User]:
    with Session(shop.engine) as session:
        return list(session.scalars(select(User).where(User.subject == subject)))


def test_first_token_makes_an_account_without_a_role(open_shop: tuple[Shop, Forge]) -> None:
    """It reads what everybody may read, is refused the rest, and is the same account the next time."""
    shop, forge = open_shop
    subject = f"new-{time.time_ns()}"
    token = forge.claiming(sub=subject, groups=["shop-admins"], scope="orders:read products:read")
    first = shop.call("GET", "/api/v1/orders", token)
    assert first.status_code == 403
    assert first.json()["type"].endswith("/problems/permission-denied")
    assert [event["event"] for event in shop.events_of(first)] == ["user_created", "authz_fail"]
    again = shop.call("GET", "/api/v1/orders", token)
    assert [event["event"] for event in shop.events_of(again)] == ["authz_fail"]
    [user] = users(shop, subject)
    with Session(shop.engine) as session:
        roles = session.scalar(select(func.count()).select_from(UserRole).where(UserRole.user_id == user.id))
    assert (roles, user.email, user.customer_id) == (0, None, None)


def test_first_tokens_at_once_make_one_account(open_shop: tuple[Shop, Forge]) -> None:
    shop, forge = open_shop
    subject = f"many-{time.time_ns()}"
    token = forge.claiming(sub=subject)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(shop.call("GET", "/api/v1/orders", token).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [403] * 8
    assert len(users(shop, subject)) == 1


def test_unknown_person_of_another_provider_gets_account_required(open_shop: tuple[Shop, Forge]) -> None:
    shop, forge = open_shop
    answer = shop.call("GET", "/api/v1/orders", forge.good("okta"))
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("/problems/account-required")
    assert users(shop, "00ujmkLgagxeRrAg20g3") == []


def test_client_cannot_get_an_account_with_its_own_token(open_shop: tuple[Shop, Forge]) -> None:
    shop, forge = open_shop
    assert shop.call("GET", "/api/v1/orders", forge.claiming(sub="shop-cli")).status_code == 403
    assert users(shop, "shop-cli") == []


def test_refused_token_makes_no_account(open_shop: tuple[Shop, Forge]) -> None:
    shop, forge = open_shop
    subject = f"expired-{time.time_ns()}"
    assert shop.call("GET", "/api/v1/orders", forge.claiming(sub=subject, exp=int(time.time()) - 60)).status_code == 401
    assert users(shop, subject) == []

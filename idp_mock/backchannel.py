"""Tells every client of an ended session that it is over, without the browser.

OpenID Connect Back-Channel Logout 1.0 §2.4 (the logout token) and §2.5 (the request).
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import requests

from idp_mock.clients import Client
from idp_mock.issuer import Issuer
from idp_mock.stores import new_secret
from idp_mock.stores.records import Authentication

LOGOUT_TOKEN_TYP = "logout+jwt"  # noqa: S105  # nosec B105
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_SECONDS = 120
# The person waits for the page: nobody's slow server may hold it for longer.
TOTAL_SECONDS = 3.0
_REQUEST_SECONDS = (1.0, 2.5)
_MAX_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one client's logout token: the HTTP status, or None where there was no answer in time."""

    client_id: str
    status: int | None


def remember_client(issuer: Issuer, authentication: Authentication, client: Client) -> None:
    """Note that the client knows this session, so that it is told of its end."""
    key = _key(authentication.sid, client.client_id)
    issuer.stores.session_clients.put(key, True, issuer.lifetimes.session)


def logout_token(issuer: Issuer, client: Client, sub: str, sid: str) -> str:
    """A signed logout token: `sub`, `sid`, the event, no nonce (§2.4)."""
    now = issuer.now()
    claims = {
        "iss": issuer.url,
        "sub": sub,
        "aud": client.client_id,
        "iat": now,
        "exp": now + LOGOUT_TOKEN_SECONDS,
        "jti": new_secret(),
        "events": {LOGOUT_EVENT: {}},
        "sid": sid,
    }
    return issuer.keys.sign(claims, client.id_token_alg, LOGOUT_TOKEN_TYP)


def end_session(issuer: Issuer, authentication: Authentication) -> list[Delivery]:
    """Tell all clients of the session at once; returns within `TOTAL_SECONDS`, whatever they do."""
    prefix = _key(authentication.sid, "")
    told: dict[str, Future[int | None]] = {}
    pool = ThreadPoolExecutor(_MAX_AT_ONCE, thread_name_prefix="backchannel-logout")
    for key, _ in issuer.stores.session_clients.with_prefix(prefix):
        issuer.stores.session_clients.remove(key)
        client = issuer.registry.clients.get(key.removeprefix(prefix))
        if client is None or client.backchannel_logout_uri is None:
            continue
        token = issuer.outgoing.change(logout_token(issuer, client, authentication.sub, authentication.sid))
        told[client.client_id] = pool.submit(_post, client.backchannel_logout_uri, token)
    wait(told.values(), TOTAL_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    deliveries = [
        Delivery(client_id, future.result() if future.done() and not future.cancelled() else None)
        for client_id, future in told.items()
    ]
    for delivery in deliveries:
        issuer.outgoing.note("backchannel_logout", client_id=delivery.client_id, status=delivery.status)
    return deliveries


def _post(uri: str, token: str) -> int | None:
    try:
        # No proxy, no netrc, no redirects, and the body stays unread: the address is registered, its owner is not us.
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                uri, data={"logout_token": token}, allow_redirects=False, stream=True, timeout=_REQUEST_SECONDS
            )
            with answer:
                return answer.status_code
    except requests.RequestException:
        return None


def _key(sid: str, client_id: str) -> str:
    return f"{sid} {client_id}"

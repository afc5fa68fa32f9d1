"""The browser's session at one issuer: an opaque cookie, replaced at sign-in, and the waiting requests bound to it.

OIDC Core §3.1.2.3, RFC 9700 §4.12 and §4.16. A waiting request (an `Interaction`) has its own CSRF token, so
that two tabs do not disturb one another.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace

from flask import Response, g, request
from werkzeug.datastructures import MultiDict

from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint, new_id, new_secret
from idp_mock.stores.records import Authentication, Browser, Interaction
from idp_mock.users import User


class StaleForm(Exception):
    """The form is not from this browser, was sent already, or is too old."""


def current_browser(issuer: Issuer) -> Browser | None:
    handle = request.cookies.get(issuer.cookie_name)
    browser = issuer.stores.browsers.get(fingerprint(handle)) if handle else None
    if handle and browser is not None and browser.is_new and browser.authentication is not None:
        # It came back, so it keeps cookies: from now on the session lasts as long as any.
        remaining = browser.authentication.auth_time + issuer.lifetimes.session - issuer.clock()
        browser = replace(browser, is_new=False)
        issuer.stores.browsers.put(fingerprint(handle), browser, remaining)
    return browser


def signed_in(issuer: Issuer) -> Authentication | None:
    browser = current_browser(issuer)
    return browser.authentication if browser else None


def sign_in(issuer: Issuer, user: User, *, acr: str, amr: tuple[str, ...], unattended: bool = False) -> Authentication:
    """Record the sign-in under a new cookie: one that was planted before is worth nothing afterwards.

    An unattended sign-in (by a `login_hint` alone) may come from a program that keeps no cookies, ten thousand times
    in a row: such a session ends soon, unless its cookie comes back.
    """
    before = current_browser(issuer)
    known = before.authentication if before else None
    # The same person again stays in the same session; another person starts a new one.
    sid = known.sid if known and known.sub == user.sub else new_id()
    authentication = Authentication(user.sub, issuer.now(), acr, amr, sid)
    _forget_cookie(issuer)
    is_new = unattended and before is None
    _remember(issuer, Browser(before.browser_id if before else new_id(), authentication, is_new))
    return authentication


def sign_out(issuer: Issuer) -> None:
    _forget_cookie(issuer)
    g.idp_cookie = ""


def begin_interaction(issuer: Issuer, parameters: MultiDict[str, str]) -> str:
    """Park a request until the person has acted; the answer is the handle that its pages carry."""
    browser = current_browser(issuer)
    if browser is None or browser.authentication is None:
        # A cookie without a sign-in lives only as long as the pages that it protects.
        browser = _remember(issuer, browser or Browser(new_secret()), keep_cookie=browser is not None)
    handle = new_secret()
    pairs = tuple(parameters.items(multi=True))
    interaction = Interaction(browser.browser_id, new_secret(), pairs)
    issuer.stores.interactions.put(fingerprint(handle), interaction, issuer.lifetimes.interaction)
    return handle


def interaction_for_page(issuer: Issuer) -> tuple[str, Interaction]:
    """The parked request that the query names, when it belongs to this browser; else `StaleForm`."""
    return _own_interaction(issuer, request.args.get("interaction", ""))


def interaction_for_form(issuer: Issuer) -> tuple[str, Interaction]:
    """The same for a posted form, whose CSRF token and origin must be right as well."""
    handle, interaction = _own_interaction(issuer, request.form.get("interaction", ""))
    if not hmac.compare_digest(interaction.csrf_token.encode(), request.form.get("csrf_token", "").encode()):
        raise StaleForm
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise StaleForm
    return handle, interaction


def change_interaction(issuer: Issuer, handle: str, change: Callable[[Interaction], Interaction]) -> Interaction:
    """The parked request after an atomic change; `StaleForm` when it has ended meanwhile."""
    before = issuer.stores.interactions.change(fingerprint(handle), change)
    if before is None:
        raise StaleForm
    return change(before)


def end_interaction(issuer: Issuer, handle: str) -> bool:
    """True for the one caller that ended it: a form sent twice answers the client once."""
    return issuer.stores.interactions.remove(fingerprint(handle)) is not None


def store_cookie(issuer: Issuer, response: Response) -> Response:
    """Set or delete the cookie if this request changed it."""
    handle = g.pop("idp_cookie", None)
    if handle is not None:
        response.set_cookie(
            issuer.cookie_name,
            handle,
            max_age=issuer.lifetimes.session if handle else 0,
            path="/",
            secure=issuer.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return response


def _own_interaction(issuer: Issuer, handle: str) -> tuple[str, Interaction]:
    interaction = issuer.stores.interactions.get(fingerprint(handle))
    browser = current_browser(issuer)
    if interaction is None or browser is None or interaction.browser_id != browser.browser_id:
        raise StaleForm
    return handle, interaction


def _remember(issuer: Issuer, browser: Browser, *, keep_cookie: bool = False) -> Browser:
    handle = request.cookies[issuer.cookie_name] if keep_cookie else new_secret()
    lifetimes = issuer.lifetimes
    ttl_seconds = lifetimes.session if browser.authentication else lifetimes.interaction
    if browser.is_new:
        ttl_seconds = lifetimes.unattended_session
    issuer.stores.browsers.put(fingerprint(handle), browser, ttl_seconds)
    g.idp_cookie = handle
    return browser


def _forget_cookie(issuer: Issuer) -> None:
    handle = request.cookies.get(issuer.cookie_name)
    if handle:
        issuer.stores.browsers.remove(fingerprint(handle))

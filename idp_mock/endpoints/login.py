"""The sign-in page: a button for each person where one-click is on, name and password otherwise, and a way to say no.

A request for `mfa` asks for a one-time code after the password, where the person has an authenticator. OIDC Core
§3.1.2.3, RFC 9470 §4, RFC 6238.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from idp_mock import authorization, browser, pages
from idp_mock.issuer import Issuer
from idp_mock.redirect_uris import form_action_source
from idp_mock.server import IssuerServer
from idp_mock.stores.records import Authentication, Interaction
from idp_mock.throttle import WINDOW_SECONDS, SignInThrottle
from idp_mock.totp import matching_step
from idp_mock.users import ACR_MFA, ACR_PASSWORD, User

_MAX_FAILURES = 5
_CODE_SEEN_SECONDS = 300


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer
    throttle = SignInThrottle(issuer)
    path = issuer.profile.paths["login"]

    def show() -> Response:
        handle, interaction = browser.interaction_for_page(issuer)
        if interaction.password_sub is not None and "again" not in request.args:
            return _code_page(issuer, handle, interaction)
        return _sign_in_page(issuer, handle, interaction)

    def submit() -> Response:
        handle, interaction = browser.interaction_for_form(issuer)
        if "deny" in request.form:
            return authorization.deny(server, handle, interaction)
        if "user" in request.form:
            authentication = _by_click(issuer, interaction)
            if authentication is None:
                return _failed(issuer, handle, _sign_in_page, "This name cannot be chosen.")
        elif "code" in request.form:
            authentication = _by_code(issuer, throttle, interaction)
            if authentication is None:
                return _failed(issuer, handle, _code_page, "This code is wrong, too old or was used already.")
        else:
            user = _by_password(issuer, throttle)
            if user is None:
                return _failed(issuer, handle, _sign_in_page, "This name and password do not match.")
            if _wants_code(interaction, user):
                browser.change_interaction(issuer, handle, lambda record: replace(record, password_sub=user.sub))
                return Response(status=303, headers={"Location": f"{issuer.path}{path}?interaction={handle}"})
            authentication = browser.sign_in(issuer, user, acr=ACR_PASSWORD, amr=("pwd",))
        interaction = browser.change_interaction(
            issuer, handle, lambda record: replace(record, signed_in_sub=authentication.sub)
        )
        return authorization.resume(server, handle, interaction, authentication)

    def too_many(_error: Exception) -> Response:
        response = pages.error_page(
            issuer,
            "Too many attempts. Wait a quarter of an hour, then go back to the application and start again.",
            code="too_many_attempts",
            status=429,
        )
        response.headers["Retry-After"] = str(WINDOW_SECONDS)
        return response

    blueprint.register_error_handler(TooManyAttempts, too_many)
    blueprint.add_url_rule(path, "login", show, methods=["GET"])
    blueprint.add_url_rule(path, "login_submit", submit, methods=["POST"])


class TooManyAttempts(Exception):
    """The attempt was turned away unread."""


def _by_click(issuer: Issuer, interaction: Interaction) -> Authentication | None:
    person = issuer.users.by_hint(request.form["user"]) if issuer.one_click else None
    if person is None or not person.one_click:
        return None
    acr, amr = authorization.strength_of_one_click(person, _wanted_acr(interaction))
    return browser.sign_in(issuer, person, acr=acr, amr=amr)


def _by_password(issuer: Issuer, throttle: SignInThrottle) -> User | None:
    name, address = request.form.get("username", ""), request.remote_addr or ""
    if throttle.refuses(name, address):
        raise TooManyAttempts
    user = issuer.users.by_password(name, request.form.get("password", ""))
    (throttle.succeeded if user else throttle.failed)(name, address)
    return user


def _wants_code(interaction: Interaction, user: User) -> bool:
    return ACR_MFA in _wanted_acr(interaction) and user.totp_secret is not None


def _by_code(issuer: Issuer, throttle: SignInThrottle, interaction: Interaction) -> Authentication | None:
    user = issuer.users.by_sub(interaction.password_sub or "")
    if user is None or user.totp_secret is None:
        raise browser.StaleForm
    name, address = f"code {user.sub}", request.remote_addr or ""
    if throttle.refuses(name, address):
        raise TooManyAttempts
    step = matching_step(user.totp_secret, request.form["code"], issuer.clock())
    # Each code once: somebody who saw it, or relays it, comes second (RFC 6238 §5.2).
    if step is None or not issuer.stores.seen.add(f"totp {user.sub} {step}", True, _CODE_SEEN_SECONDS):
        throttle.failed(name, address)
        return None
    throttle.succeeded(name, address)
    return browser.sign_in(issuer, user, acr=ACR_MFA, amr=("pwd", "otp", "mfa"))


def _wanted_acr(interaction: Interaction) -> tuple[str, ...]:
    return tuple(MultiDict(interaction.parameters).get("acr_values", "").split())


def _failed(issuer: Issuer, handle: str, page: Callable[..., Response], problem: str) -> Response:
    interaction = browser.change_interaction(
        issuer, handle, lambda record: replace(record, failures=record.failures + 1)
    )
    if interaction.failures >= _MAX_FAILURES:
        browser.end_interaction(issuer, handle)
        return pages.error_page(
            issuer,
            "Too many attempts. Go back to the application and start again.",
            code="too_many_attempts",
            status=429,
        )
    return page(issuer, handle, interaction, problem, 401)


def _code_page(issuer: Issuer, handle: str, interaction: Interaction, problem: str = "", status: int = 200) -> Response:
    parameters = MultiDict(interaction.parameters)
    return pages.page(
        issuer,
        "one_time_code.html",
        status=status,
        form_target=form_action_source(parameters["redirect_uri"]) if "redirect_uri" in parameters else "",
        handle=handle,
        csrf_token=interaction.csrf_token,
        person=issuer.users.by_sub(interaction.password_sub or ""),
        problem=problem,
    )


def _sign_in_page(
    issuer: Issuer, handle: str, interaction: Interaction, problem: str = "", status: int = 200
) -> Response:
    parameters = MultiDict(interaction.parameters)
    # Validated when the interaction began: both are known here.
    client = issuer.registry.clients[parameters["client_id"]]
    return pages.page(
        issuer,
        "sign_in.html",
        status=status,
        form_target=form_action_source(parameters["redirect_uri"]),
        client=client,
        handle=handle,
        csrf_token=interaction.csrf_token,
        people=[user for user in issuer.users.users if user.one_click] if issuer.one_click else [],
        has_passwords=any(user.password_hash for user in issuer.users.users),
        hint=parameters.get("login_hint", ""),
        problem=problem,
    )

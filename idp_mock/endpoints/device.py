"""Device authorization (RFC 8628): codes for the device, and the pages where a person enters one and confirms.

The pages say which client asks and for what, and warn of a code that somebody else sent (§5.4). Guessing is slowed
down for each browser and each address (§5.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from authlib.oauth2.rfc6749.errors import UnauthorizedClientError
from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from idp_mock import browser, pages
from idp_mock.clients import DEVICE_CODE
from idp_mock.endpoints.form import answered
from idp_mock.grants.authorization_request import requested_resources
from idp_mock.grants.device_code import (
    allow_device,
    deny_device,
    device_of_user_code,
    start_device,
    waiting_device,
)
from idp_mock.grants.token_grant import requested_scopes
from idp_mock.issuer import Issuer
from idp_mock.server import IdpRequest, IssuerServer
from idp_mock.stores import fingerprint
from idp_mock.stores.records import DeviceAuthorization, Interaction

_MAX_FAILURES = 5
_MAX_FAILURES_OF_ADDRESS = 20
_FAILURE_SECONDS = 600


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer
    paths = issuer.profile.paths

    def start(form: IdpRequest) -> tuple[int, dict[str, Any]]:
        client = server.authenticate_client(form, [], "device_authorization")
        if not client.check_grant_type(DEVICE_CODE):
            raise UnauthorizedClientError("This client may not use this grant.")
        scopes = requested_scopes(form.form.get("scope"), client.scopes)
        resources = requested_resources(client, form.payload.datalist) or (issuer.registry.default_resource,)
        device_code, user_code = start_device(issuer, client, scopes, resources)
        page = issuer.endpoint_url("device")
        return 200, {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={user_code}",
            "expires_in": issuer.lifetimes.device_code,
            "interval": issuer.lifetimes.device_interval,
        }

    def device_authorization() -> Response:
        return answered(server, "device_authorization", start)

    def enter() -> Response:
        handle = browser.begin_interaction(issuer, MultiDict())
        interaction = browser.change_interaction(issuer, handle, lambda record: replace(record, device=""))
        return _code_page(issuer, handle, interaction, request.args.get("user_code", "")[:20])

    def entered() -> Response:
        handle, interaction = browser.interaction_for_form(issuer)
        if interaction.device is None:
            raise browser.StaleForm
        return _find(issuer, handle)

    def confirm() -> Response:
        handle, interaction = browser.interaction_for_page(issuer)
        device = _waiting(issuer, interaction)
        authentication = browser.signed_in(issuer)
        if authentication is None:
            return _see(f"{issuer.endpoint_path('login')}?interaction={handle}")
        browser.change_interaction(issuer, handle, lambda record: replace(record, asked_sub=authentication.sub))
        return pages.page(
            issuer,
            "device_confirm.html",
            client=issuer.registry.clients[device.client_id],
            handle=handle,
            csrf_token=interaction.csrf_token,
            user_code=dict(interaction.parameters)["user_code"],
            person=issuer.users.by_sub(authentication.sub),
            wishes=[(scope, issuer.scopes[scope]) for scope in device.scopes],
            resources=device.resources,
            access_minutes=issuer.lifetimes.access_token // 60,
            offline_days=issuer.lifetimes.refresh_absolute // 86_400 if "offline_access" in device.scopes else 0,
        )

    def confirmed() -> Response:
        handle, interaction = browser.interaction_for_form(issuer)
        _waiting(issuer, interaction)
        authentication = browser.signed_in(issuer)
        # Another tab may have signed somebody else in since the page was shown.
        if (
            authentication is None
            or interaction.asked_sub != authentication.sub
            or not {"allow", "deny"} & set(request.form)
        ):
            raise browser.StaleForm
        if not browser.end_interaction(issuer, handle):
            raise browser.StaleForm
        device = interaction.device or ""
        if "deny" in request.form:
            deny_device(issuer, device)
            return pages.page(issuer, "device_done.html", allowed=False)
        if not allow_device(issuer, device, authentication):
            raise browser.StaleForm
        return pages.page(issuer, "device_done.html", allowed=True)

    blueprint.add_url_rule(
        paths["device_authorization"], "device_authorization", device_authorization, methods=["POST"]
    )
    blueprint.add_url_rule(paths["device"], "device", enter, methods=["GET"])
    blueprint.add_url_rule(paths["device"], "device_entered", entered, methods=["POST"])
    blueprint.add_url_rule(f"{paths['device']}/confirm", "device_confirm", confirm, methods=["GET"])
    blueprint.add_url_rule(f"{paths['device']}/confirm", "device_confirmed", confirmed, methods=["POST"])


def _find(issuer: Issuer, handle: str) -> Response:
    """To the confirmation of the device that waits for the entered code, or back with a warning."""
    user_code = request.form.get("user_code", "")
    address = fingerprint(f"user_code {request.remote_addr}")
    too_many = (issuer.stores.failures.get(address) or 0) >= _MAX_FAILURES_OF_ADDRESS
    device = None if too_many else device_of_user_code(issuer, user_code)
    if device is None:
        return _not_found(issuer, handle, address, user_code)
    waiting = waiting_device(issuer, device)
    if waiting is None:
        raise browser.StaleForm
    # The sign-in page names the client, and sends a person who says no to this page's own address.
    parameters = (
        ("client_id", waiting.client_id),
        ("redirect_uri", issuer.endpoint_url("device")),
        ("scope", " ".join(waiting.scopes)),
        ("user_code", user_code),
    )
    browser.change_interaction(
        issuer, handle, lambda record: replace(record, device=device, parameters=parameters, failures=0)
    )
    return _see(f"{issuer.endpoint_path('device')}/confirm?interaction={handle}")


def _not_found(issuer: Issuer, handle: str, address: str, user_code: str) -> Response:
    interaction = browser.change_interaction(
        issuer, handle, lambda record: replace(record, failures=record.failures + 1)
    )
    if not issuer.stores.failures.add(address, 1, _FAILURE_SECONDS):
        issuer.stores.failures.change(address, lambda count: count + 1)
    from_address = issuer.stores.failures.get(address) or 0
    if interaction.failures >= _MAX_FAILURES or from_address > _MAX_FAILURES_OF_ADDRESS:
        browser.end_interaction(issuer, handle)
        return pages.error_page(issuer, "Too many wrong codes. Wait ten minutes.", code="too_many_attempts", status=429)
    return _code_page(issuer, handle, interaction, user_code[:20], "No device is waiting for this code.", 400)


def _waiting(issuer: Issuer, interaction: Interaction) -> DeviceAuthorization:
    device = waiting_device(issuer, interaction.device) if interaction.device else None
    if device is None:
        raise browser.StaleForm
    return device


def _code_page(
    issuer: Issuer, handle: str, interaction: Interaction, user_code: str, problem: str = "", status: int = 200
) -> Response:
    return pages.page(
        issuer,
        "device.html",
        status=status,
        handle=handle,
        csrf_token=interaction.csrf_token,
        user_code=user_code,
        problem=problem,
    )


def _see(path: str) -> Response:
    return Response(status=303, headers={"Location": path})

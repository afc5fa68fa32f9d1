"""The device grant: a device without a browser waits while a person allows it on another one.

RFC 8628 §3.2 (codes), §3.4 and §3.5 (polling), §5.1 and §5.2 (guessing).
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from authlib.oauth2.rfc6749.errors import AccessDeniedError, InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc8628 import AuthorizationPendingError, ExpiredTokenError, SlowDownError

from idp_mock.clients import DEVICE_CODE, REFRESH, Client
from idp_mock.grants.token_grant import TokenGrant
from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint, new_secret
from idp_mock.stores.records import Authentication, DeviceAuthorization
from idp_mock.tokens import grant_is_live, issue_tokens, start_grant, user_of

# No vowels, so no words; nothing that is mistaken for something else (RFC 8628 §6.1).
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_CODE_LENGTH = 8
_SLOWER_SECONDS = 5
_REMEMBER_SECONDS = 300


class DeviceCodeGrant(TokenGrant):
    """Answers each poll: wait, slower, denied, expired, or, once, the tokens."""

    GRANT_TYPE = DEVICE_CODE

    def issue(self, client: Client) -> dict[str, Any]:
        issuer = self.issuer
        device_code = self.request.form.get("device_code")
        if not device_code:
            raise InvalidRequestError("The parameter 'device_code' is required.")
        handle = fingerprint(device_code)
        device = issuer.stores.devices.get(handle)
        # Another client's code is simply unknown, and the attempt changes nothing.
        if device is None or device.client_id != client.client_id:
            raise InvalidGrantError("The device code is unknown, used, or was issued to another client.")
        if device.expires_at <= issuer.clock():
            raise ExpiredTokenError()
        if device.denied:
            raise AccessDeniedError()
        if device.grant_id is None:
            raise self._not_yet(handle)
        grant = grant_is_live(issuer, device.grant_id)
        user = user_of(issuer, grant) if grant else None
        if grant is None or user is None or issuer.stores.devices.remove(handle) is None:
            raise InvalidGrantError("The device code was used, or what was allowed has ended.")
        offline = "offline_access" in grant.scopes and client.check_grant_type(REFRESH)
        return issue_tokens(
            issuer,
            grant=grant,
            client=client,
            user=user,
            scopes=grant.scopes,
            resources=grant.resources,
            refresh_scopes=grant.scopes if offline else None,
            dpop_jkt=self.request.dpop_jkt,
        )

    def _not_yet(self, handle: str) -> Exception:
        now = self.issuer.clock()

        def polled(device: DeviceAuthorization) -> DeviceAuthorization:
            interval = device.interval + (_SLOWER_SECONDS if now < device.poll_after else 0)
            return replace(device, interval=interval, poll_after=now + interval)

        before = self.issuer.stores.devices.change(handle, polled)
        too_early = before is not None and now < before.poll_after
        error: Exception = SlowDownError() if too_early else AuthorizationPendingError()
        return error


def start_device(
    issuer: Issuer, client: Client, scopes: tuple[str, ...], resources: tuple[str, ...]
) -> tuple[str, str]:
    """A new device code and the user code that the person types."""
    device_code = new_secret()
    user_code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
    lifetimes, now = issuer.lifetimes, issuer.clock()
    device = DeviceAuthorization(
        client.client_id, scopes, resources, now + lifetimes.device_code, lifetimes.device_interval, now
    )
    # Kept beyond its end, so that a late poll is told that it expired.
    issuer.stores.devices.put(fingerprint(device_code), device, lifetimes.device_code + _REMEMBER_SECONDS)
    issuer.stores.user_codes.put(fingerprint(user_code), fingerprint(device_code), lifetimes.device_code)
    return device_code, f"{user_code[:4]}-{user_code[4:]}"


def waiting_device(issuer: Issuer, handle: str) -> DeviceAuthorization | None:
    """The device authorization, while a person can still decide about it."""
    device = issuer.stores.devices.get(handle)
    if device is None or device.denied or device.grant_id is not None or device.expires_at <= issuer.clock():
        return None
    return device


def device_of_user_code(issuer: Issuer, user_code: str) -> str | None:
    """The handle of the device that waits for this code, however the person wrote it."""
    letters = "".join(letter for letter in user_code.upper() if letter in _ALPHABET)
    handle = issuer.stores.user_codes.get(fingerprint(letters)) if len(letters) == _CODE_LENGTH else None
    return handle if handle is not None and waiting_device(issuer, handle) else None


def allow_device(issuer: Issuer, handle: str, authentication: Authentication) -> bool:
    """Give the waiting device its grant; False when it waits no more, or somebody else decided first."""
    device = waiting_device(issuer, handle)
    client = issuer.registry.clients.get(device.client_id) if device else None
    if device is None or client is None:
        return False
    lifetimes = issuer.lifetimes
    lifetime = (
        lifetimes.refresh_absolute
        if "offline_access" in device.scopes
        else lifetimes.device_code + lifetimes.access_token
    )
    grant = start_grant(
        issuer,
        client,
        scopes=device.scopes,
        resources=device.resources,
        authentication=authentication,
        lifetime_seconds=lifetime,
    )
    before = issuer.stores.devices.change(
        handle,
        lambda record: record if record.denied or record.grant_id else replace(record, grant_id=grant.grant_id),
    )
    return before is not None and not before.denied and before.grant_id is None


def deny_device(issuer: Issuer, handle: str) -> None:
    """Tell the waiting device that the person said no."""
    issuer.stores.devices.change(handle, lambda record: record if record.grant_id else replace(record, denied=True))

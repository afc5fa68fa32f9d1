"""Faults of JSON answers and of the authorization response: each changes one finished answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from idp_mock.faults import Fault
from idp_mock.faults.tokens import huge_groups
from idp_mock.issuer import Issuer
from idp_mock.keys import SigningKey
from idp_mock.stores import new_secret

Body = dict[str, Any]
ChangeBody = Callable[[Issuer, Body, Mapping[str, Any]], None]
ChangeResponse = Callable[[dict[str, str], Mapping[str, Any], str | None], None]


def _key_withdrawn(_: Issuer, body: Body, __: Mapping[str, Any]) -> None:
    body["keys"] = [SigningKey.generate("ES256").public_jwk()]


def _kid_duplicated(_: Issuer, body: Body, __: Mapping[str, Any]) -> None:
    # The foreign key first: a reader that takes the first match takes the wrong one.
    twins = [{**SigningKey.generate("ES256").public_jwk(), "kid": key["kid"]} for key in body["keys"]]
    body["keys"] = [*twins, *body["keys"]]


def _issuer_swapped(_: Issuer, body: Body, options: Mapping[str, Any]) -> None:
    body["issuer"] = options["issuer"]


def _member_swapped(_: Issuer, body: Body, options: Mapping[str, Any]) -> None:
    body[options["member"]] = options["value"]


def _id_token_missing(_: Issuer, body: Body, __: Mapping[str, Any]) -> None:
    body.pop("id_token", None)


def _sub_swapped(issuer: Issuer, body: Body, options: Mapping[str, Any]) -> None:
    others = (user.sub for user in issuer.users.users if user.sub != body["sub"])
    body["sub"] = options["sub"] or next(others, "somebody-else")


def _groups_huge(_: Issuer, body: Body, options: Mapping[str, Any]) -> None:
    body["groups"] = huge_groups(options["count"])


def _introspection_lies(issuer: Issuer, body: Body, options: Mapping[str, Any]) -> None:
    if options["active"]:
        now = issuer.now()
        body |= {"active": True, "iat": now, "exp": now + issuer.lifetimes.access_token, **options["claims"]}
    else:
        body.clear()
        body["active"] = False


def _iss_missing(parameters: dict[str, str], _: Mapping[str, Any], __: str | None) -> None:
    parameters.pop("iss", None)


def _mix_up(parameters: dict[str, str], options: Mapping[str, Any], _: str | None) -> None:
    parameters["iss"] = options["iss"]


def _state_wrong(parameters: dict[str, str], _: Mapping[str, Any], __: str | None) -> None:
    parameters["state"] = new_secret()


def _code_replayed(parameters: dict[str, str], _: Mapping[str, Any], earlier_code: str | None) -> None:
    parameters["code"] = earlier_code or new_secret()


# name, endpoint, what it does, options, change
_BODY_TABLE: tuple[tuple[str, str, str, Mapping[str, Any], ChangeBody], ...] = (
    ("jwks_key_withdrawn", "jwks", "only a key that signed nothing is published", {}, _key_withdrawn),
    ("jwks_kid_duplicated", "jwks", "each `kid` comes twice, first with a foreign key", {}, _kid_duplicated),
    (
        "metadata_issuer_swapped",
        "metadata",
        "`issuer` is another one",
        {"issuer": "https://attacker.example"},
        _issuer_swapped,
    ),
    (
        "metadata_member_swapped",
        "metadata",
        "one member has the given value",
        {"member": "token_endpoint", "value": "https://attacker.example/token"},
        _member_swapped,
    ),
    ("id_token_missing", "token", "the token response has no ID token", {}, _id_token_missing),
    (
        "userinfo_sub_swapped",
        "userinfo",
        "`sub` is somebody else (`null`: any other person)",
        {"sub": None},
        _sub_swapped,
    ),
    ("userinfo_groups_huge", "userinfo", "`groups` has very many entries", {"count": 10_000}, _groups_huge),
    (
        "introspection_lies",
        "introspect",
        "a dead token is active with the given claims, or a live one is not",
        {"active": True, "claims": {}},
        _introspection_lies,
    ),
)
_RESPONSE_TABLE: tuple[tuple[str, str, Mapping[str, Any], ChangeResponse], ...] = (
    ("response_iss_missing", "no `iss`, although the metadata promises it", {}, _iss_missing),
    ("mix_up", "`iss` names another issuer", {"iss": "https://attacker.example"}, _mix_up),
    ("response_state_wrong", "`state` is not the request's", {}, _state_wrong),
    ("code_replayed", "the code of the answer before, or one that never was", {}, _code_replayed),
)
BODY_CHANGES: Mapping[str, ChangeBody] = {name: change for name, _, _, _, change in _BODY_TABLE}
RESPONSE_CHANGES: Mapping[str, ChangeResponse] = {name: change for name, _, _, change in _RESPONSE_TABLE}
BODY_FAULTS = tuple(Fault(name, on, does, options) for name, on, does, options, _ in _BODY_TABLE)
RESPONSE_FAULTS = tuple(
    Fault(name, "authorization response", does, options) for name, does, options, _ in _RESPONSE_TABLE
)


def response_parameters(location: str) -> dict[str, str]:
    """The parameters of an authorization response in a redirect's address."""
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


def with_parameters(location: str, parameters: Mapping[str, str]) -> str:
    return urlunsplit(urlsplit(location)._replace(query=urlencode(parameters)))

"""What the authorization endpoint refuses, each beside the request that it accepts."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, answer_of

WEB = "http://127.0.0.1:8000/auth/callback/mock"


def accepted(idp: IdpServer, **changes: str | None) -> None:
    """The positive twin: the same client gets a code."""
    response = OAuthClient(idp.issuer).authorize(login_hint="alice", **changes)
    assert response.status_code == 303
    assert "code" in answer_of(response.headers["Location"])


def refused_in_place(response: requests.Response) -> None:
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "This did not work" in response.text


def refused_to_client(idp: IdpServer, response: requests.Response, error: str) -> None:
    assert response.status_code == 303, response.text
    answer = answer_of(response.headers["Location"])
    assert answer["error"] == error
    assert answer["iss"] == idp.issuer
    assert "code" not in answer


@pytest.mark.parametrize("client_id", [None, "", "nobody", "example-cli ", "EXAMPLE-CLI", '"><script>'])
def test_an_unknown_client_is_refused_in_place(idp: IdpServer, client_id: str | None) -> None:
    """Checklist 29: a bad client is an error page, never a redirect."""
    accepted(idp)
    response = OAuthClient(idp.issuer).authorize(client_id=client_id)
    refused_in_place(response)
    assert "<script>" not in response.text


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        f"{WEB}?x=1",
        f"{WEB}/",
        f"{WEB}/../mock",
        "http://127.0.0.1:8000/auth/callback/MOCK",
        "http://127.0.0.1:8001/auth/callback/mock",
        "http://user@127.0.0.1:8000/auth/callback/mock",
        f"{WEB}#fragment",
        "https://127.0.0.1:8000/auth/callback/mock",
        "http://localhost:8000/auth/callback/mock",
        "http://127.0.0.1:8000@attacker.example/auth/callback/mock",
        "http://127.0.0.1:8000/auth/callback/mock%2f",
        "javascript:alert(1)",
    ],
)
def test_a_web_client_cannot_be_sent_to_another_address(idp: IdpServer, redirect_uri: str | None) -> None:
    """Checklist 28, 29: exact match; added query, path, case, port, user information, fragment refused."""
    client = OAuthClient(idp.issuer, "shop-web", WEB, "openid")
    assert client.authorize(login_hint="alice").headers["Location"].startswith(f"{WEB}?code=")
    refused_in_place(client.authorize(login_hint="alice", redirect_uri=redirect_uri))


@pytest.mark.parametrize("port", [":1", ":51234", ":65535", ""])
def test_a_native_client_chooses_its_loopback_port(idp: IdpServer, port: str) -> None:
    """Checklist 28: any port on the loopback IP redirect of a native client [RFC 8252 §7.3]."""
    uri = f"http://127.0.0.1{port}/callback"
    response = OAuthClient(idp.issuer, redirect_uri=uri).authorize(login_hint="alice")
    assert response.headers["Location"].startswith(f"{uri}?code=")


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:5000/callback",
        "http://[::1]:5000/callback",
        "http://127.0.0.1:5000/callback/",
        "http://127.0.0.1:5000/callback?x=1",
        "http://127.0.0.1:5000/callback#x",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:5000@attacker.example/callback",
        "http://x@127.0.0.1:5000/callback",
        "http://127.0.0.1.attacker.example/callback",
        "http://127.0.0.2:5000/callback",
        "https://127.0.0.1:5000/callback",
        "http://127.0.0.1:5000/other",
    ],
)
def test_a_native_client_chooses_nothing_but_the_port(idp: IdpServer, redirect_uri: str) -> None:
    """Checklist 28: host, path and everything else stay exact."""
    accepted(idp)
    refused_in_place(OAuthClient(idp.issuer, redirect_uri=redirect_uri).authorize(login_hint="alice"))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "x" * 44},
        {"code_challenge": "~" * 43},
    ],
    ids=lambda changes: "-".join(f"{name}={value}"[:40] for name, value in changes.items()),
)
@pytest.mark.parametrize("client_id", ["example-cli", "shop-web"])
def test_no_client_gets_a_code_without_pkce_s256(
    idp: IdpServer, client_id: str, changes: dict[str, str | None]
) -> None:
    """Checklist 33: S256 mandatory for every client, at the authorization endpoint; plain and missing refused."""
    client = OAuthClient(idp.issuer)
    if client_id == "shop-web":
        client = OAuthClient(idp.issuer, client_id, WEB, "openid")
    assert "code" in answer_of(client.authorize(login_hint="alice").headers["Location"])
    refused_to_client(idp, client.authorize(login_hint="alice", **changes), "invalid_request")


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "code id_token", "none", '"', "é"])
def test_only_the_code_response_type(idp: IdpServer, response_type: str) -> None:
    """Checklist 35: no implicit and no hybrid flow."""
    accepted(idp)
    response = OAuthClient(idp.issuer).authorize(login_hint="alice", response_type=response_type)
    refused_to_client(idp, response, "unsupported_response_type")


@pytest.mark.parametrize("response_mode", ["fragment", "form_post", "query.jwt", "web_message", "QUERY"])
def test_only_the_query_response_mode(idp: IdpServer, response_mode: str) -> None:
    """Checklist 36: response_mode allow-list."""
    accepted(idp, response_mode="query")
    response = OAuthClient(idp.issuer).authorize(login_hint="alice", response_mode=response_mode)
    refused_to_client(idp, response, "invalid_request")


@pytest.mark.parametrize("scope", [None, "", "email", "openid groups", "openid  profile", "unknown", "openid orders:*"])
def test_a_client_cannot_ask_for_a_scope_it_is_not_registered_for(idp: IdpServer, scope: str | None) -> None:
    """Checklist 46: scopes limited to the client's registration."""
    accepted(idp, scope="openid orders:write")
    refused_to_client(idp, OAuthClient(idp.issuer).authorize(login_hint="alice", scope=scope), "invalid_scope")


@pytest.mark.parametrize(
    "resource", ["https://unknown.example", "http://127.0.0.1:8000/", "http://127.0.0.1:8000#x", "x", ""]
)
def test_a_token_cannot_be_had_for_an_unknown_resource(idp: IdpServer, resource: str) -> None:
    """Checklist 45: resource validated; unknown is invalid_target [RFC 8707]."""
    accepted(idp, resource="http://127.0.0.1:8000")
    refused_to_client(idp, OAuthClient(idp.issuer).authorize(login_hint="alice", resource=resource), "invalid_target")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://client.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"prompt": "sometimes"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 2049}, "invalid_request"),
        ({"id_token_hint": "e30.e30.e30"}, "invalid_request"),
        ({"id_token_hint": "not a token"}, "invalid_request"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_what_cannot_be_honoured_is_refused_to_the_client(
    idp: IdpServer, changes: dict[str, str | None], error: str
) -> None:
    """Checklist 37: iss in every authorization response, errors included, and the state with it."""
    accepted(idp, max_age="600", nonce="n" * 2048, prompt="consent")
    response = OAuthClient(idp.issuer).authorize(login_hint="alice", state="s-1", **changes)
    refused_to_client(idp, response, error)
    assert answer_of(response.headers["Location"])["state"] == "s-1"


@pytest.mark.parametrize("name", ["scope", "state", "nonce", "response_type", "code_challenge", "prompt", "unheard_of"])
def test_a_repeated_parameter_is_refused_to_the_client(idp: IdpServer, name: str) -> None:
    """Checklist 54: duplicate parameters refused [RFC 6749 §3.1]."""
    accepted(idp, prompt="consent", unheard_of="1")
    client = OAuthClient(idp.issuer)
    pairs = [*client.parameters(prompt="consent", unheard_of="1").items(), (name, "again")]
    response = requests.get(
        f"{idp.issuer}/authorize?{urlencode(pairs)}", allow_redirects=False, timeout=TIMEOUT_SECONDS
    )
    refused_to_client(idp, response, "invalid_request")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_client_or_redirect_uri_is_refused_in_place(idp: IdpServer, name: str) -> None:
    """Checklist 29, 54: with two redirect URIs, none is trusted, though both may be registered."""
    accepted(idp)
    parameters = OAuthClient(idp.issuer).parameters()
    pairs = [*parameters.items(), (name, parameters[name])]
    response = requests.get(
        f"{idp.issuer}/authorize?{urlencode(pairs)}", allow_redirects=False, timeout=TIMEOUT_SECONDS
    )
    refused_in_place(response)


def test_an_access_token_is_no_id_token_hint(idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1: the hint is an ID token of this issuer; an expired one will do."""
    body = OAuthClient(idp.issuer).tokens()
    accepted(idp, id_token_hint=body["id_token"])
    response = OAuthClient(idp.issuer).authorize(login_hint="alice", id_token_hint=body["access_token"])
    refused_to_client(idp, response, "invalid_request")
    without_subject = idp.mint({"sub": None}, header={"typ": "JWT"})
    response = OAuthClient(idp.issuer).authorize(login_hint="alice", id_token_hint=without_subject)
    refused_to_client(idp, response, "invalid_request")


def test_no_cross_origin_reading_of_the_authorization_endpoint(idp: IdpServer) -> None:
    """Checklist 50: no CORS on the authorization endpoint [RFC 9700 §2.6]."""
    url = f"{idp.issuer}/authorize"
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    for response in (
        requests.options(url, headers=headers, timeout=TIMEOUT_SECONDS),
        requests.get(
            url,
            params=OAuthClient(idp.issuer).parameters(),
            headers=headers,
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        ),
    ):
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]


def test_a_posted_authorization_request_is_the_same_request(idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1: POST is supported; it becomes a GET so that the session cookie comes along."""
    parameters = OAuthClient(idp.issuer).parameters(state="a&b=c")
    response = requests.post(f"{idp.issuer}/authorize", data=parameters, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    assert response.status_code == 303
    assert response.headers["Location"].startswith("/authorize?")
    assert f"state={quote('a&b=c')}" in response.headers["Location"]

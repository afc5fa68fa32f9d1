"""Origins, well-known addresses and issuer metadata."""

from __future__ import annotations

from typing import Any

import pytest

from secure_api.errors import OutboundFailed
from secure_api.protocol.discovery import discovery_url, oauth_metadata_url, parse_metadata
from secure_api.protocol.origin import is_loopback, is_trustworthy, origin_of
from secure_api.protocol.resource_metadata import metadata_path, metadata_url, resource_metadata


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://idp.example", "https://idp.example"),
        ("HTTPS://IDP.example:443/path?q=1", "https://idp.example"),
        ("http://localhost:9000/x", "http://localhost:9000"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_origin_has_one_spelling(url: str, origin: str) -> None:
    """Case and default ports make no difference."""
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example",
        "//idp.example",
        "https://",
        "https:///path",
        "ftp://idp.example",
        "javascript:alert(1)",
        "https://user@idp.example",
        "https://user:pw@idp.example",
        "https://@idp.example",
        "https://idp.example#f",
        "https://idp.example/#",
        "https://idp.example\\@evil.example",
        "https://idp.example\\.evil.example",
        "https:\\\\idp.example",
        "https://idp.example /",
        "https://idp.example\n",
        "https://idp.example\x00",
        "https://idp\u3002example",
        "https://idp.example:port",
        "https://idp.example:99999",
        "https://[::1",
    ],
)
def test_odd_address_has_no_origin(url: str) -> None:
    """Whatever two parsers could read differently is refused, not repaired."""
    assert origin_of("https://idp.example") == "https://idp.example"
    with pytest.raises(ValueError, match=r"."):
        origin_of(url)
    assert not is_trustworthy(url, allow_http_loopback=True)


def test_plain_http_is_for_this_machine_only() -> None:
    """Names that merely look local do not count, and without leave none does."""
    for url in ("http://localhost:9000", "http://127.0.0.1", "http://127.8.8.8", "http://[::1]:1"):
        assert is_loopback(url)
        assert is_trustworthy(url, allow_http_loopback=True)
        assert not is_trustworthy(url, allow_http_loopback=False)
    for url in (
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://127.1",
        "http://2130706433",
        "http://[::ffff:10.0.0.1]",
    ):
        assert not is_trustworthy(url, allow_http_loopback=True)
    assert is_trustworthy("https://idp.example", allow_http_loopback=False)


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        (
            "https://example.com",
            "https://example.com/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server",
        ),
        (  # OIDC Discovery §4.1 and RFC 8414 §3.1: the path goes in front, and behind
            "https://example.com/issuer1",
            "https://example.com/issuer1/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server/issuer1",
        ),
        (
            "https://example.com/oauth2/default/",
            "https://example.com/oauth2/default/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server/oauth2/default",
        ),
    ],
)
def test_metadata_addresses_of_an_issuer(issuer: str, openid: str, oauth: str) -> None:
    """OpenID appends the well-known name, OAuth puts it between host and path."""
    assert discovery_url(issuer) == openid
    assert oauth_metadata_url(issuer) == oauth


ISSUER = "https://idp.example/t1"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://idp.example/authorize",
    "token_endpoint": "https://token.example/token",
    "jwks_uri": "https://keys.example/keys",
    "code_challenge_methods_supported": ["plain", "S256"],
    "authorization_response_iss_parameter_supported": True,
    "scopes_supported": ["openid", 7],
}


def test_metadata_is_read() -> None:
    """Endpoints may live on other hosts; optional ones may be absent; defaults are the specification's."""
    found = parse_metadata(DOCUMENT, ISSUER)
    assert (found.token_endpoint, found.jwks_uri) == ("https://token.example/token", "https://keys.example/keys")
    assert (found.userinfo_endpoint, found.end_session_endpoint) == (None, None)
    assert (found.sends_issuer, found.supports_s256, found.scopes_supported) == (True, True, ("openid",))
    assert found.token_endpoint_auth_methods == ("client_secret_basic",)
    assert not parse_metadata(
        {**DOCUMENT, "authorization_response_iss_parameter_supported": "yes"}, ISSUER
    ).sends_issuer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"issuer": "https://idp.example/t2"}, "names another issuer"),
        ({"issuer": f"{ISSUER}/"}, "names another issuer"),
        ({"issuer": "https://IDP.example/t1"}, "names another issuer"),
        ({"issuer": None}, "names another issuer"),
        ({"authorization_endpoint": None}, "no authorization_endpoint"),
        ({"token_endpoint": None}, "no token_endpoint"),
        ({"jwks_uri": None}, "no jwks_uri"),
        ({"jwks_uri": 7}, "jwks_uri is not a safe address"),
        ({"jwks_uri": "http://keys.example/keys"}, "jwks_uri is not a safe address"),
        ({"jwks_uri": "http://localhost/keys"}, "jwks_uri is not a safe address"),
        ({"token_endpoint": "file:///etc/passwd"}, "token_endpoint is not a safe address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint is not a safe address"),
        ({"userinfo_endpoint": "http://idp.example/me"}, "userinfo_endpoint is not a safe address"),
        ({"end_session_endpoint": "https://a@b/"}, "end_session_endpoint is not a safe address"),
    ],
)
def test_wrong_metadata_is_refused(change: dict[str, Any], message: str) -> None:
    """The unchanged document passes; with one member wrong it does not."""
    parse_metadata(DOCUMENT, ISSUER)
    with pytest.raises(OutboundFailed, match=message):
        parse_metadata({**DOCUMENT, **change}, ISSUER)


def test_http_endpoints_go_with_a_loopback_issuer_only() -> None:
    """The mock may serve all over http on this machine, and still may not send us elsewhere over http."""
    local = {
        name: str(value).replace("https://idp.example", "http://localhost:9000") for name, value in DOCUMENT.items()
    }
    assert parse_metadata(local, "http://localhost:9000/t1").authorization_endpoint == "http://localhost:9000/authorize"
    with pytest.raises(OutboundFailed, match="jwks_uri"):
        parse_metadata({**local, "jwks_uri": "http://keys.example/keys"}, "http://localhost:9000/t1")


@pytest.mark.parametrize("document", [b"", b"[]", b'{"issuer":"a","issuer":"https://idp.example/t1"}'])
def test_metadata_that_is_no_json_object_is_refused(document: bytes) -> None:
    """Read as strictly as tokens."""
    with pytest.raises(OutboundFailed, match=r"metadata of https://idp\.example/t1"):
        parse_metadata(document, ISSUER)


@pytest.mark.parametrize(
    ("resource", "url", "path"),
    [  # the examples of RFC 9728 §3.1
        (
            "https://resource.example.com",
            "https://resource.example.com/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
        (
            "https://resource.example.com/resource1",
            "https://resource.example.com/.well-known/oauth-protected-resource/resource1",
            "/.well-known/oauth-protected-resource/resource1",
        ),
    ],
)
def test_metadata_address_of_a_resource(resource: str, url: str, path: str) -> None:
    """The well-known name goes between host and path."""
    assert metadata_url(resource) == url
    assert metadata_path(resource) == path


def test_resource_metadata_leaves_out_what_is_empty() -> None:
    """RFC 9728 §3.2, and tokens in the header only."""
    document = resource_metadata("http://127.0.0.1:8000", authorization_servers=["http://localhost:9000"])
    assert document == {
        "resource": "http://127.0.0.1:8000",
        "authorization_servers": ["http://localhost:9000"],
        "bearer_methods_supported": ["header"],
    }
    full = resource_metadata(
        "https://api.example", authorization_servers=[], scopes_supported=["a"], resource_name="Shop", documentation="d"
    )
    assert (full["scopes_supported"], full["resource_name"], full["resource_documentation"]) == (["a"], "Shop", "d")
    for wrong in ("api.example", "https://api.example#x", "https://api.example?x=1"):
        with pytest.raises(ValueError, match=r"."):
            resource_metadata(wrong, authorization_servers=[])

"""Redirect URIs at registration and at use."""

from __future__ import annotations

import pytest

from idp_mock.redirect_uris import form_action_source, redirect_uri_fault, redirect_uri_matches


@pytest.mark.parametrize(
    ("uri", "application_type"),
    [
        ("https://app.example/cb", "web"),
        ("https://app.example:8443/cb?tenant=1", "web"),
        ("http://127.0.0.1:8000/cb", "web"),
        ("http://localhost:8000/cb", "web"),
        ("http://[::1]:8000/cb", "web"),
        ("http://127.0.0.1/cb", "native"),
        ("http://[::1]/cb", "native"),
        ("com.example.app:/cb", "native"),
        ("https://app.example/cb", "native"),
    ],
)
def test_safe_redirect_uris_can_be_registered(uri: str, application_type: str) -> None:
    """Checklist 30: https, loopback http, and a native client's reverse-domain scheme [RFC 8252 §7]."""
    assert redirect_uri_fault(uri, application_type) is None


@pytest.mark.parametrize(
    ("uri", "application_type"),
    [
        ("http://app.example/cb", "web"),
        ("http://app.example/cb", "native"),
        ("http://localhost/cb", "native"),
        ("http://127.0.0.1.attacker.example/cb", "web"),
        ("http://127.0.0.1:80@attacker.example/cb", "native"),
        ("javascript:alert(1)", "web"),
        ("javascript:alert(1)", "native"),
        ("javascript://app.example/%0aalert(1)", "native"),
        ("data:text/html,x", "native"),
        ("file:///etc/passwd", "native"),
        ("com.example.app:/cb", "web"),
        ("custom:/cb", "native"),
        ("https://app.example/cb#fragment", "web"),
        ("https://app.example/cb#", "web"),
        ("https://user@app.example/cb", "web"),
        ("https://:pass@app.example/cb", "web"),
        ("https://*.app.example/cb", "web"),
        ("https://app.example/a/../cb", "web"),
        ("https://app.example/cb x", "web"),
        ("https://app.example\\@attacker.example/cb", "web"),
        ("https://app.example/cb\n", "web"),
        ("https:///cb", "web"),
        ("https://app.example:99999/cb", "web"),
        ("https://äpp.example/cb", "web"),
        ("//app.example/cb", "web"),
        ("/cb", "web"),
        ("", "web"),
    ],
)
def test_unsafe_redirect_uris_cannot_be_registered(uri: str, application_type: str) -> None:
    """Checklist 30: no http except native loopback (and loopback for the demo), no javascript: or data:."""
    assert redirect_uri_fault(uri, application_type) is not None


def test_only_a_native_loopback_redirect_has_a_free_port() -> None:
    """Checklist 28: a web client's loopback redirect keeps its port; so does a native client's https one."""
    assert redirect_uri_matches("http://127.0.0.1:5/cb", ("http://127.0.0.1/cb",), "native")
    assert redirect_uri_matches("http://127.0.0.1/cb", ("http://127.0.0.1:7/cb",), "native")
    assert redirect_uri_matches("http://[::1]:5/cb?x=1", ("http://[::1]/cb?x=1",), "native")
    assert not redirect_uri_matches("http://127.0.0.1:5/cb", ("http://127.0.0.1/cb",), "web")
    assert not redirect_uri_matches("http://[::1]:5/cb", ("http://127.0.0.1/cb",), "native")
    assert not redirect_uri_matches("https://app.example:5/cb", ("https://app.example/cb",), "native")
    assert not redirect_uri_matches("http://127.0.0.1:5/cb\n", ("http://127.0.0.1/cb",), "native")


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://app.example:8443/cb?x=1", "https://app.example:8443"),
        ("http://127.0.0.1:5/cb", "http://127.0.0.1:5"),
        ("http://[::1]:5/cb", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
    ],
)
def test_the_form_action_source_lets_the_form_end_at_the_client(uri: str, source: str) -> None:
    """CSP has no syntax for an IPv6 host, so the whole scheme is listed there."""
    assert form_action_source(uri) == source

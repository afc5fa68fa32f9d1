"""Where a sign-in may lead back to."""

from __future__ import annotations

import pytest

from secure_api.login.return_to import DEFAULT_PATH, MAX_CHARACTERS, local_path_or_default

HOSTILE = [
    "//evil.example",
    "///evil.example",
    "////evil.example/%2e%2e",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/account\\..\\evil",
    "https://evil.example",
    "http:evil.example",
    "https:/evil.example",
    "HTTPS://evil.example",
    "javascript:alert(1)",
    "JavaScript:alert(1)//",
    "data:text/html,x",
    "evil.example",
    "account",
    "./account",
    "../account",
    "?x=1",
    "#x",
    "@evil.example",
    " /account",
    "/account ",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "/account\r\nSet-Cookie: a=b",
    "/account\x00",
    "/\x7f/evil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%5C%5Cevil.example",
    "%2f%2fevil.example",
    "/%09/evil.example",
    "/%0d%0aSet-Cookie:%20a=b",
    "/%00",
    "/%252fevil.example",
    "/%255cevil.example",
    "/%250d%250ax",
    "/" + "a" * MAX_CHARACTERS,
    "",
]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/account",
        "/account?tab=orders",
        "/account?next=https%3A%2F%2Fshop.example",
        "/account#orders",
        "/a/b/c",
        "/a//b",
        "/%C3%A4",
        "/~user/a.b-c_d:e@f",
        "/" + "a" * (MAX_CHARACTERS - 1),
    ],
)
def test_a_sign_in_leads_back_to_a_path_of_ours(path: str) -> None:
    assert local_path_or_default(path) == path


@pytest.mark.parametrize("value", HOSTILE)
def test_a_link_cannot_lead_a_sign_in_to_another_site(value: str) -> None:
    """No spelling that some browser or proxy reads as another origin, or as a second header, is followed."""
    assert local_path_or_default("/account") == "/account"
    assert local_path_or_default(value) == DEFAULT_PATH


def test_without_a_wish_it_leads_to_the_account() -> None:
    assert local_path_or_default(None) == DEFAULT_PATH

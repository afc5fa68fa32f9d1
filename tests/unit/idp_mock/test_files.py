"""The users and clients files: a fault names file, table and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from idp_mock.clients import Client, load_clients
from idp_mock.config import DEMO_CLIENTS, DEMO_USERS, Config
from idp_mock.toml_file import ConfigError
from idp_mock.users import load_users

SECRET = "s" * 40
CLIENT = """
default_resource = "https://api.example"
[scopes]
"things:read" = "See your things"
[[clients]]
client_id = "app"
type = "confidential"
client_secret = "${APP_SECRET}"
redirect_uris = ["https://app.example/cb"]
scopes = ["openid", "things:read"]
"""
USER = '[[users]]\nusername = "pat"\nsub = "1"\nemail = "pat@example.org"\n'
HASH = "$2b$12$" + "a" * 53


def clients_from(tmp_path: Path, text: str, **environment: str) -> dict[str, Client]:
    file = tmp_path / "clients.toml"
    file.write_text(text)
    return dict(load_clients(file, {"APP_SECRET": SECRET, **environment}).clients)


def test_the_demo_files_load() -> None:
    clients = load_clients(DEMO_CLIENTS, {"SHOP_WEB_CLIENT_SECRET": SECRET, "API_BASE_URL": "https://shop.example"})
    assert clients.default_resource == "https://shop.example"
    web = clients.clients["shop-web"]
    assert "https://shop.example/auth/callback/mock" in web.redirect_uris
    assert web.skips_consent
    assert not clients.clients["example-cli"].confidential
    users = load_users(DEMO_USERS, {})
    assert [user.username for user in users.users] == ["alice", "bob", "carol", "dave", "erin", "mia", "ada"]
    groups = {user.username: user.groups for user in users.users}
    assert (groups["mia"], groups["ada"], groups["erin"]) == (("shop-managers",), ("shop-admins",), ("shop-customers",))


def test_a_secret_is_kept_only_as_a_digest(tmp_path: Path) -> None:
    """Checklist 43: hashed, compared in constant time, and not in the record's text."""
    client = clients_from(tmp_path, CLIENT)["app"]
    assert client.check_client_secret(SECRET)
    assert not client.check_client_secret(SECRET[:-1])
    assert not client.check_client_secret("")
    assert SECRET not in repr(client)
    assert client.secret_digest not in repr(client)
    stored = CLIENT.replace('client_secret = "${APP_SECRET}"', f'client_secret_hash = "sha256:{client.secret_digest}"')
    assert clients_from(tmp_path, stored)["app"].check_client_secret(SECRET)


def test_a_variable_can_have_a_default_and_adds_no_keys(tmp_path: Path) -> None:
    text = CLIENT.replace('"https://app.example/cb"', '"${BASE:-https://app.example}/cb"')
    assert clients_from(tmp_path, text)["app"].redirect_uris == ("https://app.example/cb",)
    assert clients_from(tmp_path, text, BASE="https://b.example")["app"].redirect_uris == ("https://b.example/cb",)
    with pytest.raises(ConfigError, match="redirect_uris"):
        clients_from(tmp_path, text, BASE='https://b.example"]\nconsent = "skip')


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("client_id =", "client_idd =", r"clients\[0\]: client_id: is required"),
        ('scopes = ["openid"', 'scope = []\nscopes = ["openid"', r"clients\[0\]: unknown key 'scope'; .*'scopes'"),
        ("default_resource", "colour = 1\ndefault_resource", r"clients.toml: unknown key 'colour'; known keys"),
        ('"confidential"', '"private"', r"type: 'private' is not one of public, confidential"),
        ('"things:read"]', '"things:write"]', r"scopes: 'things:write' is not one of"),
        ("https://app.example/cb", "http://app.example/cb", r"redirect_uris: 'http://app.example/cb' http is only"),
        ("https://app.example/cb", "javascript:alert(1)", r"redirect_uris: .*'javascript' is not allowed"),
        ("${APP_SECRET}", "short", r"client_secret: must be at least 32"),
        ("${APP_SECRET}", "${NO_SUCH}", r"client_secret: the environment variable NO_SUCH is not set"),
        ('client_secret = "${APP_SECRET}"', "", r"needs client_secret or client_secret_hash"),
        ('client_secret = "${APP_SECRET}"', 'client_secret_hash = "x"', r"client_secret_hash: must be"),
        ('client_secret = "${APP_SECRET}"', "client_secret = 7", r"client_secret: must be a string"),
        ('["https://app.example/cb"]', '"https://app.example/cb"', r"redirect_uris: must be a list"),
        ('["https://app.example/cb"]', "[]", r"redirect_uris: is required for the authorization_code grant"),
        ('["https://app.example/cb"]', '["https://a.example", "https://a.example"]', r"lists a value twice"),
        ('"things:read"]', '"offline_access"]', r"offline_access needs the refresh_token grant type"),
        ("type =", 'grant_types = ["password"]\ntype =', r"grant_types: 'password' is not one of"),
        ("type =", 'resources = ["https://other.example"]\ntype =', r"resources: 'https://other.example' is not"),
        ("type =", 'id_token_signed_response_alg = "none"\ntype =', r"'none' is not one of ES256, RS256"),
        ("type =", 'consent = true\ntype =', r"consent: must be a string"),
        ('"things:read" =', '"things read" =', r"things read: is not a scope name"),
        ("[[clients]]", "[clients]", r"clients: write at least one \[\[clients\]\] table"),
        ("[[clients]]", "[[clients", r"clients.toml: "),
    ],
)  # fmt: skip
def test_a_fault_in_the_clients_file_stops_the_start(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Checklist 30 and the file's own rules; the unchanged file loads."""
    assert "app" in clients_from(tmp_path, CLIENT)
    assert old in CLIENT
    with pytest.raises(ConfigError, match=words):
        clients_from(tmp_path, CLIENT.replace(old, new, 1))


def test_a_public_client_has_no_secret(tmp_path: Path) -> None:
    text = CLIENT.replace('"confidential"', '"public"')
    assert clients_from(tmp_path, text.replace('client_secret = "${APP_SECRET}"', ""))["app"].auth_methods == ("none",)
    with pytest.raises(ConfigError, match="a public client, or one with private_key_jwt, has no secret"):
        clients_from(tmp_path, text)


def test_the_same_client_or_user_twice_is_refused(tmp_path: Path) -> None:
    table = CLIENT[CLIENT.index("[[clients]]") :]
    with pytest.raises(ConfigError, match="two clients have the same client_id"):
        clients_from(tmp_path, CLIENT + table)
    file = tmp_path / "users.toml"
    file.write_text(USER + USER.replace('"pat"', '"PAT"').replace('"1"', '"2"').replace("pat@", "x@"))
    with pytest.raises(ConfigError, match="two users have the same username"):
        load_users(file, {})


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ('password_hash = "secret"', r"users\[0\]: password_hash: is not a bcrypt hash"),
        ('passwort_hash = "x"', r"unknown key 'passwort_hash'; did you mean 'password_hash'"),
        ('acr = ["mfa"]', r"acr: lists 'pwd' and optionally 'mfa'"),
        ("email_verified = 1", r"email_verified: must be true or false"),
        ('groups = "admins"', r"groups: must be a list"),
    ],
)
def test_a_fault_in_the_users_file_stops_the_start(tmp_path: Path, added: str, words: str) -> None:
    file = tmp_path / "users.toml"
    file.write_text(f'{USER}password_hash = "{HASH}"\n')
    assert load_users(file, {}).by_sub("1") is not None
    file.write_text(USER + added)
    with pytest.raises(ConfigError, match=words):
        load_users(file, {})


def test_a_subject_is_printable_ascii(tmp_path: Path) -> None:
    """OIDC Core §2: at most 255 ASCII characters."""
    file = tmp_path / "users.toml"
    for sub in ("é", "a b", "x" * 256):
        file.write_text(USER.replace('"1"', f'"{sub}"'))
        with pytest.raises(ConfigError, match="sub: must be 1 to 255"):
            load_users(file, {})


def test_two_issuers_on_one_path_are_refused() -> None:
    assert Config(issuers=("https://a.example", "https://a.example/b"), environment={})
    with pytest.raises(ConfigError, match="same path"):
        Config(issuers=("https://a.example/b", "https://a.example/b/"), environment={})

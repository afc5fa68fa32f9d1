"""The providers file: what is read, what is refused with which words, and the file that ships."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secure_api.credentials.providers import ProviderRegistry, load_providers
from secure_api.errors import SettingsError

SHIPPED = Path(__file__).parents[3] / "config" / "identity_providers.toml"
GOOD = """
[providers.x]
display_name = "X"
issuer = "https://x.example"
profile = "rfc9068"
audiences = ["https://api.example"]
login = true
client_id = "web"
client_secret = "${X_SECRET:-secret}"
"""


def load(folder: Path, text: str, environment: dict[str, str] | None = None, *, http: bool = False) -> ProviderRegistry:
    path = folder / "providers.toml"
    path.write_text(text)
    return load_providers(path, environment or {}, allow_http_loopback=http)


def test_shipped_file_offers_the_mock_and_says_what_the_others_lack() -> None:
    """The demo's environment enables the mock alone; Google and Okta name their variables."""
    registry = load_providers(SHIPPED, {"SHOP_WEB_CLIENT_SECRET": "s"}, allow_http_loopback=True)
    assert [provider.name for provider in registry] == ["mock"]
    mock = registry.by_issuer("http://localhost:9000")
    assert mock is not None
    assert mock.audiences == {"http://127.0.0.1:8000"}
    assert (mock.client_id, mock.client_secret) == ("shop-web", "s")
    assert mock.roles_for(("shop-managers", "unknown")) == {"manager"}
    assert registry.for_login() == (mock,)
    assert "OKTA_ISSUER" in registry.disabled["okta"]
    assert "GOOGLE_CLIENT_ID" in registry.disabled["google"]
    assert registry.by_issuer("https://accounts.google.com") is None


def test_shipped_file_follows_the_environment() -> None:
    """Other ports, Google and Okta come from variables alone."""
    registry = load_providers(
        SHIPPED,
        {
            "SHOP_WEB_CLIENT_SECRET": "s",
            "IDP_ISSUER": "http://localhost:9100",
            "SECURE_API_BASE_URL": "http://127.0.0.1:8100",
            "GOOGLE_CLIENT_ID": "g",
            "GOOGLE_CLIENT_SECRET": "gs",
            "OKTA_ISSUER": "https://example.okta.com/oauth2/default",
            "OKTA_CLIENT_ID": "o",
            "OKTA_CLIENT_SECRET": "os",
        },
        allow_http_loopback=True,
    )
    assert [provider.name for provider in registry] == ["mock", "google", "okta"]
    mock, google, okta = registry
    assert mock.issuer == "http://localhost:9100"
    assert mock.audiences == {"http://127.0.0.1:8100"}
    assert google.access_tokens is None
    assert google.allowed_domains == frozenset()
    assert "https://oauth2.googleapis.com" in google.origins
    assert okta.access_tokens is not None
    assert okta.access_tokens.client_id_claim == "cid"
    assert okta.origins == {"https://example.okta.com"}


def test_worked_examples_in_the_shipped_file_load(tmp_path: Path) -> None:
    """Keycloak, Entra ID and Auth0 work once uncommented: another provider is a table and no code."""
    text = SHIPPED.read_text()
    examples = text[text.index("# # Keycloak") :]
    uncommented = "\n".join(line.removeprefix("# ") for line in examples.splitlines())
    environment = dict.fromkeys(re.findall(r"\$\{([A-Z0-9_]+)\}", uncommented), "value")
    environment |= {"KEYCLOAK_ISSUER": "https://sso.example/realms/shop", "AUTH0_DOMAIN": "shop.eu.auth0.com"}
    registry = load(tmp_path, uncommented, environment)
    assert [provider.name for provider in registry] == ["keycloak", "entra", "auth0"]
    keycloak, _, auth0 = registry
    assert auth0.issuer == "https://shop.eu.auth0.com/"
    assert keycloak.groups_claim == ("realm_access", "roles")
    assert auth0.groups_claim == ("https://shop.example.com/groups",)


def test_production_does_not_take_the_mock(tmp_path: Path) -> None:
    """Without plain http on loopback the mock's table stops the start if it is on, and not if it is off."""
    assert "mock" in load_providers(SHIPPED, {}).disabled
    with pytest.raises(SettingsError, match=r"\[providers\.mock\] issuer: must be an https address"):
        load_providers(SHIPPED, {"SHOP_WEB_CLIENT_SECRET": "s"})


def test_http_issuer_elsewhere_is_refused_even_in_development(tmp_path: Path) -> None:
    """Plain http is for this very machine."""
    load(tmp_path, GOOD.replace("https://x.example", "http://127.0.0.1:9"), http=True)
    with pytest.raises(SettingsError, match="https"):
        load(tmp_path, GOOD.replace("https://x.example", "http://x.example"), http=True)


def test_issuer_is_looked_up_exactly(tmp_path: Path) -> None:
    """No other spelling of an issuer finds its provider."""
    registry = load(tmp_path, GOOD)
    assert registry.by_issuer("https://x.example") is registry.by_name("x")
    for other in ("https://x.example/", "https://X.example", "HTTPS://x.example", "https://x.example:443", "x", ""):
        assert registry.by_issuer(other) is None


def test_secret_stays_out_of_the_representation(tmp_path: Path) -> None:
    """A provider in a log line or an error report does not give its secret away."""
    provider = load(tmp_path, GOOD, {"X_SECRET": "hush"}).by_name("x")
    assert provider is not None
    assert provider.client_secret == "hush"
    assert "hush" not in repr(provider)


def test_value_of_a_variable_is_not_read_again(tmp_path: Path) -> None:
    """A secret that happens to contain `${NAME}` stays as it is."""
    provider = load(tmp_path, GOOD, {"X_SECRET": "a${X_SECRET}b"}).by_name("x")
    assert provider is not None
    assert provider.client_secret == "a${X_SECRET}b"


def test_disabled_table_is_still_checked(tmp_path: Path) -> None:
    """A misspelling is found before the day the provider is switched on."""
    assert load(tmp_path, f"{GOOD}enabled = false").disabled == {"x": "enabled = false"}
    assert load(tmp_path, f'{GOOD}enabled = "${{X_ON:-false}}"').disabled == {"x": "enabled = false"}
    assert len(load(tmp_path, f'{GOOD}enabled = "${{X_ON:-false}}"', {"X_ON": "true"})) == 1
    assert "X_ON" in load(tmp_path, f'{GOOD}enabled = "${{X_ON}}"').disabled["x"]
    with pytest.raises(SettingsError, match="unknown key"):
        load(tmp_path, f"{GOOD}enabled = false\nloginn = true")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("issur = 'x'", r"\[providers\.x\] issur: unknown key \(did you mean 'issuer'\?\)"),
        ("profil = 'okta'", r"did you mean 'profile'"),
        ("allowed_domain = ['a']", r"did you mean 'allowed_domains'"),
        ("provision = 'logn'", r"provision: 'logn' is not one of login, never, token \(did you mean 'login'\?\)"),
        ("trusts_email = 'yes'", r"trusts_email: must be true or false"),
        ("trusts_email = 1", r"trusts_email: must be true or false"),
        ("login_scopes = 'openid'", r"login_scopes: must be an array of strings"),
        ("login_scopes = ['email']", r"login_scopes: lacks openid"),
        ("login_scopes = ['openid', 'openid']", r"login_scopes: has an entry twice"),
        ("clock_skew_seconds = 61", r"clock_skew_seconds: must be a whole number from 0 to 60"),
        ("clock_skew_seconds = true", r"clock_skew_seconds: must be a whole number"),
        ("clock_skew_seconds = 1.5", r"clock_skew_seconds: must be a whole number"),
        ("id_token_algorithms = ['HS256']", r"'HS256' is not an asymmetric signature algorithm"),
        ("id_token_algorithms = ['none']", r"'none' is not an asymmetric signature algorithm"),
        ("id_token_algorithms = []", r"id_token_algorithms: is empty"),
        ("jwks_uri = 'http://x.example/keys'", r"jwks_uri: .* is not an https address"),
        ("endpoint_origins = ['https://a@b']", r"endpoint_origins: .* is not an https address"),
        ("roles = {a = 1}", r"roles: must be a table of strings"),
        ("roles = ['a']", r"roles: must be a table of strings"),
        ("key_cache = {ttl_second = 1}", r"\[providers\.x\.key_cache\] ttl_second: unknown key"),
        ("key_cache = {ttl_seconds = 0}", r"\[providers\.x\.key_cache\] ttl_seconds: must be"),
        ("key_cache = 1", r"key_cache: must be a table"),
        ("access_tokens = {algorithms = ['HS256']}", r"\[providers\.x\.access_tokens\] algorithms: 'HS256'"),
        ("access_tokens = {scope_form = 'array'}", r"\[providers\.x\.access_tokens\] scope_form"),
        ("access_tokens = {typ = 'x'}", r"\[providers\.x\.access_tokens\] typ: unknown key"),
        ("access_tokens = {max_lifetime_seconds = 999999}", r"max_lifetime_seconds: must be"),
        ("groups_claim = 1", r"groups_claim: must be an array of strings"),
        ("jwks_uri = '${X'", r"jwks_uri: has a \$\{ that is not"),
        ("jwks_uri = '${x}'", r"jwks_uri: has a \$\{ that is not"),
        ("issuer = 'https://y.example'", r"Cannot overwrite a value"),
    ],
)
def test_mistake_stops_the_start_with_file_and_key(change: str, message: str, tmp_path: Path) -> None:
    """The good file loads; with one mistake added, the message names the file, the table and the key."""
    assert len(load(tmp_path, GOOD)) == 1
    with pytest.raises(SettingsError, match=message) as refusal:
        load(tmp_path, GOOD + change)
    assert str(tmp_path / "providers.toml") in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('issuer = "https://x.example"', "", r"issuer: is missing"),
        ('issuer = "https://x.example"', "issuer = 1", r"issuer: must be a string"),
        ('issuer = "https://x.example"', "issuer = 'ftp://x'", r"issuer: 'ftp://x' is not an https address"),
        ('client_id = "web"', "", r"client_id: is missing, and login = true needs it"),
        ('audiences = ["https://api.example"]', "", r"audiences: is missing"),
        ('audiences = ["https://api.example"]', "audiences = ['']", r"audiences: is missing"),
        ('"rfc9068"', '"rfc9086"', r"profile: .*did you mean 'rfc9068'"),
        ('"rfc9068"', '"login-only"\naccess_tokens = {}', r"access_tokens: the profile takes no access tokens"),
        ('"rfc9068"', '"login-only"\nprovision = "token"', r"provision: 'token' needs access tokens"),
        ("[providers.x]", "[provider.x]", r"provider: unknown key \(did you mean 'providers'\?\)"),
        ("[providers.x]", "[providers.X_1]", r"providers: 'X_1' is not a name"),
    ],
)
def test_wrong_value_stops_the_start(old: str, new: str, message: str, tmp_path: Path) -> None:
    """The good file loads; with one value replaced, the message names the key."""
    assert len(load(tmp_path, GOOD)) == 1
    assert old in GOOD
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, GOOD.replace(old, new))


def test_every_fault_is_listed(tmp_path: Path) -> None:
    """One start shows all mistakes."""
    with pytest.raises(SettingsError) as refusal:
        load(tmp_path, f"{GOOD}a = 1\nb = 2\nclock_skew_seconds = 61")
    assert len(refusal.value.faults) == 3


def test_two_enabled_providers_cannot_share_an_issuer(tmp_path: Path) -> None:
    """Else the order of the tables would decide whose rules count."""
    second = GOOD.replace("providers.x", "providers.y")
    assert len(load(tmp_path, f"{GOOD}{second}enabled = false")) == 1
    with pytest.raises(SettingsError, match="another enabled provider has the same"):
        load(tmp_path, GOOD + second)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    """No file, no UTF-8, no TOML: one message each, naming the file."""
    with pytest.raises(SettingsError, match="absent"):
        load_providers(tmp_path / "absent.toml", {})
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(SettingsError, match="latin"):
        load_providers(tmp_path / "latin.toml", {})
    with pytest.raises(SettingsError, match=r"providers\.toml"):
        load(tmp_path, "[[[")
    assert len(load(tmp_path, "")) == 0


def test_profile_members_can_be_overridden(tmp_path: Path) -> None:
    """A dialect is described in the table: types, algorithms, claims, lifetime."""
    text = GOOD + (
        "groups_claim = ['a', 'b']\nclock_skew_seconds = 5\n"
        "[providers.x.access_tokens]\ntoken_types = ['', 'JWT']\nalgorithms = ['ES256']\nsubject_claim = 'oid'\n"
        "client_id_claim = 'azp'\nclient_subject = '{client_id}@clients'\nscope_claim = 'scp'\nscope_form = 'list'\n"
        "required_claims = ['oid']\nforbidden_claims = []\nfixed_claims = {ver = '2.0'}\nmax_lifetime_seconds = 60\n"
    )
    provider = load(tmp_path, text).by_name("x")
    assert provider is not None
    profile = provider.access_tokens
    assert profile is not None
    assert profile.token_types == {"", "jwt"}
    assert (profile.algorithms, provider.id_token_algorithms) == (("ES256",), ("ES256",))
    assert (profile.subject_claim, profile.client_id_claim) == ("oid", "azp")
    assert (profile.client_subject, profile.scope_claim, profile.scope_form) == ("{client_id}@clients", "scp", "list")
    assert profile.required_claims == {"oid"}
    assert profile.forbidden_claims == frozenset()
    assert dict(profile.fixed_claims) == {"ver": "2.0"}
    assert (profile.groups_claim, profile.max_lifetime_seconds, profile.clock_skew_seconds) == (("a", "b"), 60, 5)


OPAQUE = """
[providers.one]
issuer = "https://one.example"
profile = "introspection"
audiences = ["https://api.example"]
client_id = "api"
client_secret = "s3cret"
"""


def test_an_opaque_token_belongs_to_the_provider_it_begins_like(tmp_path: Path) -> None:
    """Else to the one that is asked about any; without one, to nobody."""
    google = OPAQUE.replace("one", "google").replace('"introspection"', '"login-only"').replace("audiences", "# ")
    registry = load(tmp_path, OPAQUE + google + 'opaque_token_prefixes = ["ya29."]\n')
    assert [getattr(registry.of_opaque_token(token), "name", None) for token in ("ya29.x", "other")] == [
        "google",
        "one",
    ]
    assert load(tmp_path, google).of_opaque_token("other") is None


def test_two_providers_cannot_both_be_asked_about_any_token(tmp_path: Path) -> None:
    """A token of the one would be shown to the other."""
    two = OPAQUE + OPAQUE.replace("one", "two")
    with pytest.raises(SettingsError, match="another provider is asked about any opaque token"):
        load(tmp_path, two)
    assert len(load(tmp_path, two + 'opaque_token_prefixes = ["two_"]\n')) == 2


def test_introspection_without_a_secret_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs it, and client_id"):
        load(tmp_path, OPAQUE.replace("client_secret", "# "))


def test_the_shipped_okta_org_table_asks_okta() -> None:
    environment = {
        "OKTA_ORG_ISSUER": "https://example.okta.com",
        "OKTA_ORG_CLIENT_ID": "id",
        "OKTA_ORG_CLIENT_SECRET": "s",
    }
    provider = load_providers(SHIPPED, environment).by_name("okta-org")
    assert provider is not None
    assert provider.introspection
    assert provider.access_tokens is not None
    assert provider.access_tokens.subject_claim == "uid"


def test_accounts_by_token_do_not_go_with_allowed_domains(tmp_path: Path) -> None:
    """An access token names no domain, so the bound would be passed."""
    by_token = GOOD + 'provision = "token"\n'
    assert len(load(tmp_path, by_token)) == 1
    with pytest.raises(SettingsError, match="does not go with allowed_domains"):
        load(tmp_path, by_token + 'allowed_domains = ["example.com"]\n')

"""The identity providers that this deployment trusts: one table each, and no code per provider."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from secure_api.credentials.identity_provider import IdentityProvider, KeyCachePolicy, Provision
from secure_api.credentials.profiles import INTROSPECTED, PROFILES
from secure_api.credentials.provider_tables import TableReader
from secure_api.errors import SettingsError
from secure_api.protocol.jwks import SIGNATURE_ALGORITHMS
from secure_api.protocol.origin import is_trustworthy, origin_of
from secure_api.protocol.rfc9068 import AccessTokenProfile

__all__ = ["IdentityProvider", "KeyCachePolicy", "ProviderRegistry", "Provision", "load_providers"]

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_DAY_SECONDS: Final = 86_400


class ProviderRegistry:
    """The enabled providers. `disabled` says by name why each of the others is not there."""

    __slots__ = ("_by_issuer", "_by_name", "disabled")

    def __init__(self, providers: Mapping[str, IdentityProvider], disabled: Mapping[str, str]) -> None:
        self._by_name = dict(providers)
        self._by_issuer = {provider.issuer: provider for provider in providers.values()}
        self.disabled = MappingProxyType(dict(disabled))

    def by_issuer(self, issuer: str) -> IdentityProvider | None:
        """The provider whose issuer is exactly `issuer`: no case folding, no trailing slash added or taken.

        Source: RFC 8725 §3.8, OIDC Core §3.1.3.7 (2), ASVS v5.0.0-10.3.5.
        """
        return self._by_issuer.get(issuer)

    def by_name(self, name: str) -> IdentityProvider | None:
        """The enabled provider of this table name."""
        return self._by_name.get(name)

    def of_opaque_token(self, token: str) -> IdentityProvider | None:
        """The provider that an opaque `token` belongs to, by how it begins; else the one that is asked about any.

        It names no issuer itself. At most one provider is asked about tokens of an unknown beginning, so that
        no token of one provider is ever shown to another.
        """
        for provider in self:
            if provider.opaque_token_prefixes and token.startswith(provider.opaque_token_prefixes):
                return provider
        return next((one for one in self if _asked_about_any(one)), None)

    def for_login(self) -> tuple[IdentityProvider, ...]:
        """The providers that the sign-in page offers, in the file's order."""
        return tuple(provider for provider in self if provider.login)

    def __iter__(self) -> Iterator[IdentityProvider]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


def load_providers(
    path: Path, environment: Mapping[str, str], *, allow_http_loopback: bool = False
) -> ProviderRegistry:
    """The providers in the TOML file at `path`, wholly checked: a registry, or every fault at once.

    A provider with `enabled = false`, or with a `${NAME}` that `environment` lacks, is left out, and
    `ProviderRegistry.disabled` says why. Its table is checked all the same.

    Args: `environment` fills `${NAME}` and `${NAME:-default}`, and is read only here.
    `allow_http_loopback` admits plain http issuers on this machine, for development.
    Raises: `errors.SettingsError`, each fault with the file, the table and the key.
    Source: ASVS v5.0.0-10.5.3, 13.3.1.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError([f"{path}: {error}"]) from error
    root = TableReader(document, "", environment)
    tables = root.tables("providers")
    root.refuse_unread()
    enabled: dict[str, IdentityProvider] = {}
    disabled: dict[str, str] = {}
    for name, reader in tables.items():
        if not _NAME.fullmatch(name):
            root.fault("providers", f"{name!r} is not a name of lower-case letters, digits and hyphens")
        wanted = reader.flag("enabled", default=True)
        provider = _read_provider(name, reader)
        if not wanted:
            disabled[name] = "enabled = false"
        elif reader.missing_variables:
            disabled[name] = f"not set: {', '.join(dict.fromkeys(reader.missing_variables))}"
        else:
            # Only here: the mock's http issuer must not stop a production start that leaves it out.
            if not is_trustworthy(provider.issuer, allow_http_loopback=allow_http_loopback):
                reader.fault("issuer", "must be an https address")
            if any(other.issuer == provider.issuer for other in enabled.values()):
                reader.fault("issuer", "another enabled provider has the same")
            if _asked_about_any(provider) and any(_asked_about_any(other) for other in enabled.values()):
                reader.fault("opaque_token_prefixes", "is missing: another provider is asked about any opaque token")
            enabled[name] = provider
    if root.faults:
        raise SettingsError([f"{path}: {fault}" for fault in root.faults])
    return ProviderRegistry(enabled, disabled)


def provider_from(name: str, table: Mapping[str, object]) -> IdentityProvider:
    """The provider that `table` describes, checked as if it stood in the file.

    Raises: `errors.SettingsError` with every fault.
    """
    reader = TableReader(table, name, {})
    provider = _read_provider(name, reader)
    if reader.faults:
        raise SettingsError(reader.faults)
    return provider


def _read_provider(name: str, reader: TableReader) -> IdentityProvider:
    profile_name = reader.choice("profile", PROFILES, "oidc")
    clock_skew = reader.seconds("clock_skew_seconds", 30, low=0, high=60)
    groups_claim = reader.path("groups_claim", ("groups",))
    access_tokens = _read_access_tokens(reader, PROFILES[profile_name], clock_skew, groups_claim)
    provider = IdentityProvider(
        name=name,
        display_name=reader.text("display_name") or name,
        issuer=reader.required_text("issuer"),
        profile_name=profile_name,
        access_tokens=access_tokens,
        id_token_algorithms=_algorithms(
            reader, "id_token_algorithms", access_tokens.algorithms if access_tokens else ("RS256",)
        ),
        groups_claim=groups_claim,
        audiences=frozenset(reader.texts("audiences")),
        client_id=reader.text("client_id"),
        client_secret=reader.text("client_secret"),
        login=reader.flag("login", default=False),
        login_scopes=reader.texts("login_scopes", ("openid", "profile", "email")),
        authorized_parties=frozenset(reader.texts("authorized_parties")),
        roles=MappingProxyType(reader.text_table("roles")),
        provision=cast(Provision, reader.choice("provision", ("login", "token", "never"), "never")),
        trusts_email=reader.flag("trusts_email", default=False),
        allowed_domains=frozenset(domain.lower() for domain in reader.texts("allowed_domains")),
        jwks_uri=reader.text("jwks_uri"),
        origins=_read_origins(reader),
        id_token_max_lifetime_seconds=reader.seconds(
            "id_token_max_lifetime_seconds", _DAY_SECONDS, low=60, high=7 * _DAY_SECONDS
        ),
        clock_skew_seconds=clock_skew,
        introspection=profile_name in INTROSPECTED,
        introspection_cache_seconds=reader.seconds("introspection_cache_seconds", 30, low=0, high=300),
        opaque_token_prefixes=reader.texts("opaque_token_prefixes"),
        dpop_required=reader.flag("dpop_required", default=False),
        dpop_clients=frozenset(reader.texts("dpop_clients")),
        dpop_nonce=reader.flag("dpop_nonce", default=False),
        key_cache=_read_key_cache(reader.table("key_cache")),
    )
    reader.refuse_unread()
    if access_tokens and not provider.audiences:
        reader.fault("audiences", "is missing: a token for any other API would be accepted")
    if access_tokens is None and provider.provision == "token":
        reader.fault("provision", f"'token' needs access tokens, and profile {profile_name!r} takes none")
    if provider.provision == "token" and provider.allowed_domains:
        reader.fault("provision", "'token' does not go with allowed_domains: an access token names no domain")
    if provider.introspection and not (provider.client_id and provider.client_secret):
        reader.fault("client_secret", f"profile {profile_name!r} needs it, and client_id, to ask about tokens")
    if provider.login and not provider.client_id:
        reader.fault("client_id", "is missing, and login = true needs it")
    if provider.login and "openid" not in provider.login_scopes:
        reader.fault("login_scopes", "lacks openid, without which no ID token comes back")
    return provider


def _asked_about_any(provider: IdentityProvider) -> bool:
    return provider.introspection and not provider.opaque_token_prefixes


def _read_access_tokens(
    reader: TableReader, base: AccessTokenProfile | None, clock_skew: int, groups_claim: tuple[str, ...]
) -> AccessTokenProfile | None:
    if base is None:
        if reader.has("access_tokens"):
            reader.fault("access_tokens", "the profile takes no access tokens")
        return None
    table = reader.table("access_tokens")
    profile = replace(
        base,
        token_types=frozenset(entry.lower() for entry in table.texts("token_types", base.token_types, empty=True)),
        algorithms=_algorithms(table, "algorithms", base.algorithms),
        subject_claim=table.text("subject_claim") or base.subject_claim,
        client_id_claim=table.text("client_id_claim") or base.client_id_claim,
        client_subject=table.text("client_subject") or base.client_subject,
        scope_claim=table.text("scope_claim") or base.scope_claim,
        scope_form="list" if table.choice("scope_form", ("text", "list"), base.scope_form) == "list" else "text",
        groups_claim=groups_claim,
        required_claims=frozenset(table.texts("required_claims", base.required_claims)),
        forbidden_claims=frozenset(table.texts("forbidden_claims", base.forbidden_claims)),
        fixed_claims=MappingProxyType(table.text_table("fixed_claims")),
        max_lifetime_seconds=table.seconds(
            "max_lifetime_seconds", base.max_lifetime_seconds, low=60, high=_DAY_SECONDS
        ),
        clock_skew_seconds=clock_skew,
    )
    table.refuse_unread()
    return profile


def _algorithms(reader: TableReader, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    names = reader.texts(key, default)
    for name in names:
        if name not in SIGNATURE_ALGORITHMS:
            reader.fault(key, f"{name!r} is not an asymmetric signature algorithm that this API knows")
    if not names:
        reader.fault(key, "is empty")
    return names


def _read_origins(reader: TableReader) -> frozenset[str]:
    """The issuer's own origin, that of a pinned `jwks_uri`, and what `endpoint_origins` adds."""
    origins: set[str] = set()
    found = (("issuer", (reader.text("issuer"),)), ("jwks_uri", (reader.text("jwks_uri"),)))
    for key, urls in (*found, ("endpoint_origins", reader.texts("endpoint_origins"))):
        for url in urls:
            if url and not is_trustworthy(url, allow_http_loopback=True):
                reader.fault(key, f"{url!r} is not an https address")
            elif url:
                origins.add(origin_of(url))
    return frozenset(origins)


def _read_key_cache(table: TableReader) -> KeyCachePolicy:
    base = KeyCachePolicy()
    policy = KeyCachePolicy(
        ttl_seconds=table.seconds("ttl_seconds", base.ttl_seconds, low=1, high=_DAY_SECONDS),
        cooldown_seconds=table.seconds("cooldown_seconds", base.cooldown_seconds, low=1, high=3600),
        retry_seconds=table.seconds("retry_seconds", base.retry_seconds, low=1, high=3600),
        stale_seconds=table.seconds("stale_seconds", base.stale_seconds, low=0, high=7 * _DAY_SECONDS),
    )
    table.refuse_unread()
    return policy

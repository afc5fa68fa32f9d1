"""Which path imitates which provider; every other path is a plain issuer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from idp_mock.config import issuer_path
from idp_mock.profiles import Profile
from idp_mock.profiles.default import DEFAULT_PROFILE
from idp_mock.profiles.google import GOOGLE_PROFILE
from idp_mock.profiles.okta import OKTA_ORG_PROFILE, OKTA_PROFILE

# The end of an issuer's path → what is there. The first two exist in every run.
IMITATED: Mapping[str, Profile] = MappingProxyType(
    {
        "/google": GOOGLE_PROFILE,
        "/okta/oauth2/default": OKTA_PROFILE,
        "/okta": OKTA_ORG_PROFILE,
    }
)
ALWAYS_THERE = ("/google", "/okta/oauth2/default")


def profile_of(issuer: str) -> Profile:
    """The profile of the issuer with this URL."""
    path = issuer_path(issuer)
    return next((profile for end, profile in IMITATED.items() if path.endswith(end)), DEFAULT_PROFILE)

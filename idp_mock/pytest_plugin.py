"""A running identity provider for tests: `pytest_plugins = ["idp_mock.pytest_plugin"]` gives the fixture `idp`.

    def test_an_expired_token_is_refused(idp):
        token = idp.mint({"sub": "usr_1", "scope": "orders:read", "exp": 1})

What a test needs beside it (`OAuthClient`, `Person`) is in `idp_mock.testing`.

PYTEST_DONT_REWRITE: there is no assertion here, and without this word a second module that names the plugin warns.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idp_mock.testing import IdpServer

__all__ = ["IdpServer", "idp"]


@pytest.fixture(scope="session")
def idp() -> Iterator[IdpServer]:
    """A running identity provider with the demo's people and clients, shared by the whole test run."""
    with IdpServer() as server:
        yield server

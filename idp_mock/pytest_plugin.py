"""A running identity provider for tests: `pytest_plugins = ["idp_mock.pytest_plugin"]` gives two fixtures.

    def test_an_expired_token_is_refused(idp):
        token = idp.mint({"sub": "usr_1", "scope": "orders:read", "exp": 1})

    def test_a_foreign_audience_is_refused(hostile_idp):
        hostile_idp.fault("token_aud_swapped", token="id_token")

What a test needs beside it (`OAuthClient`, `Person`) is in `idp_mock.testing`. See idp_mock/README.md.

PYTEST_DONT_REWRITE: there is no assertion here, and without this word a second module that names the plugin warns.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idp_mock.testing import IdpServer

__all__ = ["IdpServer", "hostile_idp", "idp"]


@pytest.fixture(scope="session")
def idp() -> Iterator[IdpServer]:
    """A running identity provider with the demo's people and clients, shared by the whole test run."""
    with IdpServer() as server:
        yield server


@pytest.fixture
def hostile_idp(idp: IdpServer) -> Iterator[IdpServer]:
    """The same provider with an empty log, for a test that sets faults; it is honest again afterwards."""
    idp.clear_log()
    yield idp
    idp.clear_faults()

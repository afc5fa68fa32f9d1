"""Which signature algorithms a JWT may use here: those a caller lists, and no header of the JWT changes that.

RFC 8725 §3.1. `EdDSA` is accepted beside its new name `Ed25519` (RFC 9864), because most clients still send it.
"""

from __future__ import annotations

from collections.abc import Collection

from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry
from joserfc.registry import Header

_MAX_HEADER_BYTES = 4096


class Algorithms(JWSRegistry):
    """Allows exactly the listed algorithms; header members that nobody knows are ignored unless critical."""

    # An RSA key inside a DPoP proof's header alone exceeds the library's limit.
    max_header_length = _MAX_HEADER_BYTES

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(algorithms=list(names), strict_check_header=False)

    def get_alg(self, name: str):  # type: ignore[no-untyped-def]  # the library does not export the type
        """The algorithm, without the library's warning about the old name of Ed25519."""
        if self.allowed is None or name not in self.allowed or name not in self.algorithms:
            raise UnsupportedAlgorithmError("This signature algorithm is not allowed.")
        return self.algorithms[name]

    def check_header(self, header: Header) -> None:
        """Refuses a header whose `alg` is no string, where the library would fail on it."""
        if not isinstance(header.get("alg"), str):
            raise UnsupportedAlgorithmError("The header names no algorithm.")
        super().check_header(header)

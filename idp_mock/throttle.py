"""Slows down guessing of passwords and one-time codes, without letting a stranger lock somebody out.

Failures are counted for a person from one address, for an address, and for a person from everywhere. The last limit
would be a way to lock people out, so it does not hold for an address from which that person has signed in before.
ASVS v5.0.0-6.3.1, OWASP Authentication Cheat Sheet (account lockout).
"""

from __future__ import annotations

from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint

WINDOW_SECONDS = 900
PERSON_AT_ADDRESS, ADDRESS, PERSON = 10, 50, 100
_KNOWN_SECONDS = 30 * 86_400


class SignInThrottle:
    """The limits of one issuer. `name` is what was typed; an unknown person is counted like a known one."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def refuses(self, name: str, address: str) -> bool:
        """Whether to turn this attempt away, right or wrong."""
        person = self._person(name)
        if self._count("pair", person, address) >= PERSON_AT_ADDRESS or self._count("address", address) >= ADDRESS:
            return True
        known_here = self._issuer.stores.seen.get(self._key("known", person, address)) is not None
        return not known_here and self._count("person", person) >= PERSON

    def failed(self, name: str, address: str) -> None:
        person = self._person(name)
        for parts in (("pair", person, address), ("address", address), ("person", person)):
            key = self._key(*parts)
            failures = self._issuer.stores.failures
            if not failures.add(key, 1, WINDOW_SECONDS):
                failures.change(key, lambda count: count + 1)

    def succeeded(self, name: str, address: str) -> None:
        person = self._person(name)
        self._issuer.stores.failures.remove(self._key("pair", person, address))
        self._issuer.stores.seen.put(self._key("known", person, address), True, _KNOWN_SECONDS)

    def _count(self, *parts: str) -> int:
        return self._issuer.stores.failures.get(self._key(*parts)) or 0

    def _person(self, name: str) -> str:
        # The name and the email address of one person are one account.
        user = self._issuer.users.by_hint(name)
        return user.sub if user else name.casefold()

    @staticmethod
    def _key(*parts: str) -> str:
        return "sign-in " + fingerprint("\0".join(parts))

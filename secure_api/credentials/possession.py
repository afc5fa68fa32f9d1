"""What a sender proved to hold beside its access token, and whether the token asks for it (RFC 7800)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secure_api.protocol.reasons import Reason, refused


@dataclass(frozen=True, slots=True)
class Possession:
    """Keys whose private half the sender was seen to hold, by thumbprint; None where it proved none."""

    dpop_thumbprint: str | None = None
    certificate_thumbprint: str | None = None

    def require(self, confirmation: Mapping[str, Any] | None) -> None:
        """Returns only if the sender holds every key that the token's `cnf` names.

        A token that was sent with a proof must be bound, or the proof would prove nothing about it. A kind
        of binding that we do not know counts as not proved.

        Raises: `errors.InvalidToken` with reason NOT_BOUND, WRONG_KEY or SENDER_CONSTRAINED.
        Source: RFC 9449 §7.1 and §7.2, RFC 8705 §3, RFC 7800 §3.1.
        """
        if confirmation is None:
            if self.dpop_thumbprint is not None:
                raise refused(Reason.NOT_BOUND)
            return
        held = {"jkt": self.dpop_thumbprint, "x5t#S256": self.certificate_thumbprint}
        for kind, named in confirmation.items():
            proved = held.get(kind)
            if proved is None:
                raise refused(Reason.SENDER_CONSTRAINED)
            if proved != named:
                raise refused(Reason.WRONG_KEY)
        if self.dpop_thumbprint is not None and "jkt" not in confirmation:
            raise refused(Reason.NOT_BOUND)


NOTHING_PROVED: Final = Possession()

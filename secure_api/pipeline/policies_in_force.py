"""The policies that this process follows: one immutable table, replaced as a whole.

Every request asks once, where its credential is read, and works with the table that it got until it is
answered: no request sees half of two versions. The newest generation is read from the database each
time, so that a reload holds from the next request on, in every worker (ASVS v5.0.0-8.3.2).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Engine

from secure_api.db import AnySession
from secure_api.errors import PolicyError, PolicyFault, ServiceUnavailable, StartupError
from secure_api.pipeline.policy_generations import (
    NO_GENERATION,
    Generation,
    announce_policies,
    newest_generation,
    record_refusal,
)
from secure_api.policy.policy_set import PolicySet

RETRY_SECONDS = 2.0
_log = structlog.get_logger("secure_api.policies")


@dataclass(frozen=True, slots=True)
class _Followed:
    """The table, and the generation that it was compared with; None before the first request."""

    policies: PolicySet
    generation: int | None


class PoliciesInForce:
    """Holds the current table; safe to use from every thread."""

    def __init__(self, first: PolicySet, load: Callable[[], PolicySet], engine: Engine, folder: Path) -> None:
        self._followed = _Followed(first, None)
        self._load = load
        self._engine = engine
        self._folder = folder
        self._lock = threading.Lock()
        self._refused = NO_GENERATION
        self._retry_at = 0.0

    @property
    def current(self) -> PolicySet:
        """The table as this process follows it now; a request takes `for_request` instead."""
        return self._followed.policies

    def for_request(self, session: AnySession) -> PolicySet:
        """The table to answer one request by: that of the newest generation.

        Where this process cannot load it, that is the table before. Raises `ServiceUnavailable` if there
        is none: a process that was never in line with a generation could bring back withdrawn rules.
        """
        newest = newest_generation(session)
        followed = self._followed
        if followed.generation is None or followed.generation < newest.number:
            followed = self._follow(newest)
        if followed.generation is None:
            raise ServiceUnavailable(log_detail="the policies in force cannot be loaded")
        return followed.policies

    def require_loaded(self, session: AnySession) -> None:
        """Pass if this process follows the newest generation. Raises `ServiceUnavailable`, for `/readyz`."""
        self.for_request(session)
        if self._refused != NO_GENERATION:
            raise ServiceUnavailable(log_detail=f"policy generation {self._refused.number} cannot be loaded")

    def announce(self, trigger: str) -> tuple[Generation, bool]:
        """Put the folder's policies in force for every worker; see `announce_policies`, which raises for it."""
        return announce_policies(self._engine, self._load, trigger=trigger)

    def reload(self) -> None:
        """`announce` for a signal: faults are recorded and logged, and nothing is raised."""
        try:
            generation, changed = self.announce("signal")
        except Exception as error:  # it runs in a thread of its own, where nobody would see it
            _log.error("policy_reload_failed", error=type(error).__name__, reason=str(error))
        else:
            _log.info("policy_reload", generation=generation.number, changed=changed)

    def _follow(self, newest: Generation) -> _Followed:
        with self._lock:
            followed = self._followed
            if followed.generation is not None and followed.generation >= newest.number:
                return followed  # another thread was faster
            if self._refused == newest and time.monotonic() < self._retry_at:
                return followed
            try:
                policies = self._loaded(newest, followed)
            except StartupError as error:
                if self._refused != newest:
                    record_refusal(self._engine, error, trigger="generation", generation=newest)
                self._refused, self._retry_at = newest, time.monotonic() + RETRY_SECONDS
                return followed
            self._refused = NO_GENERATION
            self._followed = _Followed(policies, newest.number)
            return self._followed

    def _loaded(self, newest: Generation, followed: _Followed) -> PolicySet:
        if newest.digest in (followed.policies.digest, NO_GENERATION.digest):
            return followed.policies
        policies = self._load()
        # A process that has just started with the files as they are: they came with the deployment.
        has_just_started = followed.generation is None and policies.digest == followed.policies.digest
        if policies.digest != newest.digest and not has_just_started:
            message = (
                f"the files have digest {policies.digest[:16]}, generation {newest.number} is {newest.digest[:16]}: "
                "put the same files here, or run `secure-api policy reload`"
            )
            raise PolicyError([PolicyFault(str(self._folder), 1, 1, message)])
        return policies

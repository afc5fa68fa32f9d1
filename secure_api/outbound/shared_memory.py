"""Redis, as a memory that all workers share: an outage is an exception that the caller must answer."""

from __future__ import annotations

import hashlib
from typing import Final

import redis

from secure_api.errors import OutboundFailed

TIMEOUT_SECONDS: Final = 0.5


class SharedMemory:
    """A few names in Redis, under a prefix of this deployment's own. Opens nothing until it is used."""

    def __init__(self, redis_url: str, secret: str) -> None:
        """Args: `secret` is the deployment's: two deployments on one Redis do not meet."""
        self._prefix = f"secure-api:{hashlib.sha256(f'shared memory:{secret}'.encode()).hexdigest()[:16]}:"
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )

    def set_once(self, name: str, *, seconds: int, now: float) -> tuple[bool, float]:
        """Was `name` set just now for the first time, and since when has this memory forgotten nothing?

        The second is in seconds since 1970. It is kept in Redis itself, so that a flushed or restarted Redis
        begins anew. Both are read and written in one step.

        Raises: `errors.OutboundFailed` where Redis does not answer.
        """
        try:
            with self._redis.pipeline(transaction=True) as steps:
                steps.set(f"{self._prefix}complete-since", repr(now), nx=True)
                steps.get(f"{self._prefix}complete-since")
                steps.set(f"{self._prefix}{name}", b"1", nx=True, ex=seconds)
                _, since, first = steps.execute()
        except redis.RedisError as error:
            raise OutboundFailed(log_detail=f"redis: {type(error).__name__}") from None
        return bool(first), float(since)

    def close(self) -> None:
        """Closes the open connections."""
        self._redis.close()

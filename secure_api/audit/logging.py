"""structlog as JSON lines on standard output: one event is one line, whatever its values hold."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import structlog


def _to_json(_logger: Any, _method: str, event: structlog.typing.EventDict) -> bytes:
    # Everything but plain ASCII is escaped: no line break, terminal code, Unicode separator or direction mark in
    # a value can forge a line, and no lone surrogate can stop one (ASVS v5.0.0-16.4.1).
    return json.dumps(event, default=str, ensure_ascii=True).encode("ascii")


def configure_logging(level: str) -> None:
    """Send structlog events to standard output as JSON, and hold third-party loggers to warnings.

    Authlib's grants log whole token responses at DEBUG: no library logger is ever opened that far.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="logged_at"),
            _to_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)
    for name in ("authlib", "requests", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)

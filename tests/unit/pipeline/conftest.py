"""Callers at the demo shop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.unit.conftest import MakeApp
from tests.unit.pipeline.callers import Callers


@pytest.fixture
def callers_at(make_app: MakeApp) -> Iterator[Callable[..., Callers]]:
    """Callers at a demo shop of their own; keyword arguments change its settings, `app` takes a made one."""
    made: list[Callers] = []

    def make(app: Flask | None = None, **settings: Any) -> Callers:
        callers = Callers.of(app or make_app(seeded=True, **settings))
        made.append(callers)
        return callers

    yield make
    for callers in made:
        callers.close()


@pytest.fixture
def callers(callers_at: Callable[..., Callers]) -> Callers:
    return callers_at()

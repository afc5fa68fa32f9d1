"""Rate limits: what a file must hold, and that each caller has a quota of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from secure_api.errors import RateLimited, SettingsError
from secure_api.settings import PROJECT_ROOT
from secure_api.web.limits import RateLimiter, load_rate_limits

Limits = Callable[[str], RateLimiter]
TWO_OF_EACH = 'address = ["3/hour"]\n[classes]\nread = ["2/hour"]\nwrite = ["2/hour"]\n'


@pytest.fixture
def limiter_of(tmp_path: Path) -> Limits:
    def make(content: str) -> RateLimiter:
        file = tmp_path / "limits.toml"
        file.write_text(content, encoding="utf-8")
        limiter = RateLimiter(load_rate_limits(file), None)
        limiter.init_app(Flask("limits"))
        return limiter

    return make


@pytest.mark.parametrize("name", ["rate_limits.toml", "rate_limits.testing.toml"])
def test_the_shipped_files_are_read(name: str) -> None:
    limits = load_rate_limits(PROJECT_ROOT / "config" / name)
    assert limits.address
    assert limits.classes.keys() == {"read", "write", "page", "login"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "address = ",
        'address = ["3/hour"]',
        "[classes]\nread = ['2/hour']",
        'address = "3/hour"\n[classes]\nread = ["2/hour"]',
        'address = []\n[classes]\nread = ["2/hour"]',
        'address = ["3/hour"]\n[classes]\nread = []',
        'address = ["3/hour"]\n[classes]\nread = ["often"]',
        'address = ["3/hour"]\n[classes]\nread = ["2/fortnight"]',
        'address = ["3/hour"]\n[classes]\nread = [2]',
        'address = ["3/hour"]\nclasses = 1',
        'address = ["3/hour"]\nadress = ["1/hour"]\n[classes]\nread = ["2/hour"]',
    ],
)
def test_a_malformed_file_stops_the_start_and_is_named(limiter_of: Limits, tmp_path: Path, content: str) -> None:
    with pytest.raises(SettingsError) as refused:
        limiter_of(content)
    assert refused.value.faults[0].startswith(f"{tmp_path / 'limits.toml'}: ")


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load_rate_limits(tmp_path / "nowhere.toml")


def test_an_address_cannot_exceed_its_limit(limiter_of: Limits) -> None:
    """The fourth request of one address in the window is refused, and says when to come back."""
    limiter = limiter_of(TWO_OF_EACH)
    for _ in range(3):
        limiter.hit_address("192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        limiter.hit_address("192.0.2.1")
    assert 1 <= refused.value.retry_after_seconds <= 3601
    limiter.hit_address("192.0.2.2")


def test_a_caller_cannot_exceed_the_limit_of_a_class(limiter_of: Limits) -> None:
    """Callers and classes are counted apart; so are a class and the address limit."""
    limiter = limiter_of(TWO_OF_EACH)
    limiter.hit_class("read", "user:1")
    limiter.hit_class("read", "user:1")
    with pytest.raises(RateLimited):
        limiter.hit_class("read", "user:1")
    limiter.hit_class("read", "user:2")
    limiter.hit_class("write", "user:1")
    limiter.hit_address("user:1")


def test_every_limit_of_a_list_holds(limiter_of: Limits) -> None:
    limiter = limiter_of('address = ["100/second", "2/hour"]\n[classes]\nread = ["1/hour"]\n')
    limiter.hit_address("192.0.2.1")
    limiter.hit_address("192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        limiter.hit_address("192.0.2.1")
    assert "2 per 1 hour" in refused.value.log_detail


def test_the_classes_of_the_file_are_known_by_name(limiter_of: Limits) -> None:
    limiter = limiter_of(TWO_OF_EACH)
    assert limiter.class_names == {"read", "write"}


def test_what_repeats_is_told_once_a_minute(limiter_of: Limits) -> None:
    limiter = limiter_of(TWO_OF_EACH)
    assert [limiter.is_first_in_minute("192.0.2.1", "read") for _ in range(5)].count(True) in {1, 2}
    assert limiter.is_first_in_minute("192.0.2.1", "write")
    assert limiter.is_first_in_minute("192.0.2.2", "read")

"""The short form of `make fuzz`: the same targets and seed, fewer inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import run, targets

SEED = 20261122
INPUTS = 1_500
NAMES = ("compact", "token", "header", "claims", "forgery", "json", "base64url", "key set", "proof", "metadata")


def test_every_target_is_run(tmp_path: Path) -> None:
    """The list above is the list of targets."""
    assert set(targets(tmp_path)) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_attacker_cannot_break_the_reader_of(name: str) -> None:
    """Only declared refusals come out, within 50 ms of processor time each; and some inputs get far enough to count."""
    result = run(name, SEED, INPUTS)
    assert result.inputs == INPUTS
    assert result.faults == []
    assert len(result.outcomes) > 1, result.outcomes

"""A handful of the seeded defects; `make mutants-policy` runs them all, for minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .seeded_defects import (
    DECISION,
    DEFECTS,
    EXPLANATION,
    SEMANTICS,
    STATEMENTS,
    Defect,
    copy_of_the_source,
    fits,
    verdicts_on,
)

SHORT_FORM = [
    ("De Morgan forgotten", SEMANTICS),
    ("a deny rule fires only where definitely true", DECISION),
    ("one shared bind for all lists", STATEMENTS),
    ("the SQL of one caller's shape serves every caller", STATEMENTS),
    ("the explanation shows unknown as false", EXPLANATION),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source to put defects into."""
    folder = tmp_path_factory.mktemp("copy")
    copy_of_the_source(folder)
    return folder


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_every_defect_still_fits_the_source(defect: Defect) -> None:
    """A defect that no longer applies proves nothing."""
    assert fits(defect)


@pytest.mark.parametrize(("name", "killer"), SHORT_FORM)
def test_a_seeded_defect_does_not_survive(copy: Path, name: str, killer: str) -> None:
    """The tests that a defect names fail with it; without it the whole suite passes."""
    (defect,) = (defect for defect in DEFECTS if defect.name == name)
    assert killer in defect.killers
    assert [verdict.killed for verdict in verdicts_on(defect, copy, [killer])] == [True]

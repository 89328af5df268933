"""Shapes of public bugs are found by `auto` within 400 schedules, and their twins are silent."""

from __future__ import annotations

import pytest

from gorun_mem.explore import explore
from tests.explore.kernels.shapes import SHAPES

BUDGET = 400
SEEDS = 3
DEEP = "safestack"
"""It needs five preemptions."""
DEEP_BUDGET = 50_000


@pytest.mark.parametrize("name", [name for name in SHAPES if name != DEEP])
def test_auto_finds_it_within_400_schedules(name: str) -> None:
    """In most seeds."""
    buggy, _ = SHAPES[name]
    runs = [
        explore(buggy, seed=seed, budget=BUDGET, canary=False, shrink=False)
        for seed in range(SEEDS)
    ]
    found = [run.statistics.schedules for run in runs if run.failure is not None]
    assert 2 * len(found) > SEEDS, found
    assert max(found) <= BUDGET


def test_auto_finds_the_deep_one() -> None:
    """In some thousand schedules: 2,100 for this seed, 5,000 in the median."""
    buggy, _ = SHAPES[DEEP]
    found = explore(buggy, seed=18, budget=DEEP_BUDGET, canary=False, shrink=False)
    assert found.failure is not None
    assert found.failure.signature.kind == "AssertionError"


@pytest.mark.parametrize("name", SHAPES)
def test_its_twin_is_silent(name: str) -> None:
    """No alarm where nothing is wrong."""
    _, fixed = SHAPES[name]
    found = explore(fixed, seed=1, budget=BUDGET, canary=False, shrink=False)
    assert found.failure is None, found.failure

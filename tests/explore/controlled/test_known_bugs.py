"""The bugs that programs of trio's have are found, made small, replayed; their twins are clean."""

from __future__ import annotations

import pytest

from gorun_mem.explore import Schedule, Target, explore, replay
from gorun_mem.explore.report import COLUMNS, LINES, render
from tests.explore.controlled.known_bugs import BUGS

BUDGET = 300


@pytest.mark.parametrize("name", BUGS)
def test_the_bug_is_found_within_few_schedules(name: str) -> None:
    """By `auto`, from any seed; and what is reported replays to the same failure."""
    bug, _, kind = BUGS[name]
    for seed in range(3):
        found = explore(bug, budget=BUDGET, seed=seed)
        failure = found.failure
        assert failure is not None, found.sentence
        assert failure.signature.kind == kind
        again = replay(Target.of(bug), Schedule.from_token(failure.token))
        assert (again.signature, again.divergence) == (failure.signature, "")
        assert len(failure.steps) <= (failure.shrunk_from or (len(failure.steps), 0))[0]
        screen = render(failure, Target.of(bug)).splitlines()
        assert len(screen) <= LINES
        assert all(len(line) <= COLUMNS for line in screen[:-1])
        assert any("known_bugs.py:" in line for line in screen)


@pytest.mark.parametrize("name", BUGS)
def test_the_twin_has_no_schedule_that_fails(name: str) -> None:
    """All of them are run."""
    _, twin, _ = BUGS[name]
    found = explore(twin, strategy="exhaustive", budget=20_000)
    assert found.outcome == "exhausted", found.sentence

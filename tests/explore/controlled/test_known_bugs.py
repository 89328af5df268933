"""The bugs that programs of trio's have are found, made small, replayed; their twins are clean."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from gorun_mem.explore import Schedule, Target, explore, replay
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.lanes import COLUMNS
from gorun_mem.explore.report import LINES, render
from tests import ROOT
from tests.explore.controlled.known_bugs import BUGS

TO_PASTE = re.compile("token: |replay-schedule ")
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
        assert all(len(line) <= COLUMNS for line in screen if not TO_PASTE.search(line))
        assert any("known_bugs.py:" in line for line in screen)


@pytest.mark.parametrize("name", BUGS)
def test_the_twin_has_no_schedule_that_fails(name: str) -> None:
    """All of them are run."""
    _, twin, _ = BUGS[name]
    found = explore(twin, strategy="exhaustive", budget=20_000)
    assert found.outcome == "exhausted", found.sentence
    by_auto = explore(twin, budget=200)
    assert by_auto.ok, by_auto.sentence
    if by_auto.outcome == "exhausted":
        assert by_auto.statistics.schedules == found.statistics.schedules


def test_detectors_have_nothing_to_say_of_the_twins() -> None:
    """What they look for in locks of the runtime is not in trio's."""
    for name, (_, twin, _) in BUGS.items():
        found = explore(twin, strategy="pos", budget=48, detectors=DEFAULT_DETECTORS)
        assert found.outcome == "survived", (name, found.failure)


SAME = """
import sys
junk = [object() for _ in range(int(sys.argv[1]))]  # tasks lie elsewhere, and sets go by that
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from tests.explore.controlled.known_bugs import BUGS
for bug, _, _ in BUGS.values():
    batch = Worker(Target.of(bug), steps_max=2_000, failures_max=10**9).draw("pos", 0, 48)
    print(batch.steps, sorted(batch.hashes), [found.tape for found in batch.found])
"""


def test_a_search_is_the_same_in_every_process() -> None:
    """Whatever the addresses of tasks, which trio keeps in sets, and the hashes of strings."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", SAME, str(number)],
            env=os.environ | {"PYTHONHASHSEED": str(number)},
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout
        for number in (1, 500)
    }  # fmt: skip
    assert len(printed) == 1

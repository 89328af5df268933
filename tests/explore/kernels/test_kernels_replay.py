"""What a detector finds is a failure as any other: it is shrunk, and its token replays it."""

from __future__ import annotations

import pytest

from gorun_mem.explore import Schedule, Target, explore, replay
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.kernels import KERNELS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lost-update", "race"),
        ("ab-ba", "lock.order"),
        ("rank-inversion", "lock.rank"),
        ("wake-one", "deadlock"),
        ("double-free", "illegal_use"),
    ],
)
def test_token_replays_a_finding(name: str, kind: str) -> None:
    """The token alone leads to a run with the same signature and the same findings."""
    failure = explore(
        KERNELS[name].target(), detectors=DEFAULT_DETECTORS, budget=1_000, canary=False
    ).failure
    assert failure is not None
    assert failure.signature.kind == kind
    assert failure.findings
    schedule = Schedule.from_token(failure.token)
    made = [make() for make in DEFAULT_DETECTORS]
    again = replay(Target.from_about(schedule.about), schedule, detectors=made)
    assert again.signature == failure.signature
    assert again.findings == failure.findings


@pytest.mark.parametrize("name", ["ab-ba", "two-stage", "double-free"])
def test_twin_is_exhausted(name: str) -> None:
    """All schedules of these twins are run, and none fails in the eyes of any detector."""
    found = explore(
        KERNELS[name].twin(),
        strategy="exhaustive",
        detectors=DEFAULT_DETECTORS,
        budget=20_000,
        canary=False,
    )
    assert found.outcome == "exhausted"

"""What a search leaves behind of each run: nothing that the garbage collector has to find."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable

import pytest

from gorun_mem.bench.explore import atomic_target, locked_target
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.library import find
from gorun_mem.machine.world_base import WorldBase
from gorun_mem.runtime.op import MLike, Scheduler
from gorun_mem.step.strategies import drawing, trees

_OF_A_RUN = (WorldBase, MLike, Scheduler)
_IN_A_LOCK = "the runtime"
"""Its locks know Ms and go with the collector, and with them those Ms."""


def _storm() -> Target:
    storm = find("memlock_storm")
    return Target.of(storm, storm.config().but(ms=2), {"rounds": 2})


_TARGETS: dict[str, Callable[[], Target]] = {
    "words": lambda: atomic_target(3, 4),
    "a lock": lambda: locked_target(3, 3),
    _IN_A_LOCK: _storm,
}


def _there() -> Counter[str]:
    """What there is of Worlds, Ms and engines, the collector's finds included."""
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, _OF_A_RUN))


@pytest.mark.parametrize("looking", [False, True], ids=["bare", "with detectors"])
@pytest.mark.parametrize("strategy", [*drawing(), *(name for name in trees() if name != "states")])
@pytest.mark.parametrize("target", _TARGETS)
def test_a_run_that_is_over_is_gone(target: str, strategy: str, looking: bool) -> None:
    worker = Worker(_TARGETS[target](), DEFAULT_DETECTORS if looking else (), steps_max=2_000)

    def search() -> None:
        if strategy in trees():
            worker.tree(strategy, runs=6)
        else:
            worker.draw(strategy, 0, 6)

    gc.freeze()  # what others have left is much, and nobody's concern here
    gc.disable()
    try:
        search()
        gc.collect()
        before = _there()
        search()
        left = _there() - before
    finally:
        gc.enable()
        gc.unfreeze()
    if target == _IN_A_LOCK:
        del left["M"]
    # Of the last run a detector or the strategy may still have something.
    assert left["World"] <= 1, left
    assert left["ExploringEngine"] <= 1, left
    assert left["M"] <= 4, left

"""Failures to report, found by random walks: the plainest of a number of runs."""

from __future__ import annotations

from typing import Any

from gorun_mem.explore.drive import Execution, run_once
from gorun_mem.explore.failure import Failure, words_of
from gorun_mem.explore.target import Target
from gorun_mem.step.strategies.random import RandomWalk


def plainest(target: Target, runs: int = 200, **changes: Any) -> Failure | None:
    """The failure with the fewest forced switches in `runs` random walks; None where none fails."""
    found = [
        failure_of(target, done, seed, **changes)
        for seed in range(runs)
        if (done := run_once(target, RandomWalk(seed), transcribe=True)).signature is not None
    ]
    return min(found, key=lambda f: (f.preemptions, f.switches, f.run), default=None)


def failure_of(target: Target, done: Execution, run: int, **changes: Any) -> Failure:
    """What a search would make of a failed run."""
    assert done.signature is not None
    assert done.transcriber is not None
    facts: dict[str, Any] = {
        "strategy": "random",
        "run": run,
        "stuck": done.world.driver.stuck_at_end,
        "findings": done.findings,
        "ms": {task.id: task.name for task in done.world.engine.tasks},
        "settings": {"release": done.world.settings.release.name},
    }
    return Failure(
        done.signature,
        words_of(done.world, done.findings),
        done.transcriber.schedule(target.about),
        done.named_steps,
        **{**facts, **changes},
    )

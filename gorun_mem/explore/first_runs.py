"""The first runs of a search: what the program is like, and whether it does the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from gorun_mem.explore.drive import Execution
from gorun_mem.explore.history import objects_with_a_model
from gorun_mem.explore.portfolio import BEGINNING
from gorun_mem.explore.rerun import Rerun
from gorun_mem.explore.rounds import Rounds
from gorun_mem.explore.space import branches_log, estimate, profile_of
from gorun_mem.explore.tally import SearchTally
from gorun_mem.explore.work import Yielded
from gorun_mem.explore.worker import Worker
from gorun_mem.step.strategies.random_walk import SearchingWalk

FIRST_RUNS: Final = 8


class FirstRuns:
    """Random walks that are written down; the first is run twice.

    Args:
        worker: runs them, and is told of the `Profile`.
        rerun: runs the first again.
        tally: takes them in.
        rounds: of `auto`, whose first runs are not all walks.
        progress: called with the number of schedules run since the last call.
    """

    def __init__(
        self,
        worker: Worker,
        rerun: Rerun,
        tally: SearchTally,
        rounds: Rounds,
        progress: Callable[[int], None],
    ) -> None:
        self._worker = worker
        self._rerun = rerun
        self._tally = tally
        self._rounds = rounds
        self._progress = progress

    def run(self) -> None:
        """Make them."""
        worker, tally = self._worker, self._tally
        settings = tally.settings
        random = Random(f"{settings.seed}/first")
        walks: list[Execution] = []
        is_auto = settings.strategy == "auto"
        plan = BEGINNING if is_auto else (SearchingWalk.name,) * FIRST_RUNS
        try:
            for number, name in enumerate(plan[: settings.budget]):
                worker.breathe()
                if name == SearchingWalk.name:
                    done = self._walk(random, number)
                    walks.append(done)
                    worker.profile = profile_of(walks)
                else:
                    self._once(name, number)
                if tally.is_enough() or tally.batch.complete:
                    break
                if not number:
                    tally.unsteady = self._rerun.unsteadiness(done)
                    if tally.unsteady is not None:
                        break
        finally:
            self._learn(walks)

    def _once(self, name: str, number: int) -> None:
        """One of the first runs of `auto` that is no walk."""
        tally, done = self._tally, Yielded()
        try:
            self._rounds.once(self._worker, name, number, done)
        finally:
            for batch in done.batches:
                tally.merge(batch)
                tally.batch.complete |= batch.complete
            self._rounds.note(tally.facts)

    def _walk(self, random: Random, number: int) -> Execution:
        """A random walk, written down."""
        walk = SearchingWalk()
        walk.begin(random, self._worker.profile)
        done = self._worker.run(walk, transcribe=True)
        self._tally.take_walk(self._worker, done, number)
        if self._tally.walked is self._tally.batch:
            self._progress(1)
        return done

    def _learn(self, runs: Sequence[Execution]) -> None:
        """Take in what the first runs show of the program."""
        tally = self._tally
        tally.facts.histories = objects_with_a_model(
            step for run in runs for step in run.named_steps
        )
        tally.statistics.space = (
            estimate([branches_log(run.named_steps) for run in runs]) if runs else None
        )
        self._worker.forget()
        if tally.walked is not tally.batch:
            tally.statistics.walks = len(runs)
            tally.batch.uncontrolled = tally.walked.uncontrolled

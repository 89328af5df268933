"""Runs the drawn slices of a portfolio, and looks at what runs cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.detectors.bypasses import Bypasses
from gorun_mem.explore.detectors.fair_cycle import ROUNDS, Cycles
from gorun_mem.explore.drive import Execution, OutOfTime, run_once
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.portfolio import LASSO, Lap, Seen, Sight, Slice
from gorun_mem.explore.positions import Positions
from gorun_mem.explore.worker import Worker
from gorun_mem.step.strategies import searching_class
from gorun_mem.step.strategies.lasso import Lasso
from gorun_mem.step.strategies.pct import Pct
from gorun_mem.step.strategies.returning import Returning
from gorun_mem.step.strategies.searching import Searching

COVERED: Final = 512
"""Of so many schedules of a portfolio each is looked at for what it covers; later one in four, and
each that returns."""
ONE_IN: Final = 4
LENGTH_MAX: Final = 512
"""Decisions that lead to a position; one that is farther is not returned to."""


class Coverage:
    """What the runs of a slice cover.

    Args:
        every: look at each run; at one in `ONE_IN` otherwise.
        returns: see where each run comes to in any case.
    """

    def __init__(self, every: bool, returns: bool = False) -> None:
        self.seen = Seen()
        self._every = every
        self._returns = returns
        self._looks = True
        self._positions = Positions()
        self._cycles = Cycles()
        self._bypasses = Bypasses()
        self.seen.bypasses = self._bypasses.most

    def next_run(self, number: int) -> None:
        """Run `number` of the slice is to begin."""
        self._looks = self._every or not number % ONE_IN

    def detectors(self) -> tuple[Detector, ...]:
        """What looks at the run."""
        if self._looks:
            return (self._positions, self._cycles, self._bypasses)
        return (self._positions,) if self._returns else ()

    def keep(self, tape: Sequence[int]) -> None:
        """Take in where the run came to."""
        if not (self._looks or self._returns):
            return
        shown = self.seen.shown
        for position, length in self._positions.found.items():
            if length > LENGTH_MAX:
                break
            sight = shown.get(position)
            if sight is None:
                shown[position] = Sight(1, tuple(tape[:length]))
            else:
                sight.runs += 1
                if length < len(sight.tape):
                    sight.tape = tuple(tape[:length])
        for stem, ms, steps in self._cycles.found if self._looks else ():
            self.seen.cycles.append(Lap(tuple(tape), stem, ms, steps))


def run_slice(worker: Worker, part: Slice, into: Batch) -> Seen:
    """Run a slice that is drawn.

    Args:
        worker: runs it.
        part: which.
        into: what to add to, which is there also if the search is interrupted.
    """
    if part.strategy == LASSO:
        _go_round(worker, part, into)
        return Seen()
    worker.covering = coverage = Coverage(part.first < COVERED, part.strategy == Returning.name)
    try:
        worker.draw_chunk(into, _strategy(part), part.chunk, part.first, part.runs)
        worker.progress(part.runs)
    except OutOfTime:
        into.out_of_time = True
    finally:
        worker.covering = None
    return coverage.seen


def _strategy(part: Slice) -> Searching:
    if part.strategy == Returning.name:
        return Returning(part.tapes)
    return Pct(part.depth) if part.strategy == Pct.name else searching_class(part.strategy)()


def _go_round(worker: Worker, part: Slice, into: Batch) -> None:
    """See whether what went round once goes on to for ever; report it if it does."""
    try:
        for cycle in part.cycles:
            worker.breathe()
            period = len(cycle.ms)
            rounds = (worker.steps_max - cycle.stem) // period
            endless = Lasso(cycle.tape, cycle.stem, cycle.ms, rounds + 1)
            one = _rope(worker, endless, ())
            one.world.driver.dissolve()
            into.schedules += 1
            into.steps += one.steps
            if endless.made >= max(rounds - 1, ROUNDS):
                again = _rope(
                    worker, Lasso(cycle.tape, cycle.stem, cycle.ms, ROUNDS), worker.detectors
                )
                worker.note(into, again, LASSO, part.first)
            if worker.is_enough(into):
                break
        worker.progress(into.schedules)
    except OutOfTime:
        into.out_of_time = True
    into.by_strategy[LASSO] = into.by_strategy.get(LASSO, 0) + into.schedules


def _rope(worker: Worker, lasso: Lasso, detectors: Sequence[Detector]) -> Execution:
    """A run with a lasso."""
    strategy: Any = lasso
    return run_once(
        worker.target, strategy, detectors=detectors, steps_max=worker.steps_max,
        breathe=worker.breathe, on_world=worker.watched.watch,
    )  # fmt: skip

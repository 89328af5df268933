"""Runs the drawn slices of a portfolio, and looks at what runs cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.detectors.bypasses import Bypasses
from gorun_mem.explore.detectors.fair_cycle import ROUNDS, Cycles
from gorun_mem.explore.drive import Execution, OutOfTime, run_once
from gorun_mem.explore.failure import Detector, Finding
from gorun_mem.explore.portfolio import LASSO, Handover, Lap, Seen, Slice
from gorun_mem.explore.worker import Batch, Worker
from gorun_mem.step.strategies import searching_class
from gorun_mem.step.strategies.lasso import Lasso
from gorun_mem.step.strategies.mutant import Mutant
from gorun_mem.step.strategies.pct import Pct
from gorun_mem.step.strategies.searching import Searching

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.op import Op
    from gorun_mem.step.task import Task

COVERED: Final = 512
"""Of so many schedules of a portfolio each is looked at for what it covers; later one in four."""
ONE_IN: Final = 4


class Handovers:
    """A detector that finds nothing and notes who made which step after whose.

    Attributes:
        pairs: of the run: who made which kind of step on an object after whose of which kind, one
            of the two a change.
    """

    name = "handovers"
    flushes = True

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self.pairs: set[Handover] = set()
        self._last: dict[str, tuple[int, str, bool]] = {}

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note a pair of steps that two Ms made one after the other."""
        m = task.id
        last = self._last.get(obj)
        if last is not None and last[0] != m and not (last[2] and reads):
            self.pairs.add((last[0], last[1], m, kind, obj))
        self._last[obj] = (m, kind, reads)

    def end(self, world: World) -> Sequence[Finding]:
        """Nothing."""
        return ()


class Coverage:
    """What the runs of a slice cover.

    Args:
        every: look at each run; at one in `ONE_IN` otherwise.
    """

    def __init__(self, every: bool) -> None:
        self.seen = Seen()
        self._every = every
        self._looks = True
        self._handovers = Handovers()
        self._cycles = Cycles()
        self._bypasses = Bypasses()
        self.seen.bypasses = self._bypasses.most
        self._known: set[Handover] = set()

    def next_run(self, number: int) -> None:
        """Run `number` of the slice is to begin."""
        self._looks = self._every or not number % ONE_IN

    def detectors(self) -> Sequence[Detector]:
        """What looks at the run."""
        return (self._handovers, self._cycles, self._bypasses) if self._looks else ()

    def keep(self, tape: Sequence[int]) -> None:
        """Keep the run's tape if it has shown something new."""
        if not self._looks:
            return
        news = self._handovers.pairs - self._known
        if news:
            self._known |= news
            self.seen.shown.append((tuple(tape), frozenset(news)))
        for stem, ms, steps in self._cycles.found:
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
    worker.covering = coverage = Coverage(part.first < COVERED)
    try:
        worker.draw_chunk(into, _strategy(part), part.chunk, part.first, part.runs)
        worker.progress(part.runs)
    except OutOfTime:
        into.out_of_time = True
    finally:
        worker.covering = None
    return coverage.seen


def _strategy(part: Slice) -> Searching:
    if part.strategy == Mutant.name:
        return Mutant(part.tapes)
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

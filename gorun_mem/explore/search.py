"""A search: first runs, canary, the strategy, and what is made of it.

    first runs    a few random walks, written down: what the program is like (`Profile`), about how
                  many schedules there are, and whether it does the same under the same schedule
    canary        the same strategy, in the same loop, must find a bug that is planted
    the search    drawn schedules (random, pct, pos, urw, surw) or a tree of them (dfs, exhaustive);
                  auto is a portfolio of both: slices of the tree and of what is drawn by turns
    the failure   run again from its tape, shrunk, run once more for the report

Where the strategy is `auto` or `random` the first runs are a part of the search: they count, and a
failure in one is a failure as any other. Whoever names another strategy gets that one, from the
first schedule of the budget: the walks come before it and are said, not counted. Should one of them
fail, that is reported if the search itself does not find it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore import canary as planted
from gorun_mem.explore.batch import Batch
from gorun_mem.explore.checkpoint import CheckpointError
from gorun_mem.explore.conduct import conduct
from gorun_mem.explore.courses import ByCost, Course, Drawing, whole_tree
from gorun_mem.explore.crews import crew_of
from gorun_mem.explore.detectors.fair_cycle import FairCycle
from gorun_mem.explore.detectors.load import made_by_name
from gorun_mem.explore.drive import OutOfTime
from gorun_mem.explore.failure import Detector, Failure
from gorun_mem.explore.first_runs import FirstRuns
from gorun_mem.explore.foreign import AwaitsTrio
from gorun_mem.explore.keeping import GoneOn, SearchFile
from gorun_mem.explore.rerun import Rerun
from gorun_mem.explore.rounds import Rounds, rounds_of
from gorun_mem.explore.settings import SearchSettings
from gorun_mem.explore.tally import SearchTally
from gorun_mem.explore.taped import STEPS_MAX
from gorun_mem.explore.target import Alone, Main, Target
from gorun_mem.explore.verdict import Exploration, judge
from gorun_mem.explore.work import piece_runs
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.interrupts import interrupts
from gorun_mem.machine.watchdog import LIMIT_S, Watchdog
from gorun_mem.step.engine import STEPS_MAX as RUN_STEPS_MAX
from gorun_mem.step.strategies import is_tree
from gorun_mem.step.strategies.dfs import BoundedDfs
from gorun_mem.step.strategies.exhaustive import Exhaustive
from gorun_mem.step.strategies.states import States

if TYPE_CHECKING:
    from pathlib import Path

    from gorun_mem.machine.scenario import Scenario

BUDGET: Final = 2_000
"""Schedules, where neither budget nor time is given."""
SPACE_SMALL: Final = 1e6
"""`auto` tries to be exhaustive where there seem to be no more schedules: nearly all of them differ
in the order of independent steps only."""


def explore(
    program: Scenario | Main | Alone | Target,
    *,
    config: Config | None = None,
    options: Mapping[str, Any] | None = None,
    memory: str | None = None,
    strategy: str = "auto",
    budget: int | None = None,
    time_s: float | None = None,
    seed: int = 0,
    jobs: int = 1,
    detectors: Sequence[Callable[[], Detector] | str] = (),
    bound: int | None = None,
    steps_max: int | None = None,
    failures_max: int = 1,
    shrink: bool = True,
    canary: bool = True,
    watch_s: float = LIMIT_S,
    progress: Callable[[int], None] | None = None,
    resume: Path | None = None,
    cluster: str = "",
) -> Exploration:
    """Search the schedules of a program for one that breaks it.

    Args:
        program: a scenario, an `async def main(world)`, an `async def main()` that awaits trio, or
            a target.
        config: settings of the Worlds; see `Target.of`.
        options: a scenario's options.
        memory: "sc" or "tso", as in `Config`; what `config` says if None.
        strategy: one of `for_searches()`.
        budget: schedules to run at most; BUDGET where no time is given either, but for "states".
        time_s: seconds of real time to search for at most. Shrinking takes as long again at most.
        seed: of everything that is drawn.
        jobs: processes to search in.
        detectors: what makes detectors, called once a process, or names as of `load_detector`.
        bound: of "dfs": departures from run-to-block at most.
        steps_max: steps after which a run counts as without progress; see `steps_bound`.
        failures_max: failures of different signatures to find before stopping.
        shrink: make the failing schedules small.
        canary: look for the planted bug first.
        watch_s: how long an M may run without an await, in seconds of real time; 0 for ever.
        progress: called with the number of schedules run since the last call.
        resume: a file that the search is kept in each minute and at its end, and that it goes on
            from where it is there.
        cluster: address of a Dask scheduler whose workers search, in place of processes here.

    Raises:
        ConfigError and its like: settings or options are wrong; nothing was run.
    """
    if isinstance(program, Target):
        target = program if memory is None else program.with_memory(memory)
    else:
        target = Target.of(program, config, options, memory)
    if steps_max is None:
        steps_max = steps_bound(target)
    if budget is None and time_s is None and strategy != States.name:
        budget = BUDGET
    settings = SearchSettings(
        strategy=strategy, seed=seed, budget=budget, time_s=time_s, jobs=jobs, bound=bound,
        steps_max=steps_max, failures_max=failures_max, canary=canary, watch_s=watch_s,
        cluster=cluster,
    )  # fmt: skip
    progress = progress or _nobody_asks
    try:
        return _Search(target, settings, detectors, progress, resume).run(shrink)
    except AwaitsTrio:
        target.control_trio()
        return _Search(target, settings, detectors, progress, resume).run(shrink)


def steps_bound(target: Target) -> int:
    """The bound of steps that a program's settings name, or that of searches."""
    given = target.config.steps_max
    return STEPS_MAX if given == RUN_STEPS_MAX else given


class _Search:
    """One search.

    Args:
        target: the program.
        settings: how to search.
        detectors: what makes detectors.
        progress: called with the number of schedules run since the last call.
        resume: the file that it is kept in.
    """

    def __init__(
        self,
        target: Target,
        settings: SearchSettings,
        detectors: Sequence[Callable[[], Detector] | str],
        progress: Callable[[int], None],
        resume: Path | None = None,
    ) -> None:
        self.target = target
        self.settings = settings
        self.progress = progress
        makers = made_by_name(detectors)
        if settings.strategy == "auto" and FairCycle not in makers:
            makers = (*makers, FairCycle)
        self._factories = makers
        self._start = time.time()
        time_s = settings.time_s
        self._deadline = None if time_s is None else self._start + time_s
        self._tally = SearchTally(target, settings)
        self._facts = self._tally.facts
        self._worker = Worker(
            target,
            makers,
            seed=settings.seed,
            steps_max=settings.steps_max,
            deadline=self._deadline,
            failures_max=settings.failures_max,
        )
        self._worker.progress = progress
        self._worker.watch_s = settings.watch_s
        self._rerun = Rerun(self._worker, settings.time_s)
        self._rounds = rounds_of(self._worker)
        self._course: Course | None = None
        self._begun = False
        self._spent = 0
        self._shows = True
        self._file: SearchFile | None = None
        if resume is not None and settings.strategy == States.name:
            raise CheckpointError(
                f"{resume}: the states that --strategy states has visited are kept in no file: "
                "leave --resume out, or search by --strategy exhaustive"
            )
        if resume is not None:
            self._file = SearchFile(resume, settings, self._factories)
            self._go_on(self._file)

    def run(self, shrink: bool) -> Exploration:
        """Search, then make reports of what was found."""
        watchdog = self._worker.watchdog()
        failures: tuple[Failure, ...] = ()
        with watchdog:
            try:
                with interrupts() as asked:
                    self._worker.interrupted = asked.is_set
                    self._search()
            except KeyboardInterrupt:
                self._facts.interrupted = True
            except OutOfTime:
                self._facts.out_of_time = True
            self._worker.interrupted = _never
            self._count()
            try:
                failures = self._failures(watchdog, shrink and not self._facts.interrupted)
            except KeyboardInterrupt:
                self._facts.interrupted = True
                failures = self._failures(watchdog, False)
        verdict, reason = judge(self._facts, self._tally.statistics, len(failures))
        return Exploration(
            name=self.target.name,
            strategy=self.settings.strategy,
            seed=self.settings.seed,
            verdict=verdict,
            reason=reason,
            statistics=self._tally.statistics,
            failures=failures,
            interrupted=self._facts.interrupted,
            about=self.target.about,
            world=self._facts.world(),
        )

    # The search.

    def _search(self) -> None:
        tally = self._tally
        if not self._begun:
            FirstRuns(self._worker, self._rerun, tally, self._rounds, self.progress).run()
            if tally.is_enough() or tally.unsteady is not None or self._facts.complete:
                if tally.unsteady is None:
                    self._keep(True)
                return
            if self.settings.canary:
                self._facts.canary_found = planted.is_found(
                    self.settings.strategy, self.settings.seed
                )
                if not self._facts.canary_found:
                    return
            if self.settings.strategy == States.name:
                self._visit_states()
                return
            self._course = self._begin_course()
            self._begun = True
        if tally.is_enough() or self._course is None:
            return
        self._keep(True)
        try:
            with crew_of(self._worker, self._factories, self.settings) as crew:
                self._shows = crew.shows
                conduct(self._course, crew, self._take, self._keep)
                if self._worker.interrupted():
                    raise KeyboardInterrupt
        finally:
            self._facts.out_of_time |= tally.batch.out_of_time
            self._course.note(self._facts)

    def _visit_states(self) -> None:
        """What states there are is known in one process only, and in no file."""
        batch, facts = Batch(), self._facts
        try:
            self._worker.tree(States.name, runs=self._tally.left(), into=batch)
        finally:
            self._shows = True
            self._take(batch)
        facts.complete, facts.rested = batch.complete, batch.rested
        facts.out_of_steps, facts.out_of_budget = batch.out_of_steps, batch.out_of_budget
        facts.out_of_time |= batch.out_of_time
        facts.by_counts, facts.incomparable, facts.out_of_states = batch.of_states

    def _begin_course(self) -> Course:
        settings, left = self.settings, self._tally.left()
        self._spent = self._tally.batch.schedules
        piece = piece_runs(self._worker.profile.steps.values())
        if settings.strategy == "auto":
            space = self._tally.statistics.space
            small = space is not None and space <= SPACE_SMALL
            self._rounds.plan(self._worker, small, left)
            return self._rounds
        if settings.strategy == BoundedDfs.name:
            return ByCost(settings.bound, left)
        if settings.strategy == Exhaustive.name:
            entangled = bool(self.target.host) or self._tally.walked.keeps_time
            return whole_tree(left, piece, entangled=entangled)
        return Drawing(settings.strategy, left)

    def _take(self, batch: Batch) -> bool:
        """Take in what came of some schedules; whether to go on."""
        tally = self._tally
        for found in batch.found:
            if is_tree(found.strategy):
                found.run += tally.batch.schedules
        if not self._shows:
            self.progress(batch.schedules)
        tally.merge(batch)
        return not (tally.is_enough() or tally.batch.out_of_time or batch.complete)

    # The file that it is kept in.

    def _keep(self, last: bool) -> None:
        """Everything that was told of has been taken in, and nothing besides."""
        if self._file is not None:
            course = self._course
            if course is None and self.settings.strategy == "auto":
                course = self._rounds
            now = GoneOn(time.time() - self._start, self._spent, course)
            self._file.keep(last, self._worker, self._tally, now)

    def _go_on(self, file: SearchFile) -> None:
        """Stand where the file says, if there is one."""
        found = file.go_on(self._worker, self._tally)
        if found is None:
            return
        self._begun = True
        self._start -= found.seconds
        self._spent = found.spent
        if self.settings.time_s is not None:
            self._deadline = self._worker.deadline = self._start + self.settings.time_s
        course = found.course
        if isinstance(course, Rounds):
            self._rounds = course
            course.note(self._facts)
            if course.portfolio is None or course.complete:
                return
        self._course = course

    # What is made of it.

    def _count(self) -> None:
        self._tally.add_walked()
        self._tally.count()
        self._tally.statistics.bypasses = self._rounds.bypasses
        self._tally.statistics.seconds = time.time() - self._start

    def _failures(self, watchdog: Watchdog, shrink: bool) -> tuple[Failure, ...]:
        found = [self._rerun.failure(one, watchdog, shrink) for one in self._tally.batch.found]
        if self._tally.unsteady is not None:
            found.append(self._tally.unsteady)
        return tuple(found[: self.settings.failures_max])


def _never() -> bool:
    return False


def _nobody_asks(runs: int) -> None:
    """Progress is not shown."""

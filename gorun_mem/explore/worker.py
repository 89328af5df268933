"""The part of a search that runs schedules: in this process, or in several.

Drawn schedules are numbered, and made in chunks that each have a generator of their own, seeded by
the search's seed and the chunk's number. So which schedules are run does not depend on how many
processes share them out. A tree of schedules is shared out by its starts (see `Exhaustive`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from gorun_mem.explore.batch import Batch, Found
from gorun_mem.explore.controlled.every_order import EveryOrder
from gorun_mem.explore.drive import Execution, OutOfTime, run_once, run_under
from gorun_mem.explore.failure import Detector, Signature
from gorun_mem.explore.portfolio import CHUNK, FIRST, Covering
from gorun_mem.explore.screen import Screen
from gorun_mem.explore.space import handovers
from gorun_mem.explore.states.visit import visit
from gorun_mem.explore.taped import STEPS_MAX, OutOfSteps, Supervision
from gorun_mem.explore.target import Target
from gorun_mem.explore.watched import Watched
from gorun_mem.machine.forgotten import Nobody
from gorun_mem.machine.watchdog import LIMIT_S, Watchdog
from gorun_mem.step.strategies import searching_class
from gorun_mem.step.strategies.dfs import BoundedDfs, Branch, Left
from gorun_mem.step.strategies.exhaustive import Exhaustive
from gorun_mem.step.strategies.replay import Picks
from gorun_mem.step.strategies.searching import (
    NonDeterminism,
    Profile,
    Redundant,
    Searching,
)
from gorun_mem.step.strategies.states import States

SAMPLED_CHUNKS: Final = 8
"""One schedule in the first of so many chunks is written down, for what it covers."""


class Worker:
    """Runs schedules of one program.

    Args:
        target: the program.
        detectors: what makes the detectors that look at each run.
        seed: of everything that is drawn.
        steps_max: bound of steps of a run.
        profile: what is known of the program.
        deadline: when to stop, by `time.time`; None for never.
        failures_max: how many failures to find before stopping.
    """

    def __init__(
        self,
        target: Target,
        detectors: Sequence[Callable[[], Detector]] = (),
        *,
        seed: int = 0,
        steps_max: int = STEPS_MAX,
        profile: Profile | None = None,
        deadline: float | None = None,
        failures_max: int = 1,
        watch_s: float = LIMIT_S,
    ) -> None:
        self.target = target
        self.detectors = [make() for make in detectors]
        self._live = [one for one in self.detectors if not getattr(one, "screened", False)]
        self._close = [one for one in self.detectors if getattr(one, "screened", "") != "made"]
        suspect = [one for one in self.detectors if getattr(one, "screened", "") is True]
        self._screen = Screen() if suspect else None
        self.seed = seed
        self.steps_max = steps_max
        self.profile = profile or Profile()
        self.deadline = deadline
        self.watch_s = watch_s
        self.watched = Watched()
        self.progress: Callable[[int], None] = lambda runs: None
        self.interrupted: Callable[[], bool] = lambda: False
        self.is_stopped: Callable[[], bool] = lambda: False
        self._failures_max = failures_max
        self.covering: Covering | None = None
        self._covered: Covering | None = None
        self._bound = steps_max
        self._over_runs: dict[tuple[bool, tuple[Detector, ...]], Supervision] = {}
        self._signatures: set[Signature] = set()

    def watchdog(self) -> Watchdog:
        """To be entered around runs: stops a program that loops without awaiting anything."""
        return Watchdog(self.watched, self.watch_s)

    def run(self, strategy: Any, *, transcribe: bool = False) -> Execution:
        """One run.

        Raises:
            OutOfTime: the time was up in the middle of it.
        """
        closely = transcribe or isinstance(strategy, States)  # which may be broken off
        over = self._over(closely)
        done = run_under(over, strategy, transcribe, self.watched.watch)
        screen = over.screen
        if screen is None or done.foreign:
            return done
        if done.signature is None and not screen.suspects():
            return done
        return self._look_closely(done, screen)

    def _over(self, closely: bool) -> Supervision:
        """Who watches over a run; made again only where it is not as in those before."""
        covering = self.covering
        looking = covering.detectors() if covering is not None else ()
        if covering is not self._covered or self._bound != self.steps_max:
            self._covered, self._bound = covering, self.steps_max
            self._over_runs.clear()
        over = self._over_runs.get((closely, looking))
        if over is None:
            detectors = [*(self.detectors if closely else self._live), *looking]
            screen = None if closely else self._screen
            over = Supervision(self.target, self.steps_max, detectors, self.breathe, screen)
            self._over_runs[closely, looking] = over
        return over

    def _look_closely(self, done: Execution, screen: Screen) -> Execution:
        """A run again that has failed, or may be wrong, with every detector looking on."""
        try:
            again = run_once(
                self.target,
                Picks(done.tape),
                detectors=self._close,
                # It may have gone on by chance beyond the bound, for as long again.
                steps_max=self.steps_max + self.steps_max,
                on_world=self.watched.watch,
            )
        except NonDeterminism:
            return done  # whoever makes a report of it will see that
        if again.signature is None:
            screen.clear()
        first: Any = done.world.engine
        second: Any = again.world.engine
        second.unfair = first.unfair
        done.world.driver.dissolve()
        return again

    def draw(self, strategy: str, first: int, runs: int, into: Batch | None = None) -> Batch:
        """Run `runs` schedules by a strategy that draws, from number `first` on.

        Args:
            strategy: one of `drawing()`, or "auto".
            first: number of the first schedule; those before it in its chunk are run and not
                counted, for the chunk has one generator.
            runs: how many.
            into: what to add to, which is there also if the search is interrupted.
        """
        batch = Batch() if into is None else into
        made: dict[str, Searching] = {}
        try:
            for start in range(first - first % CHUNK, first + runs, CHUNK):
                chunk = start // CHUNK
                name = FIRST[chunk % len(FIRST)] if strategy == "auto" else strategy
                searching = made.get(name)
                if searching is None:
                    searching = made[name] = searching_class(name)()
                count = min(CHUNK, first + runs - start)
                before = max(first - start, 0)
                self.draw_chunk(batch, searching, chunk, start, count, before)
                self.progress(count - before)
                if self.is_enough(batch):
                    break
        except OutOfTime:
            batch.out_of_time = True
        return batch

    def draw_chunk(
        self,
        batch: Batch,
        searching: Searching,
        chunk: int,
        start: int,
        count: int,
        before: int = 0,
    ) -> None:
        """Run `count` schedules from number `start` on, drawn from the generator of a chunk; the
        first `before` of them are not counted."""
        random = Random(f"{self.seed}/{chunk}")
        sampled = chunk % SAMPLED_CHUNKS == 0
        hashes = batch.hashes
        steps = 0
        done = 0
        try:
            with Nobody():
                for number in range(count):
                    self.breathe()
                    searching.begin(random, self.profile)
                    if self.covering is not None:
                        self.covering.next_run(number)
                    if number < before:
                        self.run(searching).world.driver.dissolve()
                        continue
                    one = self.run(searching, transcribe=sampled and not number)
                    if self.covering is not None:
                        self.covering.keep(one.tape)
                    done += 1
                    steps += one.steps
                    hashes.add(hash(tuple(one.tape)))
                    if one.signature is not None or one.foreign or one.transcriber is not None:
                        self.note(batch, one, searching.name, start + number)
                        if self.is_enough(batch):
                            return
                    engine: Any = one.world.engine
                    batch.unfair += engine.unfair
                    batch.timed |= engine.timed
                    one.world.driver.dissolve()
        finally:
            batch.schedules += done
            batch.steps += steps
            by = batch.by_strategy
            by[searching.name] = by.get(searching.name, 0) + done

    def tree(
        self,
        strategy: str,
        *,
        bound: int | None = None,
        runs: int | None = None,
        into: Batch | None = None,
    ) -> Batch:
        """Go through a tree of schedules, all in one.

        Args:
            strategy: one of `trees()`.
            bound: of "dfs": departures from run-to-block at most; None for any number.
            runs: schedules at most, those in vain too; None for any number.
            into: what to add to, which is there also if the search is interrupted.
        """
        batch = Batch() if into is None else into
        searching: Any
        if strategy == States.name:
            searching = States()
        else:
            is_dfs = strategy == BoundedDfs.name
            searching = BoundedDfs(bound) if is_dfs else whole_tree(self.target)
        random = Random(self.seed)
        try:
            if strategy == States.name:
                batch.complete = visit(self, batch, runs=runs)
            else:
                batch.complete = self.climb(batch, searching, random, runs)
        except OutOfTime:
            batch.out_of_time = True
        except NonDeterminism as error:
            batch.found.append(unsteady(searching, error))
        finally:
            batch.by_strategy[strategy] = batch.schedules
            if strategy == BoundedDfs.name:
                batch.bound = bound_of(searching, batch)
            elif strategy != States.name:
                batch.rested, batch.keeps_time = searching.rested, searching.keeps_time
                batch.complete = batch.complete and not batch.keeps_time
        return batch

    def follow(self, branch: Branch) -> tuple[Batch, list[Left]]:
        """Run a branch of a depth-first search, whatever came of those before.

        Returns:
            What came of it, and what it left.
        """
        batch = Batch()
        self._signatures.clear()
        searching = BoundedDfs()
        searching.follow(branch)
        try:
            self.breathe()
            self._count(batch, searching, self.run(searching))
        except OutOfTime:
            batch.out_of_time = True
        except OutOfSteps:
            batch.out_of_steps = True
        except NonDeterminism as error:
            batch.found.append(unsteady(searching, error))
        batch.by_strategy[searching.name] = batch.schedules
        return batch, searching.left()

    def climb(self, batch: Batch, searching: Any, random: Random, runs: int | None) -> bool:
        """Run the schedules of a tree, `runs` at most; whether nothing of it was left."""
        with Nobody():
            while searching.begin(random, self.profile):
                self.breathe()
                if runs is not None and batch.schedules + batch.redundant >= runs:
                    batch.out_of_budget = True
                    return False
                self.branch(batch, searching)
                if self.is_enough(batch):
                    return False
        return not batch.out_of_steps

    def branch(self, batch: Batch, searching: Any) -> bool:
        """Run a schedule of a tree, which `begin` has led to; whether it came to its end."""
        if self.covering is not None:
            self.covering.next_run(batch.schedules)
        try:
            one = self.run(searching)
        except Redundant:
            searching.ended()
            batch.redundant += 1
            return True
        except OutOfSteps:
            searching.ended()
            batch.out_of_steps = True
            return False
        searching.ended()
        if self.covering is not None:
            self.covering.keep(one.tape)
        self._count(batch, searching, one)
        one.world.driver.dissolve()
        self.progress(1)
        return True

    def _count(self, batch: Batch, searching: Any, one: Execution) -> None:
        """Take in one schedule of a tree."""
        batch.schedules += 1
        batch.steps += one.steps
        engine: Any = one.world.engine
        batch.timed |= engine.timed
        if one.signature is not None or one.foreign:
            self.note(batch, one, searching.name, batch.schedules - 1)

    def forget(self) -> None:
        """Report again what was found so far, should it be found again."""
        self._signatures.clear()

    def note(self, batch: Batch, one: Execution, strategy: str, run: int) -> None:
        """Keep what is to be known of one run."""
        if one.transcriber is not None:
            batch.handovers |= handovers(one.named_steps)
        batch.decisions = max(batch.decisions, len(one.tape))
        if one.foreign and one.foreign not in batch.uncontrolled:
            batch.uncontrolled.append(one.foreign)
        if one.signature is not None and one.signature not in self._signatures:
            self._signatures.add(one.signature)
            batch.found.append(Found(run, strategy, one.signature, list(one.tape)))

    def is_enough(self, batch: Batch) -> bool:
        """Whether there is nothing more to search for."""
        return bool(batch.uncontrolled) or len(self._signatures) >= self._failures_max

    def breathe(self) -> None:
        """See whether to go on.

        Raises:
            KeyboardInterrupt: the search is interrupted.
            OutOfTime: the time is up, or the process that this one works for wants no more.
        """
        if self.interrupted():
            raise KeyboardInterrupt
        if self.is_stopped() or (self.deadline is not None and time.time() >= self.deadline):
            raise OutOfTime


def whole_tree(target: Target) -> Exhaustive | EveryOrder:
    """An exhaustive search of a program.

    Of a program that awaits trio it is `EveryOrder`: what a task touches between two awaits nobody
    knows, so no two of its steps commute.
    """
    return EveryOrder() if target.host else Exhaustive()


def bound_of(dfs: BoundedDfs, batch: Batch) -> int | None:
    """The departures up to which all was run; None if there are none with more, -1 for none."""
    if batch.out_of_steps:
        return -1
    if batch.complete:
        return dfs.bound if dfs.beyond else None
    return dfs.bound - 1


def unsteady(searching: Any, error: NonDeterminism) -> Found:
    """The program did not do the same again, and that is what was found."""
    signature = Signature("nondeterminism", str(error))
    return Found(0, searching.name, signature, [])

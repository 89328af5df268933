"""A failure run again from its tape: is it one, how small is it, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.batch import Found
from gorun_mem.explore.detectors.load import record
from gorun_mem.explore.drive import Execution, replay
from gorun_mem.explore.failure import Failure, Signature, history_of, words_of
from gorun_mem.explore.shrink import SECONDS_MAX, Shrinker
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.watchdog import LoopWithoutAwait, Watchdog
from gorun_mem.step.schedule import Schedule
from gorun_mem.step.strategies.replay import Picks
from gorun_mem.step.strategies.searching import NonDeterminism

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.step.schedule import Step

NONDETERMINISM: Final = "nondeterminism"
_UNSTEADY: Final = (
    "The program does not do the same under the same schedule: {}. No schedule can be searched or "
    "replayed until it does. Look for a clock, a random generator without a seed, the order of a "
    "set, or state that outlives a run."
)


class Rerun:
    """Runs what a search has found once more.

    Args:
        worker: runs it.
        time_s: for how long the search may take, in seconds; shrinking takes as long at most.
    """

    def __init__(self, worker: Worker, time_s: float | None) -> None:
        self._worker = worker
        self._target = worker.target
        self._time_s = time_s

    def unsteadiness(self, done: Execution) -> Failure | None:
        """The failure to do the same again under the same schedule, if it is one."""
        if done.foreign or loops(done):
            return None
        try:
            again = self._pick(done.tape)
        except NonDeterminism as error:
            return self._unsteady(done, str(error))
        before, now = done.named_steps, again.named_steps
        for number, (a, b) in enumerate(zip(before, now, strict=False), 1):
            if a != b:
                return self._unsteady(done, f"step {number} was {a}, and then it was {b}")
        if len(before) != len(now) or done.signature != again.signature:
            return self._unsteady(
                done,
                f"it ended after {len(before)} steps with {done.signature or 'success'}, and then "
                f"after {len(now)} with {again.signature or 'success'}",
            )
        return None

    def failure(self, found: Found, watchdog: Watchdog, shrink: bool) -> Failure:
        """The report of a failure.

        Args:
            found: the failure.
            watchdog: of the search; knows about loops without an await.
            shrink: make its schedule small.
        """
        if found.signature.kind == NONDETERMINISM:
            return Failure(
                found.signature, _UNSTEADY.format(found.signature.obj), Schedule(), (),
                found.strategy, found.run, settings=self._settings(),
            )  # fmt: skip
        done: Execution | None = None
        try:
            done = self._pick(found.tape)
            why = f"it ended with {found.signature}, and then with {done.signature or 'success'}"
        except NonDeterminism as error:
            why = str(error)
        if done is None or done.signature != found.signature:
            return Failure(
                Signature(NONDETERMINISM, str(found.signature)), _UNSTEADY.format(why),
                Schedule(), (), found.strategy, found.run, settings=self._settings(),
            )  # fmt: skip
        if loops(done):
            watchdog.explain(done.world.driver)
        elif shrink:
            smaller = self._shrunk(done, found)
            if smaller is not None:
                before = len(done.named_steps), _switches(done.named_steps)
                return self._report(smaller, found, before)
        return self._report(done, found, None)

    def _shrunk(self, done: Execution, found: Found) -> Execution | None:
        """The failure again in its smallest schedule."""
        seconds = SECONDS_MAX if self._time_s is None else min(SECONDS_MAX, self._time_s)
        shrinker = Shrinker(
            self._target,
            found.signature,
            detectors=self._worker.detectors,
            steps_max=self._worker.steps_max,
            seconds_max=seconds,
        )
        schedule = shrinker.shrink(done)
        if schedule is None:
            return None
        again = replay(
            self._target,
            schedule,
            detectors=self._worker.detectors,
            steps_max=self._worker.steps_max,
        )
        return again if again.signature == found.signature else None

    def _report(
        self, done: Execution, found: Found, shrunk_from: tuple[int, int] | None
    ) -> Failure:
        return replace(
            failure_of(done, self._target),
            strategy=found.strategy,
            run=found.run,
            shrunk_from=shrunk_from,
            settings=self._settings(),
        )

    def _unsteady(self, done: Execution, why: str) -> Failure:
        assert done.transcriber is not None
        return Failure(
            Signature(NONDETERMINISM, self._target.name),
            _UNSTEADY.format(why),
            done.transcriber.schedule(self._target.about),
            done.named_steps,
            strategy="random",
            settings=self._settings(),
        )

    def _pick(self, tape: Sequence[int]) -> Execution:
        """The run with this tape again, written down."""
        worker = self._worker
        before = worker.steps_max, worker.deadline
        # A run that reached the bound went on for as long again; and this is not to be cut short.
        worker.steps_max, worker.deadline = 2 * worker.steps_max, None
        try:
            return worker.run(Picks(tape), transcribe=True)
        finally:
            worker.steps_max, worker.deadline = before

    def _settings(self) -> dict[str, Any]:
        return {**settings_of(self._target), "seed": self._worker.seed}


def failure_of(done: Execution, target: Target) -> Failure:
    """A failure, from a run that was written down and has failed.

    Args:
        done: the run.
        target: whose.
    """
    assert done.transcriber is not None
    assert done.signature is not None
    return Failure(
        done.signature,
        words_of(done.world, done.findings),
        done.transcriber.schedule(record(target.about, done.findings)),
        done.named_steps,
        stuck=done.world.driver.stuck_at_end,
        findings=done.findings,
        ms={task.id: task.name for task in done.world.engine.tasks},
        settings=settings_of(target),
        history=history_of(done.world),
    )


def settings_of(target: Target) -> dict[str, Any]:
    """The settings of a program's World that a report of a failure names."""
    if target.alone:
        return {"trio": version("trio")}
    settings, config = target.settings, target.settings.config
    return {
        "release": settings.release.name,
        "platform": settings.platform.name,
        "mutex": settings.mutex,
        **({"policy": config.policy_name} if config.policy else {}),
        "granularity": config.granularity,
        "ms": config.ms,
        **({"memory": config.memory} if config.memory != "sc" else {}),
    }


def loops(done: Execution) -> bool:
    """Whether the run ended in a loop without an await."""
    return isinstance(done.world.failure, LoopWithoutAwait)


def _switches(steps: Sequence[Step]) -> int:
    return sum(a.m != b.m for a, b in pairwise(steps))

"""Processes of this machine that do the work of a search.

Each process finds the program by its name, as a token does, and has detectors of its own. What they
do is pieces of work (`work.py`), so nothing depends on which does which. One that dies takes its
pieces with it; they are done again by others in its place.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Final, TypedDict

from gorun_mem.explore.failure import Detector
from gorun_mem.explore.target import Target
from gorun_mem.explore.work import Work, Yielded, perform
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import ConfigError
from gorun_mem.machine.processes import Processes
from gorun_mem.step.strategies.searching import Profile

POLL_S: Final = 0.1
"""How often this process looks for Ctrl-C."""
LOST_MOST: Final = 5
"""So often processes may die over the same piece of work."""

_worker: Worker | None = None


class LostWork(ConfigError):
    """Processes die whenever they do a piece of work."""


def _set_up(
    about: Mapping[str, Any],
    detectors: Sequence[Callable[[], Detector]],
    settings: WorkerSettings,
    stop: Any,
) -> None:
    """In each process, first."""
    global _worker
    _worker = Worker(Target.from_about(about), detectors, **settings)
    _worker.is_stopped = lambda: bool(stop.value)


def _do(work: Work) -> Yielded:
    assert _worker is not None
    done = Yielded()
    with _worker.watchdog():
        perform(_worker, work, done)
    return done


class WorkerSettings(TypedDict):
    """What every worker is made with; see `Worker`."""

    seed: int
    steps_max: int
    profile: Profile
    deadline: float | None
    failures_max: int
    watch_s: float


class _Job:
    """A piece of work that was handed out.

    Attributes:
        work: which.
        future: of the process that does it.
        lost: how often processes have died over it.
    """

    __slots__ = ("future", "lost", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.future: Future[Yielded] = Future()
        self.lost = 0


class Pool:
    """Processes that search; a context manager, and a `Crew`.

    Args:
        target: the program, which another process can find by its name.
        detectors: what makes the detectors.
        jobs: how many processes.
        settings: other arguments of each `Worker`.

    Raises:
        ConfigError: another process cannot find the program.
    """

    shows = False

    def __init__(
        self,
        target: Target,
        detectors: Sequence[Callable[[], Detector]],
        jobs: int,
        settings: WorkerSettings,
    ) -> None:
        if not target.importable:
            raise ConfigError(
                f"jobs = {jobs}: other processes cannot import {target.name}; put it at the top "
                "of a module, or search with one job"
            )
        self.ahead = 2 * jobs
        self.interrupted: Callable[[], bool] = lambda: False
        self._jobs = jobs
        self._stop: Any = multiprocessing.get_context("spawn").RawValue("b", 0)
        self._given = (target.about, tuple(detectors), settings, self._stop)
        self._handed_out: list[_Job] = []
        self._executor = self._launch()

    def _launch(self) -> Processes:
        executor = Processes(self._jobs, _set_up, self._given)
        executor.start()
        return executor

    def submit(self, work: Work) -> _Job:
        """See `Crew`."""
        job = _Job(work)
        self._handed_out.append(job)
        self._hand_out(job)
        return job

    def _hand_out(self, job: _Job) -> None:
        try:
            job.future = self._executor.submit(_do, job.work)
        except BrokenProcessPool:  # who asks for the result will see to it
            job.future = Future()
            job.future.set_exception(BrokenProcessPool())

    def result(self, job: _Job) -> Yielded:
        """See `Crew`; Ctrl-C makes all processes hand over what they have so far.

        Raises:
            LostWork: processes die over it again and again.
        """
        while True:
            if self.interrupted():
                self._stop.value = 1
            if not wait([job.future], timeout=POLL_S).done:
                continue
            try:
                done = job.future.result()
            except BrokenProcessPool:
                job.lost += 1
                if job.lost > LOST_MOST:
                    raise LostWork(
                        f"processes died {job.lost} times over the same schedules; search with one "
                        "job to see of what"
                    ) from None
                self._begin_again()
                continue
            self._handed_out.remove(job)
            return done

    def partly(self, job: _Job) -> Yielded | None:
        """See `Crew`: nothing, for processes hand over what they have."""
        return None

    def _begin_again(self) -> None:
        """Processes anew, and to them all work that was lost with the others."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._launch()
        for job in self._handed_out:
            future = job.future
            if not future.done() or future.cancelled() or future.exception() is not None:
                self._hand_out(job)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.value = 1  # nothing matters any more
        self._executor.shutdown(wait=True, cancel_futures=True)

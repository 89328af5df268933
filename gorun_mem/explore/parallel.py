"""A search in several processes.

Each process finds the program by its name, as a token does, and has detectors of its own. Drawn
schedules are handed out in stretches of numbers, and what comes of them is taken in the order of
the numbers: the failure that is reported is the same for any number of processes. So are the
branches of a depth-first search. The tree of an exhaustive one is shared out by its starts; the
budget is one counter for all.

Processes are spawned and not forked: the watchdog's thread would not come along.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from types import TracebackType
from typing import Any, Final, TypedDict, TypeVar

from gorun_mem.explore.failure import Detector
from gorun_mem.explore.portfolio import CHUNK, Seen, Slice
from gorun_mem.explore.slices import run_slice
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Batch, Worker, bound_of
from gorun_mem.machine.config import ConfigError
from gorun_mem.step.strategies.dfs import BoundedDfs, Branch, Left
from gorun_mem.step.strategies.searching import Profile

Ran = list[tuple[Batch, list[Left]]]
"""What came of branches, and what each left."""
T = TypeVar("T")

STRETCH: Final = 8 * CHUNK
"""Schedules that a process is given at once."""
SPLIT: Final = 3
"""Decisions at the top of a tree that the starts are told apart by."""
POLL_S: Final = 0.1
"""How often this process looks for Ctrl-C."""
_NO_START: Final = 1 << 62
_NO_BUDGET: Final = 1 << 62

_worker: Worker | None = None
_least_start: Any = None


def _set_up(
    about: Mapping[str, Any],
    detectors: Sequence[Callable[[], Detector]],
    settings: WorkerSettings,
    left: Any,
    least_start: Any,
    stop: Any,
) -> None:
    """In each process, first."""
    global _worker, _least_start
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process sees to it

    def spend() -> bool:
        with left.get_lock():
            left.value -= 1
            return bool(left.value >= 0)

    _worker = Worker(Target.from_about(about), detectors, spend=spend, **settings)
    _worker.is_stopped = lambda: bool(stop.value)
    _least_start = least_start


def _nothing() -> None:
    """Lets a process begin."""


def _draw(strategy: str, first: int, runs: int) -> Batch:
    assert _worker is not None
    with _worker.watchdog():
        return _worker.draw(strategy, first, runs)


def _slice(part: Slice) -> tuple[Batch, Seen]:
    assert _worker is not None
    batch = Batch()
    with _worker.watchdog():
        seen = run_slice(_worker, part, batch)
    return batch, seen


def _follow(branches: Sequence[Branch]) -> Ran:
    assert _worker is not None
    with _worker.watchdog():
        return _worker.follow(branches)


def _climb(share: tuple[int, int]) -> Batch:
    assert _worker is not None
    with _worker.watchdog():
        batch = _worker.tree(
            "exhaustive",
            split=SPLIT,
            share=share,
            is_late=lambda start: bool(start > _least_start.value),
        )
    for found in batch.found:
        with _least_start.get_lock():
            _least_start.value = min(_least_start.value, found.run)
    return batch


class WorkerSettings(TypedDict):
    """What every worker of a pool is made with; see `Worker`."""

    seed: int
    steps_max: int
    profile: Profile
    deadline: float | None
    failures_max: int
    watch_s: float


class Pool:
    """Processes that search; a context manager.

    Args:
        target: the program, which another process can find by its name.
        detectors: what makes the detectors.
        jobs: how many processes.
        settings: other arguments of each `Worker`.

    Raises:
        ConfigError: another process cannot find the program.
    """

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
        context = multiprocessing.get_context("spawn")
        self.jobs = jobs
        self._left = context.Value("q", 0)
        self._least_start = context.Value("q", _NO_START)
        self._stop: Any = context.RawValue("b", 0)
        self._executor = ProcessPoolExecutor(
            jobs,
            mp_context=context,
            initializer=_set_up,
            initargs=(
                target.about,
                tuple(detectors),
                settings,
                self._left,
                self._least_start,
                self._stop,
            ),
        )
        self.interrupted: Callable[[], bool] = lambda: False
        self._launch()

    def _launch(self) -> None:
        """Start the processes, which are to leave Ctrl-C to this one from their very beginning."""
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for _ in range(self.jobs):  # each submit starts one, while none is idle
                self._executor.submit(_nothing)
        finally:
            signal.signal(signal.SIGINT, before)

    def _result(self, future: Future[T]) -> T:
        """What a process has found; Ctrl-C makes all of them hand over what they have so far."""
        while True:
            if self.interrupted():
                self._stop.value = 1
            if wait([future], timeout=POLL_S).done:
                return future.result()

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

    def draw(self, strategy: str, runs: int | None) -> Iterator[Batch]:
        """What comes of drawn schedules, in the order of their numbers.

        Args:
            strategy: one of DRAWING, or "auto".
            runs: how many; None: until the time is up.
        """
        waiting: deque[Future[Batch]] = deque()
        first = 0
        over = False
        while True:
            while not over and len(waiting) < 2 * self.jobs and (runs is None or first < runs):
                count = STRETCH if runs is None else min(STRETCH, runs - first)
                waiting.append(self._executor.submit(_draw, strategy, first, count))
                first += count
            if not waiting:
                return
            batch = self._result(waiting.popleft())
            over |= batch.out_of_time
            yield batch

    def slices(self, parts: Sequence[Slice]) -> Iterator[tuple[Batch, Seen]]:
        """What comes of slices of a portfolio that are drawn, in their order."""
        waiting = [self._executor.submit(_slice, part) for part in parts]
        for future in waiting:
            yield self._result(future)

    def by_cost(self, budget: int | None, bound: int | None) -> Iterator[Batch]:
        """What comes of a depth-first search, schedule by schedule in order.

        Args:
            budget: schedules at most; None for any number.
            bound: departures from run-to-block at most.

        Yields:
            A batch for each schedule, then one that says how far the search came.
        """
        dfs = BoundedDfs(bound)
        waiting: deque[Future[Ran]] = deque()
        left = _NO_BUDGET if budget is None else budget
        last = Batch()
        while True:
            while left and len(waiting) < 2 * self.jobs:
                branches = _some(dfs, min(STRETCH, left), settled=not waiting)
                if not branches:
                    break
                left -= len(branches)
                waiting.append(self._executor.submit(_follow, branches))
            if not waiting:
                break
            for batch, run in self._result(waiting.popleft()):
                dfs.queue(run)
                if batch.out_of_time:
                    left = 0
                last.out_of_time |= batch.out_of_time
                last.out_of_steps |= batch.out_of_steps
                yield batch
        last.out_of_budget = not last.out_of_time and dfs.take() is not None
        last.complete = not (last.out_of_budget or last.out_of_time or last.out_of_steps)
        last.bound = bound_of(dfs, last)
        yield last

    def tree(self, budget: int | None) -> Batch:
        """What comes of an exhaustive search.

        Args:
            budget: schedules at most; None for any number.
        """
        self._left.value = _NO_BUDGET if budget is None else budget
        self._least_start.value = _NO_START
        futures = [self._executor.submit(_climb, (k, self.jobs)) for k in range(self.jobs)]
        whole = Batch(complete=True)
        for batch in [self._result(future) for future in futures]:
            whole.add(batch)
            whole.complete &= batch.complete
        whole.found.sort(key=lambda found: found.run)
        return whole


def _some(dfs: BoundedDfs, count: int, settled: bool) -> list[Branch]:
    """The next branches, `count` at most."""
    branches: list[Branch] = []
    while len(branches) < count:
        branch = dfs.take(settled and not branches)
        if branch is None:
            break
        branches.append(branch)
    return branches

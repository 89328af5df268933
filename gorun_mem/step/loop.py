"""The loop in which steps are made: the only one.

A driver of Ms is this loop with its own answer to each of a few questions:

    _pick      whom? None: nobody can go on. And what will the step cost?
    _made      a step is made, and has its cost
    _look      who looks on? asked only where `watched` is set
    _sleep     the M of the last step sleeps
    _through   its operation is through: the M is to be resumed
    _go_on     it has been resumed, and has a next operation

    engine.Engine           whom the strategy takes; one clock
    timing.TimingEngine     whose clock is least; CPUs, cache lines
    explore.drive           as the engine, with every decision on a tape
    solo.SoloLoop           the only M there is; no clock to speak of

Each question is a call for each step: two or three of them. Compiled, one costs a few ns; in pure
Python some 40, which is what one loop in place of four costs there.
"""

from __future__ import annotations

from typing import Any, Protocol

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.op import MORE, PARKED, Op, Scheduler
from gorun_mem.step.task import Task


class Follower(Protocol):
    """Who wants to know which M runs: the log's recorder."""

    m: int

    def m_park(self, m: int, reason: str = "", by_m: int = 0) -> None:
        """M `m` sleeps."""

    def m_unpark(self, m: int, by_m: int = 0, reason: str = "") -> None:
        """M `m` was made runnable by `by_m`."""

    def store_late(self, obj: str, value: str, waiting: int, /) -> None:
        """A store went into the store buffer of the M that runs."""

    def store_flush(self, obj: str, value: str, waiting: int, /) -> None:
        """The oldest store in it reached memory."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Resumer:
    """A host that resumes an M's coroutine by a plain call."""

    def resume(self, task: Task) -> Op | None:
        """Let the coroutine of `task` go on with `task.result`: what it yields.

        None: it has no next operation.
        """
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Loop(Scheduler):
    """Makes steps until an operation is through.

    Args:
        cpus: how many Ms run at once; Go's ncpu.

    Attributes:
        current: who made the last step.
        running: the M whose coroutine the host is running, None between.
        steps: accesses made so far, the one under way included.
        watched: each step is shown to `_look`.
        follower: told who runs, so that what happens in a step is logged under that M.
        stopped: the run is over, no M makes another step; who drives the loop sees to it.
    """

    def __init__(self, cpus: int = 1) -> None:
        super().__init__(cpus)
        self.current: Task | None = None
        self.running: Task | None = None
        self.steps = 0
        self.watched = False
        self.stopped = False
        self.follower: Follower | None = None

    def advance(self, host: Resumer | None = None) -> Task | None:
        """Make steps until an operation is through.

        Args:
            host: resumes an M at once, which spares the way there and back.

        Returns:
            The M to resume with its `result`, or None: nobody can go on. With a `host`, the M that
            has no next operation.

        Raises:
            StepsExceeded: `steps_max` steps were made.
            Breath: BREATH steps were made; call again.
            EmulatedFailure: the step of `current` ended the emulated program.
        """
        while True:
            task = self._pick()
            if task is None:
                return None
            if task is not self.current:
                self.switch_to(task)
            op: Op = task.op
            self.steps += 1
            task.steps += 1
            result = self._watch(task, op) if self.watched else op.step(task)
            self._made(task, result)
            if result is MORE:
                continue
            if result is PARKED:
                self._sleep(task)
                continue
            self._through(task, result)
            if host is None:
                return task
            next_op = host.resume(task)
            if next_op is None:
                return task
            self._go_on(task, next_op)

    def switch_to(self, task: Task) -> None:
        """What happens from here on is the doing of `task`."""
        self.current = task
        if self.follower is not None:
            self.follower.m = task.id

    def _watch(self, task: Task, pending: Any) -> object:
        """Make a step, and show it."""
        kind, obj, reads = pending.kind, pending.obj, pending.reads_only
        result = pending.step(task)
        self._look(task, pending, kind, obj, reads, result)
        return result

    # What differs.

    def _pick(self) -> Task | None:
        """Who makes the next step; None: nobody can."""
        raise NotImplementedError

    def _made(self, task: Task, result: object) -> None:
        """`task` has made its step, which came to `result`: let it take its time."""

    def _look(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """The step made is shown to who looks on; `kind`, `obj` and `reads` as it was announced."""

    def _sleep(self, task: Task) -> None:
        """The step made lets `task` sleep."""
        raise NotImplementedError

    def _through(self, task: Task, result: object) -> None:
        """The operation of `task` is through and has come to `result`."""
        raise NotImplementedError

    def _go_on(self, task: Task, op: Op) -> None:
        """`task`, which was resumed, is about to make `op`."""
        raise NotImplementedError

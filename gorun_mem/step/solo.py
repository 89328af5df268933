"""A lone M: the loop without anybody to choose from.

For operation scripts and recordings, which no other M disturbs. Time moves only when the M sleeps.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from gorun_mem.runtime.errors import Deadlock
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.loop import Loop
from gorun_mem.step.task import Task

T = TypeVar("T")


class SoloLoop(Loop):
    """Drives a lone M.

    Attributes:
        wake_ns: when the sleeping M wakes by itself; -1: never.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wake_ns = -1
        self._m: Task | None = None
        self._asleep = False

    def submit(self, m: Task, op: Op) -> None:
        """`m` is about to make `op`.

        Raises:
            Deadlock: the operation waits for another M.
        """
        self._m = m
        self._go_on(m, op)

    # What operations ask.

    def unpark(self, m: MLike) -> None:
        """Nobody else could be parked."""

    def disable(self, m: MLike) -> None:
        """Nobody else could be runnable."""

    def charge(self, kind: str, units: int) -> None:
        """Work costs a lone M nothing."""

    def choice(self, m: MLike, n: int, label: str) -> int:
        """A lone M draws no lots."""
        return 0

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """The M sleeps until `t_ns`, for nobody could wake it before."""
        self.wake_ns = t_ns

    # What the loop asks.

    def _pick(self) -> Task | None:
        return self._m

    def _sleep(self, task: Task) -> None:
        """Let the time pass until the M wakes by itself."""
        if self.wake_ns < 0:
            op = task.op
            raise Deadlock(f"M{task.id} sleeps in {op.kind} {op.obj} and there is no other M")
        self.clock_ns = max(self.clock_ns, float(self.wake_ns))
        self.wake_ns = -1

    def _through(self, task: Task, result: object) -> None:
        task.result = result

    def _go_on(self, task: Task, op: Op) -> None:
        task.op = op
        if op.asks_first and not op.begin(task):
            raise Deadlock(f"M{task.id} waits to {op.kind} {op.obj} and there is no other M")


class SoloM(Task):
    """The only M of a runtime: operation scripts and recordings."""

    __slots__ = ("solo",)

    def __init__(self, id: int = 1) -> None:
        self.solo = SoloLoop()
        super().__init__(self.solo, id, "")


def solo(coro: Coroutine[Op, Any, T], m: SoloM) -> T:
    """Drive `coro` to its end as the only M.

    Raises:
        Deadlock: an operation waits for another M.
    """
    loop = m.solo
    try:
        loop.submit(m, coro.send(None))
        while True:
            loop.advance()
            loop.submit(m, coro.send(m.result))
    except StopIteration as stop:
        value: T = stop.value
        return value

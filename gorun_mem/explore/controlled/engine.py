"""The engine of a search in which trio is under the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.controlled.awaits import Going, Waiting
from gorun_mem.explore.controlled.clock import Canceller, Timers
from gorun_mem.explore.taped import ExploringEngine, Supervision
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.step.engine import Strategy

_INSTANT: Final = frozenset({Going, Waiting, Timers, Canceller})
"""Operations that take no time: time passes where a program sleeps."""


class TrioEngine(ExploringEngine):
    """An engine whose host lets time pass, and wakes who waits for that nobody can go on.

    What a task of trio does between two awaits takes no time, and touches nobody knows what.
    """

    host: Any = None

    def __init__(self, strategy: Strategy, over: Supervision) -> None:
        super().__init__(strategy, over)
        self.faults = over.target.config.faults
        self.entangled = True

    def _pick(self) -> Task | None:
        runnable = self.runnable
        if self._timers and (runnable or self._timers[0][0] <= self.host.timers.next_ns):
            self._fire_timers()
        if not runnable:
            self.host.idle()
        if not runnable:
            return None
        task = self._decide(runnable)
        op = task.op
        instant = type(op) in _INSTANT
        self._step_ns = 0.0 if instant else self.costs.get(op.kind, self._other_ns)
        return task

"""The timing engine for Ms that are bound to a CPU each, by their number.

M n runs on CPU n modulo `cpus` and on no other, as threads do that were bound; it may have to wait
there while other CPUs are idle. A lock that lets one M spin for all others, as spinbit does, then
depends on where that one runs: on its owner's CPU it does not run at all until the slice is over.
"""

from __future__ import annotations

from collections import deque

from gorun_mem.step.costs import CostTable
from gorun_mem.step.engine import STEPS_MAX, Strategy
from gorun_mem.step.streams import Streams
from gorun_mem.step.task import State, Task
from gorun_mem.step.timing import TimingEngine


class PinnedEngine(TimingEngine):
    """As the timing engine, with a queue for each CPU.

    `_ready` is the queue of the CPU that the M in hand runs on.
    """

    def __init__(
        self,
        strategy: Strategy,
        seed: int,
        *,
        costs: CostTable | None = None,
        cpus: int = 4,
        steps_max: int = STEPS_MAX,
        streams: Streams | None = None,
    ) -> None:
        super().__init__(
            strategy, seed, costs=costs, cpus=cpus, steps_max=steps_max, streams=streams
        )
        self._queues: list[deque[Task]] = [deque() for _ in range(self.cpus)]
        self._free_ns: dict[int, float] = dict.fromkeys(range(self.cpus), 0.0)

    @property
    def is_stuck(self) -> bool:
        """Whether nobody can ever go on though somebody has not ended."""
        idle = not (self._running or any(self._queues) or self._timers or self._away)
        return idle and self.alive > 0

    def _made(self, task: Task, result: object) -> None:
        self._ready = self._queues[task.id % self.cpus]
        super()._made(task, result)

    def _stopped(self, task: Task) -> bool:
        self._ready = self._queues[task.id % self.cpus]
        return super()._stopped(task)

    def _enable(self, task: Task) -> None:
        cpu = task.id % self.cpus
        if task.slot == 1 or task.id == 0:
            super()._enable(task)
            return
        task.state = State.RUNNABLE
        task.since = task.clock_ns
        if cpu in self._free_ns:
            self._run_on(task, self._free_ns.pop(cpu), cpu)
        else:
            self._queue(task)

    def _queue(self, task: Task) -> None:
        self._ready = self._queues[task.id % self.cpus]
        super()._queue(task)

    def _cpu_is_free(self, task: Task) -> None:
        self._ready = self._queues[task.cpu]
        if self._ready:
            super()._cpu_is_free(task)
        else:
            self._free_ns[task.cpu] = task.clock_ns

    def _remove(self, task: Task) -> None:
        self._ready = self._queues[task.id % self.cpus]
        super()._remove(task)

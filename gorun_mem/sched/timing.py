"""Virtual time on several CPUs: the next M is the one whose clock is least.

Up to `cpus` Ms run at once, each with a clock of its own that its steps move on; the engine always
steps the one that is furthest behind, so accesses happen in the order of their times. An M that
spins goes on using its CPU. One that sleeps gives it up, and so does one whose time slice is over
while others wait for a CPU: the Ms above `cpus` queue, first come first served. So a holder that is
preempted holds its lock for as long as the others run.

    clock      0        10        20        30
    CPU 1      M1 ===lock==>M1 ==unlock==>M3 (switch) ==>
    CPU 2      M2 ===spin=====>M2 ==sleep>            M2 (wake) ==>

The scenario itself (M 0) is no M of Go's and takes no CPU. Ties go by a fixed order of the Ms that
is drawn from the seed.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush, heappushpop
from random import Random
from typing import Final

from gorun_mem.runtime.op import MORE, PARKED, MLike
from gorun_mem.sched.costs import CostTable
from gorun_mem.sched.engine import STEPS_MAX, TIMER, Engine, Strategy
from gorun_mem.sched.task import State, Task

YIELDS: Final = frozenset({"osyield", "yield"})
"""Kinds of operation after which an M lets others have its CPU."""


class TimingEngine(Engine):
    """An engine with a clock for each M and a number of CPUs.

    Invariants:
        1. a task is in `_running` or is `current` iff it is RUNNABLE and has a CPU (slot 1);
        2. it is in `_ready` iff it is RUNNABLE and has none (slot 0);
        3. CPUs in use and entries of `_idle_since` make `cpus` together.

    Args:
        strategy: draws data choices.
        seed: of the order of Ms whose clocks are equal.
        costs: what a step costs.
        cpus: how many Ms run at once.
        steps_max: steps after which `advance` raises StepsExceeded.
    """

    def __init__(
        self,
        strategy: Strategy,
        seed: int,
        *,
        costs: CostTable | None = None,
        cpus: int = 4,
        steps_max: int = STEPS_MAX,
    ) -> None:
        super().__init__(strategy, costs=costs, cpus=cpus, steps_max=steps_max)
        self._slice_ns = (costs or CostTable()).time_slice_ns
        self._running: list[tuple[float, float, int, Task]] = []
        self._ready: deque[Task] = deque()
        self._idle_since = [0.0] * cpus
        self._ties = Random(seed).random

    @property
    def is_stuck(self) -> bool:
        """Whether nobody can ever go on though somebody has not ended."""
        idle = not (self._running or self._ready or self._timers or self._away)
        return idle and self.alive > 0

    def add(self, task: Task) -> None:
        """Take in a new M."""
        super().add(task)
        task.slot = 0
        task.priority = self._ties()
        task.clock_ns = self._now_ns

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable once the latency of a wakeup has passed."""
        assert isinstance(m, Task)
        if m.state is State.PARKED:
            m.timer = 0
            self._note_unpark(m, self.current.id if self.current is not None else 0)
            m.clock_ns = max(m.clock_ns, self._now_ns + self.costs["wake"])
            self._enable(m)

    def charge(self, kind: str, units: int) -> None:
        """Let the running step take longer."""
        assert self.current is not None
        self.current.clock_ns += self._price(kind, units)

    def come_back(self, task: Task) -> None:
        """What `task` awaited has come."""
        super().come_back(task)
        task.clock_ns = max(task.clock_ns, self._now_ns)

    def advance(self) -> Task | None:
        """Make steps in the order of their times until an operation is through."""
        running = self._running
        timers = self._timers
        costs = self.costs
        other = costs["other"]
        limit = min(self._breath_at, self.steps_max)
        steps = self.steps
        try:
            while True:
                if timers:
                    self._fire_timers()
                if not running:
                    return None
                task = heappop(running)[3]
                if task is not self.current:
                    self.switch_to(task)
                while True:
                    clock = self._now_ns = task.clock_ns
                    if steps >= limit:
                        self._push(task)
                        self.steps = steps
                        self._out_of_breath()
                    if clock >= task.slice_end_ns and self._preempted(task):
                        break
                    op = task.op
                    kind = op.kind  # type: ignore[union-attr]
                    steps += 1
                    result = op.step(task)  # type: ignore[union-attr]
                    task.clock_ns += costs.get(kind, other)
                    if result is PARKED:
                        self._park(task)
                        break
                    if result is not MORE:
                        return self._through(task, result)
                    if kind in YIELDS and self._ready:
                        self._give_way(task)
                        break
                    if timers:
                        self._push(task)
                        break
                    if running and running[0][0] <= task.clock_ns:
                        entry = (task.clock_ns, task.priority, task.id, task)
                        task = heappushpop(running, entry)[3]
                        if task is not self.current:
                            self.switch_to(task)
        finally:
            self.steps = steps

    # Inside.

    def _push(self, task: Task) -> None:
        heappush(self._running, (task.clock_ns, task.priority, task.id, task))

    def _enable(self, task: Task) -> None:
        task.state = State.RUNNABLE
        task.since_ns = int(task.clock_ns)
        if task.slot == 1 or task.id == 0:
            task.slot = 1
            self._push(task)
        elif self._idle_since:
            self._run_on(task, heappop(self._idle_since))
        else:
            task.slot = 0
            self._ready.append(task)

    def _run_on(self, task: Task, free_ns: float) -> None:
        """Give `task` a CPU that is free since `free_ns`."""
        task.slot = 1
        task.clock_ns = max(task.clock_ns, free_ns)
        task.slice_end_ns = task.clock_ns + self._slice_ns
        self._push(task)

    def _release_cpu(self, task: Task) -> None:
        if task.slot != 1:
            return
        task.slot = 0
        if task.id == 0:
            return
        if self._ready:
            self._run_on(self._ready.popleft(), task.clock_ns + self.costs["switch"])
        else:
            heappush(self._idle_since, task.clock_ns)

    def _park(self, task: Task) -> None:
        task.state = State.PARKED
        task.since_ns = int(task.clock_ns)
        self._note_park(task)
        self._release_cpu(task)

    def _preempted(self, task: Task) -> bool:
        """The slice of `task` is over: whether it loses its CPU."""
        if not self._ready or task.id == 0:
            task.slice_end_ns = task.clock_ns + self._slice_ns
            return False
        self._give_way(task)
        return True

    def _give_way(self, task: Task) -> None:
        self._release_cpu(task)
        self._ready.append(task)

    def _remove(self, task: Task) -> None:
        """Take a runnable task out; rare, so the heap is searched and ordered anew."""
        if task.slot == 1:
            entry = next(e for e in self._running if e[3] is task)
            self._running.remove(entry)
            self._running.sort()
        else:
            self._ready.remove(task)

    def _drop(self, task: Task) -> None:
        if task.state is State.RUNNABLE:
            self._remove(task)
        elif task.state is State.AWAY:
            self._away -= 1
        if self.running is task:
            self.running = None
        task.timer = 0
        self._release_cpu(task)

    def _fire_timers(self) -> None:
        timers = self._timers
        while timers:
            t_ns, number, task = timers[0]
            if task.timer != number:
                heappop(timers)
            elif not self._running or t_ns <= self._running[0][0]:
                heappop(timers)
                self._now_ns = max(self._now_ns, t_ns)
                task.timer = 0
                task.clock_ns = max(task.clock_ns, t_ns)
                self._note_unpark(task, 0, TIMER)
                self._enable(task)
            else:
                return

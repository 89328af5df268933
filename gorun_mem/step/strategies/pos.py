"""POS: a random priority for every pending operation, drawn anew where operations race.

The M whose pending operation has the highest priority goes. Then its next operation gets a new
priority, and so does every pending one that races with the step just made: same object, at least
one of the two changes it. So operations that do not race keep their order, and the chance of a
given order of those that do is high. Needs to know nothing of the program.

Source: X. Yuan, J. Yang, R. Gu, "Partial Order Aware Concurrency Sampling", CAV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.strategies.searching import Profile, Searching
from gorun_mem.step.task import Task


class Pos(Searching):
    """Partial order sampling."""

    name = "pos"
    every_step = True

    def __init__(self) -> None:
        super().__init__()
        self._draw = self._random.random
        self._last: Task | None = None
        self._obj = ""
        self._reads = False

    def begin(self, random: Random, profile: Profile) -> bool:
        """Forget the run before."""
        self._random = random
        self._draw = random.random
        self._last = None
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Draw where a new priority is due; take the highest."""
        last, obj, reads = self._last, self._obj, self._reads
        best = runnable[0]
        highest = -1.0
        for task in runnable:
            op = task.op
            priority = task.priority
            # An M that is new has 0.0; POS draws from above it.
            if task is last or not priority or (op.obj == obj and not (reads and op.reads_only)):
                priority = task.priority = self._draw() + 1e-9
            if priority > highest:
                highest = priority
                best = task
        self._last = best
        made = best.op
        self._obj = made.obj
        self._reads = made.reads_only
        return best

"""The M whose virtual clock is least; `gorun_mem.sched.timing` does it, this draws the choices."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.sched.task import Task


class Timing:
    """Names the strategy and draws its data choices.

    Args:
        seed: of the data choices.
    """

    name = "timing"

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """The one that is furthest behind."""
        return min(runnable, key=lambda task: (task.clock_ns, task.id))

    def choice(self, n: int) -> int:
        """Any number below `n`, each as likely."""
        return self._random.randrange(n)

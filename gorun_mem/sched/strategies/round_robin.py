"""The enabled Ms in turn, one step each."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.sched.task import Task


class RoundRobin:
    """The M with the next higher id, and after the highest the lowest.

    Args:
        seed: of the data choices.
    """

    name = "round_robin"

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """The next in turn."""
        last = -1 if current is None else current.id
        return min(runnable, key=lambda task: (task.id <= last, task.id))

    def choice(self, n: int) -> int:
        """Any number below `n`, each as likely."""
        return self._random.randrange(n)

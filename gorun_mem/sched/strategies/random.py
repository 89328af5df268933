"""Uniform over the enabled Ms at every step; the random walk of the literature."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.sched.task import Task


class RandomWalk:
    """Draws the next M, and every data choice, from one generator.

    Args:
        seed: of the generator.
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._draw = self._random.random

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any of them, each as likely."""
        n = len(runnable)
        return runnable[0] if n == 1 else runnable[int(self._draw() * n)]

    def choice(self, n: int) -> int:
        """Any number below `n`, each as likely."""
        return self._random.randrange(n)

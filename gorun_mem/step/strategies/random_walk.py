"""The random walk as a search uses it: one run after another from one generator."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.strategies.searching import Profile, Searching
from gorun_mem.step.task import Task


class SearchingWalk(Searching):
    """Uniform over the enabled Ms at every step."""

    name = "random"

    def __init__(self) -> None:
        super().__init__()
        self._draw = self._random.random

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw from `random`."""
        self._random = random
        self._draw = random.random
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any of them, each as likely."""
        return runnable[int(self._draw() * len(runnable))]

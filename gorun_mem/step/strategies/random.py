"""Uniform over the enabled Ms at every step; the random walk of the literature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.seeded import Seeded
from gorun_mem.step.streams import schedule_stream
from gorun_mem.step.task import Task


class RandomWalk(Seeded):
    """Draws the next M.

    Args:
        seed: of what is drawn.
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._draw = schedule_stream(seed).random

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any of them, each as likely."""
        n = len(runnable)
        return runnable[0] if n == 1 else runnable[int(self._draw() * n)]


STRATEGY: Final = StrategyEntry(
    about="any enabled M, each as likely", source="", run=RandomWalk, search=SearchingWalk
)

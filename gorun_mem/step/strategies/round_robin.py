"""The enabled Ms in turn, one step each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.seeded import Seeded
from gorun_mem.step.task import Task


class RoundRobin(Seeded):
    """The M with the next higher id, and after the highest the lowest.

    Args:
        seed: of the data choices.
    """

    name = "round_robin"

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """The next in turn."""
        last = -1 if current is None else current.id
        lowest = after = runnable[0]
        for task in runnable:
            if task.id < lowest.id:
                lowest = task
            if task.id > last and (task.id < after.id or after.id <= last):
                after = task
        return after if after.id > last else lowest


STRATEGY: Final = StrategyEntry(about="the enabled Ms in turn", source="", run=RoundRobin)

"""The M whose virtual clock is least; `gorun_mem.step.timing` does it, this draws the choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.seeded import Seeded
from gorun_mem.step.task import Task


class Timing(Seeded):
    """Names the strategy and draws its data choices.

    Args:
        seed: of the data choices.
    """

    name = "timing"

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """The one that is furthest behind."""
        return min(runnable, key=lambda task: (task.clock_ns, task.id))


STRATEGY: Final = StrategyEntry(about="the M whose virtual clock is least", source="", run=Timing)

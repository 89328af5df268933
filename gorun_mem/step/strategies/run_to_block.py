"""The same M until it cannot go on; the schedule without preemptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.seeded import Seeded
from gorun_mem.step.task import State, Task


class RunToBlock(Seeded):
    """Goes on with who made the last step, else with the lowest id.

    Args:
        seed: of the data choices.
    """

    name = "run_to_block"

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """The last again, if it is enabled."""
        if current is not None and current.state is State.RUNNABLE:
            return current
        return min(runnable, key=lambda task: task.id)


STRATEGY: Final = StrategyEntry(
    about="the same M until it can go no further", source="", run=RunToBlock
)

"""The random walk as a search uses it: one run after another from one generator."""

from __future__ import annotations

from collections.abc import Sequence

from gorun_mem.sched.strategies.searching import Searching
from gorun_mem.sched.task import Task


class SearchingWalk(Searching):
    """Uniform over the enabled Ms at every step."""

    name = "random"

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any of them, each as likely."""
        return runnable[int(self._random.random() * len(runnable))]

"""SURW: uniform over the orders of a few interesting steps, a random walk for the rest.

Each run calls the steps on one shared object interesting, drawn from those known. It fixes which M
is to make the next interesting step, in proportion to how many are left to each, and lets no other
M make one before; who goes otherwise is a random walk.

Source: H. Zhao et al., "Selectively Uniform Concurrency Testing", ASPLOS 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from gorun_mem.sched.strategies.searching import Profile, Searching
from gorun_mem.sched.task import Task


class Surw(Searching):
    """Selectively uniform random walk."""

    name = "surw"
    every_step = True

    def __init__(self) -> None:
        super().__init__()
        self._obj = ""
        self._left: dict[int, int] = {}
        self._chosen = -1

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw the object whose steps are interesting."""
        self._random = random
        objects = sorted(profile.objects)
        self._obj = objects[int(random.random() * len(objects))] if objects else ""
        counts: Mapping[int, int] = profile.objects.get(self._obj, {})
        self._left = dict(counts)
        self._chosen = -1
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any whose step is not interesting, or the M that is to make the next that is."""
        if self._chosen < 0:
            self._choose([task.id for task in runnable])
        obj, chosen = self._obj, self._chosen
        may = [task for task in runnable if task.id == chosen or task.op.obj != obj]
        if not may:  # the M that was chosen cannot go: somebody here must
            self._choose([task.id for task in runnable])
            may = [task for task in runnable if task.id == self._chosen]
        task = may[0] if len(may) == 1 else may[int(self._random.random() * len(may))]
        if task.op.obj == obj:
            self._left[task.id] = self._left.get(task.id, 1) - 1
            self._chosen = -1
        return task

    def _choose(self, ids: Sequence[int]) -> None:
        weights = [max(self._left.get(m, 0), 0) for m in ids]
        total = sum(weights)
        if not total:
            self._chosen = ids[int(self._random.random() * len(ids))]
            return
        left = int(self._random.random() * total)
        for m, weight in zip(ids, weights, strict=True):
            left -= weight
            if left < 0:
                self._chosen = m
                return

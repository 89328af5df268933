"""SURW: uniform over the orders of a few interesting steps, a random walk for the rest.

Each run calls the steps on one shared object interesting, drawn from those known. It fixes which M
is to make the next interesting step, in proportion to how many are left to each, and lets no other
M make one before; who goes otherwise is a random walk. What an M will start counts with it until
then (see `Shares`): if that M is the one fixed when it starts another, one of the two is drawn.

Source: H. Zhao et al., "Selectively Uniform Concurrency Testing", ASPLOS 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.engine import Engine
from gorun_mem.step.strategies.searching import Profile, Searching, Shares
from gorun_mem.step.task import Task


class Surw(Searching):
    """Selectively uniform random walk."""

    name = "surw"
    every_step = True

    def __init__(self) -> None:
        super().__init__()
        self._obj = ""
        self._shares = Shares({})
        self._chosen = -1

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw the object whose steps are interesting."""
        self._random = random
        objects = sorted(profile.objects)
        self._obj = objects[int(random.random() * len(objects))] if objects else ""
        self._shares = Shares(profile.objects.get(self._obj, {}))
        self._chosen = -1
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any whose step is not interesting, or the M that is to make the next that is."""
        engine = runnable[0].sched
        assert isinstance(engine, Engine)
        if len(engine.tasks) > len(self._shares.left):
            self._meet(engine.tasks)
        if self._chosen < 0:
            self._choose([task.id for task in runnable])
        obj, chosen = self._obj, self._chosen
        may = [task for task in runnable if task.id == chosen or task.op.obj != obj]
        if not may:  # the M that was chosen cannot go: somebody here must
            self._choose([task.id for task in runnable])
            may = [task for task in runnable if task.id == self._chosen]
        task = may[0] if len(may) == 1 else may[int(self._random.random() * len(may))]
        if task.op.obj == obj:
            self._shares.left[task.id] -= 1
            self._chosen = -1
        return task

    def _meet(self, tasks: Sequence[Task]) -> None:
        """Take in new Ms; the next interesting step may be one of those that `chosen` started."""
        family = [task.id for task in self._shares.meet(tasks) if task.starter == self._chosen]
        if family and self._chosen >= 0:
            self._choose([self._chosen, *family])

    def _choose(self, ids: Sequence[int]) -> None:
        weights = [max(self._shares.left[m], 0) for m in ids]
        total = sum(weights)
        if not total:
            self._chosen = ids[int(self._random.random() * len(ids))]
            return
        drawn = int(self._random.random() * total)
        for m, weight in zip(ids, weights, strict=True):
            drawn -= weight
            if drawn < 0:
                self._chosen = m
                return

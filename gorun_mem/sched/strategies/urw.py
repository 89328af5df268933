"""URW: each M as likely as it has steps left, so that every interleaving is about as likely.

A plain random walk favours runs in which the short Ms end early. Weighed by the steps that are left
to them, known from the first runs, all interleavings of straight-line Ms have the same chance. An M
that has made more steps than ever before still counts as one with a step left.

Ms are told apart by their ids, which is by the order in which they are started.

Source: H. Zhao et al., "Selectively Uniform Concurrency Testing", ASPLOS 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from gorun_mem.sched.strategies.searching import Profile, Searching
from gorun_mem.sched.task import Task


class Urw(Searching):
    """Uniform random walk."""

    name = "urw"

    def __init__(self) -> None:
        super().__init__()
        self._expected: Mapping[int, int] = {}

    def begin(self, random: Random, profile: Profile) -> bool:
        """Take the numbers of steps from `profile`."""
        self._random = random
        self._expected = profile.steps
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """One of them, in proportion to the steps that are left to it."""
        expected = self._expected.get
        weights = [max(expected(task.id, 1) - task.steps, 1) for task in runnable]
        left = int(self._random.random() * sum(weights))
        for task, weight in zip(runnable, weights, strict=True):
            left -= weight
            if left < 0:
                return task
        return runnable[-1]

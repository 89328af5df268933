"""Mutants: a schedule that has shown something new, gone another way at one place.

The tape is followed up to a place that is drawn, an M that did not go there goes, and from there on
the tape is followed again as far as it fits, or the rest is left to random priorities. So what was
hard to reach is reached again, and what lies near it is tried.

Source: A. Li et al., "Fray: An Efficient General-Purpose Concurrency Testing Platform for the JVM",
OOPSLA 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.strategies.pct import Pct
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.step.task import State, Task


class Mutant(Pct):
    """Mutates tapes of earlier runs.

    Args:
        tapes: as `ExploringEngine.tape` has them; one is drawn for each run.
    """

    name = "mutant"

    def __init__(self, tapes: Sequence[Sequence[int]] = ()) -> None:
        super().__init__(2)
        self._tapes = tapes
        self._tape: Sequence[int] = ()
        self._at = 0
        self._cut = 0
        self._follows_on = False

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw a tape, and where to leave it."""
        super().begin(random, profile)
        self._tape = self._tapes[int(random.random() * len(self._tapes))] if self._tapes else ()
        self._at = 0
        self._cut = int(random.random() * len(self._tape)) if self._tape else 0
        self._follows_on = random.random() < 0.5
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names; another at the cut; after it the tape's again, or the highest."""
        if len(runnable) == 1:
            return runnable[0]
        at = self._at
        self._at = at + 1
        if at >= len(self._tape):
            return super().next_task(runnable, current)
        wanted = self._tape[at]
        if at == self._cut:
            others = [task for task in runnable if task.id != wanted]
            return others[int(self._random.random() * len(others))]
        if at > self._cut and not self._follows_on:
            return super().next_task(runnable, current)
        for task in runnable:
            if task.id == wanted:
                return task
        if current is not None and current.state is State.RUNNABLE:
            return current
        return super().next_task(runnable, current)

    def choice(self, n: int) -> int:
        """The value on the tape up to the cut; any after it."""
        at = self._at
        self._at = at + 1
        if at < self._cut and self._tape[at] < n:
            return self._tape[at]
        return super().choice(n)

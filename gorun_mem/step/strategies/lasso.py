"""The lasso: a run up to some step, then the same steps by the same Ms round and round.

What looked as if it might go on for ever is made to. If it does, and everybody who can go goes in
each round, the program has a fair schedule without an end: a livelock.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.task import Task


class Lasso:
    """Goes round a cycle, and then on at random, which is fair: so it ends if it can.

    Args:
        tape: of the run that it begins with, as `ExploringEngine.tape` has it.
        stem: how many steps of that are made before the cycle.
        cycle: whose step it is, step by step.
        rounds: how often to go round.

    Attributes:
        made: rounds that were made.
    """

    name = "lasso"
    every_step = True

    def __init__(self, tape: Sequence[int], stem: int, cycle: Sequence[int], rounds: int) -> None:
        self._tape = tape
        self._stem = stem
        self._cycle = cycle
        self._ms = frozenset(cycle)
        self._rounds = rounds
        self._at = 0
        self._step = 0
        self._is_broken = False
        self._draw = Random(stem).random
        self.made = 0

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names, then whose turn it is in the cycle."""
        step = self._step
        self._step = step + 1
        if step < self._stem:
            if len(runnable) == 1:
                return runnable[0]
            wanted = self._take()
        else:
            turn, place = divmod(step - self._stem, len(self._cycle))
            if not place and step > self._stem and not self._is_broken:
                self.made = turn
            if not place and any(task.id not in self._ms for task in runnable):
                self._is_broken = True
            if self._is_broken or turn >= self._rounds:
                return runnable[int(self._draw() * len(runnable))]
            wanted = self._cycle[place]
        for task in runnable:
            if task.id == wanted:
                return task
        self._is_broken = True
        return runnable[int(self._draw() * len(runnable))]

    def choice(self, n: int) -> int:
        """The value on the tape; a cycle that draws is none, for the next draw may end it."""
        if self._step > self._stem:
            self._is_broken = True
            return int(self._draw() * n)
        value = self._take()
        return value if value < n else 0

    def _take(self) -> int:
        at = self._at
        self._at = at + 1
        return self._tape[at] if at < len(self._tape) else 0

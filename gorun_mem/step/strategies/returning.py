"""Going back to where few runs have come, and on from there by chance.

Each run follows the beginning of a run before it, up to a position that was seldom seen, and is a
random walk from there on: at each step the M that goes is left with a chance that is drawn for the
run, so some runs change about as often as they can and some hardly ever. A bug that takes a row of
unlikely turns is come to turn by turn: no run has to guess all of them.

Source: A. Ecoffet, J. Huizinga, J. Lehman, K. Stanley, J. Clune, "First return, then explore",
Nature 590, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from gorun_mem.step.strategies.searching import Profile, Searching
from gorun_mem.step.task import State, Task

ODDS: Final[tuple[float, ...]] = (0.8, 0.5, 0.3, 0.1)
"""Chances to leave an M that could go on; one is drawn for each run."""


class Returning(Searching):
    """Returns to positions of earlier runs.

    Args:
        tapes: beginnings of runs, as `ExploringEngine.tape` has them; one is drawn for each run.
    """

    name = "returning"

    def __init__(self, tapes: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        self._tapes = tapes
        self._tape: Sequence[int] = ()
        self._at = 0
        self._odds = 0.0
        self._draw: Callable[[], float] = self._random.random

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw where to return to."""
        self._random = random
        self._draw = random.random
        self._tape = self._tapes[int(random.random() * len(self._tapes))] if self._tapes else ()
        self._at = 0
        self._odds = ODDS[int(random.random() * len(ODDS))]
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names; after it who went before, or another."""
        n = len(runnable)
        if n == 1:
            return runnable[0]
        if self._at < len(self._tape):
            wanted = self._take()
            for task in runnable:
                if task.id == wanted:
                    return task
            self._at = len(self._tape)
        if current is None or current.state is not State.RUNNABLE:
            return runnable[int(self._draw() * n)]
        if current.op.kind != "yield" and self._draw() >= self._odds:
            return current
        other = runnable[int(self._draw() * (n - 1))]
        return other if other is not current else runnable[n - 1]

    def choice(self, n: int) -> int:
        """The value on the tape; any after it."""
        if self._at < len(self._tape):
            value = self._take()
            return value if value < n else 0
        return super().choice(n)

    def _take(self) -> int:
        at = self._at
        self._at = at + 1
        return self._tape[at]

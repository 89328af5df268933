"""URW: each M as likely as it has steps left, so that every interleaving is about as likely.

A plain random walk favours runs in which the short Ms end early. Weighed by the steps that are left
to them, known from the first runs, all interleavings of straight-line Ms have the same chance. What
an M will start counts with it until then (see `Shares`), and so the same holds of Ms that start
Ms. An M that has made more steps than ever before still counts as one with a step left.

Where Ms wait for one another the interleavings are only nearly as likely: what comes after a wait
counts with the M that waits, which cannot be taken, and not with those that it waits for.

Source: H. Zhao et al., "Selectively Uniform Concurrency Testing", ASPLOS 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from gorun_mem.step.engine import Engine
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.searching import Profile, Searching, Shares
from gorun_mem.step.task import Task


class Urw(Searching):
    """Uniform random walk."""

    name = "urw"
    every_step = True

    def __init__(self) -> None:
        super().__init__()
        self._shares = Shares({})

    def begin(self, random: Random, profile: Profile) -> bool:
        """Take the numbers of steps from `profile`."""
        self._random = random
        self._shares = Shares(profile.steps)
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """One of them, in proportion to the steps that are left to it."""
        shares = self._shares
        engine = runnable[0].sched
        assert isinstance(engine, Engine)
        if len(engine.tasks) > shares.met:
            shares.meet(engine)
        task = runnable[0] if len(runnable) == 1 else shares.draw(self._random, runnable, 1)
        shares.left[task.id] -= 1
        return task


STRATEGY: Final = StrategyEntry(
    about="every interleaving about as likely", source="H. Zhao et al., ASPLOS 2025", search=Urw
)

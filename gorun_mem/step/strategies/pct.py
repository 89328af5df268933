"""PCT: random priorities and a few places where they change.

Each M has a random priority of its own and the highest that can go always goes. At d-1 steps, drawn
without replacement from the k at which there is anything to decide, the M that would go falls below
all that have not fallen, and who goes is decided again. The j-th step drawn has the level d-j,
whichever comes first in the run: of two that fell, the later one may go before the earlier. A bug
that needs d orderings is found with a chance of at least 1/(n k^(d-1)) a run, n being the number of
Ms.

An M that yields, or spins more than `PATIENCE` times running, falls behind too, for it waits for
somebody with a lower priority. Go's locks spin less often before they sleep. So an M that is on top
comes to its sleep with no other M going in between, as it must for a wakeup to get lost. Nor does
an M stay on top that makes far more steps running than any has made in a whole run: it goes round
until another changes something, and does not say so.

Source: S. Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
Bugs", ASPLOS 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

from gorun_mem.step.engine import Engine
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.searching import WAITS, Profile, Searching
from gorun_mem.step.task import State, Task

PATIENCE: Final = 8
"""How often an M that is on top may spin before it falls, no other M going in between."""
ROUNDS: Final = 2
"""How many times the steps of the longest M known an M may make running before it falls."""
ROUNDS_LEAST: Final = 200
"""Steps that every M may make running."""


class Pct(Searching):
    """Probabilistic concurrency testing.

    Args:
        depth: d, how many orderings a bug may need.
    """

    name = "pct"
    follows = True

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        self.depth = depth
        self._priority: dict[int, float] = {}
        self._order: list[tuple[float, int, Task]] = []
        """A heap of the Ms by priority, those that cannot go and old priorities among them."""
        self._changes: dict[int, int] = {}
        """Step -> the level to which the M that would make it falls."""
        self._decisions = 0
        self._falls = 0
        self._spins = 0
        self._running = 0
        self._running_most = ROUNDS_LEAST

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw the places of change."""
        self._random = random
        self._priority = {}
        self._order = []
        k = max(profile.decisions, self.depth - 1, 1)
        points = random.sample(range(1, k + 1), min(self.depth - 1, k))
        self._changes = {step: self.depth - j for j, step in enumerate(points, 1)}
        self._decisions = self._falls = self._spins = self._running = 0
        self._running_most = max(ROUNDS_LEAST, ROUNDS * max(profile.steps.values(), default=0))
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """The highest, once it is known who falls here."""
        if len(runnable) == 1:
            return runnable[0]
        self._decisions += 1
        best = self._highest(runnable)
        level = self._changes.get(self._decisions, 0)
        if level:
            self._let(best, level / self.depth)  # those that have not fallen are above 1
            best = self._highest(runnable)
        self._running = self._running + 1 if best is current else 0
        if self._running > self._running_most or (
            best.op.kind in WAITS and self._is_spun_out(best, current)
        ):
            self._running = 0
            self._fall(best)
            best = self._highest(runnable)
        return best

    def _is_spun_out(self, best: Task, current: Task | None) -> bool:
        """Whether `best`, which is about to spin or yield, is to wait for those below it."""
        self._spins = self._spins + 1 if best is current else 1
        return self._spins > PATIENCE or best.op.kind == "yield"

    def _highest(self, runnable: Sequence[Task]) -> Task:
        engine = runnable[0].sched
        assert isinstance(engine, Engine)
        priorities, order = self._priority, self._order
        if engine.fresh:
            for task in engine.fresh:
                priority = priorities.get(task.id)
                if priority is None:
                    # Two Ms never draw the same: a float has 53 random bits.
                    priority = priorities[task.id] = self._random.random() + 1.0
                heappush(order, (-priority, task.id, task))
            engine.fresh.clear()
        while True:
            priority, m, task = order[0]
            if task.state is State.RUNNABLE and priorities[m] == -priority:
                return task
            heappop(order)

    def _let(self, task: Task, priority: float) -> None:
        """Let the priority of `task` be another."""
        self._priority[task.id] = priority
        heappush(self._order, (-priority, task.id, task))

    def _fall(self, task: Task) -> None:
        """Let `task`, which waits for others, have the lowest priority of all."""
        self._falls += 1
        self._let(task, -float(self._falls))


STRATEGY: Final = StrategyEntry(
    about="random priorities that change at few steps",
    source="S. Burckhardt et al., ASPLOS 2010",
    search=Pct,
)

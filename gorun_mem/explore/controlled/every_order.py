"""Every order of the steps, once each: for programs of which no two steps are known to commute.

A run is a path of decisions; the next takes the last decision of which something is left to try,
tries that, and goes on by run-to-block. So no run is made twice and none in vain, and what is kept
is one path. Where steps say what they touch, `exhaustive` needs far fewer runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.strategies.searching import NonDeterminism, Profile, Searching
from gorun_mem.step.strategies.subtree import PathPart
from gorun_mem.step.task import State, Task

Ways = tuple[int, ...]
"""The numbers of the Ms that could go; of a choice of data, how many values, below zero."""


class _Decision:
    """Where there was more than one way to go on.

    Attributes:
        ways: who could go, or how many values there were.
        taken: the way under way: the number of an M, or the value.
        left: those that are still to be tried, the next one last.
    """

    __slots__ = ("left", "taken", "ways")

    def __init__(self, ways: Ways, taken: int, left: list[int]) -> None:
        self.ways = ways
        self.taken = taken
        self.left = left


class EveryOrder(Searching):
    """Depth-first search through all decisions.

    Args:
        part: of the tree; None for all of it.

    Attributes:
        rested: no M was made to wait: the bound of steps ends a loop.
        keeps_time: timers fire at their time, in every order.
    """

    name = "exhaustive"
    exhaustive = True

    def __init__(self, part: PathPart | None = None) -> None:
        super().__init__()
        part = PathPart((), 0) if part is None else part
        self._path = [_Decision(ways, at, list(left)) for ways, at, left in part.decisions]
        self._fixed = part.fixed
        self._at = 0
        self._ready = True
        self.rested = self.keeps_time = False

    def left(self) -> PathPart | None:
        """What is left of the part; None for nothing."""
        self._ready = self._ready or self._back()
        if not self._ready:
            return None
        decisions = tuple((one.ways, one.taken, tuple(one.left)) for one in self._path)
        return PathPart(decisions, self._fixed)

    def begin(self, random: Random, profile: Profile) -> bool:
        """Go back to the last decision at which something is left to try."""
        self._random = random
        if not (self._ready or self._back()):
            return False
        self._ready = False
        self._at = 0
        return True

    def _back(self) -> bool:
        path = self._path
        while len(path) > self._fixed and not path[-1].left:
            path.pop()
        if len(path) == self._fixed:
            return False
        path[-1].taken = path[-1].left.pop()
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the path says, or whom run-to-block would take.

        Raises:
            NonDeterminism: the program does not do what it did after the same steps.
        """
        if len(runnable) == 1:
            return runnable[0]
        by_id = {task.id: task for task in runnable}
        ways = tuple(sorted(by_id))
        if self._at < len(self._path):
            return by_id[self._follow(ways)]
        first = min(ways)
        if current is not None and current.state is State.RUNNABLE:
            first = current.id
        return by_id[self._try(ways, first, [m for m in reversed(ways) if m != first])]

    def choice(self, n: int) -> int:
        """The value that the path says."""
        if self._at < len(self._path):
            return self._follow((-n,))
        return self._try((-n,), 0, list(range(n - 1, 0, -1)))

    def _follow(self, ways: Ways) -> int:
        at = self._at
        decision = self._path[at]
        self._at = at + 1
        if decision.ways != ways:
            raise NonDeterminism(
                f"decision {at + 1}: after the same steps there is {_in_words(ways)}, and before "
                f"there was {_in_words(decision.ways)}"
            )
        return decision.taken

    def _try(self, ways: Ways, first: int, others: list[int]) -> int:
        self._path.append(_Decision(ways, first, others))
        self._at += 1
        return first


def _in_words(ways: Ways) -> str:
    if ways[0] < 0:
        return f"a choice of {-ways[0]} values"
    return f"a step of {', '.join(f'M{m}' for m in ways[:-1])} or M{ways[-1]}"

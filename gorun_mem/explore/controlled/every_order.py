"""Every order of the steps, once each: for programs of which no two steps are known to commute.

A run is a path of decisions; the next takes the last decision of which something is left to try,
tries that, and goes on by run-to-block. So no run is made twice and none in vain, and what is kept
is one path. Where steps say what they touch, `exhaustive` needs far fewer runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.step.strategies.searching import NonDeterminism, Profile, Redundant, Searching
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
        split: the decisions at the top below which the search is shared out.
        share: (k, n): of the starts that these make take those whose number is k modulo n.

    Attributes:
        start: the number of the start under way.
        counts: whether the run that has ended is one of ours.
        rested: no M was made to wait: the bound of steps ends a loop.
    """

    name = "exhaustive"
    exhaustive = True

    def __init__(self, split: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        super().__init__()
        self._split = split
        self._share = share
        self._path: list[_Decision] = []
        self._at = 0
        self._begun = False
        self._is_new = False
        self.start = -1
        self.counts = True
        self.rested = False

    def begin(self, random: Random, profile: Profile) -> bool:
        """Go back to the last decision at which something is left to try."""
        self._random = random
        path = self._path
        if self._begun:
            while path and not path[-1].left:
                path.pop()
            if not path:
                return False
            path[-1].taken = path[-1].left.pop()
            self._is_new = len(path) == self._split
        self._begun = True
        self._at = 0
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the path says, or whom run-to-block would take.

        Raises:
            Redundant: the start is another's to search.
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

    def ended(self) -> None:
        """See whose the run was."""
        self.counts = len(self._path) >= self._split or self._share[0] == 0

    def _follow(self, ways: Ways) -> int:
        at = self._at
        decision = self._path[at]
        self._at = at + 1
        if decision.ways != ways:
            raise NonDeterminism(
                f"decision {at + 1}: after the same steps there is {_in_words(ways)}, and before "
                f"there was {_in_words(decision.ways)}"
            )
        self._see_start()
        return decision.taken

    def _try(self, ways: Ways, first: int, others: list[int]) -> int:
        self._path.append(_Decision(ways, first, others))
        self._at += 1
        self._is_new = self._at == self._split
        self._see_start()
        return first

    def _see_start(self) -> None:
        """Where the decisions at the top are made: is what is below ours to search?"""
        if not self._is_new or self._at != self._split:
            return
        self._is_new = False
        self.start += 1
        k, n = self._share
        if self.start % n != k:
            raise Redundant


def _in_words(ways: Ways) -> str:
    if ways[0] < 0:
        return f"a choice of {-ways[0]} values"
    return f"a step of {', '.join(f'M{m}' for m in ways[:-1])} or M{ways[-1]}"

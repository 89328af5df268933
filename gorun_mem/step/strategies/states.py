"""Every state of a program, depth first: a run ends where it comes to a state that was seen before.

A coroutine cannot be set back, so each run begins anew and makes the decisions that lead to where
something is left; from there on it takes the first of what it has not taken. Who tells what state
the program is in is none of this module's business (`StateSource`): two states that it takes for
one must have the same future.

    decide     a state that is new: every M that can go is to go from here, in one run or another
    break off  one that was seen: what follows from it was gone through, or will be from where it
               was seen first
    draw       a choice of data in the middle of a step: each value in turn

Steps that spin lead back to where they began, so no run goes round for ever; that a program may is
seen in the end, by the states from which no end is in reach (`not_ending`).

Source: P. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032,
1996, 2.3; K. Havelund, W. Visser et al., "Model Checking Programs", ASE 2000, for programs.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Mapping, Sequence
from random import Random
from typing import Any, Final

from gorun_mem.step.strategies.searching import NonDeterminism, Profile, Redundant, Searching
from gorun_mem.step.task import Task

StateSource = Callable[[], Hashable]
"""What state the program is in, between two steps; equal only where the future is."""
NOWHERE: Final = -1


class Fork:
    """A decision on the way: at `state` (or NOWHERE, where it draws), what was taken and is left.

    Args:
        state: number of the state.
        left: what else there is to take, the next one last.
    """

    __slots__ = ("left", "state", "taken")

    def __init__(self, state: int, taken: int, left: list[int]) -> None:
        self.state = state
        self.taken = taken
        self.left = left


class States(Searching):
    """Visits every state of a program.

    Args:
        states_max: a bound of states.

    Attributes:
        source: tells the state; set before each run.
        count: states seen.
        full: there are more states than that.
    """

    name = "states"
    exhaustive = True
    every_step = True

    def __init__(self, states_max: int = 1 << 62) -> None:
        super().__init__()
        self.source: StateSource | None = None
        self.full = False
        self._states_max = states_max
        self._numbers: dict[Hashable, int] = {}
        self._path: list[Fork] = []
        self._at = 0
        self._here = NOWHERE
        self._begun = False
        self._from = array("q")
        self._to = array("q")
        self._ends: list[int] = []
        self._ways: list[tuple[int, tuple[int, ...]]] = []
        self._fork_at = 0
        self._cut = False

    @property
    def count(self) -> int:
        """States seen."""
        return len(self._numbers)

    def begin(self, random: Random, profile: Profile) -> bool:
        """Go back to where something is left; False if nothing is."""
        self._random = random
        path = self._path
        if self._begun:
            while path and not path[-1].left:
                path.pop()
            if not path:
                return False
            path[-1].taken = path[-1].left.pop()
        self._begun = True
        self._at = 0
        self._here = NOWHERE
        self._fork_at = 0
        self._cut = False
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the way there says, or the first of a new state.

        Raises:
            Redundant: the state was seen before.
        """
        at = self._at
        path = self._path
        self._at = at + 1
        if at < len(path):
            fork = path[at]
            self._here, self._fork_at = fork.state, at
            for task in runnable:
                if task.id == fork.taken:
                    return task
            raise NonDeterminism(f"decision {at + 1}: M{fork.taken} could go, and now it cannot")
        assert self.source is not None
        numbers = self._numbers
        count = len(numbers)
        number = numbers.setdefault(self.source(), count)
        if self._here >= 0:
            self._from.append(self._here)
            self._to.append(number)
        if number == count:
            since = path[self._fork_at :]
            self._ways.append((self._here, tuple([fork.taken for fork in since])))
        self._here, self._fork_at = number, at
        if number < count or count >= self._states_max:
            self.full |= number == count
            self._cut = True
            raise Redundant
        able = sorted(runnable, key=_number, reverse=True)
        stays = current is not None and current in able
        first = current if stays and current is not None else able[-1]
        path.append(Fork(number, first.id, [task.id for task in able if task is not first]))
        return first

    def choice(self, n: int) -> int:
        """The value that the way there says, or the first."""
        at = self._at
        path = self._path
        self._at = at + 1
        if at < len(path):
            return path[at].taken
        path.append(Fork(NOWHERE, 0, list(range(n - 1, 0, -1))))
        return 0

    def ended(self) -> None:
        """A run that was not broken off has come to its end."""
        if not self._cut and self._here >= 0:
            self._ends.append(self._here)

    # What whoever tells the states has to know

    world_class: Any
    """The class of the Worlds of the runs."""

    def meet(self, world: Any, coros: Mapping[int, Any]) -> None:
        """A run is to begin on `world`; `coros` will be the coroutines of its Ms, by number."""
        raise NotImplementedError

    def leave(self) -> None:
        """The Ms make no more steps."""

    # What the states say

    def way(self, state: int) -> list[int]:
        """The decisions that lead to a state: ids of Ms, also where one alone could go, and values
        drawn.
        """
        parts: list[tuple[int, ...]] = []
        while state >= 0:
            state, part = self._ways[state]
            parts.append(part)
        return [one for part in reversed(parts) for one in part]

    def not_ending(self) -> int:
        """The first state from which no end can be reached; NOWHERE if there is none."""
        before: dict[int, list[int]] = {}
        for here, there in zip(self._from, self._to, strict=True):
            before.setdefault(there, []).append(here)
        good = bytearray(self.count)
        todo = list(self._ends)
        for end in todo:
            good[end] = 1
        while todo:
            for here in before.get(todo.pop(), ()):
                if not good[here]:
                    good[here] = 1
                    todo.append(here)
        return good.find(0)


def _number(task: Any) -> int:
    number: int = task.id
    return number


class Thence(Searching):
    """Goes a way that leads to a state, and on from there by chance.

    Args:
        way: `States.way`.
    """

    name = "states"
    every_step = True

    def __init__(self, way: Sequence[int]) -> None:
        super().__init__()
        self._way = way
        self._at = 0

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the way says; any."""
        if self._at < len(self._way):
            wanted = self._way[self._at]
            self._at += 1
            return next(task for task in runnable if task.id == wanted)
        return runnable[int(self._random.random() * len(runnable))]

    def choice(self, n: int) -> int:
        """What the way says; any."""
        if self._at < len(self._way):
            self._at += 1
            return self._way[self._at - 1]
        return super().choice(n)

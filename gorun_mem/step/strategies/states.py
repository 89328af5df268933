"""Every state of a program, depth first: a run ends where it comes to a state that was seen before.

A coroutine cannot be set back, so each run begins anew and makes the decisions that lead to where
something is left; from there on it takes the first of what it has not taken. Who tells what state
the program is in is none of this module's business (`StateSource`): two states that it takes for
one must have the same future.

    decide     a state that is new: every M that can go is to go from here, in one run or another
    break off  one that was seen: what follows from it was gone through, or will be from where it
               was seen first
    draw       a choice of data in the middle of a step: each value in turn

*Spins in one go.* A lock of Go's that is taken looks at its word some times, with a spin in front
of each look, before its M sleeps. Once an M has begun to spin it is let go on until a look shows
something else, or until it has spun enough: nobody goes in between. No end is lost so. A look that
shows what the last one did leads back to the same state but for the count; from a lower count the M
can do all that it can from a higher one, by looking some times more, which nobody sees. So where
somebody changes the word between two looks, the same comes of the M's beginning to spin after that.
That others go before it begins, and after it has ended, stays a decision; so does all that writes.

Steps that spin for ever lead back to where they began, so no run goes round for ever; that a
program may is seen in the end, by the states from which no end is in reach (`not_ending`).

Source: P. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032,
1996, 2.3; K. Havelund, W. Visser et al., "Model Checking Programs", ASE 2000, for programs.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Mapping, Sequence
from random import Random
from typing import Any, Final

from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.searching import NonDeterminism, Profile, Redundant, Searching
from gorun_mem.step.task import State, Task

StateSource = Callable[[], Hashable]
"""What state the program is in, between two steps; equal only where the future is."""
NOWHERE: Final = -1
SPINS: Final = frozenset({"procyield", "osyield"})


class TakenState:
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


class SpinsWhole(Searching):
    """Lets an M that has begun to spin for a lock of the runtime's spin until it has.

    Args:
        spins_whole: do so.
    """

    every_step = True

    def __init__(self, spins_whole: bool) -> None:
        super().__init__()
        self.spins_whole = spins_whole
        self._spinning: tuple[Any, ...] = ()

    def begin(self, random: Random, profile: Profile) -> bool:
        """Nobody spins."""
        self._spinning = ()
        return super().begin(random, profile)

    def _note_spin(self, task: Task) -> None:
        """`task` goes next: does it begin to spin?"""
        op = task.op
        if self.spins_whole and op.kind in SPINS and isinstance(op, MutexOp):
            self._spinning = (op, True)

    def _spins_on(self, task: Task) -> bool:
        """Whether the M, which spins, is to go on at once."""
        op, spun, *seen = self._spinning
        if task.op is not op or task.state is not State.RUNNABLE or not op.reads_only:
            self._spinning = ()
            return False
        spins = op.kind in SPINS
        if spins:
            here = op.snapshot()
            if here in seen:  # a spin without an end, as a lock of one's own may have
                self._spinning = ()
                return False
            seen.append(here)
        elif not spun:
            self._spinning = ()
            return False
        self._spinning = (op, spins, *seen)
        return True


class States(SpinsWhole):
    """Visits every state of a program.

    Args:
        states_max: a bound of states.
        spins_whole: spins are in one go.

    Attributes:
        source: tells the state; set before each run.
        count: states seen.
        full: there are more states than that.
    """

    name = "states"
    exhaustive = True

    def __init__(self, states_max: int = 1 << 62, spins_whole: bool = True) -> None:
        super().__init__(spins_whole)
        self.source: StateSource | None = None
        self.full = False
        self._states_max = states_max
        self._numbers: dict[Hashable, int] = {}
        self._path: list[TakenState] = []
        self._at = 0
        self._here = NOWHERE
        self._begun = False
        self._from = array("q")
        self._to = array("q")
        self._by = array("q")
        self._alone = NOWHERE
        self._ends: list[int] = []
        self._ways: list[tuple[int, tuple[int, ...]]] = []
        self._fork_at = 0
        self._cut = False

    @property
    def count(self) -> int:
        """States seen."""
        return len(self._numbers)

    def begin(self, random: Random, profile: Profile) -> bool:
        """Go back to where something is left; False if nothing is, or there are too many states."""
        super().begin(random, profile)
        if self.full:
            return False
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
        """Whom the way there says, or the first of a new state; whoever spins, until it has.

        Raises:
            Redundant: the state was seen before.
        """
        if self._spinning and current is not None and self._spins_on(current):
            self._alone = NOWHERE
            return current
        task = self._taken(runnable, current)
        self._note_spin(task)
        keeps = len(runnable) > 1 and not kind_of(task.op.kind).yields
        self._alone = task.id if keeps else NOWHERE
        return task

    def _taken(self, runnable: Sequence[Task], current: Task | None) -> Task:
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
            drew = len(path) > self._fork_at + 1
            self._by.append(NOWHERE if drew else self._alone)
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
        path.append(TakenState(number, first.id, [task.id for task in able if task is not first]))
        return first

    def choice(self, n: int) -> int:
        """The value that the way there says, or the first."""
        at = self._at
        path = self._path
        self._at = at + 1
        if at < len(path):
            return path[at].taken
        path.append(TakenState(NOWHERE, 0, list(range(n - 1, 0, -1))))
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

    def keeps_cpu(self) -> tuple[int, int, int] | None:
        """An M that may go round for ever by itself, and never yields, while another could go: a
        state of its round, its number, and how many steps that has; None if no M may.
        """
        for m in sorted(set(self._by) - {NOWHERE}):
            edges = zip(self._from, self._to, self._by, strict=True)
            after = {here: there for here, there, by in edges if by == m}  # none of them draws
            through: set[int] = set()
            for start in after:
                here, walked = start, dict[int, int]()
                while here in after and here not in through and here not in walked:
                    walked[here] = len(walked)
                    here = after[here]
                if here in walked:
                    return here, m, len(walked) - walked[here]
                through.update(walked)
        return None

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


class Thence(SpinsWhole):
    """Goes a way that leads to a state, and on from there by chance.

    Args:
        way: `States.way`.
        spins_whole: as it was where that was found.
        alone: who makes the steps after that; 0 for whoever comes.
        steps: how many.
    """

    name = "states"

    def __init__(
        self, way: Sequence[int], spins_whole: bool, alone: int = 0, steps: int = 0
    ) -> None:
        super().__init__(spins_whole)
        self._way = (*way, *[alone] * steps)
        self._at = 0

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the way says; any."""
        if self._spinning and current is not None and self._spins_on(current):
            return current
        at = self._at
        if at == len(self._way):
            return runnable[int(self._random.random() * len(runnable))]
        self._at = at + 1
        for task in runnable:
            if task.id == self._way[at]:
                self._note_spin(task)
                return task
        raise NonDeterminism(f"decision {at + 1}: M{self._way[at]} could go, and now it cannot")

    def choice(self, n: int) -> int:
        """What the way says; any."""
        if self._at < len(self._way):
            self._at += 1
            return self._way[self._at - 1]
        return super().choice(n)


STRATEGY: Final = StrategyEntry(
    about="every state of the program, each once",
    source="P. Godefroid, LNCS 1032, 1996",
    search=States,
    tree=True,
)

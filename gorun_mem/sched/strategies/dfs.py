"""Depth first, by how far a schedule departs from run-to-block: none, one departure, two ...

Going on with the same M while it can go costs nothing, nor does the choice among the others where
it cannot; taking another costs one, and so does a data choice other than 0. All schedules of cost 0
are run, then all of cost 1, and so on: most bugs need one or two. An M that spins or yields waits
for others, so there it is going on that costs.

Every schedule is run once: a run leaves behind, for each decision after its own, the schedules that
differ there, in a list for their cost. Rejected: running the whole tree again for each bound, as
CHESS does, which repeats all that was run before.

Source: M. Musuvathi, S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded
Programs", PLDI 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gorun_mem.sched.strategies.searching import SPINS, NonDeterminism, Profile, Searching
from gorun_mem.sched.task import State, Task


class BoundedDfs(Searching):
    """Preemption-bounded depth-first search.

    Args:
        bound_max: the greatest cost to run; None for all.

    Attributes:
        bound: the cost of what is being run; all of lower cost has been.
        beyond: whether there are schedules of a cost above `bound_max`.
    """

    name = "dfs"
    exhaustive = True

    def __init__(self, bound_max: int | None = None) -> None:
        super().__init__()
        self._bound_max = bound_max
        # By cost: the tape of the run that it differs from, where, the value there, its name.
        self._left: list[list[tuple[list[int], int, int, str]]] = [[([], -1, 0, "")]]
        self._tape: list[int] = []
        self._cost = 0
        self._prefix: list[int] = []
        self._expected = ""
        self.bound = 0
        self.beyond = False

    def begin(self, random: Random, profile: Profile) -> bool:
        """Take the next schedule of the least cost."""
        self._random = random
        while not self._left[self.bound]:
            if self.bound + 1 == len(self._left):
                return False
            if self.bound == self._bound_max:
                self.beyond = True
                return False
            self.bound += 1
        before, at, value, self._expected = self._left[self.bound].pop()
        self._prefix = [*before[:at], value] if at >= 0 else []
        self._tape = []
        self._cost = self.bound
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the schedule says, or the one that costs nothing."""
        if len(runnable) == 1:
            return runnable[0]
        at = len(self._tape)
        if at < len(self._prefix):
            task = self._follow(runnable, at)
        else:
            task = self._decide(runnable, current, at)
        self._tape.append(task.id)
        return task

    def choice(self, n: int) -> int:
        """What the schedule says, or 0."""
        at = len(self._tape)
        value = 0
        if at < len(self._prefix):
            value = self._prefix[at]
            if value >= n:
                raise NonDeterminism(
                    f"decision {at + 1} was one of more than {value} values before"
                )
        else:
            for other in range(1, n):
                self._leave(self._cost + 1, at, other, "")
        self._tape.append(value)
        return value

    def _follow(self, runnable: Sequence[Task], at: int) -> Task:
        wanted = self._prefix[at]
        for task in runnable:
            if task.id == wanted:
                name = f"{task.op.kind} {task.op.obj}"  # type: ignore[union-attr]
                if at + 1 == len(self._prefix) and name != self._expected:
                    raise NonDeterminism(
                        f"decision {at + 1}: M{wanted} was about to {self._expected}, and after "
                        f"the same steps it is about to {name}"
                    )
                return task
        raise NonDeterminism(f"decision {at + 1}: M{wanted} could go, and now it cannot")

    def _decide(self, runnable: Sequence[Task], current: Task | None, at: int) -> Task:
        by_id = sorted(runnable, key=lambda task: task.id)
        stay = current if current is not None and current.state is State.RUNNABLE else None
        spins = stay is not None and stay.op is not None and stay.op.kind in SPINS
        if stay is None:
            first = by_id[0]
        elif not spins:
            first = stay
        else:
            first = next((task for task in by_id if task.id > stay.id), by_id[0])
        for task in reversed(by_id):
            if task is not first:
                free = stay is None or (spins and task is not stay)
                op = task.op
                name = f"{op.kind} {op.obj}"  # type: ignore[union-attr]
                self._leave(self._cost + (not free), at, task.id, name)
        return first

    def _leave(self, cost: int, at: int, value: int, name: str) -> None:
        """Leave a schedule that differs at `at` for later."""
        while cost >= len(self._left):
            self._left.append([])
        self._left[cost].append((self._tape, at, value, name))

"""Depth first, by how far a schedule departs from run-to-block: none, one departure, two ...

Going on with the same M while it can go costs nothing, nor does the choice among the others where
it cannot; taking another costs one, and so does a data choice other than 0. All schedules of cost 0
are run, then all of cost 1, and so on: most bugs need one or two. An M that spins or yields waits
for others, so there it is going on that costs.

Every schedule is run once: a run leaves behind, for each decision after its own, the schedules that
differ there, in a queue for their cost. What a run leaves depends on that run alone, so runs can be
made in other processes, and as long as what they leave is queued in order, which schedules are run,
and in which order, is the same. Rejected: running the whole tree again for each bound, as CHESS
does, which repeats all that was run before; the last left first, which has no such order.

Source: M. Musuvathi, S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded
Programs", PLDI 2007.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from gorun_mem.sched.strategies.searching import SPINS, NonDeterminism, Profile, Searching
from gorun_mem.sched.task import State, Task


class Branch(NamedTuple):
    """A schedule that is left to run: that of a run before, but for one decision.

    Args:
        cost: what it costs.
        tape: numbers of Ms and data values, of the run that left it.
        at: the number of the decision that differs; -1 for the first schedule of all.
        value: the decision in its place; all after it are the plainest.
        name: the operation that the M is about to make there; "" for a data choice.
    """

    cost: int
    tape: list[int]
    at: int
    value: int
    name: str


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
        self._left = [deque([Branch(0, [], -1, 0, "")])]
        self._tape: list[int] = []
        self._cost = 0
        self._prefix: list[int] = []
        self._expected = ""
        self.bound = 0
        self.beyond = False

    def begin(self, random: Random, profile: Profile) -> bool:
        """Follow the next schedule of the least cost."""
        self._random = random
        branch = self.take()
        if branch is not None:
            self.follow(branch)
        return branch is not None

    def take(self, settled: bool = True) -> Branch | None:
        """The next schedule of the least cost, which then is no longer left.

        Args:
            settled: whether all that was taken has been run and what it left is here. If not there
                may be more of the same cost to come.
        """
        while not self._left[self.bound]:
            if not settled or self.bound + 1 == len(self._left):
                return None
            self.bound += 1
        return self._left[self.bound].popleft()

    def follow(self, branch: Branch) -> None:
        """Let the run that is to begin be that of `branch`."""
        self._prefix = [*branch.tape[: branch.at], branch.value] if branch.at >= 0 else []
        self._expected = branch.name
        self._tape = []
        self._cost = branch.cost

    def leave(self, branches: Iterable[Branch]) -> None:
        """Queue what a run has left."""
        for branch in branches:
            if self._bound_max is not None and branch.cost > self._bound_max:
                self.beyond = True
                continue
            while branch.cost >= len(self._left):
                self._left.append(deque())
            self._left[branch.cost].append(branch)

    def take_all(self) -> list[Branch]:
        """All that is left, by cost, and for each cost in order; then nothing is."""
        left = [branch for queue in self._left for branch in queue]
        self._left = [deque()]
        return left

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
            self.leave(Branch(self._cost + 1, self._tape, at, v, "") for v in range(1, n))
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
        left = []
        for task in by_id:
            if task is not first:
                free = stay is None or (spins and task is not stay)
                op = task.op
                name = f"{op.kind} {op.obj}"  # type: ignore[union-attr]
                left.append(Branch(self._cost + (not free), self._tape, at, task.id, name))
        self.leave(left)
        return first

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
from typing import Final, NamedTuple

from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.searching import WAITS, NonDeterminism, Profile, Searching
from gorun_mem.step.task import State, Task


class Branch(NamedTuple):
    """A schedule that is left to run.

    Args:
        cost: what it costs.
        prefix: numbers of Ms and data values; all decisions after them are the plainest.
        kind: of the operation that the M of the last one is about to make; "" for a data choice.
        obj: what that operation is on.
    """

    cost: int
    prefix: list[int]
    kind: str
    obj: str


class Left(NamedTuple):
    """The schedules of one cost that a run has left: those that differ from it in one decision.

    Args:
        cost: of each.
        tape: the run's decisions.
        others: number of the decision, the one in its place, kind and object as in `Branch`.
    """

    cost: int
    tape: list[int]
    others: list[tuple[int, int, str, str]]


class DfsState(NamedTuple):
    """How far a depth-first search has come.

    Args:
        bound_max: the greatest cost to run; None for all.
        bound: the cost of what is being run.
        beyond: whether there are schedules of a cost above `bound_max`.
        queues: by cost, what runs have left.
        tape: of the run whose leavings are being run, and `others` what is left of them.
    """

    bound_max: int | None
    bound: int
    beyond: bool
    queues: list[list[Left]]
    tape: list[int]
    others: list[tuple[int, int, str, str]]


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
        self._queues: list[deque[Left]] = [deque([Left(0, [], [(-1, 0, "", "")])])]
        self._tape_before: list[int] = []
        self._others: list[tuple[int, int, str, str]] = []
        self._branch = Branch(0, [], "", "")
        self._tape: list[int] = []
        self._free: list[tuple[int, int, str, str]] = []
        self._dear: list[tuple[int, int, str, str]] = []
        self.bound = 0
        self.beyond = False

    def begin(self, random: Random, profile: Profile) -> bool:
        """Follow the next schedule of the least cost."""
        self._random = random
        branch = self.take()
        if branch is not None:
            self.follow(branch)
        return branch is not None

    def ended(self) -> None:
        """Queue what the run has left."""
        self.queue(self.left())

    def follow(self, branch: Branch) -> None:
        """Let the run that is to begin be that of `branch`."""
        self._branch = branch
        self._tape, self._free, self._dear = [], [], []

    def left(self) -> list[Left]:
        """What the run has left."""
        cost = self._branch.cost
        return [
            Left(one, self._tape, others)
            for one, others in ((cost, self._free), (cost + 1, self._dear))
            if others
        ]

    def queue(self, run: Iterable[Left]) -> None:
        """Take in what a run has left; the order of the calls is the order of the schedules."""
        for left in run:
            if self._bound_max is not None and left.cost > self._bound_max:
                self.beyond = True
                continue
            if left.cost == len(self._queues):
                self._queues.append(deque())
            self._queues[left.cost].append(left)

    def take(self, settled: bool = True) -> Branch | None:
        """The next schedule of the least cost, which then is no longer left; None: there is none.

        Args:
            settled: what all runs have left is here. Else there may be more of this cost to come.
        """
        while True:
            if self._others:
                at, value, kind, obj = self._others.pop()
                prefix = [*self._tape_before[:at], value] if at >= 0 else []
                return Branch(self.bound, prefix, kind, obj)
            if self._queues[self.bound]:
                _, self._tape_before, others = self._queues[self.bound].popleft()
                self._others = sorted(others, reverse=True)  # by decision, then M
            elif settled and self.bound + 1 < len(self._queues):
                self.bound += 1
            else:
                return None

    def state(self) -> DfsState:
        """How far it has come, apart from what was taken and not queued yet."""
        queues = [list(queue) for queue in self._queues]
        return DfsState(
            self._bound_max, self.bound, self.beyond, queues, self._tape_before, self._others
        )

    def go_on(self, state: DfsState) -> None:
        """Go on from there."""
        self._bound_max, self.bound, self.beyond, queues, self._tape_before, others = state
        self._queues = [deque(queue) for queue in queues]
        self._others = list(others)

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the schedule says, or the one that costs nothing."""
        if len(runnable) == 1:
            return runnable[0]
        at = len(self._tape)
        if at < len(self._branch.prefix):
            task = self._followed(runnable, at)
        else:
            task = self._decide(runnable, current, at)
        self._tape.append(task.id)
        return task

    def choice(self, n: int) -> int:
        """What the schedule says, or 0."""
        at = len(self._tape)
        value = 0
        if at < len(self._branch.prefix):
            value = self._branch.prefix[at]
            if value >= n:
                raise NonDeterminism(
                    f"decision {at + 1} was one of more than {value} values before"
                )
        else:
            self._dear += [(at, other, "", "") for other in range(1, n)]
        self._tape.append(value)
        return value

    def _followed(self, runnable: Sequence[Task], at: int) -> Task:
        _, prefix, kind, obj = self._branch
        wanted = prefix[at]
        for task in runnable:
            if task.id == wanted:
                op = task.op
                assert op is not None
                if at + 1 == len(prefix) and (op.kind, op.obj) != (kind, obj):
                    raise NonDeterminism(
                        f"decision {at + 1}: M{wanted} was about to {kind} {obj}, and after the "
                        f"same steps it is about to {op.kind} {op.obj}"
                    )
                return task
        raise NonDeterminism(f"decision {at + 1}: M{wanted} could go, and now it cannot")

    def _decide(self, runnable: Sequence[Task], current: Task | None, at: int) -> Task:
        stay = current if current is not None and current.state is State.RUNNABLE else None
        spins = stay is not None and stay.op is not None and stay.op.kind in WAITS
        first = _next_after(stay, runnable) if stay is None or spins else stay
        free, dear = self._free, self._dear
        for task in runnable:
            if task is not first:
                op = task.op
                other = (at, task.id, op.kind, op.obj)
                (free if stay is None or (spins and task is not stay) else dear).append(other)
        return first


def _next_after(spinner: Task | None, runnable: Sequence[Task]) -> Task:
    """The lowest M above `spinner`, or else the lowest; the lowest where nobody spins."""
    by_id = sorted(runnable, key=lambda task: task.id)
    return next((task for task in by_id if spinner and task.id > spinner.id), by_id[0])


STRATEGY: Final = StrategyEntry(
    about="all schedules, by how often an M is preempted",
    source="M. Musuvathi, S. Qadeer, PLDI 2007",
    search=BoundedDfs,
    tree=True,
)

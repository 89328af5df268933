"""POS: a random priority for every pending operation, drawn anew where operations race.

The M whose pending operation has the highest priority goes. Then its next operation gets a new
priority, and so does every pending one that races with the step just made: same object, at least
one of the two changes it. So operations that do not race keep their order, and the chance of a
given order of those that do is high. Needs to know nothing of the program.

Where there are many Ms, drawing all priorities that are due is most of the work, and only the
highest is ever asked for. The highest of k numbers that are uniform below b is b times the k-th
root of a uniform one, any of the k is it as likely, and the others are uniform below it. So of
those that are due together one is drawn at a time, the highest first (`Crowd`).

Source: X. Yuan, J. Yang, R. Gu, "Partial Order Aware Concurrency Sampling", CAV 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

from gorun_mem.step.engine import Engine
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.searching import FEW, Profile, Searching
from gorun_mem.step.task import State, Task


class Pos(Searching):
    """Partial order sampling."""

    name = "pos"
    every_step = True
    follows = True

    def __init__(self) -> None:
        super().__init__()
        self._draw: Callable[[], float] = self._random.random
        self._last: Task | None = None
        self._obj = ""
        self._reads = False
        self._crowd: Crowd | None = None

    def begin(self, random: Random, profile: Profile) -> bool:
        """Forget the run before."""
        self._random = random
        self._draw = random.random
        self._last = None
        self._crowd = None
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Draw where a new priority is due; take the highest."""
        last, obj, reads = self._last, self._obj, self._reads
        if self._crowd is not None or len(runnable) > FEW:
            best = self._best_of_many(runnable)
        else:
            best = runnable[0]
            highest = -1.0
            for task in runnable:
                op = task.op
                priority = task.priority
                # An M that is new has 0.0; POS draws from above it.
                if (
                    task is last
                    or not priority
                    or (op.obj == obj and not (reads and op.reads_only))
                ):
                    priority = task.priority = self._draw() + 1e-9
                if priority > highest:
                    highest = priority
                    best = task
        self._last = best
        made = best.op
        self._obj = made.obj
        self._reads = made.reads_only
        return best

    def _best_of_many(self, runnable: Sequence[Task]) -> Task:
        engine = runnable[0].sched
        assert isinstance(engine, Engine)
        crowd, last, fresh = self._crowd, self._last, engine.fresh
        if crowd is None:
            crowd = self._crowd = Crowd(self._draw)
            fresh.clear()
            for task in runnable:
                crowd.join(task)
            return crowd.highest()
        assert last is not None
        if not fresh and crowd.sole is not None:
            again = crowd.one_again(last, self._obj)
            if again is not None:
                return again
        crowd.made(last, self._obj, self._reads, fresh)
        if fresh:
            fresh.clear()
        return crowd.highest()


class _Group:
    """The Ms whose pending operations are on one object, and all read it or all do not.

    Attributes:
        members: of these the first `due` have priorities that are uniform below `bound` and were
            not drawn.
        leader: the one drawn last of those that were due together; all that are due are below it.
        age: how often all of them became due.
        waits: it is among those of the crowd that have no leader yet.
        sleeps: none of the members can go.
    """

    __slots__ = ("age", "bound", "due", "leader", "members", "sleeps", "waits")

    def __init__(self) -> None:
        self.members: list[Task] = []
        self.due = 0
        self.bound = 1.0
        self.leader: Task | None = None
        self.age = 0
        self.waits = False
        self.sleeps = False


class Crowd:
    """The priorities of many pending operations, drawn when they matter.

    Args:
        draw: a uniform number from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._groups: dict[str, tuple[_Group, _Group]] = {}
        self._of: dict[int, _Group] = {}
        self._at: dict[int, int] = {}
        self._drawn: dict[int, int] = {}
        self._number = 0
        self._heap: list[tuple[float, int, Task, _Group, int]] = []
        self._waiting: list[_Group] = []
        self.sole: _Group | None = None
        """The group of the M that was taken last, if that was drawn among those that are due and
        stayed there."""
        self._priority = -1.0
        """That M's priority; negative: not drawn, for there was nobody else."""

    def join(self, task: Task) -> None:
        """`task` can go, with an operation that has no priority yet."""
        group = self._of.get(task.id)
        if group is None:
            self._push(task, self._enter(task), self._draw())
        elif group.sleeps:
            self._become_due(group)

    def one_again(self, last: Task, obj: str) -> Task | None:
        """Who goes where `last`, which has made its step on `obj`, has another of the same group,
        all of which are due again.

        None: it is not so.
        """
        group, op = self.sole, last.op
        if group is None or last.state is not State.RUNNABLE or op.reads_only or op.obj != obj:
            return None
        writers, readers = self._groups[obj]
        if writers is not group or readers.members or self._of.get(last.id) is not group:
            return None
        group.age += 1
        group.due = len(group.members)
        group.bound = 1.0
        group.leader = None
        task = self._take(group)
        if task is None:
            self.sole = None
            self._see_to_leader(group)
            task = self.highest()
        return task

    def made(self, task: Task, obj: str, reads: bool, fresh: Sequence[Task]) -> None:
        """`task` has made its step: what races with it is due, and so is its next operation.

        Args:
            task: who.
            obj: what it touched.
            reads: whether it changed nothing.
            fresh: who can go since then, and could not before.
        """
        groups = self._groups.get(obj)
        writers = readers = None
        if groups is not None:
            writers = groups[0]
            readers = None if reads else groups[1]
        sole = self.sole
        if sole is not None:
            self.sole = None
            if sole is not writers and sole is not readers:
                if self._priority < 0:
                    self._priority = sole.bound * self._draw() ** (1.0 / sole.due)
                sole.bound = self._priority
        self._leave(task)
        if task.state is State.RUNNABLE:
            group = self._enter(task)
            if group is not writers and group is not readers:
                self._push(task, group, self._draw())
        for other in fresh:
            known = self._of.get(other.id)
            if known is not None:
                if known.sleeps:
                    self._become_due(known)
            elif other.state is State.RUNNABLE:
                group = self._enter(other)
                if group is not writers and group is not readers:
                    self._push(other, group, self._draw())
        if writers is not None:
            self._become_due(writers)
        if readers is not None:
            self._become_due(readers)

    def highest(self) -> Task:
        """Whose operation has the highest priority; somebody here can go."""
        waiting = self._waiting
        while True:
            while waiting:
                group = waiting.pop()
                group.waits = False
                task = None if waiting else self._take(group)
                if task is not None:
                    return task
                self._see_to_leader(group)
            if self._drop_stale() and not waiting:
                return self._heap[0][2]

    def _take(self, group: _Group) -> Task | None:
        """The highest of those of `group` that are due if it is the highest of all.

        None: it is not, and then the leader of the group; or nothing was drawn.
        """
        due = group.due
        if not due:
            return None
        at = int(self._draw() * due)
        task = group.members[at]
        somebody = self._drop_stale()
        if self._waiting:
            return None
        priority = -1.0
        if somebody or task.state is not State.RUNNABLE:
            if self._is_asleep(group, task):
                return None
            priority = group.bound * self._draw() ** (1.0 / due)
            if task.state is not State.RUNNABLE or priority <= -self._heap[0][0]:
                self._lead(group, at, priority)
                return None
        self._priority = priority
        group.leader = task
        self.sole = group
        return task

    def _drop_stale(self) -> bool:
        """Take off the heap who cannot go; whether somebody is left."""
        heap = self._heap
        while heap:
            _, number, task, group, age = heap[0]
            if group.age == age and self._drawn.get(task.id) == number:
                if task.state is State.RUNNABLE:
                    return True
                self._leave(task)
            heappop(heap)
        return False

    def _enter(self, task: Task) -> _Group:
        op = task.op
        groups = self._groups.get(op.obj)
        if groups is None:
            groups = self._groups[op.obj] = (_Group(), _Group())
        group = groups[1] if op.reads_only else groups[0]
        self._of[task.id] = group
        self._at[task.id] = len(group.members)
        group.members.append(task)
        return group

    def _become_due(self, group: _Group) -> None:
        due = len(group.members)
        if due:
            group.due = due
            group.bound = 1.0
            group.age += 1
            group.leader = None
            group.sleeps = False
            if not group.waits:
                group.waits = True
                self._waiting.append(group)

    def _leave(self, task: Task) -> None:
        group = self._of.pop(task.id, None)
        if group is None:
            return
        self._drawn.pop(task.id, None)
        at, members = self._at.pop(task.id), group.members
        if at < group.due:
            group.due = last_due = group.due - 1
            if at != last_due:
                moved = members[at] = members[last_due]
                self._at[moved.id] = at
            at = last_due
        last = members.pop()
        if at < len(members):
            members[at] = last
            self._at[last.id] = at
        if group.leader is task:
            group.leader = None
            if group.due and not group.waits:
                group.waits = True
                self._waiting.append(group)

    def _see_to_leader(self, group: _Group) -> None:
        if group.leader is None and not group.sleeps:
            self._draw_leader(group)

    def _draw_leader(self, group: _Group) -> None:
        """Draw the highest of those that are due."""
        due = group.due
        if not due:
            return
        at = int(self._draw() * due)
        if not self._is_asleep(group, group.members[at]):
            self._lead(group, at, group.bound * self._draw() ** (1.0 / due))

    def _is_asleep(self, group: _Group, task: Task) -> bool:
        """Whether neither `task` nor another of `group`, all of which are due, can go."""
        if task.state is not State.RUNNABLE and group.due == len(group.members):
            group.sleeps = not any(m.state is State.RUNNABLE for m in group.members)
            return group.sleeps
        return False

    def _lead(self, group: _Group, at: int, priority: float) -> None:
        """The member at `at` is the highest of those that are due."""
        members = group.members
        group.bound = priority
        group.due = last = group.due - 1
        task = members[at]
        if at != last:
            other = members[at] = members[last]
            members[last] = task
            self._at[other.id] = at
            self._at[task.id] = last
        group.leader = task
        self._push(task, group, priority)

    def _push(self, task: Task, group: _Group, priority: float) -> None:
        self._number = number = self._number + 1
        self._drawn[task.id] = number
        heappush(self._heap, (-priority, number, task, group, group.age))


STRATEGY: Final = StrategyEntry(
    about="a random priority for every operation",
    source="X. Yuan, J. Yang, R. Gu, CAV 2018",
    search=Pos,
)

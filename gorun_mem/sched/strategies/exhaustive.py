"""Every schedule that is different, once: dynamic partial-order reduction with sleep sets.

Two schedules are the same where they differ in the order of independent steps only: steps on
different objects, or that both only read. A run is a depth-first path; while it goes, every pending
operation is held against the steps made. Where one of M p is dependent on step e of another M, and
e does not happen before p's operation by what else lies between, the two race: then p, or an M that
leads to p's operation, is to be tried in place of e, later. Where none of these could go there, all
that could are tried. Operations that are blocked count as pending, or a lock's other orders would
never be seen.

What was tried at a node sleeps for its later siblings, until a step that depends on its operation;
a run in which all that could go sleep shows nothing new and is broken off. So every class of
schedules is run to its end exactly once: two Ms with S critical sections have C(2S, S) runs.

        node        enabled  {M1: acquire L, M2: acquire L}
          |         backtrack {M1} -> {M1, M2}   M2 was found to race with M1's step
          |         sleep {M1: acquire L}        once M1's subtree is done
       M1 acquire L
          |
        node        enabled {M1: release L}      M2's acquire is blocked, and checked all the same

Happens-before is by vector clocks: an M's own steps, dependent steps, waking and starting an M.

A load or store of user memory depends on every change of memlock, for what is done under it frees
that memory, clears it and hands it out, and on accesses to the same word; not on those to others.
Where every access of the allocator is a step (granularity "access") each page is an object of its
own, and memlock is one more.

Assumed: what a program does between two operations touches nothing that others touch, unless the
operation before it says so, as taking a lock does. An M that yields twice running while others
could go is not tried further before one of them has gone: a spin loop has no end otherwise.

Sources: C. Flanagan, P. Godefroid, "Dynamic Partial-Order Reduction for Model Checking Software",
POPL 2005; P. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", 1996
(sleep sets); P. Abdulla et al., "Source Sets", JACM 2017.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import merge
from random import Random
from typing import Any, Final

from gorun_mem.sched.strategies.searching import NonDeterminism, Profile, Redundant, Searching
from gorun_mem.sched.task import State, Task

LOCAL: Final = frozenset(
    {"start", "choice", "yield", "compute", "join", "sleep", "procyield", "osyield"}
)
"""Kinds of operation that touch nothing which another M can see."""
MEMORY: Final = "mem:"
MEMLOCK: Final = "memlock.key"
USER: Final = "user memory"
"""What a word's object begins with where it depends on memlock, and the object of all of them."""
YIELDS_MAX: Final = 2
"""How often an M yields running before another has to go."""

Pending = tuple[str, str, bool]
"""Kind, object ("" for a local one), whether it only reads."""


class _Node:
    """A state in which somebody goes.

    Invariants:
        1. `chosen` is in `backtrack` and not in `sleep`;
        2. an M whose subtree is done is in `sleep`.
    """

    __slots__ = ("backtrack", "chosen", "enabled", "events", "resting", "sleep")

    def __init__(self, enabled: dict[int, Pending], sleep: dict[int, Pending], events: int) -> None:
        self.enabled = enabled
        self.sleep = sleep
        self.events = events
        self.resting: frozenset[int] = frozenset()
        self.backtrack: set[int] = set()
        self.chosen = 0


class _Draw:
    """A data choice: every value is tried."""

    __slots__ = ("events", "n", "value")

    def __init__(self, n: int, events: int) -> None:
        self.n = n
        self.events = events
        self.value = 0


class _Event:
    """A step of the run: whose, which of his, on what, after what."""

    __slots__ = ("before", "clock", "m", "node", "obj", "reads", "seq", "woken")

    def __init__(self, m: int, seq: int, obj: str, reads: bool, node: int) -> None:
        self.m = m
        self.seq = seq
        self.obj = obj
        self.reads = reads
        self.node = node
        self.clock: dict[int, int] = {}
        self.before: dict[int, int] = {}
        self.woken: list[tuple[int, dict[int, int] | None]] = []


class Exhaustive(Searching):
    """Dynamic partial-order reduction.

    Args:
        split: the decisions at the top of the tree at which everything is tried; below each such
            start the search is independent of the others, so they can be shared out.
        share: (k, n): of these starts take those whose number is k modulo n.

    Attributes:
        rested: an M that yielded was made to wait, so the result rests on that being fair.
        start: the number of the start under way.
        counts: whether the run that has ended is one of ours.
    """

    name = "exhaustive"
    every_step = True
    exhaustive = True

    def __init__(self, split: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        super().__init__()
        self._split = split
        self._share = share
        self._nodes: list[_Node | _Draw] = []
        self._events: list[_Event] = []
        self._by_m: dict[int, list[int]] = {}
        self._by_obj: dict[str, list[int]] = {}
        self._clocks: dict[int, dict[int, int]] = {}
        self._at = 0
        self._made = 0
        self._parent: _Node | None = None
        self._decisions = 0
        self._checked = 0
        self._known: set[int] = set()
        self._tasks: Sequence[Task] = ()
        self._engine: Any = None
        self._whole_calls = True
        self._yields: dict[int, int] = {}
        self._begun = False
        self.start = -1
        self.rested = False
        self.counts = True
        self.executed = self._executed

    # The tree, between runs.

    def begin(self, random: Random, profile: Profile) -> bool:
        """Go back to the last node at which something is left to try."""
        self._random = random
        if self._begun and not self._back():
            return False
        self._begun = True
        self._at = self._made = self._decisions = 0
        self._parent = None
        self._yields = {}
        self._tasks = ()
        return True

    def _back(self) -> bool:
        nodes = self._nodes
        while nodes:
            node = nodes[-1]
            if isinstance(node, _Draw):
                if node.value + 1 < node.n:
                    node.value += 1
                    self._forget(node.events)
                    return True
            else:
                node.sleep[node.chosen] = node.enabled[node.chosen]
                for m in sorted(node.backtrack):
                    if m not in node.sleep and m not in node.resting:
                        node.chosen = m
                        self._forget(node.events)
                        return True
            nodes.pop()
        return False

    def _forget(self, events: int) -> None:
        """Undo all events from number `events` on."""
        while len(self._events) > events:
            event = self._events.pop()
            self._by_m[event.m].pop()
            if event.obj:
                self._by_obj[event.obj].pop()
                if event.obj.startswith(USER):
                    self._by_obj[USER].pop()
            for m, clock in reversed(event.woken):
                if clock is None:
                    del self._clocks[m]
                else:
                    self._clocks[m] = clock
            self._clocks[event.m] = event.before

    # A run.

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tree says.

        Raises:
            Redundant: all that can go were tried in this order before.
            NonDeterminism: the program does not do what it did after the same steps.
        """
        at = self._at
        if not self._tasks:
            self._engine = runnable[0].sched
            self._tasks = self._engine.tasks
            config = getattr(getattr(runnable[0], "world", None), "config", None)
            self._whole_calls = getattr(config, "granularity", "sync") == "sync"
        if at < len(self._nodes):
            node = self._nodes[at]
            self._compare(node, runnable, at)
            self._engine.woken.clear()
        else:
            node = self._new_node(runnable, current)
            self._nodes.append(node)
        assert isinstance(node, _Node)
        self._at = at + 1
        self._parent = node
        if len(node.enabled) > 1:
            self._decisions += 1
        chosen = node.chosen
        return next(task for task in runnable if task.id == chosen)

    def choice(self, n: int) -> int:
        """The value that the tree says."""
        at = self._at
        if at == len(self._nodes):
            self._nodes.append(_Draw(n, len(self._events)))
        node = self._nodes[at]
        if not isinstance(node, _Draw) or node.n != n:
            raise NonDeterminism(f"decision {at + 1} is a choice of {n} values, and was not before")
        self._at = at + 1
        return node.value

    def ended(self) -> None:
        """Check what is still pending: in a deadlock, who waits for what."""
        if self._engine is not None and self._made == len(self._events):
            self._check_races()
        self.counts = self._decisions >= self._split or self._share[0] == 0
        self._tasks = ()
        self._engine = None

    def _compare(self, node: _Node | _Draw, runnable: Sequence[Task], at: int) -> None:
        """The program must offer what it offered when it came by here before."""
        now = {task.id: self._pending(task) for task in runnable}
        if isinstance(node, _Draw) or now != node.enabled:
            before = {} if isinstance(node, _Draw) else node.enabled
            raise NonDeterminism(
                f"step {at + 1}: after the same steps {_offer(now)}, and before {_offer(before)}"
            )

    def _new_node(self, runnable: Sequence[Task], current: Task | None) -> _Node:
        self._check_races()
        enabled = {task.id: self._pending(task) for task in runnable}
        node = _Node(enabled, self._inherited_sleep(), len(self._events))
        node.resting = self._resting(runnable)
        able = [m for m in sorted(enabled) if m not in node.sleep and m not in node.resting]
        if not able:
            raise Redundant
        eager = [m for m in able if enabled[m][0] != "yield"] or able
        first = current.id if current is not None and current.id in eager else eager[0]
        node.chosen = first
        node.backtrack.add(first)
        if self._decisions < self._split:
            node.backtrack.update(able)
        elif self._split and self._decisions == self._split:
            self._count_start()
        return node

    def _count_start(self) -> None:
        """One more start below the split: is it ours?"""
        parent = self._parent
        if parent is None or len(parent.enabled) < 2:
            return  # the same start, some steps on
        self.start += 1
        k, n = self._share
        if self.start % n != k:
            raise Redundant

    def _inherited_sleep(self) -> dict[int, Pending]:
        parent = self._parent
        if parent is None:
            return {}
        made = parent.enabled[parent.chosen]
        return {m: op for m, op in parent.sleep.items() if not _dependent(made, op)}

    def _resting(self, runnable: Sequence[Task]) -> frozenset[int]:
        """Those that have yielded often enough, unless nobody else can go."""
        resting = frozenset(m for m, times in self._yields.items() if times >= YIELDS_MAX)
        if not resting or all(task.id in resting for task in runnable):
            return frozenset()
        self.rested = True
        return resting

    # Events and races.

    def _executed(self, task: Task, kind: str, obj: str, reads: bool) -> None:
        """A step was made: give it its place in happens-before."""
        self._count_yields(task.id, kind)
        number = self._made
        self._made = number + 1
        if number < len(self._events):
            return
        m = task.id
        own = self._by_m.setdefault(m, [])
        obj = self._object(kind, obj)
        event = _Event(m, len(own) + 1, obj, reads, self._at_node())
        event.before = self._clocks[m]
        clock = dict(event.before)
        if obj:
            self._join_dependent(clock, (kind, obj, reads))
            self._put(obj, number)
        clock[m] = event.seq
        event.clock = self._clocks[m] = clock
        own.append(number)
        self._events.append(event)

    def _pending(self, task: Task) -> Pending:
        op = task.op
        assert op is not None
        kind = op.kind
        return (kind, self._object(kind, op.obj), op.reads_only)

    def _object(self, kind: str, obj: str) -> str:
        """What a step counts as touching, "" for nothing."""
        if kind in LOCAL:
            return ""
        return USER + obj if self._whole_calls and obj.startswith(MEMORY) else obj

    def _at_node(self) -> int:
        """The number of the node that the step under way was chosen at."""
        at = self._at - 1
        while isinstance(self._nodes[at], _Draw):
            at -= 1
        return at

    def _put(self, obj: str, number: int) -> None:
        """Note that event `number` is on `obj`."""
        self._by_obj.setdefault(obj, []).append(number)
        if obj.startswith(USER):
            self._by_obj.setdefault(USER, []).append(number)

    def _numbers_on(self, op: Pending) -> Iterable[int]:
        """Numbers of the events on what `op` is on, and on what depends on that though it is
        another object; the latest first."""
        by_obj = self._by_obj
        numbers: Iterable[int] = reversed(by_obj.get(op[1], []))
        other = _other(op)
        if other and by_obj.get(other):
            numbers = merge(numbers, reversed(by_obj[other]), reverse=True)
        return numbers

    def _join_dependent(self, clock: dict[int, int], op: Pending) -> None:
        """Let `clock` be after every earlier step that `op` depends on."""
        for number in self._numbers_on(op):
            event = self._events[number]
            if not _depends(op, event):
                continue
            for m, seq in event.clock.items():
                if clock.get(m, 0) < seq:
                    clock[m] = seq
            if _follows_all(event, op):
                return

    def _count_yields(self, m: int, kind: str) -> None:
        yields = self._yields
        if kind == "yield":
            times = yields.get(m, 0)
            yields.clear()
            yields[m] = times + 1
        elif yields and (len(yields) > 1 or m not in yields):
            yields.clear()

    def _check_races(self) -> None:
        """Hold what is pending against the steps made: the last against all, the new against all
        steps."""
        if not self._events:
            for task in self._tasks:
                self._clocks.setdefault(task.id, {})
            self._engine.woken.clear()
            return
        last = self._events[-1]
        self._follow_wakes(last)
        for task in self._tasks:
            if task.op is None or task.state is State.DONE:
                continue
            m = task.id
            if m not in self._clocks:  # started in what the last step led to
                self._clocks[m] = dict(last.clock)
                last.woken.append((m, None))
            elif m != last.m:
                self._race_with(last, m, self._pending(task))
                continue
            self._find_race(m, self._pending(task))

    def _follow_wakes(self, last: _Event) -> None:
        """Whoever was woken by the last step, or by what its M did after it, comes after it."""
        for woken in self._engine.woken:
            if woken.id in self._clocks:
                before = self._clocks[woken.id]
                last.woken.append((woken.id, before))
                self._clocks[woken.id] = _joined(before, last.clock)
        self._engine.woken.clear()

    def _race_with(self, event: _Event, m: int, op: Pending) -> bool:
        """Whether `op` of `m` races with `event`; if so, see to it that it is tried before."""
        if not _depends(op, event):
            return False
        clock = self._clocks[m]
        if clock.get(event.m, 0) >= event.seq:
            return False
        node = self._nodes[event.node]
        assert isinstance(node, _Node)
        leads = [q for q in node.enabled if q == m or self._leads(q, event, clock)]
        if not leads:
            node.backtrack.update(node.enabled)
        elif not node.backtrack.intersection(leads):
            node.backtrack.add(m if m in leads else leads[0])
        return True

    def _leads(self, q: int, event: _Event, clock: dict[int, int]) -> bool:
        """Whether a step of `q` after `event` happens before what has `clock`."""
        own = self._by_m.get(q, [])
        number = self._events_before(event)
        following = bisect_right(own, number)
        return following < len(own) and clock.get(q, 0) >= following + 1

    def _events_before(self, event: _Event) -> int:
        return self._by_m[event.m][event.seq - 1]

    def _find_race(self, m: int, op: Pending) -> None:
        """The last step that the new operation `op` of `m` races with."""
        if not op[1]:
            return
        clock = self._clocks[m]
        for number in self._numbers_on(op):
            event = self._events[number]
            if event.m != m and self._race_with(event, m, op):
                return
            if clock.get(event.m, 0) >= event.seq and _follows_all(event, op):
                return


def _other(op: Pending) -> str:
    """The object that `op` depends on though it is on another, "" if there is none."""
    _, obj, reads = op
    if obj.startswith(USER):
        return MEMLOCK
    return USER if obj == MEMLOCK and not reads else ""


def _depends(op: Pending, event: _Event) -> bool:
    return _dependent(op, ("", event.obj, event.reads))


def _follows_all(event: _Event, op: Pending) -> bool:
    """Whether `event`, on which `op` depends, is after all before it that `op` depends on."""
    return not event.reads and (event.obj == op[1] or event.obj == MEMLOCK)


def _dependent(a: Pending, b: Pending) -> bool:
    """Whether the order of the two matters."""
    if a[1] == b[1]:
        return bool(a[1]) and not (a[2] and b[2])
    if a[1] == MEMLOCK:
        return not a[2] and b[1].startswith(USER)
    return b[1] == MEMLOCK and not b[2] and a[1].startswith(USER)


def _joined(a: dict[int, int], b: dict[int, int]) -> dict[int, int]:
    joined = dict(a)
    for m, seq in b.items():
        if joined.get(m, 0) < seq:
            joined[m] = seq
    return joined


def _offer(enabled: dict[int, Pending]) -> str:
    if not enabled:
        return "nobody could go"
    return ", ".join(f"M{m} may {op[0]} {op[1]}".rstrip() for m, op in sorted(enabled.items()))

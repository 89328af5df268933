"""Every schedule that is different, once: optimal dynamic partial-order reduction.

Two schedules are the same where they differ in the order of independent steps only: steps on
different objects, or that both only read. A run is a depth-first path. When it has ended, each step
e' of it is held against every step e of another M that it depends on with no other such step
between: the two race. Then, later, e' is to be made in e's place: all that does not happen after e,
and e', is put into the tree of what is to be run from where e was made, unless what was run or is
to be run there covers it. What is blocked when the run ends is held against the steps likewise, or
an order of a lock's that ends in a deadlock would never be seen.

What was tried at a node sleeps for its later siblings, until a step that depends on its operation.
So every class of schedules is run to its end exactly once: two Ms with S critical sections have
C(2S, S) runs. And no run is begun in vain, as `wakeup` says why, with two exceptions: an operation
that waits and does not say when it may go (`Op.admits`) is tried where it may be blocked; and where
the tree is shared out, a part does not know what others have put into the trees above it, and finds
by itself what they would leave to it.

        node        enabled {M1: acquire L, M2: acquire L}
          |         to be run {M2}               its acquire, which came later, raced with M1's
          |         sleep {M1: acquire L}        once M1's subtree is done
       M1 acquire L
          |
        node        enabled {M1: release L}      M2's acquire is blocked: it does not race with this

Happens-before is by vector clocks: an M's own steps, dependent steps, waking, starting and joining
an M (`Past`). The tree, or a part of it, is a `Descent`. Ms go by their `MNumbers`.

A load or store of user memory depends on every change of memlock, for what is done under it frees
that memory, clears it and hands it out, and on accesses to the same word; not on those to others.
Where every access of the allocator is a step (granularity "access") each page is an object of its
own, and memlock is one more.

Where memory is TSO an M's store buffer counts as one M more. To put a store into it touches nothing
of others; that it reaches memory is a step of the buffer's on the stored object, after the M's step
that has made the store; and a fence of the M's comes after the last of these. A load is one of its
object, though its M's own buffer may have the value: so where another's store reaches memory while
it does, both orders are run, which do the same.

Assumed: what a program does between two operations touches nothing that others touch, unless the
operation before it says so, as taking a lock does; `explore.checking` finds operations that do not
say what they touch. An M that yields twice running while others could go is not tried further
before one of them has gone: a spin loop has no end otherwise.

Sources: P. Abdulla, S. Aronis, B. Jonsson, K. Sagonas, "Source Sets: A Foundation for Optimal
Dynamic Partial Order Reduction", JACM 2017; C. Flanagan, P. Godefroid, "Dynamic Partial-Order
Reduction for Model Checking Software", POPL 2005; P. Godefroid, "Partial-Order Methods for the
Verification of Concurrent Systems", 1996 (sleep sets).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from gorun_mem.runtime.kinds import named
from gorun_mem.step.strategies.descent import Descent
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.numbers import MNumbers
from gorun_mem.step.strategies.past import YIELDS_MAX, Past
from gorun_mem.step.strategies.searching import NonDeterminism, Profile, Redundant, Searching
from gorun_mem.step.strategies.subtree import NodeState, Subtree, WantedAbove
from gorun_mem.step.strategies.wakeup import (
    Node,
    OrderedStep,
    Pending,
    WakeupBranch,
    dependent,
    in_words,
    is_own,
    object_of,
)
from gorun_mem.step.task import State, Task

LATE: Final = named(lambda kind: kind.late)
"""Kinds of operation that put a store into the M's buffer, where it has one."""


class Exhaustive(Searching):
    """Optimal dynamic partial-order reduction.

    Args:
        part: of the tree; None for all of it.

    Invariants:
        1. event k was made at node k; only the last node may have none yet.

    Attributes:
        rested: an M that yielded was made to wait, so the result rests on that being fair.
        keeps_time: a timer was set that fires at its time: then steps that touch nothing in common
            do not commute, for they take time, and what was run is not all.
    """

    name = "exhaustive"
    every_step = True
    exhaustive = True
    reduces = True

    def __init__(self, part: Subtree | None = None) -> None:
        super().__init__()
        self._past = Past()
        self._descent = Descent(self._past, part)
        self._nodes = self._descent.nodes
        self._first = self._descent.first
        self._numbers = MNumbers()
        self._after = 0
        self._stepped: dict[int, Any] = {}
        self._chosen: Any = None
        self._at = 0
        self._made = 0
        self._fresh = 0
        self._top = 0
        self._drawn = 0
        self._yielder = -1
        self._yields = 0
        self._yielded = False
        self._admits: frozenset[str] | None = None
        self._asks = False
        self._draws = False
        self._asleep: dict[int, Pending] = {}
        self._engine: Any = None
        self._whole_calls = True
        self.rested = False
        self.keeps_time = False
        self.executed = self._executed

    @property
    def wishes(self) -> list[WantedAbove]:
        """What is wanted above the part."""
        return self._descent.wishes

    def left(self) -> Subtree | None:
        """What is left of the part; None for nothing."""
        return self._descent.left()

    def first_place(self) -> NodeState:
        """The first node of the part as it is now, of which the values are known that were run."""
        return self._descent.first_place()

    def begin(self, random: Random, profile: Profile) -> bool:
        """Go back to the last node at which something is left to try."""
        self._random = random
        if not self._descent.next():
            return False
        past = self._past
        self._fresh = len(past.events)
        if not past.events:
            first = past.next_of(0, "begin", "", True)
            first.values = self._nodes[0].values
            past.make(first, False)
        self._top = len(self._nodes)
        self._at = self._made = 1
        self._drawn = 0
        self._yielder, self._yields = -1, 0
        self._asleep = {}
        self._numbers.begin()
        self._stepped = {}
        self._after = 0
        return True

    # A run.

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tree says.

        Raises:
            Redundant: all that can go were tried in this order before.
            NonDeterminism: the program does not do what it did after the same steps.
        """
        at = self._at
        if self._engine is None:
            self._engine = runnable[0].sched
            if self._engine.entangled:
                raise TypeError("steps that touch nobody knows what need every order of them")
            config = getattr(getattr(runnable[0], "world", None), "config", None)
            self._whole_calls = getattr(config, "granularity", "sync") == "sync"
        self._numbers.meet(self._engine)
        ms = self._numbers.of
        enabled = {ms[task.id]: self._pending(task) for task in runnable}
        if at > self._fresh:
            self._follow_last(enabled)
        else:
            self._engine.woken.clear()
        if at < len(self._nodes):
            node = self._nodes[at]
            self._compare(node, enabled)
        else:
            try:
                node = self._new_node(enabled, current)
            except Redundant:
                self._asleep = enabled
                raise
            self._nodes.append(node)
        self._at = at + 1
        self._drawn = 0
        chosen = node.chosen
        task = next(task for task in runnable if ms[task.id] == chosen)
        if at >= len(self._past.events):
            self._admits = task.op.admits()
            self._asks = self._is_asking(task)
            if self._engine.buffered:
                self._after = self._engine.comes_after(task)
        self._chosen = task.op.acting()
        return task

    def _compare(self, node: Node, enabled: dict[int, Pending]) -> None:
        """The program must do what it did when it came by here before."""
        if not node.known:
            before = node.enabled.get(node.chosen)
            now = enabled.get(node.chosen)
            # Another process has seen what the M that is next is about to do, and no more.
            if now is not None and (before is None or before[1:] == now[1:]):
                node.enabled = enabled
            node.known = True
        if enabled != node.enabled:
            offered, before_that = in_words(enabled), in_words(node.enabled)
            raise NonDeterminism(
                f"step {self._at}: after the same steps {offered}, and before {before_that}"
            )
        drawn = len(self._nodes[self._at - 1].values)
        if drawn != self._drawn:
            raise NonDeterminism(
                f"after step {self._at - 1}: {self._drawn} choices, and {drawn} before"
            )

    def choice(self, n: int) -> int:
        """The value that the tree says."""
        node = self._nodes[self._at - 1]
        at = self._drawn
        self._drawn = at + 1
        self._draws = True
        if at == len(node.values) and self._at >= self._top:
            node.draw(n)
        if self._at <= self._first and at < len(node.values):
            node.counts.setdefault(tuple(node.values[:at]), n)
        before = node.counts.get(tuple(node.values[:at]))
        if before != n or at == len(node.values):
            raise NonDeterminism(
                f"after step {self._at - 1}: a choice of {n} values, and {before or 'none'} before"
            )
        return node.values[at]

    def ended(self) -> None:
        """See what raced, and what is still pending: in a deadlock, who waits for what."""
        events = self._past.events
        if self._engine is not None:
            self.keeps_time |= self._engine.keeps_time
        if self._engine is not None and self._made == len(events):
            if not self._asleep:
                self._numbers.meet(self._engine)
                self._follow_last({})
            self._reverse_races()
            self._hold_pending()
            if self._draws:
                self._open_choices()
        self._engine = None

    def _reverse_races(self) -> None:
        """Reverse each race of the run, those too that were reversed in a run before: what does not
        happen after their first step may be in another order now.

        Where all that is new happens after that step, it is not.
        """
        events = self._past.events
        fresh = max(self._fresh, 1)
        old = self._past.before_all(fresh)
        for number in range(1, len(events)):
            event = events[number]
            is_new = number >= fresh
            for raced in event.races:
                first = events[raced]
                if is_new or old.get(first.m, 0) < first.seq:
                    self._reverse(raced, event)
            if event.overtook and (is_new or old.get(event.m, 0) < event.seq):
                for other in event.overtook:
                    self._reverse(number, other)

    def _reverse(self, number: int, event: OrderedStep) -> None:
        """See to it that `event` is made in the place of event `number`."""
        node = self._nodes[number]
        sequence = self._past.instead(number, event)
        if self._yielded and self._past.rests(number, sequence):
            self.rested = True
        elif not node.sleeps_on(sequence):
            self._descent.want(number, sequence)

    def _hold_pending(self) -> None:
        """Hold what the run has left pending against its steps.

        Of a run in vain too, but for those asleep: who waits there could have gone before as well.
        """
        past = self._past
        engine = self._engine
        for task in engine.everybody() if engine.buffered else engine.tasks:
            if task.op is None or task.state is State.DONE:
                continue
            if engine.buffered and engine.is_held(task):
                continue  # what its buffer has comes first
            m = self._numbers.of[task.id]
            if m in self._asleep:
                continue
            kind, obj, reads = self._pending(task)
            acting = task.op.acting()
            if not obj or (task.state is State.PARKED and acting is self._stepped.get(m)):
                continue  # it sleeps: what wakes it is a step
            after = engine.comes_after(task) if engine.buffered else 0
            event = past.next_of(m, kind, obj, reads, after)
            for raced in past.races(event, self._is_asking(task)):
                self._reverse(raced, event)

    def _open_choices(self) -> None:
        """See where other values of data choices show something new.

        For a part of a tree that is shared out: what was wanted there for one value may have been
        taken for what is wanted for another. In one piece each is put in.
        """
        for number, event in enumerate(self._past.events):
            node = self._nodes[number]
            if node.values and not node.open:
                others = self._past.without(number)
                if not node.sleeps_on([event, *others]):
                    self._descent.want_values(number, others)

    # Nodes.

    def _new_node(self, enabled: dict[int, Pending], current: Task | None) -> Node:
        parent = self._nodes[-1]
        node = Node(enabled, self._inherited_sleep(parent))
        node.wakeup = parent.follow()
        if not node.next_branch():
            self._choose(node, current)
        return node

    def _choose(self, node: Node, current: Task | None) -> None:
        """Nothing is said of who is to go."""
        enabled = node.enabled
        resting = -1
        if self._yields >= YIELDS_MAX and self._yielder in enabled and len(enabled) > 1:
            resting = self._yielder
            self.rested = True
        able = [m for m in sorted(enabled) if m not in node.sleep and m != resting]
        if not able and resting >= 0 and self._need_not_rest(node, resting):
            able = [resting]
        if not able:
            raise Redundant
        eager = [m for m in able if enabled[m][0] != "yield"] or able
        first = self._numbers.of[current.id] if current is not None else -1
        if first not in eager:
            first = eager[0]
        node.take(WakeupBranch(first, enabled[first][1], enabled[first][2]))

    def _need_not_rest(self, node: Node, m: int) -> bool:
        """Whether `m`, who has yielded in vain, could have gone on in another order of the steps.

        Then an M that sleeps shows that to whoever runs its subtree, who has put it into the tree
        here, unless both are run at the same time.
        """
        if m in node.sleep or not node.is_shared:
            return False
        event = self._past.next_of(m, *node.enabled[m])
        return not self._past.rests(len(self._past.events), [self._past.after_all(event)])

    def _inherited_sleep(self, parent: Node) -> dict[int, Pending]:
        if not parent.sleep:
            return {}
        _, obj, reads = parent.enabled[parent.chosen]
        return {
            m: op
            for m, op in parent.sleep.items()
            if not dependent(obj, reads, op[1], op[2]) or is_own(m, parent.chosen)
        }

    # Events and races.

    def _object(self, kind: str, obj: str, op: Any) -> str:
        """What a step counts as touching; what is an M's own goes by the M's number."""
        if kind in LATE and self._engine.buffered and op.acting().buffers:
            return ""
        return self._numbers.own(object_of(kind, obj, self._whole_calls))

    def _executed(self, task: Task, kind: str, obj: str, reads: bool) -> None:
        """A step was made: give it its place in the run."""
        m = self._numbers.of[task.id]
        if kind == "yield":
            self._yielded = True
            self._yields = self._yields + 1 if self._yielder == m else 1
            self._yielder = m
        elif self._yielder != m:
            self._yielder, self._yields = -1, 0
        self._stepped[m] = self._chosen
        past, number = self._past, self._made
        self._made = number + 1
        if number < len(past.events):
            return
        obj = self._object(kind, obj, self._chosen)
        event = past.next_of(m, kind, obj, reads, self._after)
        node = self._nodes[number]
        event.admits, event.enabled, event.values = self._admits, node.enabled, node.values
        is_join = kind == "join"
        joined = self._numbers.joined(self._engine, task.op) if is_join else ()
        past.make(event, self._asks, joined)

    def _is_asking(self, task: Task) -> bool:
        """Whether the pending operation of `task` waits until it may be stepped at all."""
        op = task.op.acting()
        if op.gives_up or not op.asks_first:
            return False
        return op is not self._stepped.get(self._numbers.of[task.id])

    def _pending(self, task: Task) -> Pending:
        op = task.op
        assert op is not None
        kind = op.kind
        return (kind, self._object(kind, op.obj, op), op.reads_only)

    def _follow_last(self, enabled: dict[int, Pending]) -> None:
        """Whoever was woken or started by the last step, or by what its M did after it, comes
        after it; so does an M that could go, by time, and was called: it could have gone before.

        Args:
            enabled: who can go now.
        """
        past, ms = self._past, self._numbers.of
        last = past.events[-1]
        for task in self._engine.woken:
            if task.op is None or ms[task.id] not in past.clocks:
                continue
            if self._is_asking(task):
                _, obj, reads = self._pending(task)
                if dependent(obj, reads, last.obj, last.reads):
                    continue  # that its operation may go says what it is on
            past.wake(ms[task.id])
        self._engine.woken.clear()
        before = self._nodes[len(past.events) - 1].enabled
        for m, op in enabled.items():
            if m != last.m and before.get(m, op) != op:
                past.overtake(m, *before[m])
        if len(past.clocks) < len(ms):
            for m in ms.values():
                if m not in past.clocks:
                    past.wake(m)


STRATEGY: Final = StrategyEntry(
    about="all schedules that differ (DPOR)",
    source="P. Abdulla et al., POPL 2014",
    search=Exhaustive,
    tree=True,
)

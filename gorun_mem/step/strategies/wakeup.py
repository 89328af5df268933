"""Steps, nodes, and the wakeup trees of what an exhaustive search is still to run.

A wakeup tree hangs below a node of the search. Each of its branches is an M that is to go, and what
is to follow; what follows a leaf is the search's choice. A sequence of steps is put in unless it is
covered: by an M that sleeps, or by a branch whose Ms can, one after another, go first in it. An M
can where its step there is after none of the others, or where all of them are independent of it (a
*weak initial*). So what is run in the end wakes every M that slept when it was put in, and no run
is begun in vain.

    tree    M1 x                    M2 y, then M1 x, is covered: x can go first.
    wanted  M2 x, M3 y              M2 x, then M3 y, is not, for the order on x is another:
    tree    M1 x | M2 x - M3 y      a new branch

What a step draws changes what comes after it, so its branch has what is to follow by the values.

Source: P. Abdulla, S. Aronis, B. Jonsson, K. Sagonas, "Source Sets: A Foundation for Optimal
Dynamic Partial Order Reduction", JACM 2017, section 6.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from gorun_mem.runtime.kinds import CHANNELS, named
from gorun_mem.step.strategies.subtree import Asleep, Branching, NodeState, Offered

LOCAL: Final = named(lambda kind: kind.local)
"""Kinds of operation that touch nothing which another M can see."""
MEMORY: Final = "mem:"
MEMLOCK: Final = "memlock.key"
CALLS: Final = "in:"
RETURNS: Final = "out:"
"""What the objects of an operation's call and return begin with, before the same name: a call
commutes with a call and a return with a return, but not the one with the other."""
USER: Final = "user memory"
"""What a word's object begins with where it depends on memlock, and the object of all of them."""

SHARED: Final = "shared"
"""In place of the kind, of an M that sleeps: its subtree is run at the same time, or leaves nothing
to who is beside it."""

Pending = tuple[str, str, bool]
"""Kind, object ("" for a local one), whether it only reads."""
Clock = dict[int, int]
"""How many steps of each M lie before."""


class OrderedStep:
    """A step of the run: whose, which of his, on what, after what.

    Attributes:
        m: the M; `seq` is the number of the step among its own, from 1.
        kind: of the operation; `obj` what it touches, "" for nothing; `reads` whether that is all.
        values: data choices drawn by it and by what its M did until its next operation; None where
            the step is only wanted.
        clock: the steps that happen before, itself included; `before` without what `obj` adds.
        races: numbers of the steps in whose place it could have gone.
        woken: whose clock it has changed, and the clock before, None for an M that it started.
        overtook: steps that other Ms could have made in its place, and that it has made others of.
        after: the number of another's event that it comes after, whatever they touch; 0: none.
        own: the steps that lie before its M's next one without that.
        admits: `Op.admits` before the step.
        enabled: who could go then.
    """

    __slots__ = (
        "admits", "after", "before", "clock", "enabled", "kind", "m", "obj", "overtook", "own",
        "races", "reads", "seq", "values", "woken",
    )  # fmt: skip

    def __init__(self, m: int, seq: int, kind: str, obj: str, reads: bool, before: Clock) -> None:
        self.m = m
        self.seq = seq
        self.kind = kind
        self.obj = obj
        self.reads = reads
        self.before = before
        self.own = before
        self.after = 0
        self.clock: Clock = before
        self.values: list[int] | None = None
        self.races: list[int] = []
        self.woken: list[tuple[int, Clock | None]] = []
        self.overtook: list[OrderedStep] = []
        self.admits: frozenset[str] | None = None
        self.enabled: Container[int] = ()

    def __repr__(self) -> str:
        return f"<OrderedStep {self.seq} of M{self.m}: {self.kind} {self.obj}>"


class WakeupBranch:
    """An M that is to go, and what is to follow.

    Attributes:
        m: the M; `obj` and `reads` are its step's.
        after: what is to follow, by the values that the step draws; nothing if it is the last of
            what was wanted.
    """

    __slots__ = ("after", "m", "obj", "reads")

    def __init__(self, m: int, obj: str, reads: bool) -> None:
        self.m = m
        self.obj = obj
        self.reads = reads
        self.after: dict[tuple[int, ...], list[WakeupBranch]] = {}

    def __repr__(self) -> str:
        return f"<WakeupBranch M{self.m} {self.obj}: {self.after}>"


def object_of(kind: str, obj: str, whole_calls: bool) -> str:
    """What a step counts as touching, "" for nothing.

    Args:
        kind: of the operation; `obj` what it names.
        whole_calls: the allocator's calls are one step each, under memlock.
    """
    if kind in LOCAL:
        return ""
    if kind in CHANNELS:
        return "channels"
    return USER + obj if whole_calls and obj.startswith(MEMORY) else obj


def dependent(obj: str, reads: bool, other_obj: str, other_reads: bool) -> bool:
    """Whether the order of a step on `obj` and one on `other_obj` matters.

    Args:
        obj: what the one touches, "" for nothing; `reads` is whether it only reads that.
        other_obj: what the other touches; `other_reads` likewise.
    """
    if obj == other_obj:
        return not (reads and other_reads) and obj != ""
    if obj == MEMLOCK:
        return not reads and other_obj.startswith(USER)
    if other_obj == MEMLOCK:
        return not other_reads and obj.startswith(USER)
    return other_obj.startswith((CALLS, RETURNS)) and other_obj == other_object(obj, reads)


def buffer_of(m: int) -> int:
    """The number of the store buffer of M `m`, whose steps are what reaches memory from it."""
    return -2 - m


def in_words(enabled: dict[int, Pending]) -> str:
    """Who could go and do what, for people."""
    if not enabled:
        return "nobody could go"
    return ", ".join(
        f"{f'M{m}' if m >= 0 else f'the buffer of M{buffer_of(m)}'} may {op[0]} {op[1]}".rstrip()
        for m, op in sorted(enabled.items())
    )


def is_own(m: int, other: int) -> bool:
    """Whether one of the two is the store buffer of the other.

    An M's load and what reaches memory from its own buffer commute: before, the load finds the same
    value in the buffer that it finds in memory after. What else orders the two is `after`.
    """
    return m + other == -2


def other_object(obj: str, reads: bool) -> str:
    """The object that a step on `obj` depends on though it is another, "" if there is none."""
    if obj.startswith(USER):
        return MEMLOCK
    if obj.startswith(CALLS):
        return RETURNS + obj[len(CALLS) :]
    if obj.startswith(RETURNS):
        return CALLS + obj[len(RETURNS) :]
    return USER if obj == MEMLOCK and not reads else ""


def join(clock: Clock, other: Clock) -> None:
    """Let `clock` be after all that `other` is after."""
    for m, seq in other.items():
        if clock.get(m, 0) < seq:
            clock[m] = seq


def weak_initial(m: int, obj: str, reads: bool, sequence: list[OrderedStep]) -> int:
    """Whether the next step of `m`, on `obj`, can come first in `sequence`.

    Returns:
        The number of the step in the sequence, its length if all there is independent of it and
        `m` has none; -1: it cannot.
    """
    for number, event in enumerate(sequence):
        if event.m == m:
            clock = event.clock
            for before in range(number):
                earlier = sequence[before]
                if clock.get(earlier.m, 0) >= earlier.seq:
                    return -1
            return number
        if dependent(obj, reads, event.obj, event.reads) and not is_own(m, event.m):
            return -1
    return len(sequence)


def insert(branches: list[WakeupBranch], sequence: list[OrderedStep]) -> None:
    """See to it that `sequence` is run, if no branch covers it.

    Args:
        branches: of a node that is under way.
        sequence: steps in an order that they can be made in; used up.
    """
    is_top = True
    while True:
        at = -1
        for branch in branches:
            at = weak_initial(branch.m, branch.obj, branch.reads, sequence)
            if at >= 0:
                break
        if at < 0:
            if is_top or sequence:
                branches.append(chain(sequence))
            return
        if not branch.after:  # a leaf covers what comes after it
            return
        is_top = False
        values = sequence[at].values if at < len(sequence) else None
        if at < len(sequence):
            del sequence[at]
        known = next(iter(branch.after)) if values is None else tuple(values)
        branches = branch.after.setdefault(known, [])


def chain(sequence: list[OrderedStep]) -> WakeupBranch:
    """A branch that is followed by one after another; `sequence` has one step at least."""
    after: list[WakeupBranch] = []
    for event in reversed(sequence):
        made = WakeupBranch(event.m, event.obj, event.reads)
        if after and event.values is not None:
            made.after[tuple(event.values)] = after
        after = [made]
    return after[0]


def frozen(branch: WakeupBranch) -> Branching:
    """A branch as a value."""
    after = tuple((values, tuple(map(frozen, then))) for values, then in branch.after.items())
    return Branching(branch.m, branch.obj, branch.reads, after)


def thawed(value: Branching) -> WakeupBranch:
    """A branch from its value, each time another."""
    branch = WakeupBranch(value.m, value.obj, value.reads)
    branch.after = {values: [thawed(one) for one in then] for values, then in value.after}
    return branch


class Node:
    """A state in which somebody goes.

    Invariants:
        1. `chosen` is neither in `sleep` nor at the top of `wakeup`;
        2. an M whose subtree is done is in `sleep`;
        3. of those that sleep either all are `SHARED` or none.

    Attributes:
        enabled: what may be done, by M.
        sleep: what need not be.
        wakeup: what is to be run after `branch`, which is under way.
        values: data choices of the step under way.
        counts: of how many values a data choice is, by the values before it.
        drawn: values that were run.
        open: all other values of these are to be run as well, and not only those in `branch`;
            before what else was seen to show something new there, `others`.
        known: a run has come by here, so that `enabled` is all.
    """

    __slots__ = (
        "branch", "chosen", "counts", "drawn", "enabled", "known", "open", "others", "sleep",
        "values", "wakeup",
    )  # fmt: skip

    def __init__(self, enabled: dict[int, Pending], sleep: dict[int, Pending]) -> None:
        self.enabled = enabled
        self.sleep = sleep
        self.wakeup: list[WakeupBranch] = []
        self.known = True
        self.take(WakeupBranch(0, "", True))

    def take(self, branch: WakeupBranch) -> None:
        """Let `branch` be under way."""
        self.branch = branch
        self.chosen = branch.m
        self.values: list[int] = []
        self.counts: dict[tuple[int, ...], int] = {}
        self.drawn: set[tuple[int, ...]] = set()
        self.others: Branching | None = None
        self.open = all(
            dependent(branch.obj, branch.reads, op[1], op[2]) for op in self.sleep.values()
        )

    def draw(self, n: int) -> None:
        """Take a value for one more data choice of `n` of the step."""
        before = tuple(self.values)
        self.counts[before] = n
        wanted = (value for value in range(n) if self._is_wanted((*before, value)))
        self.values.append(next(wanted, 0))

    def next_values(self) -> bool:
        """Go on to other values of the step's data choices; False if there are none to run."""
        self.drawn.add(tuple(self.values))
        other = self._undrawn(())
        if other is not None:
            self.values = list(other)
        return other is not None

    def _undrawn(self, before: tuple[int, ...]) -> tuple[int, ...] | None:
        """The first values that begin with `before` and are still to be run."""
        if before in self.drawn:
            return None
        if before not in self.counts:
            return before if self._is_wanted(before) else None
        for value in range(self.counts[before]):
            found = self._undrawn((*before, value))
            if found is not None:
                return found
        return None

    def _is_wanted(self, values: tuple[int, ...]) -> bool:
        """Whether the first of the step's data choices are to have these values."""
        count = len(values)
        return self.open or any(known[:count] == values for known in self.branch.after)

    def follow(self) -> list[WakeupBranch]:
        """What is to be run after the step under way."""
        known = self.branch.after.get(tuple(self.values))
        if known is None:
            known = [thawed(self.others)] if self.others is not None else []
        return known

    @property
    def is_shared(self) -> bool:
        """Whether somebody sleeps whose subtree is run at the same time."""
        return any(op[0] == SHARED for op in self.sleep.values())

    def sleeps_on(self, sequence: list[OrderedStep]) -> bool:
        """Whether an M that sleeps could go first in `sequence`: then that is covered.

        One whose subtree is run at the same time has to have a step in it: what that subtree finds
        to be wanted beside it is put nowhere below this node.
        """
        for m, op in self.sleep.items():
            at = weak_initial(m, op[1], op[2], sequence)
            if at >= 0 and (op[0] != SHARED or at < len(sequence)):
                return True
        return False

    def next_branch(self) -> bool:
        """Go on to the next of what is to be run; False if there is nothing."""
        while self.wakeup:
            branch = self.wakeup.pop(0)
            if branch.m in self.enabled and branch.m not in self.sleep:
                self.take(branch)
                return True
        return False

    def place(self) -> NodeState:
        """The node as a value."""
        branch, values = self.branch, tuple(self.values)
        pending = self.enabled.get(self.chosen)
        after = tuple(
            (then, () if then in self.drawn else tuple(map(frozen, branches)))
            for then, branches in branch.after.items()
        )
        asleep = tuple((m, op[1], op[2], op[0] == SHARED) for m, op in self.sleep.items())
        offered = tuple(
            Offered(frozen(one), *self.enabled[one.m][1:])
            for one in self.wakeup
            if one.m in self.enabled and one.m not in self.sleep
        )
        return NodeState(
            pending[1:] if pending is not None else None,
            asleep,
            Branching(branch.m, branch.obj, branch.reads, after),
            offered,
            values,
            tuple(self.counts.items()),
            tuple(sorted(self.drawn)),
            self.open,
            self.others,
        )


def node_of(place: NodeState) -> Node:
    """A node from its value, by which a run has not come yet here."""
    node = Node({}, slept(place.sleep))
    node.take(thawed(place.branch))
    node.known = False
    if place.op is not None:
        node.enabled[node.chosen] = ("", *place.op)
    node.wakeup = [thawed(one.branch) for one in place.wakeup]
    node.values, node.counts = list(place.values), dict(place.counts)
    node.drawn, node.open, node.others = set(place.drawn), place.open, place.others
    return node


def slept(asleep: tuple[Asleep, ...]) -> dict[int, Pending]:
    """Who sleeps, as a node has it."""
    return {m: (SHARED if shared else "", obj, reads) for m, obj, reads, shared in asleep}

"""The tree of an exhaustive search, shared out: who has which part, and what is found for others.

A part (`step.strategies.subtree`) is the tree below one branch of a node. It is run for some
schedules at a time; what is left of it then comes back. While there are few parts, what is left is
split at its highest node at which something is still to be run: each branch there becomes a part.
The nodes on the way to a part are *forks*. They belong to no part but are kept here, with the
branches that were taken at each, in order:

    a branch of a fork sleeps on all branches taken before it. So of two parts that could come by
    the same class of schedules the later never does, whichever is run first. Nor does it rely on
    what those find: not on what was run before the tree was shared out there either, for that may
    have been put below any of them. What it has to see, it sees by itself, at the cost of runs that
    end where all who could go sleep. The first branch, and what lies below a node at which nobody
    sleeps, are as in one piece;
    a part wishes for a branch at a fork above it where a race that it has seen asks for one. It is
    taken, unless a branch that was taken there, before or after that of the part, covers it: that
    one's part will be run to its end, and with it what was wished for;
    the values of the step that a part begins with are the part's. What other values it is to
    have, as seen by parts further down, waits until it comes back.

When no part is left each wish is either a branch that was run or covered by one, which is all that
the search in one piece sees to. The parts are told of in the order in which they were made, and
what is made of one follows from it and from those before it. So neither the number of processes nor
which of them is done first makes a difference, to the classes run or to their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gorun_mem.step.strategies.subtree import (
    Asleep,
    Branching,
    NodeState,
    PathPart,
    Subtree,
    WantedAbove,
    Way,
)
from gorun_mem.step.strategies.wakeup import Node, node_of, slept, thawed

WIDTH: Final = 24
"""While there are fewer parts, what is left of one is split."""
FORKS_KEPT: Final = 1_000
"""From so many forks on it is looked which of them no part needs any more."""


@dataclass(slots=True)
class Taken:
    """A branch that was taken at a fork.

    Args:
        m: its M; `obj` and `reads` are of the operation that the M is about to make there.
        first: the first node of its part, as far as the values of its step were run; None while a
            part has them.
        opened: the part has seen to it, or is to, that all values are run.
        others: what is to follow each of them, if anything.
    """

    m: int
    obj: str
    reads: bool
    first: NodeState | None = None
    opened: bool = False
    others: Branching | None = None


@dataclass(slots=True)
class Fork:
    """A node above parts.

    Args:
        sleep: who sleeps at it for all of its branches.
        taken: its branches.
    """

    sleep: tuple[Asleep, ...]
    taken: list[Taken] = field(default_factory=list)

    def asleep(self, before: int) -> tuple[Asleep, ...]:
        """Who sleeps for the branch number `before`."""
        if not before:
            return self.sleep
        others = [(one.m, one.obj, one.reads, True) for one in self.taken[:before]]
        return (*[(m, obj, reads, True) for m, obj, reads, _ in self.sleep], *others)


@dataclass(slots=True)
class HeldPart:
    """A part with its place.

    Args:
        tree: the part.
        forks: numbers of the nodes of its way, and of its first node.
        branches: number of the branch taken at each.
    """

    tree: Subtree
    forks: tuple[int, ...]
    branches: tuple[int, ...]


@dataclass(slots=True)
class SharedTree:
    """The tree of `Exhaustive`.

    Args:
        width: while there are fewer parts, what is left of one is split.
        parts: what is left to be run, in order.
        under_way: parts that were taken and not told of yet, in order.
        forks: by number.
        next_fork: the number of the next.
        forks_kept: at so many it is looked which of them no part needs any more.
    """

    width: int = WIDTH
    parts: list[HeldPart] = field(default_factory=list)
    under_way: list[HeldPart] = field(default_factory=list)
    forks: dict[int, Fork] = field(default_factory=dict)
    next_fork: int = 0
    forks_kept: int = FORKS_KEPT

    def begin(self) -> None:
        """Let the one part be all of the tree."""
        whole = Node({0: ("begin", "", True)}, {}).place()
        number = self._fork(Fork((), [Taken(0, "", True)]))
        self.parts.append(HeldPart(Subtree((), (whole,)), (number,), (0,)))

    def take(self) -> Subtree | None:
        """The next part, with what is to be known of the branches that others have; None: there is
        none, for now at least."""
        if not self.parts:
            return None
        part = self.parts.pop(0)
        self.under_way.append(part)
        return self._given(part)

    def put_back(self) -> None:
        """What is under way will not be told of: it is to be run anew."""
        self.parts[:0] = self.under_way
        self.under_way.clear()

    def tell(
        self, left: Subtree | None, first: NodeState | None, wishes: Iterable[WantedAbove]
    ) -> None:
        """The part that was taken first was run for some schedules.

        Args:
            left: what is left of it.
            first: its first node, where nothing is left.
            wishes: what it has seen to be wanted above it.
        """
        part = self.under_way.pop(0)
        for wish in wishes:
            if wish.branch is None:
                self._open(part, wish)
            else:
                self._grant(part, wish, wish.branch)
        own = self.forks[part.forks[-1]].taken[part.branches[-1]]
        if left is None:
            own.first = first
            self._go_on_with_values(part, len(part.forks) - 1)
        else:
            self._take_back(part, own, left)
        if len(self.forks) >= self.forks_kept:
            self._forget_forks()

    def _given(self, part: HeldPart) -> Subtree:
        taken, opened = [], []
        for number, at in zip(part.forks, part.branches, strict=True):
            branches = self.forks[number].taken
            taken.append(tuple(one.m for place, one in enumerate(branches) if place != at))
            opened.append(branches[at].opened)
        return part.tree._replace(taken=tuple(taken), opened=tuple(opened[:-1]))

    # Wishes.

    def _grant(self, part: HeldPart, wish: WantedAbove, branch: Branching) -> None:
        number = wish.node
        fork = self.forks[part.forks[number]]
        if any(one.m in wish.initials for one in fork.taken):
            return
        self._add(part, number, fork, branch, (wish.obj, wish.reads))

    def _add(
        self, part: HeldPart, number: int, fork: Fork, branch: Branching, op: tuple[str, bool]
    ) -> None:
        """One more branch at the fork at node `number` of the way of `part`."""
        at = len(fork.taken)
        node = Node({}, slept(fork.asleep(at)))
        node.take(thawed(branch))
        node.known = False
        fork.taken.append(Taken(branch.m, *op))
        tree = Subtree(part.tree.way[:number], (node.place(),))
        self.parts.append(HeldPart(tree, part.forks[: number + 1], (*part.branches[:number], at)))

    def _open(self, part: HeldPart, wish: WantedAbove) -> None:
        number = wish.node
        taken = self.forks[part.forks[number]].taken[part.branches[number]]
        if not taken.opened:
            taken.opened, taken.others = True, wish.others
            if taken.first is not None:
                self._go_on_with_values(part, number)

    def _go_on_with_values(self, part: HeldPart, number: int) -> None:
        """Make a part of the values that are left of the branch that the way of `part`, or its
        first node, goes along at node `number`; nobody has them."""
        taken = self.forks[part.forks[number]].taken[part.branches[number]]
        assert taken.first is not None
        node = node_of(_opened(taken.first, taken))
        if not node.next_values():
            return
        taken.first = None
        place = node.place()._replace(op=(taken.obj, taken.reads))
        tree = Subtree(part.tree.way[:number], (place,))
        self.parts.append(HeldPart(tree, part.forks[: number + 1], part.branches[: number + 1]))

    # What is left.

    def _take_back(self, part: HeldPart, own: Taken, left: Subtree) -> None:
        places = (_opened(left.places[0], own), *left.places[1:])
        own.opened = places[0].open
        part = HeldPart(Subtree(part.tree.way, places), part.forks, part.branches)
        if len(self.parts) + len(self.under_way) + 1 < self.width:
            part = self._split(part)
        self.parts.append(part)

    def _split(self, part: HeldPart) -> HeldPart:
        """Share out what is to be run at the highest node of the part; returns the rest."""
        places = part.tree.places
        top = len(places) - 1
        at = -1
        for number, place in enumerate(places):
            if place.wakeup or (number < top and _has_more(place)):
                at = number
                break
        if at < 0:
            return part
        base = at + 1 if at < top and _has_more(places[at]) else at
        way, forks, branches = part.tree.way, part.forks, part.branches
        for number in range(base):
            place = places[number]
            way = (*way, _way(place))
            below = places[number + 1]
            op = below.op
            assert op is not None
            fork = Fork(below.sleep, [Taken(below.branch.m, *op, opened=below.open)])
            forks, branches = (*forks, self._fork(fork)), (*branches, 0)
        rest = HeldPart(Subtree(way, places[base:]), forks, branches)
        first = len(part.forks) - 1
        for number in range(base):
            whole = HeldPart(Subtree(way[: first + number], ()), forks, branches)
            taken = self.forks[forks[first + number]].taken[branches[first + number]]
            taken.first = places[number]._replace(wakeup=())
            self._go_on_with_values(whole, first + number)
        for number in range(base + 1):
            for offered in places[number].wakeup:
                fork = self.forks[forks[first + number]]
                op = (offered.obj, offered.reads)
                self._add(rest, first + number, fork, offered.branch, op)
        place = places[base]._replace(wakeup=())
        return HeldPart(Subtree(way, (place, *places[base + 1 :])), forks, branches)

    # Forks.

    def _fork(self, fork: Fork) -> int:
        number = self.next_fork
        self.next_fork = number + 1
        self.forks[number] = fork
        return number

    def _forget_forks(self) -> None:
        """Drop those that no part needs any more."""
        parts = (*self.parts, *self.under_way)
        needed = {number for part in parts for number in part.forks}
        self.forks = {number: fork for number, fork in self.forks.items() if number in needed}
        self.forks_kept = max(FORKS_KEPT, 2 * len(self.forks))


def _opened(place: NodeState, taken: Taken) -> NodeState:
    """The first node of a part, with the wish for all values that has come meanwhile."""
    if taken.opened and not place.open:
        return place._replace(open=True, others=taken.others)
    return place


def _way(place: NodeState) -> Way:
    op = place.op
    assert op is not None
    return Way(place.branch.m, *op, place.values, place.sleep)


def _has_more(place: NodeState) -> bool:
    """Whether other values of its step are to be run."""
    return node_of(place).next_values()


@dataclass(slots=True)
class SharedOrder:
    """The tree of `EveryOrder`, of which no part wishes for anything above it.

    Args: as of `SharedTree`.
    """

    width: int = WIDTH
    parts: list[PathPart] = field(default_factory=list)
    under_way: list[PathPart] = field(default_factory=list)

    def begin(self) -> None:
        """Let the one part be all of the tree."""
        self.parts.append(PathPart((), 0))

    def take(self) -> PathPart | None:
        """The next part; None: there is none, for now at least."""
        if not self.parts:
            return None
        self.under_way.append(self.parts.pop(0))
        return self.under_way[-1]

    def put_back(self) -> None:
        """What is under way will not be told of: it is to be run anew."""
        self.parts[:0] = self.under_way
        self.under_way.clear()

    def tell(self, left: PathPart | None) -> None:
        """What is left of the part that was taken first, after some schedules."""
        self.under_way.pop(0)
        if left is None:
            return
        if len(self.parts) + len(self.under_way) + 1 < self.width:
            left = self._split(left)
        self.parts.append(left)

    def _split(self, part: PathPart) -> PathPart:
        """Make parts of what is to be tried at the highest decision; returns the rest."""
        decisions = part.decisions
        for at in range(part.fixed, len(decisions)):
            ways, taken, left = decisions[at]
            if left:
                above = decisions[:at]
                for other in reversed(left):
                    self.parts.append(PathPart((*above, (ways, other, ())), at + 1))
                rest = (*above, (ways, taken, ()), *decisions[at + 1 :])
                return PathPart(rest, at + 1)
        return part

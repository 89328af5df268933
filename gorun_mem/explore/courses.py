"""What a search does, cut into pieces of work, strategy by strategy.

A course hands out work and is told what came of it, in the order in which it was handed out. Which
work there is follows from what it was told, not from how much of it is under way: so the search is
the same for any number of workers. What is under way it remembers: it can be put back, and then the
course stands where everything told of has been taken in, and nothing else; that can be written to a
file (`checkpoint`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.portfolio import CHUNK
from gorun_mem.explore.subtrees import SharedOrder, SharedTree
from gorun_mem.explore.verdict import Facts
from gorun_mem.explore.work import Branches, Climb, Stretch, Work, Yielded
from gorun_mem.explore.worker import bound_of
from gorun_mem.step.strategies.dfs import BoundedDfs, Branch, DfsState

STRETCH: Final = 8 * CHUNK
"""Schedules that are drawn in one piece of work."""
_ANY: Final = 1 << 62


class Course(Protocol):
    """What a search does."""

    def next_work(self) -> Work | None:
        """The next piece; None: there is none until more is told, or none at all."""

    def shortened(self, work: Work, done: Yielded) -> Work | None:
        """The piece to be done in place of `work`, which has run more than the budget allows."""

    def tell(self, work: Work, done: Yielded) -> None:
        """What came of the piece that was handed out first of those not told of."""

    def put_back(self) -> None:
        """What is under way will not be told of."""

    def extend(self, runs: int | None) -> None:
        """Let it have so many schedules in all."""

    def note(self, facts: Facts) -> None:
        """Say how far it came."""


@dataclass(slots=True)
class Drawing:
    """Schedules by a strategy that draws.

    Args:
        strategy: which.
        runs: how many; None for any number.
        stretch: how many in one piece.
        first: the number of the first that is not told of.
        given: the number of the first that is not handed out.
    """

    strategy: str
    runs: int | None
    stretch: int = STRETCH
    first: int = 0
    given: int = 0

    def next_work(self) -> Stretch | None:
        """The next numbers."""
        left = self.stretch if self.runs is None else min(self.stretch, self.runs - self.given)
        if left <= 0:
            return None
        work = Stretch(self.strategy, self.given, left)
        self.given += left
        return work

    def shortened(self, work: Work, done: Yielded) -> Work | None:
        """Never: how many there are is known before."""
        return None

    def tell(self, work: Work, done: Yielded) -> None:
        """These numbers are done."""
        assert isinstance(work, Stretch)
        self.first = work.first + work.runs

    def put_back(self) -> None:
        """See `Course`."""
        self.given = self.first

    def extend(self, runs: int | None) -> None:
        """See `Course`."""
        self.runs = runs

    def note(self, facts: Facts) -> None:
        """Nothing is ever complete."""


class ByCostState(NamedTuple):
    """How far a depth-first search has come, what is under way put back."""

    dfs: DfsState
    back: list[Branch]
    told: int
    out_of_steps: bool


class ByCost:
    """A depth-first search, by departures from run-to-block.

    Args:
        bound: departures at most; None for any number.
        runs: schedules at most; None for any number.
        state: where to go on from.
    """

    def __init__(
        self, bound: int | None, runs: int | None, state: ByCostState | None = None
    ) -> None:
        self.runs = runs
        self._dfs = BoundedDfs(bound)
        self._told = 0
        self._under_way: list[Branch] = []
        self._back: list[Branch] = []
        self._out_of_steps = False
        if state is not None:
            self._dfs.go_on(state.dfs)
            self._back, self._told = list(state.back), state.told
            self._out_of_steps = state.out_of_steps

    def state(self) -> ByCostState:
        """How far it has come."""
        back = self._under_way + self._back
        return ByCostState(self._dfs.state(), back, self._told, self._out_of_steps)

    def next_work(self) -> Branches | None:
        """The next branches of the least cost."""
        left = _ANY if self.runs is None else self.runs - self._told - len(self._under_way)
        branches: list[Branch] = []
        while len(branches) < min(STRETCH, left):
            if self._back:
                branches.append(self._back.pop(0))
                continue
            branch = self._dfs.take(settled=not self._under_way and not branches)
            if branch is None:
                break
            branches.append(branch)
        self._under_way += branches
        return Branches(tuple(branches)) if branches else None

    def shortened(self, work: Work, done: Yielded) -> Work | None:
        """Never: each branch is one schedule."""
        return None

    def tell(self, work: Work, done: Yielded) -> None:
        """What these branches have left."""
        for batch, left in zip(done.batches, done.left, strict=True):
            self._dfs.queue(left)
            self._out_of_steps |= batch.out_of_steps
        self._told += len(done.batches)
        del self._under_way[: len(done.batches)]

    def put_back(self) -> None:
        """See `Course`."""
        self._back = self._under_way + self._back
        self._under_way = []

    def extend(self, runs: int | None) -> None:
        """See `Course`."""
        self.runs = runs

    def note(self, facts: Facts) -> None:
        """Whether all was run, or all up to which cost."""
        self.put_back()
        if not self._back:
            branch = self._dfs.take()
            self._back += [branch] if branch is not None else []
        facts.out_of_steps = self._out_of_steps
        facts.out_of_budget = bool(self._back) and not facts.out_of_time
        facts.complete = not (self._back or facts.out_of_time or self._out_of_steps)
        last = Batch(complete=facts.complete, out_of_steps=self._out_of_steps)
        facts.bound = bound_of(self._dfs, last)


@dataclass(slots=True)
class WholeTree:
    """An exhaustive search.

    Args:
        runs: schedules at most, those in vain too; None for any number.
        piece: how many in one piece of work.
        tree: what is left; one of the two is None.
        order: the same of a program of which no two steps commute.
        told: schedules told of.
        rested: an M that yielded was made to wait.
        out_of_steps: a run was cut at its bound of steps.
        broken: the program did not do the same again.
        keeps_time: how long steps take was found to matter, which `tree` does not see.
    """

    runs: int | None
    piece: int
    tree: SharedTree | None = None
    order: SharedOrder | None = None
    told: int = 0
    rested: bool = False
    out_of_steps: bool = False
    broken: bool = False
    keeps_time: bool = False

    def next_work(self) -> Climb | None:
        """The next part."""
        left = _ANY if self.runs is None else self.runs - self.told
        if left <= 0 or self.broken:
            return None
        part = self.tree.take() if self.tree is not None else self._of_order().take()
        return Climb(part, min(self.piece, left)) if part is not None else None

    def _of_order(self) -> SharedOrder:
        assert self.order is not None
        return self.order

    def shortened(self, work: Work, done: Yielded) -> Work | None:
        """The part for fewer schedules, where others have used up the budget meanwhile."""
        assert isinstance(work, Climb)
        if self.runs is None or self.told + done.runs <= self.runs:
            return None
        return replace(work, runs=self.runs - self.told)

    def tell(self, work: Work, done: Yielded) -> None:
        """What came of a part."""
        self.told += done.runs
        self.broken |= done.broken
        for batch in done.batches:
            self.rested |= batch.rested
            self.keeps_time |= batch.keeps_time
            self.out_of_steps |= batch.out_of_steps
        if done.broken:
            return
        part: Any = done.part
        if self.tree is not None:
            self.tree.tell(part, done.first, done.wishes)
        else:
            self._of_order().tell(part)

    def put_back(self) -> None:
        """See `Course`."""
        shared = self.tree if self.tree is not None else self._of_order()
        shared.put_back()

    def extend(self, runs: int | None) -> None:
        """See `Course`."""
        self.runs = runs

    def note(self, facts: Facts) -> None:
        """Whether all was run."""
        shared = self.tree if self.tree is not None else self._of_order()
        is_left = bool(shared.parts or shared.under_way)
        facts.rested, facts.out_of_steps = self.rested, self.out_of_steps
        facts.keeps_time = self.keeps_time
        facts.complete = not (is_left or self.out_of_steps or self.broken or self.keeps_time)
        facts.out_of_budget = self.runs is not None and self.told >= self.runs and is_left


def whole_tree(runs: int | None, piece: int, *, entangled: bool) -> WholeTree:
    """An exhaustive search from its beginning.

    Args:
        runs: schedules at most; None for any number.
        piece: how many in one piece of work.
        entangled: no two steps of the program are known to commute, as where timers fire at their
            time.
    """
    if entangled:
        order = SharedOrder()
        order.begin()
        return WholeTree(runs, piece, order=order)
    tree = SharedTree()
    tree.begin()
    return WholeTree(runs, piece, tree=tree)

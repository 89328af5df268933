"""The rounds of `auto` in one search: slices are planned, run by whoever runs them, and told of.

Where the tree seems to be small a slice of it is shared out by the tree's parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gorun_mem.explore.controlled.every_order import EveryOrder
from gorun_mem.explore.portfolio import DEPTHS, Portfolio, Seen, Slice
from gorun_mem.explore.subtrees import WIDTH, SharedOrder, SharedTree
from gorun_mem.explore.verdict import Facts
from gorun_mem.explore.work import Climb, Work, Yielded, perform
from gorun_mem.explore.worker import Worker

TREE_DECISIONS_MAX: Final = 400
"""The tree is left alone where there are many schedules and each has more decisions: its runs take
long then and show little."""
TREE: Final = EveryOrder.name
TREE_PIECE: Final = 16
"""The least schedules of the tree that are a piece of work; of more, each part of it has some."""


@dataclass(slots=True)
class Rounds:
    """What `auto` runs.

    Args:
        tree: what is left of the tree; `order` instead, where no two steps are known to commute.
        portfolio: plans the rounds; None before the first.
        planned: slices of the round that are not handed out.
        under_way: those that are and were not told of.
        complete: the tree is at its end.
        rested: an M that yielded was made to wait in the tree.
        keeps_time: timers were set in it that fire at their time, so its end is not all.
        cut: a run of it reached its bound of steps, or did not do the same again: it is left.
        bypasses: by lock, how often others got it at most while an M waited.
        seen: what the runs before the first round have shown.
    """

    tree: SharedTree | None
    order: SharedOrder | None = None
    portfolio: Portfolio | None = None
    planned: list[Slice] = field(default_factory=list)
    under_way: list[Slice] = field(default_factory=list)
    complete: bool = False
    rested: bool = False
    keeps_time: bool = False
    cut: bool = False
    bypasses: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[Slice, Seen]] = field(default_factory=list)

    def once(self, worker: Worker, strategy: str, number: int, done: Yielded) -> None:
        """Run one schedule of those at the beginning, which is no walk.

        Args:
            worker: runs it.
            strategy: which draws it, or the tree.
            number: of the schedule.
            done: what to add to.
        """
        part = Slice(strategy, -number, number, 1, DEPTHS[0])
        if strategy == TREE and not self._goes_on():
            return
        perform(worker, self._work(part), done)
        self._take(part, done)
        self.seen.append((part, done.seen))

    def plan(self, worker: Worker, small: bool, budget: int | None) -> None:
        """Begin the rounds.

        Args:
            worker: has run what comes before them.
            small: the tree seems to be small.
            budget: schedules at most; None for any number.
        """
        self.portfolio = portfolio = Portfolio(small, budget, self._goes_on())
        self._shared().width = WIDTH if small else 1
        if worker.profile.decisions > TREE_DECISIONS_MAX and not small:
            portfolio.tree_left = False
        for part, seen in self.seen:
            self._tell(portfolio, part, part.runs, seen)
        self.seen = []

    def next_work(self) -> Work | None:
        """The next slice; the next round is planned when all of this one is told of."""
        assert self.portfolio is not None
        if not (self.planned or self.under_way or self.complete):
            self.planned = [one for part in self.portfolio.next_round() for one in self._cut(part)]
        if not self.planned:
            return None
        part = self.planned.pop(0)
        self.under_way.append(part)
        return self._work(part)

    def shortened(self, work: Work, done: Yielded) -> Work | None:
        """Never: the budget is shared out before."""
        return None

    def tell(self, work: Work, done: Yielded) -> None:
        """What came of a slice."""
        part = self.under_way.pop(0)
        self._take(part, done)
        portfolio = self.portfolio
        assert portfolio is not None
        if part.strategy == TREE:
            portfolio.tree_left = self._goes_on()
        if self.complete:
            self.planned = []
        else:
            self._tell(portfolio, part, done.batches[0].schedules, done.seen)

    def put_back(self) -> None:
        """See `Course`."""
        self.planned[:0] = self.under_way
        self.under_way = []
        self._shared().put_back()

    def extend(self, runs: int | None) -> None:
        """See `Course`."""
        if self.portfolio is not None:
            self.portfolio.budget = runs

    def note(self, facts: Facts) -> None:
        """Whether the tree is at its end."""
        if self.complete:
            facts.tree = facts.complete = True
            facts.rested = self.rested

    def _work(self, part: Slice) -> Work:
        if part.strategy != TREE:
            return part
        left = self._shared().take()
        assert left is not None
        return Climb(left, part.runs, part)

    def _cut(self, part: Slice) -> list[Slice]:
        """A slice of a round, one of the tree as one for each of its parts: by how many is left of
        it, so it does not matter who does how many of them at once."""
        if part.strategy != TREE:
            return [part]
        count = max(min(len(self._shared().parts), part.runs // TREE_PIECE), 1)
        each, more = divmod(part.runs, count)
        slices: list[Slice] = []
        first = part.first
        for number in range(count):
            runs = each + (number < more)
            slices.append(replace(part, first=first, runs=runs))
            first += runs
        return slices

    def _shared(self) -> SharedTree | SharedOrder:
        shared = self.tree if self.order is None else self.order
        assert shared is not None
        return shared

    def _goes_on(self) -> bool:
        """Whether something of the tree is left that can be gone on with."""
        return bool(self._shared().parts) and not self.cut

    def _take(self, part: Slice, done: Yielded) -> None:
        """Take in what is left of the tree, if it was a slice of that."""
        if part.strategy != TREE:
            return
        batch = done.batches[0]
        self.rested |= batch.rested
        self.keeps_time |= batch.keeps_time
        self.cut |= batch.out_of_steps or done.broken
        shared: Any = self._shared()
        if batch.out_of_time:
            shared.put_back()
            return
        if done.broken:
            shared.under_way.pop(0)
        elif self.order is not None:
            shared.tell(done.part)
        else:
            shared.tell(done.part, done.first, done.wishes)
        over = not (shared.parts or shared.under_way)
        if over and not (self.cut or self.keeps_time):
            self.complete = batch.complete = True

    def _tell(self, portfolio: Portfolio, part: Slice, runs: int, seen: Seen) -> None:
        _raise_to(self.bypasses, seen.bypasses)
        portfolio.tell(part, runs, seen)


def rounds_of(worker: Worker) -> Rounds:
    """The rounds of a search from its beginning."""
    if worker.target.host:
        order = SharedOrder(width=1)
        order.begin()
        return Rounds(None, order)
    tree = SharedTree(width=1)
    tree.begin()
    return Rounds(tree)


def _raise_to(most: dict[str, int], counts: Mapping[str, int]) -> None:
    for lock, count in counts.items():
        most[lock] = max(most.get(lock, 0), count)

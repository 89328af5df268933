"""The rounds of `auto` in one search: slices are planned, run by whoever runs them, and told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gorun_mem.explore.controlled.every_order import EveryOrder
from gorun_mem.explore.portfolio import DEPTHS, Portfolio, Seen, Slice
from gorun_mem.explore.verdict import Facts
from gorun_mem.explore.work import Climb, TreePart, Work, Yielded, perform
from gorun_mem.explore.worker import Worker, whole_tree

TREE_DECISIONS_MAX: Final = 400
"""The tree is left alone where there are many schedules and each has more decisions: its runs take
long then and show little."""
TREE: Final = EveryOrder.name


@dataclass(slots=True)
class Rounds:
    """What `auto` runs.

    Args:
        part: what is left of the tree; None for nothing, or nothing that can be gone on with.
        portfolio: plans the rounds; None before the first.
        planned: slices of the round that are not handed out.
        under_way: those that are and were not told of.
        complete: the tree is at its end.
        rested: an M that yielded was made to wait in the tree.
        keeps_time: timers were set in it that fire at their time, so its end is not all.
        bypasses: by lock, how often others got it at most while an M waited.
        seen: what the runs before the first round have shown.
    """

    part: TreePart | None
    portfolio: Portfolio | None = None
    planned: list[Slice] = field(default_factory=list)
    under_way: list[Slice] = field(default_factory=list)
    complete: bool = False
    rested: bool = False
    keeps_time: bool = False
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
        if strategy == TREE and self.part is None:
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
        self.portfolio = portfolio = Portfolio(small, budget, self.part is not None)
        if worker.profile.decisions > TREE_DECISIONS_MAX and not small:
            portfolio.tree_left = False
        for part, seen in self.seen:
            self._tell(portfolio, part, part.runs, seen)
        self.seen = []

    def next_work(self) -> Work | None:
        """The next slice; the next round is planned when all of this one is told of."""
        assert self.portfolio is not None
        if not (self.planned or self.under_way or self.complete):
            self.planned = self.portfolio.next_round()
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
            portfolio.tree_left = self.part is not None
        if self.complete:
            self.planned = []
        else:
            self._tell(portfolio, part, done.batches[0].schedules, done.seen)

    def put_back(self) -> None:
        """See `Course`."""
        self.planned[:0] = self.under_way
        self.under_way = []

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
        assert self.part is not None
        return Climb(self.part, part.runs, part)

    def _take(self, part: Slice, done: Yielded) -> None:
        """Take in what is left of the tree, if it was a slice of that."""
        if part.strategy != TREE:
            return
        batch = done.batches[0]
        self.rested |= batch.rested
        self.keeps_time |= batch.keeps_time
        self.part = None if batch.out_of_steps else done.part
        cut = batch.out_of_steps or done.broken or batch.out_of_time
        if self.part is None and not (cut or self.keeps_time):
            self.complete = batch.complete = True

    def _tell(self, portfolio: Portfolio, part: Slice, runs: int, seen: Seen) -> None:
        _raise_to(self.bypasses, seen.bypasses)
        portfolio.tell(part, runs, seen)


def rounds_of(worker: Worker) -> Rounds:
    """The rounds of a search from its beginning."""
    return Rounds(whole_tree(worker.target).left())


def _raise_to(most: dict[str, int], counts: Mapping[str, int]) -> None:
    for lock, count in counts.items():
        most[lock] = max(most.get(lock, 0), count)

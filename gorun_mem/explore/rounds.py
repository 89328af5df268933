"""The rounds of `auto` in one search: slices are planned, run here or by a pool, and told of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from gorun_mem.explore.portfolio import DEPTHS, Portfolio, Seen, Slice
from gorun_mem.explore.slices import grow, run_slice
from gorun_mem.explore.verdict import Facts, Statistics
from gorun_mem.explore.worker import Batch, Worker, whole_tree

TREE_DECISIONS_MAX: Final = 400
"""The tree is left alone where there are many schedules and each has more decisions: its runs take
long then and show little."""


class RunsSlices(Protocol):
    """Processes that slices are given to."""

    def slices(self, parts: Sequence[Slice]) -> Iterator[tuple[Batch, Seen]]:
        """What comes of slices that are drawn, in their order."""


class Rounds:
    """What `auto` runs.

    Args:
        worker: runs the slices of this process, and all of the tree.
        facts: told that the tree is at its end.
        statistics: told of bypasses.
    """

    def __init__(self, worker: Worker, facts: Facts, statistics: Statistics) -> None:
        self._worker = worker
        self._facts = facts
        self._most = statistics.bypasses
        self._tree = whole_tree(worker.target)
        self._tree_left = True
        self._seen: list[tuple[Slice, Seen]] = []

    def once(self, strategy: str, number: int, into: Batch) -> None:
        """Run one schedule of those at the beginning, which is no walk."""
        part = Slice(strategy, -number, number, 1, DEPTHS[0])
        if strategy != self._tree.name:
            self._seen.append((part, run_slice(self._worker, part, into)))
        elif self._tree_left:
            self._seen.append((part, self._grow(part, into)))

    def run(
        self,
        small: bool,
        budget: int | None,
        pool: RunsSlices | None,
        take: Callable[[Batch], bool],
    ) -> None:
        """Run round after round.

        Args:
            small: the tree seems to be small.
            budget: schedules at most; None for any number.
            pool: who runs what is drawn; here if None.
            take: takes in what came of a slice, and says whether to go on.
        """
        portfolio = Portfolio(small, budget, self._tree_left)
        if self._worker.profile.decisions > TREE_DECISIONS_MAX and not small:
            portfolio.tree_left = False
        for part, seen in self._seen:
            self._tell(portfolio, part, part.runs, seen)
        for slices in portfolio.rounds():
            drawn = [part for part in slices if part.strategy != self._tree.name]
            ran = iter(pool.slices(drawn)) if pool is not None else None
            for part in slices:
                batch = Batch()
                seen = Seen()
                goes_on = False
                try:
                    if part.strategy == self._tree.name:
                        seen = self._grow(part, batch)
                        portfolio.tree_left = self._tree_left
                    elif ran is not None:
                        batch, seen = next(ran)
                        self._worker.progress(batch.schedules)
                    else:
                        seen = run_slice(self._worker, part, batch)
                finally:
                    goes_on = take(batch)
                if not goes_on or batch.complete:
                    return
                self._tell(portfolio, part, batch.schedules, seen)

    def _tell(self, portfolio: Portfolio, part: Slice, runs: int, seen: Seen) -> None:
        for lock, count in seen.bypasses.items():
            self._most[lock] = max(self._most.get(lock, 0), count)
        portfolio.tell(part, runs, seen)

    def _grow(self, part: Slice, batch: Batch) -> Seen:
        """Go on with the tree."""
        self._tree_left, seen = grow(self._worker, self._tree, part, batch)
        if batch.complete:
            self._facts.tree = self._facts.complete = True
            self._facts.rested = self._tree.rested
        return seen

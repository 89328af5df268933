"""The work of a search as plain values, and what comes of it: both go to any process or machine.

Whatever a search does is cut into pieces of work. What comes of one follows from the piece, the
program and how the search was begun, and from nothing that its worker has done before; so a piece
that was lost is done again, and it does not matter by whom.

    Stretch    drawn schedules, by their numbers
    Slice      a part of a round of `auto` (portfolio.py), drawn
    Branches   schedules of a depth-first search
    Climb      a part of the tree of an exhaustive one, for so many schedules
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.controlled.every_order import EveryOrder
from gorun_mem.explore.drive import OutOfTime
from gorun_mem.explore.portfolio import Seen, Slice
from gorun_mem.explore.slices import COVERED, Coverage, run_slice
from gorun_mem.explore.worker import Worker, unsteady
from gorun_mem.step.strategies.dfs import Branch, Left
from gorun_mem.step.strategies.exhaustive import Exhaustive
from gorun_mem.step.strategies.searching import NonDeterminism
from gorun_mem.step.strategies.subtree import NodeState, PathPart, Subtree, WantedAbove

LONG, LONG_LEAST = 3, 300
"""How many times the steps of the walks a run of the tree of `auto` may have, and what it may have
anyway. A longer one goes round, and then the tree has no end."""
PIECE_STEPS: Final = 40_000
"""About so many steps are a piece of work."""
PIECE_RUNS: Final = (16, 1_024)
"""The least and the most schedules that are one."""

TreePart = Subtree | PathPart


@dataclass(frozen=True, slots=True)
class Stretch:
    """Schedules that are drawn.

    Args:
        strategy: one of `drawing()`.
        first: the number of the first.
        runs: how many.
    """

    strategy: str
    first: int
    runs: int


@dataclass(frozen=True, slots=True)
class Branches:
    """Schedules of a depth-first search, each whatever came of those before."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Climb:
    """A part of a tree.

    Args:
        part: which.
        runs: for how many schedules, in vain ones among them.
        of: the slice of a round of `auto` that it is.
    """

    part: TreePart
    runs: int
    of: Slice | None = None


Work = Stretch | Slice | Branches | Climb


@dataclass(slots=True)
class Yielded:
    """What came of a piece of work.

    Args:
        batches: one; of `Branches` one for each of them.
        seen: of a slice, what it has shown.
        left: of `Branches`, what each has left.
        runs: of a `Climb`, schedules run, in vain ones too.
        part: what is left of its part; None for nothing.
        first: where nothing is, the first node of the part.
        wishes: what it has seen to be wanted above the part.
        broken: the program does not do the same again, so nothing of it can be gone on with.
    """

    batches: list[Batch] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    left: list[list[Left]] = field(default_factory=list)
    runs: int = 0
    part: TreePart | None = None
    first: NodeState | None = None
    wishes: list[WantedAbove] = field(default_factory=list)
    broken: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether it was ended before its end, by the time or from outside."""
        return any(batch.out_of_time for batch in self.batches)


def perform(worker: Worker, work: Work, into: Yielded) -> None:
    """Do a piece of work.

    Args:
        worker: does it.
        work: which.
        into: what to add to, which is there also if the search is interrupted.
    """
    worker.forget()
    if isinstance(work, Branches):
        _follow(worker, work.branches, into)
        return
    batch = Batch()
    into.batches.append(batch)
    if isinstance(work, Stretch):
        worker.draw(work.strategy, work.first, work.runs, into=batch)
    elif isinstance(work, Slice):
        into.seen = run_slice(worker, work, batch)
    elif work.of is None:
        _climb(worker, work, batch, into)
    else:
        _climb_covering(worker, work, work.of, batch, into)


def piece_runs(steps: Iterable[int]) -> int:
    """How many schedules are a piece of work, where one has so many steps of each M."""
    least, most = PIECE_RUNS
    return max(least, min(most, PIECE_STEPS // max(sum(steps), 1)))


def _follow(worker: Worker, branches: Iterable[Branch], into: Yielded) -> None:
    for branch in branches:
        batch, left = worker.follow(branch)
        into.batches.append(batch)
        into.left.append(left)
        if batch.out_of_time:
            return


def _climb(worker: Worker, work: Climb, batch: Batch, into: Yielded) -> None:
    part = work.part
    tree = Exhaustive(part) if isinstance(part, Subtree) else EveryOrder(part)
    random = Random(worker.seed)
    try:
        while into.runs < work.runs and tree.begin(random, worker.profile):
            worker.breathe()
            into.runs += 1
            is_whole = worker.branch(batch, tree)
            if worker.is_enough(batch) or (work.of is not None and not is_whole):
                break
    except OutOfTime:
        batch.out_of_time = True
        return
    except NonDeterminism as error:
        batch.found.append(unsteady(tree, error))
        into.broken = True
        return
    finally:
        batch.by_strategy[tree.name] = batch.schedules
        batch.rested, batch.keeps_time = tree.rested, tree.keeps_time
    into.part = tree.left()
    if isinstance(tree, Exhaustive):
        into.wishes = tree.wishes
        into.first = tree.first_place() if into.part is None else None


def _climb_covering(worker: Worker, work: Climb, part: Slice, batch: Batch, into: Yielded) -> None:
    """The same for `auto`, which looks at what it covers."""
    worker.covering = coverage = Coverage(part.first < COVERED)
    into.seen = coverage.seen
    steps_max = worker.steps_max
    worker.steps_max = min(steps_max, LONG_LEAST + LONG * sum(worker.profile.steps.values()))
    try:
        _climb(worker, work, batch, into)
    finally:
        worker.covering, worker.steps_max = None, steps_max

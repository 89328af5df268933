"""What a search has come to: what was counted, what was found, what the verdict is decided by.

Where the first runs are no part of the search (`WALKING`) they are counted apart, in `walked`.
"""

from __future__ import annotations

from typing import Any, Final

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.drive import Execution
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.settings import SearchSettings
from gorun_mem.explore.target import Target
from gorun_mem.explore.verdict import Facts, Statistics
from gorun_mem.explore.worker import Worker
from gorun_mem.step.strategies import is_tree
from gorun_mem.step.strategies.states import States

WALKING: Final = ("auto", "random")
"""Strategies of which the first runs are a part."""


class SearchTally:
    """What one search has come to.

    Args:
        target: the program.
        settings: how it is searched.

    Attributes:
        batch: what was counted and found.
        walked: what walks came to that are no part of it; `batch` where there are none.
        facts: what the verdict is decided by.
        statistics: for the report; complete after `count`.
        unsteady: the program did not do the same under the same schedule; None if nothing of that
            was seen.
    """

    def __init__(self, target: Target, settings: SearchSettings) -> None:
        self.settings = settings
        self.batch = Batch()
        self.walked = self.batch if settings.strategy in WALKING else Batch()
        self.statistics = Statistics()
        self.unsteady: Failure | None = None
        self.facts = Facts(
            tree=is_tree(settings.strategy),
            by_states=settings.strategy == States.name,
            budget=settings.budget,
            time_s=settings.time_s,
            steps_max=settings.steps_max,
            granularity=target.config.granularity,
            faults=target.config.faults,
            memory=target.config.memory,
            stands_on=target.stands_on,
        )

    def left(self) -> int | None:
        """What the first runs left of the budget."""
        if self.settings.budget is None:
            return None
        return max(self.settings.budget - self.batch.schedules, 0)

    def is_enough(self) -> bool:
        """Whether as much was found as is asked for."""
        batch = self.batch
        return bool(batch.uncontrolled) or len(batch.found) >= self.settings.failures_max

    def merge(self, batch: Batch) -> None:
        """Take in what came of some schedules; of each failure the first."""
        known = {one.signature for one in self.batch.found}
        batch.found = [one for one in batch.found if one.signature not in known]
        self.batch.add(batch)

    def take_walk(self, worker: Worker, done: Execution, number: int) -> None:
        """Take in one of the first runs."""
        batch = self.walked
        batch.schedules += 1
        batch.steps += done.steps
        batch.by_strategy["random"] = batch.by_strategy.get("random", 0) + 1
        batch.hashes.add(hash(tuple(done.tape)))
        engine: Any = done.world.engine
        batch.timed |= engine.timed
        batch.keeps_time |= engine.keeps_time
        batch.unfair += engine.unfair
        worker.note(batch, done, "random", number)

    def add_walked(self) -> None:
        """Take in what walks before the search have shown."""
        batch, walked = self.batch, self.walked
        if walked is batch:
            return
        batch.decisions = max(batch.decisions, walked.decisions)
        batch.handovers |= walked.handovers
        known = {one.signature for one in batch.found}
        found = bool(walked.found) or self.unsteady is not None
        self.facts.walked_into = found and not batch.found
        batch.found += [one for one in walked.found if one.signature not in known]

    def count(self) -> None:
        """Make the statistics of the batch."""
        batch, counted, facts = self.batch, self.statistics, self.facts
        counted.by_strategy = batch.by_strategy
        tree = "exhaustive" if self.settings.strategy == "auto" else self.settings.strategy
        counted.schedules, counted.distinct = batch.schedules, len(batch.hashes)
        if facts.tree and tree in batch.by_strategy:
            counted.schedules = counted.distinct = batch.by_strategy[tree]
            counted.by_strategy = {tree: counted.schedules}
        counted.redundant = batch.redundant
        counted.states = batch.states
        counted.steps = batch.steps
        counted.decisions = batch.decisions
        counted.handovers = len(batch.handovers)
        counted.unfair = batch.unfair
        counted.timed = batch.timed
        facts.uncontrolled = tuple(batch.uncontrolled)
        facts.out_of_time |= batch.out_of_time

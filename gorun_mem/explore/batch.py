"""What came of a number of runs of a search, as one process tells another."""

from __future__ import annotations

from dataclasses import dataclass, field

from gorun_mem.explore.failure import Signature


@dataclass(slots=True)
class Found:
    """A run that failed, as far as it takes to run it again.

    Args:
        run: its number; in a tree, the number of its start.
        strategy: which came upon it.
        signature: of the failure.
        tape: `ExploringEngine.tape`.
    """

    run: int
    strategy: str
    signature: Signature
    tape: list[int]


@dataclass(slots=True)
class Batch:
    """What came of a number of runs; the fields are as in `verdict.Statistics` and `Facts`."""

    schedules: int = 0
    redundant: int = 0
    steps: int = 0
    decisions: int = 0
    unfair: int = 0
    timed: bool = False
    keeps_time: bool = False
    by_strategy: dict[str, int] = field(default_factory=dict)
    hashes: set[int] = field(default_factory=set)
    handovers: set[tuple[str, str]] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    uncontrolled: list[str] = field(default_factory=list)
    out_of_time: bool = False
    out_of_budget: bool = False
    out_of_steps: bool = False
    complete: bool = False
    bound: int | None = None
    rested: bool = False
    states: int = 0
    by_counts: str = ""
    incomparable: str = ""
    out_of_states: bool = False

    @property
    def of_states(self) -> tuple[str, str, bool]:
        """What a search of states has to say besides."""
        return self.by_counts, self.incomparable, self.out_of_states

    def add(self, other: Batch) -> None:
        """Take in what came of other runs."""
        self.schedules += other.schedules
        self.redundant += other.redundant
        self.steps += other.steps
        self.decisions = max(self.decisions, other.decisions)
        self.unfair += other.unfair
        self.timed |= other.timed
        self.keeps_time |= other.keeps_time
        for name, count in other.by_strategy.items():
            self.by_strategy[name] = self.by_strategy.get(name, 0) + count
        self.hashes |= other.hashes
        self.handovers |= other.handovers
        self.found += other.found
        self.uncontrolled += [p for p in other.uncontrolled if p not in self.uncontrolled]
        self.out_of_time |= other.out_of_time
        self.out_of_budget |= other.out_of_budget
        self.out_of_steps |= other.out_of_steps
        self.rested |= other.rested
        self.states += other.states
        self.by_counts = self.by_counts or other.by_counts
        self.incomparable = self.incomparable or other.incomparable
        self.out_of_states |= other.out_of_states

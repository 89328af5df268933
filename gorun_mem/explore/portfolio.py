"""What `auto` runs, round after round: no strategy finds every bug first.

A round is a list of slices, each of them pure values: which strategy, with what depth or along
which tapes, and the number of the chunk that names the generator. What a round is follows from what
the rounds before have shown and from nothing else, so it does not matter in how many processes a
round is run.

    tree    a stretch of the exhaustive search, first and growing where there seem to be few
            schedules, a small part of the round where there seem to be many
    drawn   POS, PCT, URW, SURW and the random walk, in a fixed order at first; then each as often
            as it has paid: new pairs of steps handed over from one M to another, a schedule
    lasso   a stretch of a run after which it might have gone on with the same, gone round for ever
    mutant  a tape that has shown new pairs, cut at random, with another M going there

PCT's depth rises by one each time that all depths so far have been drawn by: a bug that needs d
orderings is found with a chance of 1/(n k^(d-1)) at depth d, and hardly with less.

Source: A. Li et al., "Fray: An Efficient General-Purpose Concurrency Testing Platform for the JVM",
OOPSLA 2025 (what adds coverage is kept and mutated); P. Auer, N. Cesa-Bianchi, P. Fischer,
"Finite-time Analysis of the Multiarmed Bandit Problem", Machine Learning 47, 2002 (UCB1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Final, Protocol

from gorun_mem.explore.failure import Detector

CHUNK: Final = 16
"""Schedules that are drawn from one generator."""
BEGINNING: Final = (
    "random",
    "random",
    "random",
    "urw",
    "urw",
    "surw",
    "exhaustive",
    "exhaustive",
    "urw",
    "pct",
)
"""What the first runs are drawn by, one each; the random walks show what the program is like."""
FIRST: Final = ("pos", "pct", "urw", "pos", "random", "pct", "pos", "surw")
"""What is drawn by, chunk after chunk, until it is known what pays."""
ARMS: Final = ("pos", "pct", "urw", "random", "surw", "mutant")
"""Among which the chunks are shared out then."""
SHORT: Final = 4
"""Schedules of a chunk at first, so that each strategy is soon tried."""
SHORT_CHUNKS: Final = 64
TREE_FIRST: Final = 38
"""Schedules of the first slice of the tree; each next one has twice as many, where it is small."""
TREE_MOST: Final = 512
TREE_EVERY: Final = 8
"""Where the tree is not small a slice of it comes after so many chunks."""
DEPTHS: Final = (3, 3, 2, 4, 3, 5, 2, 6)
"""Of PCT, chunk after chunk; then on from there, each two deeper than the time before."""
LASSO: Final = "lasso"
CYCLES_MOST: Final = 64
"""Cycles that are gone round in one search; each another."""
CORPUS_MOST: Final = 64
"""Tapes that are kept to be mutated; the latest."""

Tape = tuple[int, ...]
Handover = tuple[int, str, int, str, str]
"""Who made which kind of step on an object after whose of which kind."""


class Covering(Protocol):
    """What looks at each run of a slice for what it covers."""

    def next_run(self, number: int) -> None:
        """Run `number` of the slice is to begin."""

    def detectors(self) -> Sequence[Detector]:
        """What looks at it."""

    def keep(self, tape: Sequence[int]) -> None:
        """It has ended, and this is its tape."""


@dataclass(frozen=True, slots=True)
class Lap:
    """A stretch of a run after which it might have gone on with the same again.

    Args:
        tape: of the run.
        stem: how many of its steps come before.
        ms: whose step it is, step by step.
        steps: M, kind and object of each.
    """

    tape: Tape
    stem: int
    ms: tuple[int, ...]
    steps: tuple[tuple[int, str, str], ...]


@dataclass(slots=True)
class Seen:
    """What a slice has shown beside failures.

    Args:
        shown: tapes that showed what no tape before had shown to their process, and what.
        cycles: where a run might have gone on round and round.
        bypasses: by lock, how often others got it at most while an M waited.
    """

    shown: list[tuple[Tape, frozenset[Handover]]] = field(default_factory=list)
    cycles: list[Lap] = field(default_factory=list)
    bypasses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a round.

    Args:
        strategy: one of ARMS, or "exhaustive".
        chunk: its number, which names the generator that it draws from.
        first: the number of its first schedule.
        runs: how many schedules.
        depth: of PCT.
        tapes: of "mutant", what to mutate.
        cycles: of "lasso", what to go round.
    """

    strategy: str
    chunk: int
    first: int
    runs: int
    depth: int = 0
    tapes: tuple[Tape, ...] = ()
    cycles: tuple[Lap, ...] = ()


@dataclass(slots=True)
class Arm:
    """What came of one strategy.

    Args:
        runs: schedules.
        news: handovers that no schedule before had shown.
    """

    runs: int = 0
    news: int = 0


@dataclass(slots=True)
class Portfolio:
    """Plans the rounds of one search.

    Args:
        small: the tree of schedules seems to be small.
        budget: schedules to plan for; None for any number.
        tree_left: something of the tree is left that can be gone on with.
        chunk: the number of the next chunk.
    """

    small: bool
    budget: int | None = None
    tree_left: bool = True
    chunk: int = 0
    _arms: dict[str, Arm] = field(default_factory=lambda: {name: Arm() for name in ARMS})
    _known: set[Handover] = field(default_factory=set)
    _corpus: list[Tape] = field(default_factory=list)
    _cycles: set[tuple[tuple[int, str, str], ...]] = field(default_factory=set)
    _to_go_round: list[Lap] = field(default_factory=list)
    _rounds: int = 0
    _pcts: int = 0
    _planned: int = 0
    _in_tree: int = 0

    def next_round(self) -> list[Slice]:
        """The next round, nothing for none; what came of the one before was told by `tell`."""
        if self._left() <= 0:
            return []
        slices = self._round()
        self._rounds += 1
        return slices

    def tell(self, part: Slice, runs: int, seen: Seen) -> None:
        """What came of a slice.

        Args:
            part: which.
            runs: schedules that it ran.
            seen: what these have shown.
        """
        news = 0
        for tape, handovers in seen.shown:
            fresh = handovers - self._known
            if fresh:
                news += len(fresh)
                self._known |= fresh
                self._corpus.append(tape)
        del self._corpus[:-CORPUS_MOST]
        for cycle in seen.cycles:
            if cycle.steps not in self._cycles and len(self._cycles) < CYCLES_MOST:
                self._cycles.add(cycle.steps)
                self._to_go_round.append(cycle)
        arm = self._arms.get(part.strategy)
        if arm is not None:
            arm.runs += runs
            arm.news += news

    @property
    def handovers(self) -> int:
        """How many were seen."""
        return len(self._known)

    # A round.

    def _round(self) -> list[Slice]:
        slices: list[Slice] = []
        number = self._rounds
        if self._to_go_round:
            self._to_go_round.sort(key=lambda cycle: len(cycle.ms))
            cycles = tuple(self._to_go_round[: self._left()])
            slices.append(Slice(LASSO, 0, self._planned, len(cycles), cycles=cycles))
            self._planned += len(cycles)
            self._to_go_round.clear()
        if not self.small:
            for _ in range(TREE_EVERY):
                self._add_chunk(slices)
            if self.tree_left:
                self._add_tree(slices, slices[-1].runs if slices else SHORT)
            return slices
        if self.tree_left:
            self._add_tree(slices, min(TREE_FIRST << number, TREE_MOST))
        while sum(part.runs for part in slices) < self._drawn_of(number):
            before = len(slices)
            self._add_chunk(slices)
            if len(slices) == before:
                break
        return slices

    def _drawn_of(self, number: int) -> int:
        """Schedules of round `number` where the tree is small: a third of it is drawn."""
        tree = min(TREE_FIRST << number, TREE_MOST)
        return tree * 3 // 2 if self.tree_left else tree

    def _add_tree(self, slices: list[Slice], runs: int) -> None:
        most = self._left()
        if self.budget is not None:
            most = min(most, self.budget // 2 - self._in_tree)
        runs = min(runs, most)
        if runs > 0:
            slices.append(Slice("exhaustive", 0, self._planned, runs))
            self._in_tree += runs
            self._planned += runs

    def _add_chunk(self, slices: list[Slice]) -> None:
        chunk = self.chunk
        runs = min(SHORT if chunk < SHORT_CHUNKS else CHUNK, self._left())
        if runs <= 0:
            return
        self.chunk += 1
        name = FIRST[chunk] if chunk < len(FIRST) else self._best(chunk)
        depth = 0
        if name == "pct":
            turn, place = divmod(self._pcts, len(DEPTHS))
            depth = DEPTHS[place] + 2 * turn
            self._pcts += 1
        tapes = tuple(self._corpus) if name == "mutant" else ()
        slices.append(Slice(name, chunk, self._planned, runs, depth, tapes))
        self._planned += runs

    def _best(self, chunk: int) -> str:
        """Which has paid most, and may yet (UCB1); every other time they go in turn."""
        if chunk % 2 == 0:
            name = ARMS[chunk // 2 % len(ARMS)]
            return name if name != "mutant" or self._corpus else "pos"
        total = sum(arm.runs for arm in self._arms.values()) + 1
        most = max(arm.news / arm.runs for arm in self._arms.values() if arm.runs) or 1.0
        best, highest = "pos", -1.0
        for name, arm in self._arms.items():
            if name == "mutant" and not self._corpus:
                continue
            tries = arm.runs / SHORT
            if not tries:
                return name
            value = arm.news / arm.runs / most + sqrt(2 * log(total / SHORT + 1) / tries)
            if value > highest:
                best, highest = name, value
        return best

    def _left(self) -> int:
        return (1 << 60) if self.budget is None else self.budget - self._planned

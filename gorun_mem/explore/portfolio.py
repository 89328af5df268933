"""What `auto` runs, round after round: no strategy finds every bug first.

A round is a list of slices, each of them pure values: which strategy, with what depth or along
which tapes, and the number of the chunk that names the generator. What a round is follows from what
the rounds before have shown and from nothing else, so it does not matter in how many processes a
round is run.

    tree    a stretch of the exhaustive search, first and growing where there seem to be few
            schedules, a small part of the round where there seem to be many
    drawn   POS, PCT, URW, SURW and the random walk, in a fixed order at first; then each as often
            as it pays: new positions a schedule, of late
    lasso   a stretch of a run after which it might have gone on with the same, gone round for ever
    returning   beginnings of runs that led to positions that few have come to, and on from there

PCT's depth rises by one each time that all depths so far have been drawn by: a bug that needs d
orderings is found with a chance of 1/(n k^(d-1)) at depth d, and hardly with less.

Source: A. Li et al., "Fray: An Efficient General-Purpose Concurrency Testing Platform for the JVM",
OOPSLA 2025 (what adds coverage is kept); A. Ecoffet et al., "First return, then explore", Nature
590, 2021 (and returned to); A. Garivier, E. Moulines, "On Upper-Confidence Bound Policies for
Switching Bandit Problems", ALT 2011 (what paid long ago counts for less).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from random import Random
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
ARMS: Final = ("pos", "pct", "urw", "random", "surw", "returning")
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
RETURNING: Final = "returning"
POSITIONS_MOST: Final = 4096
"""Positions that are kept to be returned to; beyond, those are let go of that are known best."""
LOTS: Final = 8
"""Of so many positions, drawn at random, the one that is known least is returned to."""
MEMORY: Final = 0.98
"""What a schedule's news count for, chunk after chunk, as a share of what they did before."""

Tape = tuple[int, ...]


class Covering(Protocol):
    """What looks at each run of a slice for what it covers."""

    def next_run(self, number: int) -> None:
        """Run `number` of the slice is to begin."""

    def detectors(self) -> tuple[Detector, ...]:
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
class Sight:
    """What is known of a position (see `positions`).

    Args:
        runs: that came to it.
        tape: the shortest that leads to it.
        returns: runs that were sent there.
    """

    runs: int
    tape: Tape
    returns: int = 0

    @property
    def familiarity(self) -> int:
        """How well it is known and what lies behind it."""
        return self.runs * (1 + self.returns)


@dataclass(slots=True)
class Seen:
    """What a slice has shown beside failures.

    Args:
        shown: positions that its runs came to.
        cycles: where a run might have gone on round and round.
        bypasses: by lock, how often others got it at most while an M waited.
    """

    shown: dict[int, Sight] = field(default_factory=dict)
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
        tapes: of "returning", what leads to where it returns to.
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
    """What came of one strategy, of late.

    Args:
        runs: schedules.
        news: positions that no schedule before had come to.
    """

    runs: float = 0.0
    news: float = 0.0


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
    _positions: dict[int, Sight] = field(default_factory=dict)
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
        news = self._learn(seen.shown)
        for cycle in seen.cycles:
            if cycle.steps not in self._cycles and len(self._cycles) < CYCLES_MOST:
                self._cycles.add(cycle.steps)
                self._to_go_round.append(cycle)
        arm = self._arms.get(part.strategy)
        if arm is not None:
            for one in self._arms.values():
                one.runs *= MEMORY
                one.news *= MEMORY
            arm.runs += runs
            arm.news += news

    def _learn(self, shown: Mapping[int, Sight]) -> int:
        """Take in which positions were come to; how many of them are new."""
        positions = self._positions
        news = 0
        for number, sight in shown.items():
            known = positions.get(number)
            if known is None:
                news += 1
                positions[number] = sight
                continue
            known.runs += sight.runs
            if len(sight.tape) < len(known.tape):
                known.tape = sight.tape
        if len(positions) > POSITIONS_MOST:
            by_news = sorted(positions.items(), key=lambda item: item[1].familiarity)
            self._positions = dict(by_news[: POSITIONS_MOST // 4 * 3])
        return news

    @property
    def positions(self) -> int:
        """How many are kept."""
        return len(self._positions)

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
        tapes = self._returns(chunk, runs) if name == RETURNING else ()
        slices.append(Slice(name, chunk, self._planned, runs, depth, tapes))
        self._planned += runs

    def _best(self, chunk: int) -> str:
        """Which has paid most, and may yet (UCB1); every other time they go in turn."""
        if chunk % 2 == 0:
            name = ARMS[chunk // 2 % len(ARMS)]
            return name if name != RETURNING or self._positions else "pos"
        total = sum(arm.runs for arm in self._arms.values()) + 1
        most = max(arm.news / arm.runs for arm in self._arms.values() if arm.runs) or 1.0
        best, highest = "pos", -1.0
        for name, arm in self._arms.items():
            if name == RETURNING and not self._positions:
                continue
            tries = arm.runs / SHORT
            if not tries:
                return name
            value = arm.news / arm.runs / most + sqrt(2 * log(total / SHORT + 1) / tries)
            if value > highest:
                best, highest = name, value
        return best

    def _returns(self, chunk: int, runs: int) -> tuple[Tape, ...]:
        """What leads to `runs` positions that are little known."""
        draw = Random(chunk).random
        sights = list(self._positions.values())
        tapes = []
        for _ in range(runs):
            drawn = [sights[int(draw() * len(sights))] for _ in range(LOTS)]
            least = min(drawn, key=lambda sight: sight.familiarity)
            least.returns += 1
            tapes.append(least.tape)
        return tuple(tapes)

    def _left(self) -> int:
        return (1 << 60) if self.budget is None else self.budget - self._planned

"""`bench kernels`: how soon each strategy finds each kernel, and whether any twin raises an alarm.

`auto` and the trees are searches as a user runs them, `explore(...)`, and count schedules until the
first failure; the 8 random walks that `auto` begins with are a part of it. A strategy that draws is
measured by itself: it is told what such walks show of the program, and they do not count, for they
alone find most kernels. No detector helps but the one that a
kernel's failure takes: with the race detector on, half the kernels are found at once, which tells
nothing of a strategy. The twins are looked at with every default detector, on drawn schedules of
the whole portfolio.

A row is a kernel and a strategy: the median over the seeds of the schedules to the first failure,
where a seed that found nothing counts as the whole budget. `auto` is held to its targets; its peer
is the random walk. PCT of depth 1 has a row for the kernel that tells it from a random walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any, Final

from gorun_mem.bench import Row
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.failure import Detector, Signature
from gorun_mem.explore.first_runs import FIRST_RUNS
from gorun_mem.explore.kernels import KERNELS, Kernel
from gorun_mem.explore.search import explore
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.taped import STEPS_MAX
from gorun_mem.explore.worker import Worker
from gorun_mem.step.strategies import drawing, for_searches, is_tree
from gorun_mem.step.strategies.pct import Pct
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.searching import Profile

End = tuple[int, Signature]
"""The number of the first failing schedule, from 1, and its failure."""

QUICK: Final = ("auto", "random")
BUDGET: Final = 5_000
SEEDS: Final = 40
TWIN_RUNS: Final = 10_000
MEDIAN_MAX: Final = 100
DEPTH_ONE: Final = "long-way-20"
DEPTH_ONE_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Score:
    """How a strategy does on a kernel.

    Args:
        kernel: its name.
        strategy: which.
        runs: for each seed the schedules to the first failure, that one included; None where the
            budget did not suffice.
        budget: schedules a seed.
        wrong: signatures that are not the kernel's failure.
    """

    kernel: str
    strategy: str
    runs: tuple[int | None, ...]
    budget: int
    wrong: tuple[str, ...] = ()

    @property
    def found(self) -> int:
        """Seeds that found it."""
        return sum(one is not None for one in self.runs)

    @property
    def median(self) -> float:
        """The median over the seeds, those that found nothing counted as the budget."""
        return float(median(self.budget if one is None else one for one in self.runs))


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: 5 seeds of 1,000 schedules, `auto` beside the random walk, and 200 runs a twin.
    """
    seeds, budget = (5, 1_000) if quick else (SEEDS, BUDGET)
    strategies = QUICK if quick else for_searches()
    rows = []
    for name in KERNELS:
        scores = {one: score(name, one, seeds, budget) for one in strategies}
        rows += [_row(one, scores["random"]) for one in scores.values()]
    rows.append(_depth_one_row(seeds))
    rows += [_twin_row(name, 200 if quick else TWIN_RUNS) for name in KERNELS]
    return rows


def score(name: str, strategy: str, seeds: int, budget: int) -> Score:
    """Search a kernel once for each seed.

    Args:
        name: a key of KERNELS.
        strategy: one of `explore`'s.
        seeds: how many, from 0.
        budget: schedules for each.
    """
    search = _drawn if strategy in drawing() else _explored
    kernel = KERNELS[name]
    # A tree is the same whatever the seed.
    count = 1 if is_tree(strategy) else seeds
    ends = [search(kernel, strategy, seed, budget) for seed in range(count)]
    wrong = {str(end[1]) for end in ends if end is not None and end[1].kind != kernel.kind}
    runs = tuple(None if end is None else end[0] for end in ends)
    return Score(name, strategy, runs, budget, tuple(sorted(wrong)))


def _explored(kernel: Kernel, strategy: str, seed: int, budget: int) -> End | None:
    """Schedules to the first failure, and what it is, of a search."""
    done = explore(
        kernel.target(),
        strategy=strategy,
        budget=budget,
        seed=seed,
        detectors=_eyes(kernel),
        shrink=False,
        canary=False,
    )
    if done.failure is None or (is_tree(strategy) and done.failure.strategy != strategy):
        return None  # found by a walk before the search, at most
    return done.statistics.schedules, done.failure.signature


def _drawn(kernel: Kernel, strategy: str, seed: int, budget: int) -> End | None:
    """The same of a strategy alone."""
    worker = Worker(kernel.target(), _eyes(kernel), seed=seed, steps_max=STEPS_MAX)
    random = Random(f"{seed}/first")
    walk = SearchingWalk()
    first = []
    for _ in range(FIRST_RUNS):
        walk.begin(random, worker.profile)
        first.append(worker.run(walk, transcribe=True))
    worker.profile = profile_of(first)
    found = worker.draw(strategy, 0, budget).found
    return (found[0].run + 1, found[0].signature) if found else None


def alarms(name: str, runs: int) -> tuple[int, list[str]]:
    """Look at a twin with every default detector.

    Args:
        name: a key of KERNELS.
        runs: schedules, drawn by the portfolio of `auto`.

    Returns:
        Schedules run, and what was found.
    """
    worker = Worker(
        KERNELS[name].twin(),
        DEFAULT_DETECTORS,
        steps_max=STEPS_MAX,
        profile=Profile(decisions=25),
        failures_max=10,
    )
    batch = worker.draw("auto", 0, runs)
    return batch.schedules, [str(one.signature) for one in batch.found]


def depth_one(seeds: int) -> Iterator[int | None]:
    """Schedules to the first failure of `long-way-20` under PCT of depth 1, for each seed."""
    target = KERNELS[DEPTH_ONE].target()
    pct: Any = Pct(1)
    for seed in range(seeds):
        random = Random(seed)
        found = None
        for number in range(1, BUDGET + 1):
            pct.begin(random, Profile())
            if run_once(target, pct).signature is not None:
                found = number
                break
        yield found


def _eyes(kernel: Kernel) -> list[Callable[[], Detector]]:
    return [make for make in DEFAULT_DETECTORS if getattr(make, "name", "") == kernel.sees]


def _row(one: Score, random: Score) -> Row:
    seeds = len(one.runs)
    is_auto = one.strategy == "auto"
    ok = one.found == seeds and one.median <= MEDIAN_MAX and not one.wrong
    wanted = f"all seeds within {one.budget:,}, median at most {MEDIAN_MAX}"
    return Row(
        name=f"{one.kernel}: {one.strategy}, {one.found} of {seeds} found",
        figure=one.median,
        unit="schedules",
        peer="random" if is_auto else "",
        peer_figure=random.median if is_auto else None,
        ratio=random.median / one.median if is_auto else None,
        target=wanted if is_auto else "",
        ok=ok if is_auto else None,
    )


def _depth_one_row(seeds: int) -> Row:
    runs = list(depth_one(seeds))
    most = max(BUDGET if one is None else one for one in runs)
    return Row(
        name=f"{DEPTH_ONE}: pct of depth 1, the worst of {seeds} seeds",
        figure=most,
        unit="schedules",
        target=f"at most {DEPTH_ONE_MAX}",
        ok=most <= DEPTH_ONE_MAX,
    )


def _twin_row(name: str, runs: int) -> Row:
    done, found = alarms(name, runs)
    return Row(
        name=f"{name}, fixed: alarms in {done:,} schedules",
        figure=len(found),
        unit="alarms",
        target="none",
        ok=not found and done == runs,
    )

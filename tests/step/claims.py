"""Drawing schedules and holding their frequencies against what is claimed of a strategy.

Every draw has a fixed seed. Where a distribution is known the frequencies are held against
it by Pearson's chi-square, and the bound is the value that a right strategy exceeds with a chance
of 1e-6 (`bound`). Where a lower bound on a probability is known, so
many runs are drawn that a strategy that just reaches it misses with a chance of 1e-6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import sqrt
from random import Random
from typing import Any

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Step
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.searching import Profile, Searching
from gorun_mem.sync import Word

Main = Callable[[World], Any]
Z: float = 4.753
"""A standard normal exceeds it with a chance of 1e-6."""


def bound(df: int) -> float:
    """What chi-square with `df` degrees exceeds with a chance of about 1e-6 (Wilson, Hilferty)."""
    spread = 2 / (9 * df)
    return df * (1 - spread + Z * sqrt(spread)) ** 3


def chi_square(seen: Mapping[Any, int], chances: Mapping[Any, float]) -> float:
    """Pearson's statistic; what must not be and was seen makes it infinite."""
    runs = sum(seen.values())
    if set(seen) - set(chances):
        return float("inf")
    return sum((seen.get(k, 0) - runs * p) ** 2 / (runs * p) for k, p in chances.items())


def profile(main: Main, runs: int = 8) -> Profile:
    """What a search knows of a program before it draws."""
    walk, random, target = SearchingWalk(), Random(1), Target.of(main)
    walk.begin(random, Profile())
    return profile_of([run_once(target, walk, transcribe=True) for _ in range(runs)])


def draw(
    main: Main,
    strategy: Searching,
    runs: int,
    shows: Callable[[Sequence[Step]], Hashable],
    known: Profile | None = None,
) -> Counter[Any]:
    """How often each outcome comes, under a strategy that knows the program."""
    known, random, target = known or profile(main), Random(3), Target.of(main, Config(ms=2))
    seen: Counter[Any] = Counter()
    for _ in range(runs):
        strategy.begin(random, known)
        seen[shows(run_once(target, strategy, transcribe=True).named_steps)] += 1
    return seen


def order(steps: Sequence[Step]) -> Hashable:
    """Who made each step."""
    return tuple(step.m for step in steps)


def order_on_x(steps: Sequence[Step]) -> Hashable:
    """Who made each step on the variable x."""
    return tuple(step.m for step in steps if step.obj == "x")


def straight(*counts: int) -> Main:
    """Ms that add so often to one variable, and nothing else."""

    async def main(world: World) -> None:
        x = Word("x")

        async def work(m: M, count: int) -> None:
            for _ in range(count):
                await x.add(1)

        async with world.open_ms() as ms:
            for count in counts:
                ms.start_soon(work, count)

    return main

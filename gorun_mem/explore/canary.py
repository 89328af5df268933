"""A bug planted for the search: two Ms add to one variable by a load and a store.

Every search looks for it first, with the strategy and the loop that it is about to use. One that
does not find it explores nothing, and its silence about the program would mean nothing either.
"""

from __future__ import annotations

from random import Random
from typing import Final

from gorun_mem.explore.space import profile_of
from gorun_mem.explore.taped import STEPS_MAX
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies import is_tree
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.sync import Cell

RUNS_MAX: Final = 200
"""Of 20 interleavings of the two Ms' loads and stores 12 lose an update: a walk that misses it so
often does not walk."""


async def canary(world: World) -> None:
    """Two Ms add 1 to one variable, and one addition may be lost."""
    cell = Cell("canary")

    async def add(m: M) -> None:
        value = await cell.load()
        await cell.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    if cell.value != 2:
        raise AssertionError("an addition was lost")


def target() -> Target:
    """The planted bug."""
    return Target.of(canary, Config(ms=2))


def is_found(strategy: str, seed: int) -> bool:
    """Whether a search by this strategy finds it; `auto` both in a tree and by drawing."""
    used = ("auto", "exhaustive") if strategy == "auto" else (strategy,)
    return all(is_found_by(one, seed) for one in used)


def is_found_by(strategy: str, seed: int) -> bool:
    """Whether a search by this strategy finds it."""
    worker = Worker(target(), seed=seed, steps_max=STEPS_MAX)
    walk = SearchingWalk()
    walk.begin(Random(f"{seed}/canary"), worker.profile)
    worker.profile = profile_of([worker.run(walk, transcribe=True)])
    if is_tree(strategy):
        found = worker.tree(strategy, runs=RUNS_MAX).found
    else:
        found = worker.draw(strategy, 0, RUNS_MAX).found
    return any(one.signature.kind == "AssertionError" for one in found)

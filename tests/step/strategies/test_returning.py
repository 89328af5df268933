"""Going back to where a run was, and on from there."""

from __future__ import annotations

from random import Random

import pytest

from gorun_mem.explore.drive import Execution, run_once
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.returning import Returning
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.sync import Word


async def draws_and_steps(world: World) -> None:
    """Two Ms of three steps each, a draw between."""
    word = Word("x")

    async def steps(m: M) -> None:
        await word.add(1)
        await word.add(1)
        await m.choose(0, 1, 2)
        await word.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(steps)
        ms.start_soon(steps)


TARGET = Target.of(draws_and_steps, Config(ms=2))


def _run(strategy: SearchingWalk | Returning, seed: int) -> Execution:
    strategy.begin(Random(seed), Profile())
    done = run_once(TARGET, strategy)
    done.world.driver.dissolve()
    return done


@pytest.mark.parametrize("seed", range(4))
def test_a_run_begins_as_the_tape_says(seed: int) -> None:
    """However much of a tape it is given, draws of data included."""
    tape = _run(SearchingWalk(), seed).tape
    for length in range(len(tape) + 1):
        for again in range(4):
            back = _run(Returning([tape[:length]]), again).tape
            assert back[:length] == tape[:length]


def test_after_the_tape_it_is_by_chance() -> None:
    """Whatever comes behind a beginning in any run comes up, and the same for the same seed."""
    tape = _run(SearchingWalk(), 1).tape[:5]
    walks = [tuple(_run(SearchingWalk(), seed).tape) for seed in range(2_000)]
    behind = {walk for walk in walks if list(walk[:5]) == tape}
    back = [tuple(_run(Returning([tape]), seed).tape) for seed in range(2_000)]
    assert [tuple(_run(Returning([tape]), seed).tape) for seed in range(50)] == back[:50]
    assert behind
    assert behind <= set(back)


def test_one_of_many_tapes_is_taken_for_each_run() -> None:
    """All of them come up; with none it is a walk from the beginning."""
    ones = [_run(SearchingWalk(), seed).tape for seed in range(6)]
    strategy = Returning(ones)
    taken = {tuple(_run(strategy, seed).tape) for seed in range(200)}
    assert taken == {tuple(tape) for tape in ones}
    assert len({tuple(_run(Returning(), seed).tape) for seed in range(100)}) > 50

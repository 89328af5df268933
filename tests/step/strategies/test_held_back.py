"""SURW holds Ms back; one that spins until such an M has gone on is not waited for."""

from __future__ import annotations

import pytest

from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.sync import Word


def _program(others: int) -> Target:
    async def main(world: World) -> None:
        word, flag = Word("x"), Word("flag")

        async def first(m: M) -> None:
            await word.add(1)
            await flag.store(1)

        async def second(m: M) -> None:
            while not await flag.load():
                await m.pause()
            await word.add(1)

        async with world.open_ms() as ms:
            ms.start_soon(first)
            for _ in range(others):
                ms.start_soon(second)

    return Target.of(main, Config(ms=2))


@pytest.mark.parametrize("others", [1, 2, 12])
def test_no_run_goes_to_its_bound(others: int) -> None:
    """Few Ms or many: where the M that is to make the next interesting step spins for one that is
    held back, the other goes in the end."""
    on = {f"0.{n}": 1 for n in range(1, others + 2)}
    profile = Profile(20, {}, {"x": on})
    worker = Worker(_program(others), profile=profile, steps_max=3_000)
    batch = worker.draw("surw", 0, 96)
    assert batch.schedules == 96
    assert not batch.unfair
    assert batch.found == []

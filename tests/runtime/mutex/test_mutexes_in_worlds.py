"""Go's mutexes under the engine: whole programs, every strategy, real costs."""

from __future__ import annotations

import pytest

from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.run import run
from gorun_mem.machine.scenario import scenario
from gorun_mem.machine.world import World


@scenario(ms=4)
async def count_up(world: World, *, rounds: int = 60) -> None:
    """Ms read a counter, let others go, and write it back, under a lock of the World's."""
    lock = world.mutex("counter")
    value = 0

    async def worker(m: M) -> None:
        nonlocal value
        for _ in range(rounds):
            await m.lock(lock, "critical")
            seen = value
            await m.compute(300)
            value = seen + 1
            await m.unlock(lock, "critical")
            await m.compute(m.randrange(2000))

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.result("value", value)


@pytest.mark.parametrize("mutex", ["queue", "sema", "futex", "spinbit"])
@pytest.mark.parametrize("strategy", ["timing", "random", "round_robin", "run_to_block"])
def test_no_update_is_lost(mutex: str, strategy: str) -> None:
    """Under every strategy each mutex keeps four Ms from losing an update, and all Ms end."""
    for seed in range(3):
        config = Config(mutex=mutex, strategy=strategy, seed=seed, release="go1.26")
        done = run(count_up, config)
        stats = done.statistics.lock("counter")
        assert done.results == {"value": 240}
        assert (stats.acquisitions, stats.waiting) == (240, 0)
        assert all(share.acquisitions == 60 for share in stats.by_m.values())


def test_without_a_mutex_updates_are_lost() -> None:
    """The same program under `none` loses updates: the test above can fail."""
    done = run(count_up, Config(mutex="none", strategy="random"))
    assert done.results["value"] != 240


def test_only_the_queue_bypasses_nobody() -> None:
    """In virtual time the FIFO queue lets nobody be passed by; under Go's mutexes Ms are."""
    for mutex in ("queue", "sema", "futex", "spinbit"):
        done = run(count_up, Config(mutex=mutex), {"rounds": 200})
        stats = done.statistics.lock("counter")
        assert (stats.bypasses_max == 0) == (stats.spins == 0) == (mutex == "queue")
        assert stats.contended > 100

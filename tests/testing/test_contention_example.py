"""A lock-contention test as users write it, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import M, World, scenario


@scenario(ms=8)
async def busy(world: World, *, rounds: int = 30) -> None:
    """Every M takes the lock again as soon as it has given it back."""
    lock = world.mutex("gate")

    async def worker(m: M) -> None:
        for _ in range(rounds):
            await m.lock(lock)
            await m.compute(300)
            await m.unlock(lock)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)


async def assert_fair(world: World) -> None:
    await busy(world)
    lock = world.statistics().lock("gate")
    assert lock.bypasses_max <= 8


@pytest.mark.trio
@pytest.mark.world(ms=8, mutex="queue")
async def test_no_m_is_overtaken_often_on_a_queue(world: World) -> None:
    """First in, first out: an M is overtaken by those at most who stood before it."""
    await assert_fair(world)


@pytest.mark.trio
@pytest.mark.world(ms=8, mutex="sema", release="go1.23")
async def test_an_m_is_overtaken_often_on_a_sema(world: World) -> None:
    """Sleepers of the sema mutex form a stack: the same assertion fails on it."""
    with pytest.raises(AssertionError):
        await assert_fair(world)


def test_waits_and_convoys(run_scenario: Any) -> None:
    """The figures of a run without trio: p99 wait, bypasses and the longest convoy."""
    fifo = run_scenario(busy, mutex="queue").statistics.lock("gate")
    lifo = run_scenario(busy, mutex="sema").statistics.lock("gate")
    assert fifo.wait_ns.p99 < lifo.wait_ns.max
    assert fifo.bypasses_max <= 8 < lifo.bypasses_max
    assert fifo.convoy_longest.acquisitions > 100

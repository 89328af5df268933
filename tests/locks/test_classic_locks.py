"""Eight locks out of the literature, each sound in every schedule, and what breaks them found.

Where Ms spin, a search tries every schedule in which an M that yields lets another go.
"""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import M, World
from gorun_mem.explore import explore
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.locks import load_mutex
from gorun_mem.machine.config import Config
from gorun_mem.machine.trampoline import drive
from gorun_mem.sync import Cell
from tests import ROOT

FOLDER = ROOT / "tests" / "locks"
SOUND = (
    "ticket.py:TicketLock", "mcs.py:MCSLock", "clh.py:CLHLock", "peterson.py:PetersonLock",
    "dekker.py:DekkerLock", "bakery.py:BakeryLock", "drepper.py:DrepperLock",
    "drepper.py:Stage1Lock", "drepper.py:Stage2Lock", "with_cond.py:CondLock",
)  # fmt: skip
BROKEN = {
    "ticket.py:BrokenTicketLock": 2, "mcs.py:BrokenMCSLock": 2, "clh.py:BrokenCLHLock": 2,
    "peterson.py:BrokenPetersonLock": 2, "dekker.py:BrokenDekkerLock": 2,
    "bakery.py:BrokenBakeryLock": 2, "drepper.py:BrokenDrepperLock": 3,
    "with_cond.py:BrokenCondLock": 3, "with_cond.py:StaleCondLock": 2,
}  # fmt: skip
"""Lock -> how many Ms it takes to see it."""
FOR_TWO = ("peterson", "dekker")


def program(pairs: int) -> Any:
    """Ms that count under one lock."""

    async def main(world: World) -> None:
        lock, count = world.mutex("own"), Cell("count")

        async def work(m: M) -> None:
            for _ in range(pairs):
                await m.lock(lock)
                await count.store(await count.load() + 1)
                await m.unlock(lock)

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(work)
        if count.value != world.ms * pairs:
            raise AssertionError("an addition was lost")

    return main


@pytest.mark.parametrize("name", SOUND)
def test_no_schedule_of_two_ms_breaks_it(name: str) -> None:
    """Searched to the end, with the detectors of races, lost wakeups and all others."""
    config = Config(ms=2, mutex=f"{FOLDER}/{name}")
    found = explore(
        program(1), config=config, strategy="exhaustive", detectors=DEFAULT_DETECTORS,
        canary=False, steps_max=400, budget=60_000,
    )  # fmt: skip
    assert found.verdict == "exhausted", found.sentence


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_it_is_found(name: str) -> None:
    """By the search that is used where nobody asks for another."""
    ms = BROKEN[name]
    config = Config(ms=ms, mutex=f"{FOLDER}/{name}")
    pairs = 2 if "clh" in name else 1
    found = explore(program(pairs), config=config, budget=20_000, steps_max=2_000, canary=False)
    assert found.failure is not None, found.sentence
    assert found.failure.signature.kind in ("throw", "deadlock", "no_progress", "AssertionError")


@pytest.mark.parametrize("name", [one for one in SOUND if not one.startswith(FOR_TWO)])
def test_it_is_memlock_of_four_ms_in_virtual_time(name: str) -> None:
    """With counts that add up, on the timing engine and by chance."""
    assert load_mutex(f"{FOLDER}/{name}").excludes

    async def storm(world: World) -> None:
        async def work(m: M) -> None:
            for _ in range(10):
                addr = await m.sys_alloc_os(4096)
                await m.store(addr, m.id)
                await m.sys_free_os(addr, 4096)

        async with world.open_ms() as ms:
            for _ in range(3):
                ms.start_soon(work)

    for strategy in ("timing", "random"):
        world = World(Config(ms=3, mutex=f"{FOLDER}/{name}", strategy=strategy, seed=3))
        drive(world.driver, storm(world))
        assert world.failure is None
        world.check()
        counted = world.lock_statistics()["memlock"]
        assert (counted.acquisitions, counted.waiting, counted.held) == (60, 0, False)
        assert counted.contended > 0

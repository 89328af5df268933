"""Detectors of what goes wrong in memory, and of Ms that get nowhere."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.detectors.livelock import Livelock
from gorun_mem.explore.detectors.lost_wakeups import LostWakeups
from gorun_mem.explore.detectors.mem_check import FreeListCheck
from gorun_mem.explore.detectors.memory_safety import MemorySafety
from gorun_mem.explore.detectors.races import Races
from gorun_mem.explore.drive import Execution, run_once
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.step.strategies.pos import Pos
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.sync import Word
from tests.explore.kernels.test_detectors import PAGE, findings, look, search

# Memory


async def stray(world: Any) -> None:
    """A word is written that belongs to nobody."""
    await world.main.store(world.runtime.os.bloc - 8, 1)


async def late(world: Any) -> None:
    """A word is read after its free."""
    block = await world.main.sys_alloc_os(PAGE)
    await world.main.sys_alloc_os(PAGE)
    await world.main.sys_free_os(block, PAGE)
    await world.main.load(block)


async def in_time(world: Any) -> None:
    """A word is read before its free."""
    block = await world.main.sys_alloc_os(PAGE)
    await world.main.load(block)
    await world.main.sys_free_os(block, PAGE)


def test_accesses_have_a_name() -> None:
    """Stray accesses and uses after free are told apart; a lawful access is silent."""
    assert [f.kind for f in look(stray, MemorySafety())] == ["memory.stray"]
    assert [f.kind for f in look(late, MemorySafety())] == ["memory.use_after_free"]
    assert look(in_time, MemorySafety()) == ()


def _corrupt(really: bool) -> Any:
    async def program(world: Any) -> None:
        m = world.main
        blocks = [await m.sys_alloc_os(PAGE) for _ in range(4)]
        await m.sys_free_os(blocks[0], PAGE)
        await m.sys_free_os(blocks[2], PAGE)
        if really:
            world.runtime.memory.store_word(blocks[0] + 64, 7)
        await m.sys_alloc_os(2 * PAGE)

    return program


@pytest.mark.parametrize("each_release", [False, True])
def test_mem_check(each_release: bool) -> None:
    """A dirty free block is found at the end, or at the release that comes after it."""
    (found,) = look(_corrupt(True), FreeListCheck(each_release))
    assert (found.kind, found.obj) == ("memory.check", "mem: uninitialised memory")
    assert (found.step > 0) == each_release
    assert found.site == ("runtime.sysAllocOS" if each_release else "")
    assert look(_corrupt(False), FreeListCheck(each_release)) == ()


# Progress


def _spin(polite: bool) -> Any:
    async def program(world: Any) -> None:
        a, b = Word("a"), Word("b")

        async def want(m: Any, mine: Word, other: Word) -> None:
            await mine.store(1)
            while await other.load():
                if polite:
                    await mine.store(0)
                await m.pause()
            await mine.store(0)

        async with world.open_ms() as ms:
            ms.start_soon(want, a, b)
            ms.start_soon(want, b, a)

    return program


def test_livelock() -> None:
    """Two Ms that wait for each other are named with what they do; polite ones come to an end."""

    def at_the_bound(polite: bool) -> list[Execution]:
        pos, random = Pos(), Random(1)
        done = []
        for _ in range(20):
            pos.begin(random, Profile())
            target = Target.of(_spin(polite))
            done.append(run_once(target, pos, detectors=[Livelock()], steps_max=1_000))
        return done

    stuck = [one for one in at_the_bound(False) if one.findings]
    assert stuck
    (found,) = stuck[0].findings
    assert found.kind == "no_progress"
    assert found.ms == (1, 2)
    assert "M1 at test_memory_detectors.py:" in found.text
    assert "atomic.load b" in found.text
    assert not any(one.findings for one in at_the_bound(True))


def test_lost_wakeup_says_why() -> None:
    """The reason is the one that holds: a free lock, a wakeup that came first, a condition."""
    reasons = {
        "sleeping-stored": "nobody holds futex lock",
        "missed-note-wakeup": "M2 sent the wakeup at step",
        "wake-one": "M1 sent the wakeup at step",
    }
    for name, reason in reasons.items():
        found = findings(name, LostWakeups())
        assert all(reason in finding.text for finding in found)
        assert all(finding.site.startswith("wakeups.py:") for finding in found)


def test_deadlock_of_locks_is_no_lost_wakeup() -> None:
    """Ms that wait for locks that are held have not missed anything."""
    for name in ("ab-ba", "lock-cycle", "self-deadlock", "leaked-lock"):
        assert findings(name, LostWakeups()) == []


def test_runs_do_not_mix() -> None:
    """A detector that has seen a failure is silent in the next run that has none."""
    made = [make() for make in DEFAULT_DETECTORS]
    for name, kernel in KERNELS.items():
        search(kernel.target(), *made, runs=5)
        assert look(kernel.twin(), *made) == (), name


# Where every access of the allocator is a step


TAKEN_APART = Config(ms=2, granularity="access", mutex="none")


def _list_users(together: bool) -> Any:
    async def program(world: Any) -> None:
        first = await world.main.sys_alloc_os(4 * PAGE)
        await world.main.sys_alloc_os(PAGE)
        await world.main.sys_free_os(first, 4 * PAGE)

        async def use(m: Any) -> None:
            block = await m.sys_alloc_os(PAGE)
            await m.store(block, 1)
            await m.sys_free_os(block, PAGE)

        for _ in range(1 if together else 2):
            async with world.open_ms() as ms:
                ms.start_soon(use)
                if together:
                    ms.start_soon(use)

    return program


def test_allocator_taken_apart() -> None:
    """Its accesses race where two Ms are in it at once, and not where one comes after the other."""
    races = look(_list_users(True), Races(), config=TAKEN_APART)
    assert {race.obj for race in races} == {"free list"}
    made = [make() for make in DEFAULT_DETECTORS]
    assert look(_list_users(False), *made, config=TAKEN_APART) == ()


def test_handed_out_twice_when_taken_apart() -> None:
    """Without memlock some schedule hands one block to two Ms, and it is called what it is."""
    target = Target.of(_list_users(True), TAKEN_APART)
    kinds = {f.kind for done in search(target, MemorySafety(), runs=200) for f in done.findings}
    assert "memory.double_alloc" in kinds


def _store_and_free(write_first: bool) -> Any:
    async def program(world: Any) -> None:
        block = await world.main.sys_alloc_os(PAGE)
        await world.main.sys_alloc_os(PAGE)

        async def write(m: Any) -> None:
            await m.store(block + 64, 1)

        async def free(m: Any) -> None:
            await m.sys_free_os(block, PAGE)

        async with world.open_ms() as ms:
            for work in (write, free) if write_first else (free, write):
                ms.start_soon(work)

    return program


@pytest.mark.parametrize("config", [Config(ms=2), Config(ms=2, mutex="none"), TAKEN_APART])
def test_exhaustive_sees_use_after_free(config: Config) -> None:
    """A tree of all schedules has the one in which memory is freed before it is written."""
    for write_first in (True, False):
        target = Target.of(_store_and_free(write_first), config)
        found = Worker(target, steps_max=20_000).tree("exhaustive").found
        assert [one.signature.kind for one in found] == ["illegal_use"]

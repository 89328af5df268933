"""What a scenario may do with a World and its Ms, and what it is told when it may not."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from gorun_mem import Config, IllegalUse, KiB, M, Throw, World, run, scenario
from gorun_mem.machine.config import MS_MAX, ConfigError
from gorun_mem.runtime.errors import Fault
from tests.machine.machine_workloads import HOSTS, assert_ended, config_for, logged, storm


def one_m(program: Any, host: str = "trampoline", **config: Any) -> Any:
    """Run `program` as the only M of a World and return what came of it."""

    @scenario(ms=1, platform="plan9/amd64")
    async def alone(world: World) -> None:
        async with world.open_ms() as ms:
            ms.start_soon(program)

    return logged(alone, host, **config)


# Memory.


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", ["load", "store"])
def test_use_after_free_names_the_history(host: str, verb: str) -> None:
    """A load or store of freed memory is an error that says who freed it, by which call."""

    async def worker(m: M) -> None:
        addr = await m.sys_alloc(64 * KiB)
        keep = await m.sys_alloc(64 * KiB)
        await m.sys_free(addr, 64 * KiB)
        await m.store(keep, 1)
        await (m.load(addr + 8) if verb == "load" else m.store(addr + 8, 1))

    log = one_m(worker, host)
    error = log.outcome.error
    assert isinstance(error, IllegalUse)
    assert re.fullmatch(
        rf"{verb} at 0x[0-9a-f]+8 by M1: use after free; it was freed by M1 in call 3 "
        r"\(sysFreeOS\)",
        str(error),
    )
    assert log.outcome.verdict == "failed"
    assert_ended(log.events, "failed")


def test_the_break_has_the_limit_that_was_given() -> None:
    """On Plan 9 a World goes beyond 4 GiB, unless fewer pages than that are allowed."""
    answers = []

    async def worker(m: M) -> None:
        answers.append(await m.sys_alloc(5 << 30) != 0)
        answers.append(await m.sys_alloc(64 * KiB) != 0)

    one_m(worker)
    one_m(worker, max_pages=65535)
    assert answers == [True, True, False, True]


@pytest.mark.parametrize("verb", ["load", "store"])
def test_stray_accesses(verb: str) -> None:
    """What was never handed out may not be touched, to a word's last byte; nothing changes."""

    async def below(m: M) -> None:
        await (m.load(0x1000) if verb == "load" else m.store(0x1000, 7))

    async def over_the_end(m: M) -> None:
        addr = await m.sys_alloc(64 * KiB)
        end = addr + 64 * KiB
        await m.store(end - 8, 1)
        await (m.load(end - 4) if verb == "load" else m.store(end - 4, 7))

    log = one_m(below)
    assert isinstance(log.outcome.error, IllegalUse)
    assert f"{verb} at 0x1000 by M1: a stray access" in str(log.outcome.error)
    assert log.world.runtime.memory.load_word(0x1000) == 0
    log = one_m(over_the_end)
    assert isinstance(log.outcome.error, IllegalUse)
    assert "the part before is owned by M1" in str(log.outcome.error)


def test_memory_of_another_m_may_be_used() -> None:
    """Memory is the runtime's, not an M's: another M may use and free it."""
    handed: list[int] = []

    @scenario(ms=2)
    async def hands_over(world: World) -> None:
        async def gives(m: M) -> None:
            handed.append(await m.sys_alloc(64 * KiB))
            await m.store(handed[0], 42)

        async def takes(m: M) -> None:
            assert await m.load(handed[0]) == 42
            await m.sys_free(handed[0], 64 * KiB)

        for program in (gives, takes):
            async with world.open_ms() as ms:
                ms.start_soon(program)
        world.check()

    log = logged(hands_over)
    assert log.outcome.ok, log.outcome.error
    assert log.world.snapshot().live == ()


def test_double_free_and_free_of_what_is_not_ours() -> None:
    """The refusal names both calls, and the state is as before."""

    async def twice(m: M) -> None:
        addr = await m.sys_alloc_os(64 * KiB)
        await m.sys_alloc_os(64 * KiB)
        await m.sys_free_os(addr, 64 * KiB)
        before = m.world.snapshot()  # type: ignore[attr-defined]
        try:
            await m.sys_free_os(addr, 64 * KiB)
        finally:
            assert m.world.snapshot() == before  # type: ignore[attr-defined]

    error = one_m(twice).outcome.error
    assert isinstance(error, IllegalUse)
    assert "was freed by M1 in call 3 (sysFreeOS); free each range once" in str(error)


def test_a_faithful_world_lets_ms_touch_what_they_like() -> None:
    """With faithful nothing is refused: a stray store happens, and one outside memory faults."""
    seen = []

    async def stray(m: M) -> None:
        addr = await m.sys_alloc(64 * KiB)
        await m.sys_free(addr, 64 * KiB)
        await m.store(addr + 64, 7)
        seen.append(await m.load(addr + 64))

    async def outside(m: M) -> None:
        await m.load(1 << 40)

    assert one_m(stray, faithful=True).outcome.ok
    assert seen == [7]
    log = one_m(outside, faithful=True)
    assert isinstance(log.outcome.error, Fault)
    assert log.outcome.verdict == "fault"


def test_the_check_finds_a_planted_corruption() -> None:
    """A header overwritten behind the list's back is found, and its untouched twin is sound."""

    async def some_free(m: M, plant: Any) -> None:
        a, b, c = [await m.sys_alloc(64 * KiB) for _ in range(3)]
        await m.sys_free(a, 64 * KiB)
        assert b < c
        if plant:
            m.world.runtime.memory.store_word(a, a)  # the block's next is itself
        m.world.check()  # type: ignore[attr-defined]

    async def sound(m: M) -> None:
        await some_free(m, plant=False)

    async def corrupt(m: M) -> None:
        await some_free(m, plant=True)

    assert one_m(sound, mem_debug=True).outcome.ok
    log = one_m(corrupt, mem_debug=True)
    assert log.outcome.verdict in ("throw", "no_progress")
    assert_ended(log.events, log.outcome.verdict)


def test_the_check_finds_a_planted_double_allocation() -> None:
    """A block that is free and handed out at once is found, with both ranges and the owner."""

    async def planted(m: M, plant: Any) -> None:
        a, b = [await m.sys_alloc(64 * KiB) for _ in range(2)]
        await m.sys_free(a, 64 * KiB)
        assert b
        if plant:
            ledger = m.world.runtime.os.ledger
            assert ledger is not None
            ledger.handed_out(a + 4096, 4096, "planted", 7)
        m.world.check()  # type: ignore[attr-defined]

    async def sound(m: M) -> None:
        await planted(m, plant=False)

    async def broken(m: M) -> None:
        await planted(m, plant=True)

    assert one_m(sound).outcome.ok
    error = one_m(broken).outcome.error
    assert isinstance(error, Throw)
    assert error.message == "gorun_mem: free block is handed out"
    assert "owned by M7, which got it in call 4 (planted)" in error.printed[0]


def test_snapshot() -> None:
    """A snapshot is the free list, the live ranges and the breaks at one moment, and stays so."""
    snapshots = []

    async def worker(m: M) -> None:
        a, b, c = [await m.sys_alloc(64 * KiB) for _ in range(3)]
        await m.sys_free(b, 64 * KiB)
        snapshots.append((m.world.snapshot(), a, b, c))  # type: ignore[attr-defined]
        await m.sys_free(a, 64 * KiB)

    one_m(worker)
    snapshot, a, b, c = snapshots[0]
    assert (b, 64 * KiB) in snapshot.free
    assert [(low, size) for low, size, _ in snapshot.live] == [(a, 64 * KiB), (c, 64 * KiB)]
    assert snapshot.live_bytes == 128 * KiB
    assert snapshot.free_bytes == sum(size for _, size in snapshot.free)
    assert snapshot.free_largest == max(size for _, size in snapshot.free)
    assert snapshot.bloc == c + 64 * KiB <= snapshot.bloc_max
    assert snapshot.grows >= 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.bloc = 0


# Ms and locks.


@pytest.mark.parametrize("mutex", ["queue", "sema", "futex", "spinbit"])
def test_no_m_has_locks_at_the_end(mutex: str) -> None:
    """`m.locks` counts up and down, and is 0 for every M at the end."""
    inside = []

    @scenario(ms=3)
    async def nested(world: World) -> None:
        outer, inner = world.mutex("outer"), world.mutex("inner")

        async def worker(m: M) -> None:
            for _ in range(5):
                await m.lock(outer)
                await m.lock(inner)
                inside.append(m.locks)
                await m.unlock(inner)
                await m.unlock(outer)
                inside.append(m.locks)

        async with world.open_ms() as ms:
            for _ in range(3):
                ms.start_soon(worker)
        assert [m.locks for m in ms.ms] == [0, 0, 0]

    for release, each in (("go1.24.11", 1), ("go1.27", 16)):
        inside.clear()
        log = logged(nested, **config_for(mutex) | {"release": release})
        assert log.outcome.ok, log.outcome.error
        assert set(inside) == {2 * each, 0}


def test_locks_are_made_once() -> None:
    """A lock is the same by the same name; memlock is the one that the layer takes."""
    world = World(Config(ms=2))
    assert world.mutex("a") is world.mutex("a")
    assert world.mutex("memlock") is world.memlock is world.runtime.os.memlock
    assert world.mutex("a") is not world.mutex("b")


def test_times_and_choices_out_of_range() -> None:
    """Virtual time does not go back, and nothing can be drawn from nothing."""

    def refused(call: Any, words: Any) -> None:
        async def worker(m: M) -> None:
            await call(m)

        error = one_m(worker).outcome.error
        assert isinstance(error, IllegalUse)
        assert str(error) == words

    async def choice(m: M) -> None:
        m.choice()

    async def randrange(m: M) -> None:
        m.randrange(0)

    refused(lambda m: m.compute(-1), "M1 is to compute -1: must be at least 0")
    refused(lambda m: m.sleep(-5), "M1 is to sleep -5: must be at least 0")
    refused(lambda m: m.choose(), "M1 is to choose among 0: must be at least 1")
    refused(choice, "M1 is to choose among 0: must be at least 1")
    refused(randrange, "M1 is to choose among 0: must be at least 1")


def test_choices_come_from_the_seed() -> None:
    """The same seed draws the same values on either host, another seed others."""
    drawn: list[object] = []

    async def worker(m: M) -> None:
        drawn.append([m.choice("a", "b", "c") for _ in range(8)])
        drawn.append([m.randrange(100) for _ in range(8)])
        drawn.append([await m.choose(1, 2, 3) for _ in range(8)])

    def draw(host: str, seed: int) -> Any:
        drawn.clear()
        assert one_m(worker, host, seed=seed).outcome.ok
        return list(drawn)

    first = draw("trampoline", 1)
    assert first == draw("trio", 1)
    assert first != draw("trampoline", 2)


def test_too_many_ms() -> None:
    """One M more than there may be at once is refused with the bound."""

    @scenario(ms=1, strategy="run_to_block")
    async def swarm(world: World) -> None:
        async def worker(m: M) -> None:
            await m.sleep(10**9)

        async with world.open_ms() as ms:
            for _ in range(MS_MAX + 1):
                ms.start_soon(worker)

    error = run(swarm, swarm.config()).outcome.error
    assert isinstance(error, ConfigError)
    assert f"more than {MS_MAX} Ms were started" in str(error)


# Statistics.


def test_statistics_are_frozen_and_of_one_moment() -> None:
    """Statistics taken in the middle stay what they were; an unknown lock names the known."""
    taken = []

    @scenario(ms=2)
    async def twice(world: World) -> None:
        async def worker(m: M) -> None:
            addr = await m.sys_alloc(64 * KiB)
            await m.sys_free(addr, 64 * KiB)

        for _ in range(2):
            async with world.open_ms() as ms:
                ms.start_soon(worker)
            taken.append(world.statistics())

    log = logged(twice)
    one, two = taken
    assert one.lock("memlock").acquisitions == 2
    assert two.lock("memlock").acquisitions == 4
    assert (one.ms, two.ms) == (1, 2)
    assert one.steps < two.steps <= log.outcome.steps
    assert one.time_ns < two.time_ns
    for value, name in ((one, "steps"), (one.lock("memlock"), "acquisitions")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 0)
    with pytest.raises(KeyError, match="no lock 'gate': the locks are memlock, mheap"):
        one.lock("gate")


@pytest.mark.parametrize("host", HOSTS)
def test_statistics_agree_with_the_events(host: str) -> None:
    """Acquisitions, waits, holds and bypasses of random runs are what the events come to."""
    contended = 0
    for seed in range(8):
        for mutex in ("queue", "sema", "futex", "spinbit"):
            log = logged(storm, host, {"rounds": 2}, **config_for(mutex, seed=seed, cpus=2))
            lock = log.world.statistics().lock("memlock")
            got = [e for e in log.events.named("lock.acquire") if e.lock == "memlock"]
            freed = [e for e in log.events.named("lock.release") if e.lock == "memlock"]
            assert lock.acquisitions == len(got) == len(freed)
            assert lock.contended == sum(e.contended for e in got)
            assert lock.wait_ns.total == sum(e.wait_ns for e in got)
            assert lock.hold_ns.max == max(e.hold_ns for e in freed)
            assert lock.bypasses_max == max((e.bypassed for e in got), default=0)
            assert lock.spins == sum(e.spins for e in got)
            assert lock.sleeps == sum(e.sleeps for e in got)
            contended += lock.contended
    assert contended > 100


# A World that nobody drives.


def test_a_stopped_world_says_so() -> None:
    """A World whose run was cut off cannot be used again, and says what to do."""
    import trio

    async def main() -> None:
        world = World(Config(ms=1))

        async def fails(m: M) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            async with world.open_ms() as ms:
                ms.start_soon(fails)
        with pytest.raises(IllegalUse, match="has stopped with Ms that had not ended; make anoth"):
            await storm(world)

    trio.run(main)


def test_a_world_may_be_used_again_and_again() -> None:
    """Scenarios awaited one after the other share memory, locks, time and numbers of Ms."""
    import trio

    async def main() -> None:
        world = World(Config(ms=3))
        for rounds in (1, 2):
            await storm(world, rounds=rounds)
            world.check()
        assert world.statistics().ms == 6
        assert not world.driver.hosted

    trio.run(main)


def test_a_body_that_raises_in_a_world_of_a_test() -> None:
    """An error in the body of open_ms goes through as it is; its Ms never begin."""
    import trio

    began = []

    async def main() -> None:
        world = World(Config(ms=1))

        async def worker(m: M) -> None:
            began.append(m)

        with pytest.raises(LookupError):  # noqa: PT012
            async with world.open_ms() as ms:
                ms.start_soon(worker)
                raise LookupError

    trio.run(main)
    assert not began

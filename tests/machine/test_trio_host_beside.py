"""The trio host beside what else runs: Ms that are away, another World, threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
import trio.testing

from gorun_mem import M, NoProgress, Range, World, run_on_trio, scenario
from gorun_mem.events import Recorder, capture_events
from tests.machine.machine_workloads import assert_ended, logged, storm
from tests.machine.test_trio_host import run_here


@pytest.mark.trio
async def test_a_deadlock_is_found_only_when_nobody_is_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """While an M is away the others may wait; when it is back and nobody can go on, it is one."""

    @scenario(ms=2, mutex="queue", strategy="round_robin")
    async def late(world: World) -> None:
        lock = world.mutex("lock")

        async def keeper(m: M) -> None:
            await trio.sleep(5)
            await m.lock(lock)

        async def waiter(m: M) -> None:
            await m.lock(lock)
            await m.lock(lock)

        async with world.open_ms() as ms:
            ms.start_soon(keeper)
            ms.start_soon(waiter)

    start = trio.current_time()
    ended = await run_here(late)
    assert ended.outcome.verdict == "deadlock"
    assert trio.current_time() - start == pytest.approx(5)
    assert "M2 (waiter) waits to acquire lock" in str(ended.outcome.error)


@pytest.mark.trio
async def test_breath_errors_go_through() -> None:
    """What the progress display raises ends the run and is the caller's; the log ends too."""

    @scenario(ms=1)
    async def long(world: World, *, n: int = 100_000) -> None:
        async def worker(m: M) -> None:
            for _ in range(n):
                await m.pause()

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    def broken(world: World) -> None:
        raise LookupError("display is gone")

    with capture_events() as events, pytest.raises(LookupError, match="display is gone"):
        await run_on_trio(long, long.config(), recorder=Recorder(), on_breath=broken)
    assert_ended(events, "cancelled")
    with capture_events() as events, pytest.raises(LookupError, match="display is gone"):
        logged(long, on_breath=broken)
    assert_ended(events, "cancelled")


def test_two_worlds_in_one_trio() -> None:
    """Two runs side by side in one trio are each the run that they are alone."""
    alone = logged(storm, "trio", seed=3).events
    logs = []

    async def one() -> None:
        with capture_events(recorder := Recorder()) as events:
            await run_here(storm, seed=3, recorder=recorder)
        logs.append(events)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            nursery.start_soon(one)

    trio.run(main)
    assert logs[0] == logs[1] == alone


def test_a_run_outside_the_main_thread() -> None:
    """A run needs no signal handlers: it works in any thread, on both hosts."""
    found: list[Any] = []

    def work() -> None:
        found.extend(logged(storm, host).outcome.verdict for host in ("trio", "trampoline"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["ok", "ok"]


def test_a_loop_after_a_real_await_names_the_m() -> None:
    """An M that loops when it comes back is named, though the engine had not let it go."""

    @scenario(ms=2)
    async def loops(world: World, *, seconds: float = 0.0) -> None:
        async def waits(m: M) -> None:
            await trio.sleep(100)

        async def spins(m: M) -> None:
            await trio.sleep(0)
            while True:
                pass

        async with world.open_ms() as ms:
            ms.start_soon(waits)
            ms.start_soon(spins)

    log = logged(loops, "trio", watch_s=0.15)
    assert isinstance(log.outcome.error, NoProgress)
    assert str(log.outcome.error).startswith("M2 (spins) has run for 0.15 s")
    assert Range  # type: ignore[truthy-function]  # the public name that options are bounded with

"""Ms of a World that await trio, and what else comes with them."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator
from random import Random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gorun_mem.explore import Schedule, Target, explore, replay
from gorun_mem.explore.drive import run_once
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.searching import Profile

# With a World.


async def _mixed(world: World) -> None:
    event, got = trio.Event(), list[int]()

    async def waits(m: M) -> None:
        await m.sleep(10)
        with trio.move_on_after(1) as scope:
            await event.wait()
        got.append(0 if scope.cancelled_caught else m.id)

    async def sets(m: M) -> None:
        lock = world.mutex("l")
        await m.lock(lock)
        await m.unlock(lock)
        await trio.sleep(1)
        event.set()

    async with world.open_ms() as ms:
        ms.start_soon(waits)
        ms.start_soon(sets)
    assert got == [1], "late"


def test_ms_may_await_trio_and_the_world_in_turn() -> None:
    """Whether a timeout of trio's comes before another M's event is the schedule's, not chance."""
    found = explore(_mixed, strategy="random", budget=300)
    assert found.failure is not None
    assert found.failure.signature.kind == "AssertionError"
    assert found.about["host"] == "trio"
    again = replay(Target.of(_mixed), Schedule.from_token(found.failure.token))
    assert again.signature == found.failure.signature


def test_an_m_awaits_no_trio_under_a_runtime_lock() -> None:
    """As on the trio host: it would be cancelled there."""

    async def holds(m: M) -> None:
        await m.lock(m.world.mutex("l"))
        await trio.sleep(1)

    async def main(world: World) -> None:
        async with world.open_ms() as ms:
            ms.start_soon(holds)

    failure = explore(main, budget=3).failure
    assert failure is not None
    assert "awaits trio itself at" in failure.text
    assert "while it holds a runtime lock" in failure.text


def test_an_m_is_cancelled_at_any_moment_but_under_a_lock() -> None:
    """With the fault "cancel": what it did before is done, a lock is given back."""
    ends = set()

    async def main(world: World) -> None:
        lock, done = world.mutex("l"), list[str]()

        async def works(m: M) -> None:
            done.append("begun")
            await m.lock(lock)
            done.append("locked")
            await m.unlock(lock)
            done.append("unlocked")
            await m.pause()
            done.append("ended")

        async with world.open_ms() as ms:
            ms.start_soon(works)
        ends.add(done[-1] if done else "")
        await world.main.lock(lock)
        await world.main.unlock(lock)

    found = explore(main, config=Config(ms=2, faults=("cancel",)), strategy="exhaustive")
    assert found.outcome == "exhausted", found.sentence
    assert ends >= {"begun", "unlocked", "ended"}
    assert "locked" not in ends


def test_a_timer_of_an_m_fires_early_where_that_may_be() -> None:
    """Without trio too."""

    async def main(world: World) -> None:
        order: list[int] = []

        async def sleeps(m: M) -> None:
            await m.sleep(1_000_000)
            order.append(1)

        async def works(m: M) -> None:
            await m.pause()
            order.append(2)

        async with world.open_ms() as ms:
            ms.start_soon(sleeps)
            ms.start_soon(works)
        assert order == [2, 1]

    assert explore(main, strategy="exhaustive").outcome == "exhausted"
    found = explore(main, config=Config(ms=2, faults=("timeout",)), budget=200)
    assert found.failure is not None
    assert found.about.get("host") is None


def test_an_async_generator_that_is_dropped_is_closed_by_trio() -> None:
    """As a task of its own, some time later."""
    seen = set()

    async def main() -> None:
        closed = []

        async def numbers() -> AsyncGenerator[int, None]:
            try:
                yield 1
                yield 2
            finally:
                closed.append(1)

        async for _ in numbers():
            break
        await trio.lowlevel.checkpoint()
        seen.add(len(closed))
        await wait_all_tasks_blocked()
        assert closed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # trio's own, which it is worth
        assert explore(main, strategy="exhaustive").outcome == "exhausted"
    assert seen == {0, 1}


def test_anyio_runs_on_it() -> None:
    """What asyncio's programs are told to be written against."""
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        lock, got = anyio.Lock(), list[int]()

        async def task(number: int) -> None:
            async with lock:
                await anyio.sleep(1)
                got.append(number)

        async with anyio.create_task_group() as group:
            group.start_soon(task, 1)
            group.start_soon(task, 2)
        assert sorted(got) == [1, 2]

    assert explore(main, strategy="exhaustive").outcome == "exhausted"


def test_steps_are_named_by_what_the_program_awaits_and_by_its_words() -> None:
    """The two ends of a channel are one object; a lock is called what it is called there."""

    class Account:
        def __init__(self) -> None:
            self.lock = trio.Lock()

    async def main() -> None:
        account = Account()
        sender, receiver = trio.open_memory_channel[int](1)
        async with account.lock:
            await sender.send(1)
        await receiver.receive()
        await trio.sleep(1)
        await sender.aclose()

    target = Target.of(main)
    walk = SearchingWalk()
    walk.begin(Random(0), Profile())
    steps = run_once(target, walk, transcribe=True).named_steps
    assert [step.name for step in steps] == [
        "Lock.acquire account.lock",
        "channel.send sender",
        "channel.receive sender",
        "clock 1 s",
        "trio.sleep in main",
        "channel.close sender",
    ]


def test_a_loop_without_an_await_is_found() -> None:
    """In a task of trio as in an M; the nursery around it is no way out."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            while True:
                pass

    failure = explore(main, budget=2, watch_s=0.5).failure
    assert failure is not None
    assert failure.signature.kind == "no_progress"
    assert "has run for 0.5 s without awaiting anything" in failure.text

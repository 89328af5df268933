"""An M that is cancelled while it waits, on the trio host, leaves the object as if it had not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from gorun_mem import M, World
from gorun_mem.machine.config import Config
from gorun_mem.sync import (
    Chan,
    Cond,
    Event,
    FutexWord,
    Lock,
    RWLock,
    Semaphore,
    WaitGroup,
    select,
)

pytestmark = pytest.mark.trio
Wait = Callable[[], Awaitable[Any]]


def waits() -> dict[str, tuple[Any, Wait, Callable[[], Any]]]:
    """By kind of wait: what is done before, the wait, and what of the object is to be as before."""
    lock, rw, cond_lock = Lock("l"), RWLock("rw"), Lock("cl")
    cond = Cond("c", cond_lock)
    sem, event, group, futex = Semaphore("s", 0), Event("e"), WaitGroup("g"), FutexWord("f")
    full, empty = Chan("full"), Chan("empty")

    async def under() -> None:
        async with cond_lock:
            await cond.wait()

    return {
        "lock": (lock.acquire, lock.acquire, lambda: (lock.waiting, lock.wanted)),
        "read": (rw.acquire_write, rw.acquire_read, lambda: (rw.waiting, rw.visitors)),
        "write": (
            rw.acquire_read, rw.acquire_write, lambda: (rw.waiting, rw.writer, rw.is_writing)
        ),
        "semaphore": (None, sem.acquire, lambda: (sem.waiting, sem.wanted)),
        "event": (None, event.wait, lambda: (event.waiting, event.wanted)),
        "group": (lambda: group.add(1), group.wait, lambda: (group.waiting, group.visitors)),
        "futex": (None, lambda: futex.wait(0), lambda: (futex.waiting, futex.asleep)),
        "send": (None, lambda: full.send(1), lambda: full.snapshot()),
        "recv": (None, empty.recv, lambda: empty.snapshot()),
        "select": (
            None, lambda: select(empty.recv(), full.send(2)),
            lambda: (empty.snapshot(), full.snapshot()),
        ),
        "cond": (None, under, lambda: (cond.snapshot(), cond.sleeps, cond_lock.owner)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", waits())
async def test_nothing_is_left_of_a_cancelled_wait(kind: str) -> None:
    """The M is out of the queue; of a condition variable it holds no lock any more."""
    before, wait, seen = waits()[kind]
    world = World(Config(ms=2))
    states: list[Any] = []

    async def waiter(m: M) -> None:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            await wait()
        assert scope.cancelled_caught
        states.append(repr(seen()))

    async def canceller(m: M) -> None:
        await m.sleep(1_000_000)
        scopes[0].cancel()
        await trio.sleep(0.01)

    scopes: list[trio.CancelScope] = []
    if before is not None:
        async with world.open_ms() as ms:
            ms.start_soon(lambda m: _awaited(before()), name="before")
    states.append(repr(seen()))
    async with world.open_ms() as ms:
        ms.start_soon(waiter)
        ms.start_soon(canceller)
    assert states[0] == states[1]


async def _awaited(made: Awaitable[Any]) -> None:
    await made


async def test_a_lock_is_given_back_by_an_m_that_is_cancelled() -> None:
    """What does not wait is no point of cancellation: the block's end gives the lock back."""
    world = World(Config(ms=2))
    lock, never = Lock("l"), Event("never")

    async def worker(m: M) -> None:
        with trio.move_on_after(0.01):
            async with lock:
                await never.wait()
        assert lock.owner is None

    async def away(m: M) -> None:
        await trio.sleep(0.05)  # so that it is no deadlock until then

    async with world.open_ms() as ms:
        ms.start_soon(worker)
        ms.start_soon(away)
    assert lock.statistics().operations == 2

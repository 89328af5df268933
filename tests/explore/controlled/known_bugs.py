"""Eight bugs that programs of trio's have, each with a twin that has not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

Bug = Callable[[], Coroutine[Any, Any, None]]


async def check_then_act() -> None:
    """Two tasks look for the last seat, and take it after an await."""
    free, taken = ["1A"], list[str]()

    async def book() -> None:
        if free:
            await trio.lowlevel.checkpoint()
            taken.append(free.pop())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(book)
        nursery.start_soon(book)
    assert taken == ["1A"]


async def check_then_act_fixed() -> None:
    """Looking and taking are one under a lock."""
    free, taken, lock = ["1A"], list[str](), trio.Lock()

    async def book() -> None:
        async with lock:
            if free:
                await trio.lowlevel.checkpoint()
                taken.append(free.pop())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(book)
        nursery.start_soon(book)
    assert taken == ["1A"]


async def _takes_until_late(
    take: Callable[[trio.MemoryReceiveChannel[int], list[int]], Awaitable[None]],
) -> None:
    sender, receiver = trio.open_memory_channel[int](1)
    got: list[int] = []

    async def produce() -> None:
        await trio.sleep(1)
        await sender.send(7)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        with trio.move_on_after(1):
            await take(receiver, got)
    left = receiver.statistics().current_buffer_used
    assert len(got) + left == 1, "the item is lost"


async def lost_item() -> None:
    """A timeout strikes after the item was taken and before it was put away."""

    async def take(receiver: trio.MemoryReceiveChannel[int], got: list[int]) -> None:
        item = await receiver.receive()
        await trio.lowlevel.checkpoint()
        got.append(item)

    await _takes_until_late(take)


async def lost_item_fixed() -> None:
    """Nothing is awaited between the two."""

    async def take(receiver: trio.MemoryReceiveChannel[int], got: list[int]) -> None:
        got.append(await receiver.receive())
        await trio.lowlevel.checkpoint()

    await _takes_until_late(take)


class Baton:
    """A lock that is handed over, and lost where the one it is handed to is cancelled."""

    def __init__(self) -> None:
        self.held = False
        self.waiting: list[trio.Event] = []

    async def __aenter__(self) -> None:
        if self.held:
            event = trio.Event()
            self.waiting.append(event)
            await event.wait()
            await trio.lowlevel.checkpoint()  # whoever is cancelled here has the lock for good
        self.held = True

    async def __aexit__(self, *error: object) -> None:
        if self.waiting:
            self.waiting.pop(0).set()
        else:
            self.held = False


async def _lock_with_timeout(lock: AbstractAsyncContextManager[None]) -> None:
    async def hold() -> None:
        async with lock:
            await trio.sleep(1)

    async def impatient() -> None:
        with trio.move_on_after(1):
            async with lock:
                pass

    async def patient() -> None:
        await trio.sleep(2)
        async with lock:
            pass

    async with trio.open_nursery() as nursery:
        for task in (hold, impatient, patient):
            nursery.start_soon(task)


async def cancelled_owner() -> None:
    """One that waits for a lock is cancelled between being woken and owning it."""
    await _lock_with_timeout(Baton())


async def cancelled_owner_fixed() -> None:
    """trio's own lock hands itself on."""
    await _lock_with_timeout(trio.Lock())


async def early_notify() -> None:
    """A condition is notified before anybody waits."""
    ready = trio.Condition()

    async def consume() -> None:
        async with ready:
            await ready.wait()

    async def produce() -> None:
        async with ready:
            ready.notify()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(produce)


async def early_notify_fixed() -> None:
    """What is waited for is looked at first."""
    ready, items = trio.Condition(), list[int]()

    async def consume() -> None:
        async with ready:
            while not items:
                await ready.wait()

    async def produce() -> None:
        async with ready:
            items.append(1)
            ready.notify()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(produce)


class Closed(Exception):
    """The pool is closed."""


async def leaked_semaphore() -> None:
    """An exception gets past a release."""
    slots, closed = trio.Semaphore(1), trio.Event()

    async def use() -> None:
        try:
            await slots.acquire()
            await trio.lowlevel.checkpoint()
            if closed.is_set():
                raise Closed
            slots.release()
        except Closed:
            pass

    async def close() -> None:
        closed.set()

    async with trio.open_nursery() as nursery:
        for task in (use, use, close):
            nursery.start_soon(task)


async def leaked_semaphore_fixed() -> None:
    """`async with` gives it back."""
    slots, closed = trio.Semaphore(1), trio.Event()

    async def use() -> None:
        try:
            async with slots:
                await trio.lowlevel.checkpoint()
                if closed.is_set():
                    raise Closed
        except Closed:
            pass

    async def close() -> None:
        closed.set()

    async with trio.open_nursery() as nursery:
        for task in (use, use, close):
            nursery.start_soon(task)


async def _server(handle: Callable[[int, list[int]], Awaitable[None]]) -> None:
    opened, closed = list[int](), list[int]()
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            for connection in range(2):
                opened.append(connection)
                nursery.start_soon(handle, connection, closed)
                await trio.lowlevel.checkpoint()

        async def stop() -> None:
            nursery.cancel_scope.cancel()

        nursery.start_soon(accept)
        nursery.start_soon(stop)
    assert sorted(closed) == opened


async def started_after_cancellation() -> None:
    """What a cancelled nursery starts comes no further than its first await."""

    async def handle(connection: int, closed: list[int]) -> None:
        await trio.lowlevel.checkpoint()
        try:
            await trio.lowlevel.checkpoint()
        finally:
            closed.append(connection)

    await _server(handle)


async def started_after_cancellation_fixed() -> None:
    """It sees to its connection before that."""

    async def handle(connection: int, closed: list[int]) -> None:
        try:
            await trio.lowlevel.checkpoint()
        finally:
            closed.append(connection)

    await _server(handle)


async def _ask_twice(answer: list[str]) -> None:
    reply = trio.Event()
    with trio.move_on_after(2):
        for _ in range(2):
            with trio.move_on_after(1):
                await reply.wait()
        answer.append("no reply")


async def racing_timeouts() -> None:
    """The last attempt and the whole time out at the same moment; the inner is thought to win."""
    answer: list[str] = []
    await _ask_twice(answer)
    assert answer == ["no reply"]


async def racing_timeouts_fixed() -> None:
    """Whichever wins, there is an answer."""
    answer: list[str] = []
    await _ask_twice(answer)
    assert (answer or ["no reply"]) == ["no reply"]


async def closed_channel() -> None:
    """One of two producers closes the channel in which the other's send waits."""
    sender, receiver = trio.open_memory_channel[int](0)

    async def produce() -> None:
        async with sender:
            await sender.send(1)

    async def consume() -> None:
        async for _ in receiver:
            pass

    async with trio.open_nursery() as nursery:
        for task in (consume, produce, produce):
            nursery.start_soon(task)


async def closed_channel_fixed() -> None:
    """Each has an end of its own."""
    sender, receiver = trio.open_memory_channel[int](0)

    async def produce(own: trio.MemorySendChannel[int]) -> None:
        async with own:
            await own.send(1)

    async def consume() -> None:
        async for _ in receiver:
            pass

    async with trio.open_nursery() as nursery, sender:
        nursery.start_soon(consume)
        for _ in range(2):
            nursery.start_soon(produce, sender.clone())


BUGS: dict[str, tuple[Bug, Bug, str]] = {
    "check_then_act": (check_then_act, check_then_act_fixed, "IndexError"),
    "lost_item": (lost_item, lost_item_fixed, "AssertionError"),
    "cancelled_owner": (cancelled_owner, cancelled_owner_fixed, "deadlock"),
    "early_notify": (early_notify, early_notify_fixed, "deadlock"),
    "leaked_semaphore": (leaked_semaphore, leaked_semaphore_fixed, "deadlock"),
    "started_after_cancellation": (
        started_after_cancellation, started_after_cancellation_fixed, "AssertionError",
    ),
    "racing_timeouts": (racing_timeouts, racing_timeouts_fixed, "AssertionError"),
    "closed_channel": (closed_channel, closed_channel_fixed, "ClosedResourceError"),
}  # fmt: skip
"""By name: the bug, its twin, and as what it shows."""

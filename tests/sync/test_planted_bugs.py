"""Each object of the kit in a program with a bug, which a search finds, and in a sound twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gorun_mem import M, World
from gorun_mem.explore import explore
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.sync import (
    Cell,
    Chan,
    Cond,
    Event,
    FutexWord,
    Lock,
    Once,
    RWLock,
    Semaphore,
    WaitGroup,
    Word,
    select,
)
from tests.sync.driven import Main, failure_of, together


def word(fixed: bool) -> Main:
    """An addition by a load and a store."""

    async def main(world: World) -> None:
        w = Word("w")

        async def add(m: M) -> None:
            if fixed:
                await w.add(1)
            else:
                await w.store(await w.load() + 1)

        await together(add, add)(world)
        if w.value != 2:
            raise AssertionError("an addition was lost")

    return main


def cell(fixed: bool) -> Main:
    """Plain memory without a lock."""

    async def main(world: World) -> None:
        c, lock = Cell("c"), Lock("L")

        async def write(m: M) -> None:
            if fixed:
                async with lock:
                    await c.store(m.id)
            else:
                await c.store(m.id)

        await together(write, write)(world)

    return main


def lock(fixed: bool) -> Main:
    """Two locks in two orders."""

    async def main(world: World) -> None:
        a, b = Lock("a"), Lock("b")

        async def one(m: M) -> None:
            async with a, b:
                pass

        async def turned(m: M) -> None:
            async with b, a:
                pass

        await together(one, one if fixed else turned)(world)

    return main


def rwlock(fixed: bool) -> Main:
    """A write under a lock that is held to read."""

    async def main(world: World) -> None:
        c, rw = Cell("c"), RWLock("rw")

        async def write(m: M) -> None:
            async with rw.writing() if fixed else rw.reading():
                await c.store(m.id)

        await together(write, write)(world)

    return main


def cond(fixed: bool) -> Main:
    """One call for two who wait."""

    async def main(world: World) -> None:
        guard, ready = Lock("L"), Word("ready")
        c = Cond("c", guard)

        async def wait(m: M) -> None:
            async with guard:
                while not await ready.load():
                    await c.wait()

        async def call(m: M) -> None:
            async with guard:
                await ready.store(1)
                await (c.broadcast() if fixed else c.signal())

        await together(wait, wait, call)(world)

    return main


def semaphore(fixed: bool) -> Main:
    """A place that is given back on one way out only."""

    async def main(world: World) -> None:
        s, w = Semaphore("s", 1), Word("w")

        async def work(m: M) -> None:
            await s.acquire()
            failed = await w.swap(1)
            if fixed or not failed:
                await s.release()

        await together(work, work, work)(world)

    return main


def event(fixed: bool) -> Main:
    """An event that is cleared right before it is waited for."""

    async def main(world: World) -> None:
        e = Event("e")

        async def waiter(m: M) -> None:
            if not fixed:
                await e.clear()
            await e.wait()

        async def setter(m: M) -> None:
            await e.set()

        await together(waiter, setter)(world)

    return main


def futex(fixed: bool) -> Main:
    """A sleep that does not look at the word again."""

    async def main(world: World) -> None:
        f = FutexWord("f")

        async def sleeper(m: M) -> None:
            seen = await f.load()
            if not seen:
                await f.wait(0 if fixed else await f.load())

        async def waker(m: M) -> None:
            await f.store(1)
            await f.wake(1)

        await together(sleeper, waker)(world)

    return main


def chan(fixed: bool) -> Main:
    """A channel that is closed while somebody may still send."""

    async def main(world: World) -> None:
        c, group = Chan("c", 2), WaitGroup("g")
        await group.add(2)

        async def sender(m: M) -> None:
            await c.send(m.id)
            await group.done()

        async def closer(m: M) -> None:
            if fixed:
                await group.wait()
            else:
                await c.recv()
            await c.close()

        await together(sender, sender, closer)(world)

    return main


def leaking_select(fixed: bool) -> Main:
    """Whoever answers a select that has taken its time out waits for ever, on no buffer."""

    async def main(world: World) -> None:
        answer, stop = Chan("answer", 1 if fixed else 0), Chan("stop", 1)

        async def asker(m: M) -> None:
            await select(answer.recv(), stop.recv())

        async def answerer(m: M) -> None:
            await answer.send("late")

        async def stopper(m: M) -> None:
            await stop.send("now")

        await together(asker, answerer, stopper)(world)

    return main


def group(fixed: bool) -> Main:
    """Whoever is waited for is counted only when it runs."""

    async def main(world: World) -> None:
        g, done = WaitGroup("g"), Word("done")

        async def work(m: M) -> None:
            if not fixed:
                await g.add(1)
            await done.store(1)
            await g.done()

        async def waiter(m: M) -> None:
            await g.wait()
            if not await done.load():
                raise AssertionError("nobody was waited for")

        if fixed:
            await g.add(1)
        await together(work, waiter)(world)

    return main


def once(fixed: bool) -> Main:
    """A flag in place of a Once."""

    async def main(world: World) -> None:
        o, flag, made = Once("o"), Word("flag"), Word("made")

        async def make() -> None:
            await made.add(1)

        async def work(m: M) -> None:
            if fixed:
                await o.do(make)
            elif not await flag.load():
                await flag.store(1)
                await make()

        await together(work, work)(world)
        if made.value != 1:
            raise AssertionError("made twice")

    return main


def ways() -> dict[str, tuple[Any, Any]]:
    """How one M tells another."""
    e, s, f, c, b = Event("e"), Semaphore("s", 0), FutexWord("f"), Chan("c"), Chan("b", 2)

    async def tell() -> None:
        await f.store(1)
        await f.wake(2)

    async def listen() -> None:
        while not await f.load():
            await f.wait(0)

    return {
        "event": (e.set, e.wait),
        "semaphore": (lambda: s.release(2), s.acquire),
        "futex": (tell, listen),
        "channel": (lambda: c.send(1), c.recv),
        "buffer": (lambda: b.send(1), b.recv),
        "select": (lambda: select(b.send(1)), lambda: select(b.recv(), c.recv())),
    }


@pytest.mark.parametrize("way", ways())
def test_what_is_sent_is_ordered_before_what_is_received(way: str) -> None:
    """No race on what is handed over; two who send are ordered by nothing, so they race."""

    def one() -> Main:
        async def main(world: World) -> None:
            c = Cell("c")
            send, receive = ways()[way]

            async def sender(m: M) -> None:
                await c.store(m.id)
                await send()

            async def receiver(m: M) -> None:
                await receive()
                await c.load()

            await together(sender, receiver)(world)

        return main

    def two() -> Main:
        async def main(world: World) -> None:
            c = Cell("c")
            send, receive = ways()[way]

            async def sender(m: M) -> None:
                await c.store(m.id)
                await send()

            async def receiver(m: M) -> None:
                await receive()

            await together(sender, sender, receiver, receiver)(world)

        return main

    assert failure_of(one()) == ""
    found = explore(two(), strategy="random", budget=1, detectors=DEFAULT_DETECTORS, canary=False)
    assert found.failure is not None
    assert found.failure.signature.kind == "race"


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (word, "AssertionError"), (cell, "race"), (lock, "lock.order"), (rwlock, "race"),
        (cond, "deadlock"), (semaphore, "deadlock"), (event, "deadlock"), (futex, "deadlock"),
        (chan, "throw"), (leaking_select, "deadlock"), (group, "AssertionError"),
        (once, "AssertionError"),
    ],
)  # fmt: skip
def test_the_bug_is_found_and_the_twin_is_sound(program: Callable[[bool], Main], kind: str) -> None:
    """By the exhaustive search with all detectors; the twin is searched to the end, silently."""
    assert failure_of(program(False)) == kind
    assert failure_of(program(True)) == ""

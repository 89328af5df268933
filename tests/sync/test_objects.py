"""What each object of the kit does, by Go's or POSIX's word, alone and against time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gorun_mem import M, World
from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.op import Op
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
from tests.sync.driven import finished, together

Make = Callable[[], Awaitable[Any]]


def results(*makes: Make) -> list[Any]:
    """What operations come to, one after another, by one M."""
    got: list[Any] = []

    async def main(world: World) -> None:
        got.extend([await make() for make in makes])

    finished(main)
    return got


def thrown(*makes: Make) -> str:
    """What the last of them throws."""
    with pytest.raises((Throw, IllegalUse)) as found:
        results(*makes)
    error = found.value
    return error.message if isinstance(error, Throw) else str(error)


def test_words() -> None:
    """Old or new value as Go's sync/atomic has it."""
    w = Word("w", 5)
    assert results(
        w.load, lambda: w.store(6), lambda: w.swap(7), lambda: w.cas(7, 8), lambda: w.cas(7, 9),
        lambda: w.add(-2), lambda: w.fetch_or(9), lambda: w.fetch_and(14), w.load,
    ) == [5, None, 6, True, False, 6, 6, 15, 14]  # fmt: skip
    assert w.statistics()[:1] == (9,)
    assert w.statistics().failed == 1
    assert repr(w) == "<Word w = 14>"
    text = Word("text", "abc")
    for make in (lambda: text.add(1), lambda: text.fetch_or(1), lambda: text.fetch_and(1)):
        assert thrown(make).endswith(
            "text of 1, where it holds 'abc': both have to be whole numbers"
        )
    c = Cell("c", "a")
    assert results(c.load, lambda: c.store("b"), c.load) == ["a", None, "b"]
    assert repr(c) == "<Cell c = 'b'>"


def test_a_futex_sleeps_only_on_what_it_expects() -> None:
    """As futex(2): EAGAIN, ETIMEDOUT and how many were woken."""
    f = FutexWord("f", 1)
    assert results(lambda: f.wait(0), lambda: f.wait(1, timeout_ns=50), lambda: f.wake(3)) == [
        False, False, 0,
    ]  # fmt: skip
    counted = f.statistics()
    assert (counted.failed, counted.timeouts, counted.waits) == (1, 1, 1)
    assert counted.wait_ns_max >= 50
    order: list[int] = []

    async def sleeper(m: M) -> None:
        await m.sleep(m.id * 100_000)
        assert await f.wait(1)
        order.append(m.id)

    async def waker(m: M) -> None:
        await m.sleep(1_000_000)
        assert repr(f) == "<FutexWord f = 1, 2 asleep>"
        assert await f.wake(1) == 1
        await m.sleep(1_000_000)
        assert await f.wake(5) == 1

    finished(together(sleeper, sleeper, waker))
    assert order == [1, 2]
    assert f.waiting == 0


def test_a_lock() -> None:
    """Go's text where nobody holds it; POSIX's check where another does; tries and times."""
    lock = Lock("L")
    assert results(lock.try_acquire, lock.try_acquire, lambda: lock.acquire(timeout_ns=7)) == [
        True, False, False,
    ]  # fmt: skip
    counted = lock.statistics()
    assert (counted.operations, counted.waits, counted.timeouts, counted.failed) == (3, 1, 1, 1)
    assert counted.wait_ns >= 7
    assert repr(lock).startswith("<Lock L held by M0 since")
    assert thrown(Lock("K").release) == "sync: unlock of unlocked mutex"
    with pytest.raises(IllegalUse, match="release of L by M1: M0 holds it"):
        finished(together(lambda m: _awaited(lock.release())))


async def _awaited(op: Op) -> None:
    await op


def test_a_reader_waits_for_a_writer_that_waits() -> None:
    """A claimed lock keeps readers out; what a writer kept out goes in when it leaves."""
    lock, seen = RWLock("rw"), []

    async def reader(m: M) -> None:
        async with lock.reading():
            await m.sleep(1_000_000)
        seen.append("read")

    async def writer(m: M) -> None:
        await m.sleep(100_000)
        await lock.acquire_write()
        seen.append("wrote")
        assert repr(lock).startswith("<RWLock rw M2 writing since")
        await m.sleep(1_000_000)
        await lock.release_write()

    async def late(m: M) -> None:
        await m.sleep(500_000)
        assert not await lock.try_acquire_read()
        assert not await lock.acquire_read(timeout_ns=10)
        assert repr(lock).startswith("<RWLock rw M2 waiting to write since")
        await lock.acquire_read()
        seen.append("late")
        assert not await lock.acquire_write(timeout_ns=10)
        await lock.release_read()
        assert await lock.try_acquire_write()
        await lock.release_write()

    finished(together(reader, writer, late))
    assert seen == ["read", "wrote", "late"]
    assert lock.snapshot() == ((), -1, False)
    assert thrown(RWLock("a").release_read) == "sync: RUnlock of unlocked RWMutex"
    assert thrown(RWLock("a").release_write) == "sync: Unlock of unlocked RWMutex"


def test_a_semaphore() -> None:
    """Anybody gives back; taking waits at 0."""
    s = Semaphore("s", 1)
    assert results(
        s.acquire,
        s.try_acquire,
        lambda: s.acquire(timeout_ns=3),
        lambda: s.release(2),
        s.try_acquire,
    ) == [True, False, False, None, True]  # fmt: skip
    assert repr(s) == "<Semaphore s at 1>"
    assert "whole number from 0" in thrown(lambda: Semaphore("t", -1).acquire())
    assert "from 1" in thrown(lambda: s.release(0))


def test_an_event() -> None:
    """It stays until it is cleared."""
    e = Event("e")
    assert results(lambda: e.wait(timeout_ns=3), e.set, e.wait, e.clear) == [
        False, None, True, None,
    ]  # fmt: skip
    assert repr(e) == "<Event e not set>"
    assert results(lambda: e.wait(timeout_ns=0)) == [False]


def test_a_wait_group() -> None:
    """Go's text for a negative count; who waits at zero goes on whatever is added then."""
    g = WaitGroup("g")
    assert thrown(lambda: g.add(1), g.done, g.done) == "sync: negative WaitGroup counter"
    assert g.count == 0
    went: list[int] = []

    async def waiter(m: M) -> None:
        await g.wait()
        went.append(m.id)

    async def worker(m: M) -> None:
        await m.sleep(1_000_000)
        await g.done()
        await g.add(1)

    async def main(world: World) -> None:
        await g.add(1)
        assert not await g.wait(timeout_ns=5)
        async with world.open_ms() as ms:
            ms.start_soon(waiter)
            ms.start_soon(worker)

    finished(main)
    assert went == [1]


def test_once() -> None:
    """Others wait until it is done; it is done also where it raises."""
    once, made = Once("o"), []

    async def slowly() -> None:
        made.append("begun")
        await once_done.wait()
        made.append("done")

    once_done = Event("go on")

    async def first(m: M) -> None:
        await once.do(slowly)

    async def second(m: M) -> None:
        await m.sleep(100)
        await once_done.set()
        await once.do(slowly)
        assert made == ["begun", "done"]

    finished(together(first, second))
    assert repr(once) == "<Once o done>"
    failing = Once("f")

    async def main(world: World) -> None:
        with pytest.raises(ZeroDivisionError):
            await failing.do(lambda: 1 // 0)
        await failing.do(lambda: 1 // 0)

    finished(main)


def test_a_condition_variable() -> None:
    """The lock is held before and after; time ends a wait; the longest waiter is called first."""
    lock = Lock("L")
    cond, order = Cond("c", lock), []

    async def waiter(m: M) -> None:
        await m.sleep(m.id * 100_000)
        async with lock:
            assert await cond.wait()
            assert lock.owner is m
            order.append(m.id)

    async def caller(m: M) -> None:
        await m.sleep(1_000_000)
        async with lock:
            assert not await cond.wait(timeout_ns=10)
            assert lock.owner is m
        assert repr(cond).endswith(", M1, M2 asleep>")
        assert cond.waiting == 2
        assert await cond.signal() == 1
        await m.sleep(1_000_000)
        assert await cond.broadcast() == 1
        assert await cond.signal() == 0

    finished(together(waiter, waiter, caller))
    assert order == [1, 2]
    assert (cond.called, cond.asleep, cond.sleeps) == ({}, {}, {})
    assert cond.statistics().timeouts == 1
    assert thrown(lambda: Cond("d", Lock("K")).wait()) == "sync: unlock of unlocked mutex"


def test_a_buffered_channel() -> None:
    """First in first out; what is buffered is received after the close, then nothing."""
    c = Chan("c", 2)
    assert results(
        lambda: c.send(1), lambda: c.send(2), lambda: c.send(3, timeout_ns=5), c.recv, c.close,
        c.recv, c.recv,
    ) == [True, True, False, (1, True), None, (2, True), (None, False)]  # fmt: skip
    assert repr(c) == "<Chan c 0 of 2, closed>"
    assert thrown(lambda: c.send(1)) == "send on closed channel"
    assert thrown(c.close) == "close of closed channel"
    assert results(lambda: Chan("d").recv(timeout_ns=4)) == [(None, False)]
    assert "from 0" in thrown(lambda: Chan("e", -1).recv())


def test_an_unbuffered_channel_hands_over() -> None:
    """A send is through when somebody has received; a range ends with the close."""
    c, got = Chan("c"), []

    async def producer(m: M) -> None:
        for n in range(5):
            await c.send(n)
        await c.close()

    async def consumer(m: M) -> None:
        got.extend([n async for n in c])

    for strategy in ("timing", "random"):
        c.closed = False
        finished(together(producer, consumer), strategy=strategy)
    assert got == [*range(5), *range(5)]
    assert c.waiting == 0


def test_who_waits_to_send_throws_when_it_is_closed() -> None:
    """As in Go, where the send panics."""
    c = Chan("c")

    async def sender(m: M) -> None:
        await c.send(1)

    async def closer(m: M) -> None:
        await m.sleep(1000)
        await c.close()

    with pytest.raises(Throw, match="send on closed channel"):
        finished(together(sender, closer))


def test_select() -> None:
    """One case; the default where none can be made; time; a send on a closed channel throws."""
    a, b = Chan("a", 1), Chan("b", 1)
    both: Make = lambda: select(a.recv(), b.send("x"))  # noqa: E731
    assert results(
        lambda: select(a.recv(), default=True), lambda: select(a.recv(), timeout_ns=9), both,
        lambda: a.send("y"), lambda: select(a.recv(), b.send("z")), b.close,
        lambda: select(b.recv()), lambda: select(b.recv()),
    ) == [
        (-1, None, False), (-1, None, False), (1, None, True), True, (0, "y", True), None,
        (0, "x", True), (0, None, False),
    ]  # fmt: skip
    assert thrown(lambda: select(a.recv(), b.send(1))) == "send on closed channel"
    assert "a case is" in thrown(lambda: select(Lock("L").acquire()))  # type: ignore[arg-type]
    assert (a.waiting, b.waiting) == (0, 0)


def test_a_waiting_select_is_served_once() -> None:
    """By whoever comes first; it is out of the other queues then."""
    a, b, got = Chan("a"), Chan("b"), []

    async def chooser(m: M) -> None:
        got.append(await select(a.recv(), b.recv(), b.send("no")))

    async def sender(m: M) -> None:
        await m.sleep(1000)
        assert (a.waiting, b.waiting) == (1, 2)
        await b.send("yes")
        assert (a.waiting, b.waiting) == (0, 0)

    finished(together(chooser, sender))
    assert got == [(1, "yes", True)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lock("x").acquire(-1), lambda: FutexWord("x").wait(0, -1),
        lambda: FutexWord("x").wait("0"),  # type: ignore[arg-type]
        lambda: Chan("x").recv(-1), lambda: Chan("x").send(1, 2.5),  # type: ignore[arg-type]
        lambda: Event("x").wait(True), lambda: Word("a@b").load(), lambda: Word("").load(),
        lambda: Word("x", line="a@b").load(),
    ],
)  # fmt: skip
def test_names_and_times_that_are_none_are_refused(make: Make) -> None:
    """When the object or the operation is made."""
    with pytest.raises(IllegalUse):
        make()

"""Bugs of many shapes, each with a twin: what `auto` is tuned on beside the kernels that it ships.

After public collections: SCTBench (reorder, token ring, bluetooth driver, safestack), GoBench
(channels, wait groups), the literature on mutual exclusion (Peterson, Dekker, Lamport's bakery),
lock-free structures, barriers and condition variables.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Event, Lock, NotifyList, Word

Body = Callable[..., Coroutine[Any, Any, None]]


def _both(
    body: Callable[[World, bool], Coroutine[Any, Any, None]], ms: int
) -> tuple[Target, Target]:
    async def buggy(world: World) -> None:
        await body(world, False)

    async def fixed(world: World) -> None:
        await body(world, True)

    return Target.of(buggy, Config(ms=ms)), Target.of(fixed, Config(ms=ms))


async def _start(world: World, *programs: Body) -> None:
    async with world.open_ms() as ms:
        for program in programs:
            ms.start_soon(program)


async def bluetooth(world: World, fixed: bool) -> None:
    """A driver is stopped while a request is between its check and its use."""
    pending, stopping, event, stopped = (
        Word("pending", 1),
        Word("stopping"),
        Word("event"),
        Word("stopped"),
    )

    async def release() -> None:
        if await pending.add(-1) == 0:
            await event.store(1)

    async def stopper(m: M) -> None:
        await stopping.store(1)
        await release()
        if await event.load():
            await stopped.store(1)

    async def adder(m: M) -> None:
        if fixed:
            await pending.add(1)
            if await stopping.load():
                await release()
                return
        else:
            if await stopping.load():
                return
            await pending.add(1)
        if await stopped.load():
            raise AssertionError("used after it was stopped")
        await release()

    await _start(world, stopper, adder)


async def token_ring(world: World, fixed: bool) -> None:
    """Four Ms each copy the neighbour's value; all agree only in some orders."""
    words = [Word(f"x{n}", n) for n in range(4)]
    lock = Lock("lock")
    seen = Word("seen", 0)

    def copier(n: int) -> Body:
        async def copy(m: M) -> None:
            if fixed:
                await lock.acquire()
            value = await words[n - 1].load()
            await words[n].store(value)
            if fixed:
                await lock.release()
            await seen.add(1)

        return copy

    await _start(world, *[copier(n) for n in range(4)])
    if not fixed and len({word.value for word in words}) == 4:
        raise AssertionError("every value went round by one")


def reorder(n: int) -> Callable[[World, bool], Coroutine[Any, Any, None]]:
    async def body(world: World, fixed: bool) -> None:
        """One checker must come between the two stores of a setter, and no other setter after."""
        a, b, lock = Word("a"), Word("b"), Lock("lock")

        async def setter(m: M) -> None:
            if fixed:
                await lock.acquire()
            await a.store(1)
            await b.store(-1)
            if fixed:
                await lock.release()

        async def checker(m: M) -> None:
            if fixed:
                await lock.acquire()
            seen = (await a.load(), await b.load())
            if fixed:
                await lock.release()
            if seen not in ((0, 0), (1, -1)):
                raise AssertionError("half set")

        await _start(world, *[setter] * n, checker)

    return body


async def peterson(world: World, fixed: bool) -> None:
    """Peterson's algorithm with the turn taken before the flag is raised."""
    flags, turn, inside = [Word("flag0"), Word("flag1")], Word("turn"), Word("inside")

    def one(me: int) -> Body:
        async def enter(m: M) -> None:
            for _ in range(2):
                if fixed:
                    await flags[me].store(1)
                    await turn.store(1 - me)
                else:
                    await turn.store(1 - me)
                    await flags[me].store(1)
                while await flags[1 - me].load() and await turn.load() == 1 - me:
                    await m.pause()
                if await inside.add(1) != 1:
                    raise AssertionError("two are inside")
                await inside.add(-1)
                await flags[me].store(0)

        return enter

    await _start(world, one(0), one(1))


async def bakery(world: World, fixed: bool) -> None:
    """Lamport's bakery without the flag that says a number is being chosen."""
    n = 2
    choosing = [Word(f"choosing{i}") for i in range(n)]
    number = [Word(f"number{i}") for i in range(n)]
    inside = Word("inside")

    def one(me: int) -> Body:
        async def enter(m: M) -> None:
            if fixed:
                await choosing[me].store(1)
            highest = 0
            for i in range(n):
                highest = max(highest, await number[i].load())
            await number[me].store(highest + 1)
            if fixed:
                await choosing[me].store(0)
            for i in range(n):
                if i == me:
                    continue
                if fixed:
                    while await choosing[i].load():
                        await m.pause()
                while True:
                    other = await number[i].load()
                    if not other or (other, i) > (number[me].value, me):
                        break
                    await m.pause()
            if await inside.add(1) != 1:
                raise AssertionError("two are inside")
            await inside.add(-1)
            await number[me].store(0)

        return enter

    await _start(world, one(0), one(1))


async def treiber(world: World, fixed: bool) -> None:
    """A lock-free stack whose pop reads next before the swap: ABA with three Ms."""
    head: Word = Word("head", ("a", 0))
    after = {"a": "b", "b": "c", "c": None}
    owner: dict[Any, int] = {}

    async def pop(m: M) -> Any:
        while True:
            top, tag = await head.load()
            if top is None:
                return None
            following = await Cell2(after, top).load()
            if await head.cas((top, tag), (following, tag + 1 if fixed else 0)):
                if top in owner:
                    raise AssertionError("popped twice")
                owner[top] = m.id
                return top

    async def push(m: M, node: Any) -> None:
        owner.pop(node, None)
        while True:
            top, tag = await head.load()
            after[node] = top
            if await head.cas((top, tag), (node, tag + 1 if fixed else 0)):
                return

    async def popper(m: M) -> None:
        await pop(m)
        await pop(m)

    async def churner(m: M) -> None:
        one = await pop(m)
        other = await pop(m)
        if one is not None:
            await push(m, one)
        del other

    await _start(world, popper, churner)


class Cell2(Word):
    """A field of a node: what a dictionary has, as an atomic word of its own name."""

    def __init__(self, table: dict[Any, Any], key: Any) -> None:
        super().__init__(f"{key}.next", table[key])


async def barrier(world: World, fixed: bool) -> None:
    """A barrier used again before all have left it."""
    n, rounds = 3, 2
    count, sense, passed = Word("count"), Word("sense"), [0] * n

    def one(me: int) -> Body:
        async def go(m: M) -> None:
            local = 0
            for turn in range(rounds):
                local = 1 - local
                if await count.add(1) == n:
                    await count.store(0)
                    await sense.store(local)
                elif fixed:
                    while await sense.load() != local:
                        await m.pause()
                else:
                    while await count.load():
                        await m.pause()
                passed[me] = turn + 1
                if min(passed) < turn:
                    raise AssertionError("one is a round ahead")

        return go

    await _start(world, *[one(me) for me in range(n)])


async def condvar(world: World, fixed: bool) -> None:
    """Two consumers, `if` for `while` around the wait."""
    lock, waiters, items = Lock("lock"), NotifyList("cond"), Word("items", 0)

    async def consumer(m: M) -> None:
        await lock.acquire()
        while await items.load() == 0:
            ticket = await waiters.add()
            await lock.release()
            await waiters.sleep(ticket)
            await lock.acquire()
            if not fixed:
                break
        left = await items.add(-1)
        if left < 0:
            raise AssertionError("took what was not there")
        await lock.release()

    async def producer(m: M) -> None:
        for _ in range(2):
            await lock.acquire()
            await items.add(1)
            await waiters.wake(2)
            await lock.release()

    await _start(world, consumer, consumer, producer)


async def wait_group(world: World, fixed: bool) -> None:
    """The count goes up inside of the workers, so the wait may be over before they begin."""
    count, done, finished = Word("count"), Event("done"), Word("finished")

    async def worker(m: M) -> None:
        if not fixed:
            await count.add(1)
        await finished.add(1)
        if await count.add(-1) == 0:
            await done.set()

    async def waiter(m: M) -> None:
        if fixed or await count.load():
            await done.wait()
        if await finished.load() != 3:
            raise AssertionError("waited for fewer")

    if fixed:
        await count.add(3)
    await _start(world, worker, worker, worker, waiter)


async def ring(world: World, fixed: bool) -> None:
    """A ring of one slot whose writer moves on before it has written."""
    slot, ready, taken = Word("slot", 0), Word("ready"), Word("taken", 1)

    async def writer(m: M) -> None:
        for value in (1, 2, 3):
            while not await taken.load():
                await m.pause()
            await taken.store(0)
            if fixed:
                await slot.store(value)
                await ready.store(1)
            else:
                await ready.store(1)
                await slot.store(value)

    async def reader(m: M) -> None:
        for value in (1, 2, 3):
            while not await ready.load():
                await m.pause()
            await ready.store(0)
            if await slot.load() != value:
                raise AssertionError("an old value was read")
            await taken.store(1)

    await _start(world, writer, reader)


async def three_stage(world: World, fixed: bool) -> None:
    """A value is passed on in three stages, and a fourth M must run between each two."""
    x, y, z, lock = Word("x"), Word("y"), Word("z"), Lock("lock")

    async def stages(m: M) -> None:
        if fixed:
            await lock.acquire()
        await x.store(1)
        await y.store(1)
        await z.store(1)
        if fixed:
            await lock.release()

    async def clear(m: M) -> None:
        if fixed:
            await lock.acquire()
        if await x.load() and not await y.load():
            await x.store(2)
        if fixed:
            await lock.release()

    async def check(m: M) -> None:
        if fixed:
            await lock.acquire()
        if await x.load() == 2 and await y.load() and not await z.load():
            raise AssertionError("seen between the stages")
        if fixed:
            await lock.release()

    await _start(world, stages, clear, check)


async def safestack(world: World, fixed: bool) -> None:
    """SafeStack of SCTBench: a list whose pop and push look at the count and the head apart.

    Three Ms; needs five preemptions in the original.
    """
    n = 3
    head, count = Word("head", 0), Word("count", n)
    following = [Word(f"next{i}", i + 1 if i + 1 < n else -1) for i in range(n)]
    values = [Word(f"value{i}", 0) for i in range(n)]
    lock = Lock("lock")

    async def pop() -> int:
        while await count.load() > 1:
            top = await head.load()
            after = await following[top].swap(-1)
            if after >= 0:
                if await head.cas(top, after):
                    await count.add(-1)
                    return int(top)
                await following[top].swap(after)
        return -1

    async def push(index: int) -> None:
        top = await head.load()
        while True:
            await following[index].store(top)
            if await head.cas(top, index):
                break
            top = await head.load()
        await count.add(1)

    async def go(m: M) -> None:
        for _ in range(2):
            if fixed:
                await lock.acquire()
            while (index := await pop()) < 0:
                await m.pause()
            await values[index].store(m.id)
            if await values[index].load() != m.id:
                raise AssertionError("two have the same element")
            await push(index)
            if fixed:
                await lock.release()

    await _start(world, go, go, go)


async def upgrade(world: World, fixed: bool) -> None:
    """Reference count: the last drop frees while another takes one more."""
    refs, freed, lock = Word("refs", 1), Word("freed"), Lock("lock")

    async def taker(m: M) -> None:
        if fixed:
            await lock.acquire()
        seen = await refs.load()
        if seen > 0:
            await refs.store(seen + 1)
            if await freed.load():
                raise AssertionError("taken after free")
            await refs.add(-1)
        if fixed:
            await lock.release()

    async def dropper(m: M) -> None:
        if fixed:
            await lock.acquire()
        if await refs.add(-1) == 0:
            await freed.store(1)
        if fixed:
            await lock.release()

    await _start(world, taker, dropper, taker)


async def bank(world: World, fixed: bool) -> None:
    """Four transfers; an audit adds the accounts up in between."""
    accounts = [Word(f"account{i}", 10) for i in range(3)]
    lock, audit_lock = Lock("lock"), Lock("audit")

    def transfer(a: int, b: int) -> Body:
        async def go(m: M) -> None:
            await lock.acquire()
            await accounts[a].add(-1)
            if not fixed:
                await lock.release()
                await lock.acquire()
            await accounts[b].add(1)
            await lock.release()

        return go

    async def audit(m: M) -> None:
        await audit_lock.acquire()
        await lock.acquire()
        total = sum([await account.load() for account in accounts])
        await lock.release()
        await audit_lock.release()
        if total != 30:
            raise AssertionError("money is missing")

    await _start(world, transfer(0, 1), transfer(1, 2), transfer(2, 0), audit)


async def long_aba(world: World, fixed: bool) -> None:
    """A value changes and changes back between a look and a swap, after a way of some steps."""
    word, way = Word("word", 0), Word("way")
    log: list[Any] = []

    async def swapper(m: M) -> None:
        seen = await word.load()
        tag = len(log)
        for _ in range(5):
            await way.add(1)
        if await word.cas(seen, 9) and len(log) != tag and not fixed:
            raise AssertionError("it had changed and changed back")

    async def changer(m: M) -> None:
        for _ in range(5):
            await way.add(1)
        await word.store(1)
        log.append(1)
        await word.store(0)

    await _start(world, swapper, changer, changer)


SHAPES: Final[dict[str, tuple[Target, Target]]] = {
    "bluetooth": _both(bluetooth, 2),
    "token_ring": _both(token_ring, 4),
    "reorder_3": _both(reorder(3), 4),
    "reorder_6": _both(reorder(6), 7),
    "reorder_10": _both(reorder(10), 11),
    "peterson": _both(peterson, 2),
    "bakery": _both(bakery, 2),
    "treiber": _both(treiber, 2),
    "barrier": _both(barrier, 3),
    "condvar": _both(condvar, 3),
    "wait_group": _both(wait_group, 4),
    "ring": _both(ring, 2),
    "three_stage": _both(three_stage, 3),
    "safestack": _both(safestack, 3),
    "upgrade": _both(upgrade, 3),
    "bank": _both(bank, 4),
    "long_aba": _both(long_aba, 3),
}
"""Name -> the program with the bug, and its twin."""

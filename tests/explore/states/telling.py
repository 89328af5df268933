"""Programs each of which tells apart states that differ in one part alone.

Each leaves what it has done in `Things`, as the programs by chance do. What it draws it forgets at
once, but for that part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gorun_mem import KiB
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Word
from tests.explore.states.programs import Main, Things

PROGRAMS: dict[str, tuple[Main, dict[str, Any]]] = {}
"""By the part: a program that tells by it, and its settings."""

Body = Callable[[World, Things], list[Callable[..., Any]]]


def telling(part: str, **config: Any) -> Callable[[Body], Body]:
    """What follows makes what the Ms run."""

    def take(body: Body) -> Body:
        async def main(world: World) -> None:
            things = Things()
            results: Any = world.results
            results["things"] = things
            async with world.open_ms() as ms:
                for program in body(world, things):
                    ms.start_soon(program)

        PROGRAMS[part] = (main, config)
        return body

    return take


def target_of(part: str) -> Target:
    """The program that tells by a part."""
    main, config = PROGRAMS[part]
    return Target.of(main, Config(**{"ms": 2, "mutex": "queue", **config}))


@telling("position")
def _position(world: World, things: Things) -> Any:
    async def reader(m: M) -> None:
        await things.cells[0].load()
        await things.cells[0].load()
        await things.cells[1].store(1)

    return [reader]


@telling("variables")
def _variables(world: World, things: Things) -> Any:
    async def drawer(m: M) -> None:
        drawn = m.randrange(2)
        await m.pause()
        await things.cells[0].store(drawn)

    return [drawer]


@telling("names")
def _names(world: World, things: Things) -> Any:
    async def setter(m: M) -> None:
        if m.randrange(2):
            first = 5
        else:
            second = 5
        await m.pause()
        try:
            await things.cells[0].store(first)
        except UnboundLocalError:
            await things.cells[1].store(second)

    return [setter]


@telling("stack")
def _stack(world: World, things: Things) -> Any:
    async def looper(m: M) -> None:
        for _ in [0, 0] if m.randrange(2) else [0]:
            await m.pause()
            await things.cells[0].store(things.cells[0].value + 1)

    return [looper]


@telling("closures")
def _closures(world: World, things: Things) -> Any:
    def making(value: int) -> Any:
        async def child(m: M) -> None:
            await things.cells[0].store(value)

        return child

    async def starter(m: M) -> None:
        async with world.open_ms() as ms:
            ms.start_soon(making(m.randrange(2)))

    return [starter]


_KEPT: list[int] = []
_kept = 0


@telling("globals")
def _globals(world: World, things: Things) -> Any:
    global _kept
    _kept = 0
    _KEPT.clear()

    async def keeper(m: M) -> None:
        global _kept
        _kept = m.randrange(2)
        _KEPT.append(m.randrange(2))
        await m.pause()
        things.notes.append((_kept, _KEPT.pop()))

    return [keeper]


class _Keeper:
    kept: int = 0


@telling("classes")
def _classes(world: World, things: Things) -> Any:
    _Keeper.kept = 0

    async def keeper(m: M) -> None:
        _Keeper.kept = m.randrange(2)
        await m.pause()
        things.notes.append(_Keeper.kept)

    return [keeper]


@telling("aliases")
def _aliases(world: World, things: Things) -> Any:
    async def sharer(m: M) -> None:
        first = [0]
        second = first if m.randrange(2) else [0]
        await m.pause()
        first[0] = 1
        await things.cells[0].store(second[0])

    return [sharer]


@telling("truths")
def _truths(world: World, things: Things) -> Any:
    async def teller(m: M) -> None:
        value: Any = True if m.randrange(2) else 1
        await m.pause()
        await things.cells[0].store(str(value))

    return [teller]


@telling("clock")
def _clock(world: World, things: Things) -> Any:
    async def early(m: M) -> None:
        await m.compute(300_000 if m.randrange(2) else 450_000)
        await m.sleep(100_000)
        things.notes.append(m.id)

    async def late(m: M) -> None:
        await m.sleep(500_000)
        things.notes.append(m.id)

    return [early, late]


@telling("lock words")
def _lock_words(world: World, things: Things) -> Any:
    lock: Any = world.mutex("p")

    async def holder(m: M) -> None:
        await m.lock(lock)
        await m.pause()
        things.notes.append(len(lock.queue))
        await m.unlock(lock)

    async def locker(m: M) -> None:
        await m.lock(lock)
        things.notes.append(f"M{m.id}")
        await m.unlock(lock)

    return [holder, locker, locker]


@telling("memory")
def _memory(world: World, things: Things) -> Any:
    async def keeper(m: M) -> None:
        addr = await m.sys_alloc_os(4 * KiB)
        await m.store(addr, m.randrange(2))
        await m.pause()
        await things.cells[0].store(await m.load(addr))

    return [keeper]


@telling("layer")
def _layer(world: World, things: Things) -> Any:
    async def taker(m: M) -> None:
        await m.sys_alloc_os(4 * KiB * (1 + m.randrange(2)))
        await m.pause()
        await m.sys_alloc_os(4 * KiB)

    return [taker]


@telling("items")
def _items(world: World, things: Things) -> Any:
    async def keeper(m: M) -> None:
        kept = [m.randrange(2)]
        await m.pause()
        await things.cells[0].store(kept.pop())

    return [keeper]


@telling("looks")
def _looks(world: World, things: Things) -> Any:
    word = Word("w")

    async def looker(m: M) -> None:
        if m.randrange(2):
            await word.load()
        await m.pause()
        things.notes.append(word.operations)

    return [looker]


@telling("statistics")
def _statistics(world: World, things: Things) -> Any:
    word = Word("w")

    async def looker(m: M) -> None:
        if m.randrange(2):
            await word.load()
        await m.pause()
        things.notes.append(word.statistics().operations)

    return [looker]


@telling("the World's statistics")
def _of_world(world: World, things: Things) -> Any:
    lock = world.mutex("p")

    async def locker(m: M) -> None:
        if m.randrange(2):
            await m.lock(lock)
            await m.unlock(lock)
        await m.pause()
        if world.statistics().lock("p").acquisitions > 0:
            things.notes.append(m.id)

    return [locker]


@telling("values")
def _values(world: World, things: Things) -> Any:
    async def keeper(m: M) -> None:
        await things.cells[0].store(m.randrange(2))

    return [keeper]


@telling("owner")
def _owner(world: World, things: Things) -> Any:
    async def taker(m: M) -> None:
        if m.randrange(2):
            await things.locks[0].acquire()
        await m.pause()

    async def trier(m: M) -> None:
        await things.cells[0].store(await things.locks[0].try_acquire())

    return [taker, trier]


@telling("event")
def _event(world: World, things: Things) -> Any:
    async def setter(m: M) -> None:
        if m.randrange(2):
            await things.events[0].set()
        await m.pause()

    return [setter]


@telling("sleepers")
def _sleepers(world: World, things: Things) -> Any:
    async def sleeper(m: M) -> None:
        await things.futex.wait(0)
        things.notes.append(f"M{m.id}")

    async def waker(m: M) -> None:
        await m.pause()
        if things.futex.waiting == 2:
            await things.futex.wake(1)

    return [sleeper, sleeper, waker]


@telling("buffer")
def _buffer(world: World, things: Things) -> Any:
    async def sender(m: M) -> None:
        await things.pipe.send(m.randrange(2))
        await m.pause()
        await things.cells[0].store(await things.pipe.recv())

    return [sender]


@telling("tickets")
def _tickets(world: World, things: Things) -> Any:
    async def sleeper(m: M) -> None:
        ticket = await things.waiters.add()
        if m.randrange(2):
            await things.waiters.wake(1)
        await m.pause()
        await things.waiters.sleep(ticket)

    return [sleeper]


@telling("program")
def _program(world: World, things: Things) -> Any:
    async def one(m: M) -> None:
        await things.cells[0].store(1)

    async def two(m: M) -> None:
        await things.cells[0].store(2)

    async def starter(m: M) -> None:
        async with world.open_ms() as ms:
            ms.start_soon(one if m.randrange(2) else two)

    return [starter]


@telling("one M")
def _one_m(world: World, things: Things) -> Any:
    async def adder(m: M) -> None:
        value = await things.cells[0].load()
        await things.cells[0].store(value + 1)

    return [adder, adder]


@telling("one value")
def _one_value(world: World, things: Things) -> Any:
    async def drawer(m: M) -> None:
        await things.cells[0].store(m.randrange(3))

    return [drawer]


@telling("lost")
def _lost(world: World, things: Things) -> Any:
    async def waiter(m: M) -> None:
        while not await things.cells[0].load():
            await m.pause()

    async def setter(m: M) -> None:
        if await things.cells[1].load():
            return  # and never sets what the other waits for
        await things.cells[0].store(1)

    async def writer(m: M) -> None:
        await things.cells[1].store(1)

    return [waiter, setter, writer]

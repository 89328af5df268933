"""Little programs by chance of Ms that wait for one another with a time, and how they can end."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, Final

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.controlled.every_order import EveryOrder
from gorun_mem.explore.target import Main, Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import (
    Chan,
    Cond,
    Event,
    FutexWord,
    Lock,
    RWLock,
    Semaphore,
    WaitGroup,
    Word,
    select,
)
from tests.explore.brute_force import Everything, every_run

Step = tuple[str, int | None]
"""What an M does, and the time it waits at most."""
Plan = tuple[tuple[Step, ...], ...]
Ends = set[tuple[Any, ...]]

WAITS: Final = (
    "wait", "down", "lock", "read", "write", "send", "recv", "select", "futex", "cond", "group",
)  # fmt: skip
OTHERS: Final = ("set", "clear", "up", "store", "late", "load", "wake", "signal", "add", "done")
SHAPES: Final = ((2, 2), (2, 1), (1, 1, 1), (2, 1, 1), (3, 1))


def drawn(seed: int, times: tuple[int | None, ...]) -> Plan:
    """The program of a seed.

    Args:
        seed: of what it does.
        times: among which that of a wait is drawn, in ns.
    """
    random = Random(seed)
    whats = (*random.sample(WAITS, 2), *random.sample(OTHERS, 2), random.choice(("set", "up")))
    return tuple([
        tuple([(random.choice(whats), random.choice(times)) for _ in range(size)])
        for size in random.choice(SHAPES)
    ])  # fmt: skip


def main_of(plan: Plan) -> Main:
    """The program, whose `results` say what each M saw."""

    async def main(world: World) -> None:
        things = Things()
        seen: list[tuple[int, list[Any]]] = []
        results: Any = world.results
        results["seen"], results["things"] = seen, things
        async with world.open_ms() as ms:
            for number, steps in enumerate(plan):
                ms.start_soon(_follow, number, steps, things, seen)

    return main


class Things:
    """What the Ms share."""

    def __init__(self) -> None:
        self.word, self.futex = Word("x"), FutexWord("f")
        self.event, self.semaphore, self.lock = Event("E"), Semaphore("S", 0), Lock("L")
        self.rw, self.chan, self.group = RWLock("R"), Chan("c"), WaitGroup("G")
        self.cond = Cond("C", Lock("CL"))
        self.added: Counter[int] = Counter()


async def _follow(m: M, number: int, steps: tuple[Step, ...], things: Things, seen: Any) -> None:
    mine: list[Any] = []
    seen.append((number, mine))
    for what, time_ns in steps:
        mine.append(await _do(what, time_ns, things, number))


async def _do(what: str, time_ns: int | None, on: Things, number: int) -> Any:
    if what == "wait":
        return await on.event.wait(time_ns)
    if what == "down":
        return await on.semaphore.acquire(time_ns)
    if what == "lock":
        taken = await on.lock.acquire(time_ns)
        if taken:
            await on.word.add(1)
            await on.lock.release()
        return taken
    if what == "read":
        taken = await on.rw.acquire_read(time_ns)
        if taken:
            await on.rw.release_read()
        return taken
    if what == "write":
        taken = await on.rw.acquire_write(time_ns)
        if taken:
            await on.rw.release_write()
        return taken
    if what == "send":
        return await on.chan.send(number, time_ns)
    if what == "recv":
        return await on.chan.recv(time_ns)
    if what == "select":
        return tuple(await select(on.chan.recv(), on.chan.send(number), timeout_ns=time_ns))
    if what == "futex":
        return await on.futex.wait(0, time_ns)
    if what == "cond":
        async with on.cond.lock:  # type: ignore[attr-defined]
            return await on.cond.wait(time_ns)
    if what == "group":
        return await on.group.wait(time_ns)
    return await _go(what, on, number)


async def _go(what: str, on: Things, number: int) -> Any:
    if what == "set":
        await on.event.set()
    elif what == "clear":
        await on.event.clear()
    elif what == "up":
        await on.semaphore.release()
    elif what == "store":
        await on.word.store(number + 1)
    elif what == "late":
        await on.word.store_release(number + 1)
    elif what == "load":
        return await on.word.load()
    elif what == "wake":
        await on.futex.wake(1)
    elif what == "signal":
        await on.cond.signal()
    elif what == "add":
        await on.group.add(1)
        on.added[number] += 1
    elif on.added[number]:  # of one's own: a look at the group's count would be no step
        on.added[number] -= 1
        await on.group.done()
    return None


class EndsSeen:
    """A detector that notes how runs end."""

    name = "ends"
    looks = False

    def __init__(self) -> None:
        self.ends: Ends = set()

    def begin(self, world: World) -> None:
        self._world = world

    def step(self, *step: Any) -> None:
        """Not asked."""

    def end(self, world: World) -> tuple[()]:
        results: Any = world.results
        seen = tuple(sorted((number, tuple(map(repr, mine))) for number, mine in results["seen"]))
        things: Things = results["things"]
        self.ends.add((type(world.failure).__name__, seen, things.word.value, len(things.chan)))
        return ()


def every_end(target: Target, most: int, eager: bool) -> Ends:
    """How a program can end, by brute force.

    Raises:
        TooMany: there are more interleavings than `most`.
    """
    seen = EndsSeen()
    every_run(target, Everything(eager), most, [seen])
    return seen.ends


def searched(target: Target) -> tuple[Batch, Ends]:
    """What the exhaustive search sees, in every order where timers fire at their time."""
    seen = EndsSeen()
    worker = Worker(target, [lambda: seen], steps_max=2_000, failures_max=1 << 30)
    batch = worker.tree("exhaustive")
    if batch.keeps_time:
        assert not batch.complete
        seen.ends.clear()
        batch = Batch(keeps_time=True)
        batch.complete = worker.climb(batch, EveryOrder(), Random(0), None)
    return batch, seen.ends


def target_of(plan: Plan, memory: str, faults: tuple[str, ...]) -> Target:
    """A program of Ms that wait, to be searched."""
    return Target.of(main_of(plan), Config(ms=2, mutex="queue", memory=memory, faults=faults))

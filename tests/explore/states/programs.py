"""Programs by chance for the search of states, and every end that brute force finds of them.

What an M does is a plan, as in `tests.explore.brute_force`; here an M notes nothing of what it
reads but the latest value, so that different ways lead to one state, as in programs of people.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from gorun_mem import KiB
from gorun_mem.explore.batch import Batch
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.states.visit import visit
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import (
    Cell,
    Chan,
    Event,
    FutexWord,
    Lock,
    NotifyList,
    RWLock,
    Semaphore,
    WaitGroup,
    Word,
)
from tests.explore.brute_force import Everything, TooMany

STEPS_MAX = 300
"""Of a run, after which it counts as without progress."""

Main = Callable[[World], Coroutine[Any, Any, None]]
Plan = tuple[Any, ...]


class Things:
    """What the Ms of a program share; `last` is what each has read last, `heap` what it has."""

    def __init__(self) -> None:
        self.cells: list[Cell | Word] = [Word("x"), Cell("y")]
        self.locks = [Lock("K"), Lock("L")]
        self.events = [Event("E"), Event("F")]
        self.waiters = NotifyList("C")
        self.guard = RWLock("R")
        self.permits = Semaphore("S", 1)
        self.pipe = Chan("P", 1)
        self.group = WaitGroup("G")
        self.futex = FutexWord("W")
        self.notes: list[Any] = []
        self.last: dict[int, Any] = {}
        self.heap: dict[int, list[tuple[int, int]]] = {}


async def word_step(kind: str, args: list[Any], last: Any, things: Things) -> Any:
    """Do an operation on a word; what was read last."""
    cell: Any = things.cells[args[0]]
    if kind == "load":
        return await cell.load()
    if kind == "store":
        await cell.store(args[1])
    elif kind == "copy":
        await cell.store(last)
    elif isinstance(cell, Cell):
        value = await cell.load()
        await cell.store(value + args[-1])
        return value
    elif kind == "add":
        return await cell.add(args[1])
    else:
        return int(await cell.cas(args[1], args[2]))
    return last


async def kit_step(kind: str, args: list[Any], last: Any, things: Things) -> Any:
    """Do an operation on what Ms wait for; what was read last."""
    if kind == "lock":
        await things.locks[args[0]].acquire()
    elif kind == "unlock":
        await things.locks[args[0]].release()
    elif kind == "try":
        return int(await things.locks[args[0]].try_acquire())
    elif kind == "set":
        await things.events[args[0]].set()
    elif kind == "clear":
        await things.events[args[0]].clear()
    elif kind == "wait":
        await things.events[args[0]].wait()
    elif kind == "sleep":
        await things.waiters.sleep(await things.waiters.add())
    elif kind == "wake":
        await things.waiters.wake(args[0])
    elif kind == "read":
        async with things.guard.reading():
            return await things.cells[0].load()
    elif kind == "write":
        async with things.guard.writing():
            await things.cells[0].store(args[0])
    elif kind == "down":
        await things.permits.acquire()
    elif kind == "up":
        await things.permits.release()
    elif kind == "send":
        await things.pipe.send(args[0])
    elif kind == "receive":
        return await things.pipe.recv()
    elif kind == "futex.wait":
        return int(await things.futex.wait(args[0]))
    elif kind == "futex.wake":
        await things.futex.store(args[0])
        await things.futex.wake(1)
    else:
        raise AssertionError(kind)
    return last


async def world_step(world: World, m: M, kind: str, args: list[Any], things: Things) -> Any:
    """Do an operation of the World's; what was read last."""
    mine = things.heap.setdefault(m.id, [])
    if kind == "alloc":
        size = args[0] * KiB
        addr = await m.sys_alloc_os(size)
        mine.append((addr, size))
        return addr
    if kind == "free" and mine:
        await m.sys_free_os(*mine.pop(args[0] % len(mine)))
    elif kind == "poke" and mine:
        await m.store(mine[-1][0], args[0])
    elif kind == "peek" and mine:
        return await m.load(mine[0][0])
    elif kind == "memlock":
        mutex = world.mutex("p")
        await m.lock(mutex)
        value = await things.cells[1].load()
        await things.cells[1].store(value + 1)
        await m.unlock(mutex)
    elif kind == "yield":
        await m.pause()
    elif kind == "choose":
        return await m.choose(*range(args[0]))
    elif kind == "draw":
        return m.randrange(args[0])
    return 0


WORDS = ("load", "store", "copy", "add", "cas")
WAITS = (
    "lock", "unlock", "try", "set", "clear", "wait", "sleep", "wake", "read", "write", "down", "up",
    "send", "receive", "futex.wait", "futex.wake",
)  # fmt: skip
MEMORY = ("alloc", "free", "poke", "peek")


async def follow(world: World, m: M, plan: Plan, things: Things, last: Any = 0) -> Any:
    """Do what `plan` says; what was read last."""
    for kind, *args in plan:
        if kind in WORDS:
            last = await word_step(kind, args, last, things)
        elif kind in WAITS:
            last = await kit_step(kind, args, last, things)
        elif kind == "if":
            last = await follow(world, m, args[1] if last == args[0] else args[2], things, last)
        elif kind == "repeat":
            for number in range(args[0]):
                last = await follow(world, m, args[1], things, last)
                if last == number:
                    break
        elif kind == "until":  # a spin with a bound
            tries = 0
            while (last := await things.cells[args[0]].load()) != args[1] and tries < args[2]:
                tries += 1
        elif kind == "note":
            things.notes.append(last)
        elif kind == "fail":
            assert last != args[0], f"read {last}"
        else:
            last = await world_step(world, m, kind, args, things)
    return last


def main_of(plans: Sequence[Plan]) -> Main:
    """A program whose Ms follow `plans`."""

    async def main(world: World) -> None:
        things = Things()
        results: Any = world.results
        results["things"] = things

        async def run(m: M, plan: Plan) -> None:
            things.last[m.id] = await follow(world, m, plan, things)

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(run, plan)

    return main


class Ends:
    """A detector that notes how runs end: what failed, and what everything holds.

    Attributes:
        found: each different end.
    """

    name = "ends"

    def __init__(self) -> None:
        self.found: set[Any] = set()

    def begin(self, world: World) -> None:
        """Nothing."""

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        """Nothing."""

    def end(self, world: World) -> tuple[()]:
        """Note it."""
        things: Any = world.results.get("things")
        failure = world.failure
        text = str(failure) if isinstance(failure, AssertionError) else ""
        stuck = tuple([(one.m, one.waits_for) for one in world.driver.stuck_at_end])
        memory: Any = ()
        if world.is_booted:
            seen = world.snapshot()
            live = tuple([(low, size) for low, size, _ in seen.live])
            memory = (seen.bloc, seen.bloc_max, seen.free, live)
        self.found.add((
            type(failure).__name__, text, stuck, memory,
            tuple([one.value for one in things.cells]),
            tuple([one.owner.id if one.owner else -1 for one in things.locks]),
            tuple([one.happened for one in things.events]),
            things.permits.value, things.futex.value,
            tuple(things.notes), tuple(sorted(things.last.items())),
        ))  # fmt: skip
        return ()


def target_of(plans: Sequence[Plan], **config: Any) -> Target:
    """The program of some plans."""
    return Target.of(main_of(plans), Config(**{"ms": 2, "mutex": "queue", **config}))


def brute_ends(target: Target, most: int) -> set[Any]:
    """Every end there is, by every interleaving.

    Raises:
        TooMany: there are more than `most`.
    """
    ends, everything = Ends(), Everything(eager=False)
    count = 0
    while everything.next_run():
        count += 1
        if count > most:
            raise TooMany
        done = run_once(target, everything, detectors=[ends], steps_max=STEPS_MAX)
        done.world.driver.dissolve()
        if not everything.tape:
            break  # there was nothing to choose
    return ends.found


def visited(target: Target, make: Any = None) -> tuple[Batch, set[Any]]:
    """What the search of states makes of a program, and every end that it has seen."""
    ends = Ends()
    worker = Worker(target, [lambda: ends], steps_max=STEPS_MAX, failures_max=1 << 30)
    batch = Batch()
    batch.complete = visit(worker, batch, *([make] if make is not None else []))
    return batch, ends.found


FLAVOURS = (
    ("load", "store", "copy", "add", "cas", "load", "if"),
    ("load", "store", "lock", "unlock", "try", "add", "if", "repeat"),
    ("load", "set", "wait", "clear", "store", "sleep", "wake", "if"),
    ("read", "write", "down", "up", "send", "receive", "load", "copy"),
    ("futex.wait", "futex.wake", "cas", "load", "until", "store"),
    ("alloc", "free", "poke", "peek", "alloc", "free", "load"),
    ("memlock", "alloc", "store", "draw", "choose", "if", "note"),
    ("load", "add", "until", "repeat", "note", "fail", "yield", "choose"),
)


def draw_plan(random: Random, kinds: Sequence[str], size: int, depth: int = 0) -> Plan:
    """Some `size` operations by chance."""
    ops: list[Any] = []
    for _ in range(size):
        kind = random.choice(kinds)
        if depth > 1 and kind in ("if", "repeat"):
            kind = "load"
        few = random.randrange(2)
        args: tuple[Any, ...] = (few,)
        if kind in ("store", "add"):
            args = (few, random.choice((1, 2)))
        elif kind == "cas":
            args = (few, random.choice((0, 1)), random.choice((1, 2)))
        elif kind in ("wake", "choose", "draw"):
            args = (2,)
        elif kind == "if":
            then, other = (draw_plan(random, kinds, 1, depth + 1) for _ in range(2))
            args = (few, then, other)
        elif kind == "repeat":
            args = (2, draw_plan(random, kinds, 1, depth + 1))
        elif kind == "until":
            args = (few, 1, random.choice((1, 2)))
        elif kind == "alloc":
            args = (random.choice((4, 8, 64)),)
        ops.append((kind, *args))
    return tuple(ops)


SHAPES = ((2, 2), (3, 2), (3, 3), (1, 2), (1, 1, 1), (2, 1, 1), (4, 2))


def draw_program(seed: int) -> list[Plan]:
    """The program of a seed: 2 to 3 Ms."""
    random = Random(seed)
    shape = random.choice(SHAPES)
    kinds = random.choice(FLAVOURS)
    return [draw_plan(random, kinds, size) for size in shape]

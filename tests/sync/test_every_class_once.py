"""Programs by chance over the kit: the exhaustive search runs every class, none twice.

Held against all interleavings, which know nothing of the search (`tests.explore.brute_force`).
GORUN_MEM_PROGRAMS=20000 holds so many programs against it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from gorun_mem import M, World
from gorun_mem.explore.checking import check_operations
from gorun_mem.explore.target import Target
from gorun_mem.sync import (
    Chan,
    Event,
    FutexWord,
    Lock,
    NotifyList,
    RWLock,
    Semaphore,
    WaitGroup,
    select,
)
from tests.explore.brute_force import Main, Plan, TooMany, brute_force, search

PROGRAMS = int(os.environ.get("GORUN_MEM_PROGRAMS", 300))
MOST = 120
SHAPES = ((2, 3), (2, 2), (3, 3), (1, 2, 2), (1, 1, 2), (1, 1, 1, 1), (4, 2))

RW = ("read", "read", "write", "try_read", "try_write")
COUNTING = ("down", "up", "try_down", "add", "done", "group")
CHANNELS = ("send", "recv", "send", "recv", "select", "select_default", "close")
CLOSED = {"send": "recv", "select": "select_recv", "select_default": "select_recv"}
"""What stands for what would throw on a closed channel: a throw ends a run in the middle."""
OTHERS = ("lock", "try", "set", "unset", "wait", "futex_wait", "futex_wake", "sleep", "wake")
FLAVOURS = (RW, RW + OTHERS, COUNTING, COUNTING + OTHERS, CHANNELS, CHANNELS, CHANNELS + OTHERS)


class Kit:
    """What the Ms of a program share."""

    def __init__(self, count: int) -> None:
        self.rw = RWLock("rw")
        self.lock = Lock("lock")
        self.sem = Semaphore("sem", 1)
        self.group = WaitGroup("group")
        self.group.count = count
        self.event = Event("event")
        self.futex = FutexWord("futex")
        self.list = NotifyList("list")
        self.chans = [Chan("a"), Chan("b", 1)]
        self.seen: list[Any] = []
        self.drawn: list[Any] = []


async def do(kit: Kit, kind: str, on: int) -> Any:
    """One operation of a plan, with what gives it back."""
    if kind == "read":
        async with kit.rw.reading():
            return None
    if kind == "write":
        async with kit.rw.writing():
            return None
    if kind == "try_read":
        if await kit.rw.try_acquire_read():
            await kit.rw.release_read()
            return True
        return False
    if kind == "try_write":
        return await kit.rw.try_acquire_write()
    if kind == "lock":
        async with kit.lock:
            return None
    if kind == "sleep":
        return await kit.list.sleep(await kit.list.add())
    chan, other = kit.chans[on], kit.chans[1 - on]
    if kind == "select_recv":
        return await select(chan.recv(), other.recv())
    if kind.startswith("select"):
        return await select(
            chan.recv(), other.send(on), chan.send(2), default=kind == "select_default"
        )
    made = {
        "try": kit.lock.try_acquire, "down": kit.sem.acquire, "up": kit.sem.release,
        "try_down": kit.sem.try_acquire, "add": lambda: kit.group.add(1), "done": kit.group.done,
        "group": kit.group.wait, "set": kit.event.set, "unset": kit.event.clear,
        "wait": kit.event.wait, "futex_wait": lambda: kit.futex.wait(0),
        "futex_wake": lambda: kit.futex.wake(1), "wake": lambda: kit.list.wake(1),
        "send": lambda: chan.send(on), "recv": chan.recv, "close": chan.close,
    }  # fmt: skip
    return await made[kind]()


def main_of(plans: Sequence[Plan]) -> Main:
    """A program whose Ms follow `plans`."""

    async def main(world: World) -> None:
        kit = Kit(sum(kind == "done" for plan in plans for kind, _ in plan))
        results: Any = world.results
        results["end"], results["drawn"] = kit.seen, kit.drawn

        async def follow(m: M, name: int, plan: Plan) -> None:
            for number, (kind, on) in enumerate(plan):
                got = await do(kit, kind, on)
                kit.seen.append((name, number, got))
                if kind.startswith("select"):
                    kit.drawn.append((name, number, got))

        async with world.open_ms() as ms:
            for name, plan in enumerate(plans):
                ms.start_soon(follow, name, plan)

    return main


def draw(seed: int) -> list[Plan]:
    """The program of a seed."""
    random = Random(seed)
    kinds = random.choice(FLAVOURS)
    plans = [
        [(random.choice(kinds), random.randrange(2)) for _ in range(size)]
        for size in random.choice(SHAPES)
    ]
    if any(kind == "close" for plan in plans for kind, _ in plan):
        closed: set[int] = set()
        for plan in plans:
            for number, (kind, on) in enumerate(plan):
                again = kind == "close" and on in closed
                closed |= {on} if kind == "close" else set()
                plan[number] = ("recv" if again else CLOSED.get(kind, kind), on)
    return [tuple(plan) for plan in plans]


def difference(seed: int) -> str | None:
    """What is wrong with the search of the program of a seed; None: too many interleavings."""
    plans = draw(seed)
    try:
        _, classes, ends = brute_force(main_of(plans), MOST)
    except TooMany:
        return None
    batch, kept, kept_ends = search(main_of(plans))
    lost, more = len(classes.keys() - kept.keys()), len(kept.keys() - classes.keys())
    twice = sum(times - 1 for times in kept.values())
    if batch.complete and kept_ends == ends and not lost + more + twice:
        return f"in vain {batch.redundant}" if batch.redundant else ""
    return f"seed {seed}: {len(classes)} classes, {lost} lost, {more} more, {twice} twice: {plans}"


@pytest.mark.parametrize("chunk", range(4))
def test_random_programs_lose_no_class_and_run_none_twice(chunk: int) -> None:
    """The same classes with the same ends as all interleavings."""
    compared, seed = 0, chunk * 1_000_000
    while compared < PROGRAMS // 4:
        found = difference(seed)
        seed += 1
        if found is None:
            continue
        compared += 1
        assert found == ""


def test_every_operation_says_what_it_touches() -> None:
    """Two that say they are independent give the same in either order."""
    pairs = 0
    classes: set[str] = set()
    for seed in range(60):
        checked = check_operations(Target.of(main_of(draw(seed))), runs=2, seed=seed)
        assert checked.lies == [], seed
        pairs += checked.pairs
        classes |= {name.rpartition(".")[2] for name in checked.classes}
    assert pairs > 100
    assert {"Entry", "Visit", "Effect", "SendOp", "RecvOp", "_FutexWait", "_Sleep"} <= classes

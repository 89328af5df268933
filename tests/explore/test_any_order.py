"""The any-order lock in the place of a real one: programs lose no end by it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import pytest

from gorun_mem.explore import explore
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex import MUTEXES, default_mutex
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.sync import Cell
from tests.explore.brute_force import Everything

Main = Callable[[World], Coroutine[Any, Any, None]]
Section = tuple[str, tuple[tuple[Any, ...], ...]]
"""A lock, "" for none, and what is done while it is held."""
Plan = tuple[Section, ...]
Ends = set[Any]

REAL = tuple(name for name, entry in MUTEXES.items() if entry.several_ms and entry.excludes
             and name != "any")  # fmt: skip


def draw_section(random: Random, depth: int) -> Section:
    lock = random.choice(("K", "L")) if depth or random.random() < 0.85 else ""
    ops: list[tuple[Any, ...]] = []
    for _ in range(random.randint(1, 2)):
        kind = random.choice(("load", "copy", "add", "store", "if", "nest"))
        if kind == "nest":
            if depth:
                continue
            inner = draw_section(random, 1)
            ops.append(("nest", inner if inner[0] != lock else ("", inner[1])))
        else:
            ops.append((kind, random.choice("xy"), random.choice((1, 2))))
    return lock, tuple(ops)


def draw_program(seed: int) -> list[Plan]:
    random = Random(seed)
    shape = random.choice(((1, 1), (2, 1), (1, 1, 1), (2, 2)))
    return [tuple(draw_section(random, 0) for _ in range(size)) for size in shape]


async def follow(world: World, m: M, section: Section, cells: dict[str, Cell], seen: Any) -> None:
    lock, ops = section
    mutex = world.mutex(lock) if lock else None
    if mutex is not None:
        await mutex.lock("test")
    last = 0
    for kind, *args in ops:
        if kind == "nest":
            await follow(world, m, args[0], cells, seen)
            continue
        cell, value = cells[args[0]], args[1]
        if kind == "load":
            last = await cell.load()
        elif kind == "copy":
            await cell.store(last * 3 + value)
        elif kind == "add":
            last = await cell.add(value)  # type: ignore[attr-defined]
        elif kind == "store":
            await cell.store(value * 10 + m.id)
        elif await cell.load() % 2 == 0:
            await cell.store(value + 100)
        seen.append((m.id, kind, last))
    if mutex is not None:
        await mutex.unlock("test")


def main_of(plans: Sequence[Plan]) -> Main:
    """A program whose Ms take locks and touch two cells; what it came to is its results."""

    async def main(world: World) -> None:
        cells = {name: Cell(name) for name in "xy"}
        seen: list[Any] = []
        results: Any = world.results
        results["cells"], results["seen"] = cells, seen

        async def worker(m: M, plan: Plan) -> None:
            for section in plan:
                await follow(world, m, section, cells, seen)

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(worker, plan)

    return main


def end_of(world: World) -> Any:
    """What each M saw, in its order; what is left; whether it deadlocked."""
    results: Any = world.results
    seen = sorted(results["seen"], key=lambda each: each[0])
    cells = tuple(sorted((name, cell.value) for name, cell in results["cells"].items()))
    return tuple(seen), cells, type(world.failure).__name__


NO_END: Final = "NoProgress"
"""How a run ends in which Ms spin and the one that they wait for has no turn; `any` never spins."""


class TooMany(Exception):
    """There are more interleavings than were to be run."""


def every_end(main: Main, mutex: str, most: int) -> Ends:
    """The ends of all interleavings, by walking through them one after another."""
    target = Target.of(main, Config(ms=3, cpus=1, mutex=mutex))
    everything, ends, runs = Everything(), set(), 0
    while everything.next_run():
        runs += 1
        if runs > most:
            raise TooMany
        world = run_once(target, everything).world
        ends.add(end_of(world))
        world.driver.dissolve()
    return ends


def some_ends(main: Main, mutex: str, runs: int, cpus: int) -> Ends:
    """The ends of random runs."""
    target = Target.of(main, Config(ms=3, cpus=cpus, mutex=mutex))
    ends = set()
    for seed in range(runs):
        world = run_once(target, RandomWalk(seed)).world
        ends.add(end_of(world))
        world.driver.dissolve()
    return ends


@lru_cache
def programs(count: int, first: int = 0) -> Sequence[tuple[int, Main, Ends]]:
    """So many random programs, with all their ends over `any`."""
    found = []
    for seed in range(first, first + 100 * count):
        plans = draw_program(seed)
        main = main_of(plans)
        try:
            ends = every_end(main, "any", 600)
        except TooMany:
            continue
        if len(ends) > 1:
            found.append((seed, main, ends))
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("mutex", REAL)
def test_no_end_is_lost(mutex: str) -> None:
    """60 random programs of 2 and 3 Ms with nested sections: however they end over a real lock, in
    100 random runs on 1 CPU and 100 on 4, they end so over `any` in some of all interleavings."""
    deadlocks = several = 0
    for seed, main, ends in programs(60):
        for cpus in (1, 4):
            real = {end for end in some_ends(main, mutex, 100, cpus) if end[2] != NO_END}
            assert real <= ends, f"seed {seed}, {cpus} CPUs: {real - ends}"
            several += len(real) > 1
            deadlocks += any(end[2] == "DeadlockFound" for end in real)
    assert several > 60
    assert deadlocks > 1


def test_all_ends_over_a_queue() -> None:
    """The same with every interleaving over `queue`, whose trees are small enough."""
    compared = 0
    for seed, main, ends in programs(40, first=50_000):
        try:
            real = every_end(main, "queue", 1500)
        except TooMany:
            continue
        compared += 1
        assert real <= ends, f"seed {seed}"
    assert compared > 15


def test_a_lock_that_does_not_exclude_has_other_ends() -> None:
    """The comparison can fail: with no lock some program ends in ways that `any` does not have."""
    lost = sum(
        not some_ends(main, "none", 100, 1) <= ends for _, main, ends in programs(40)
    )  # fmt: skip
    assert lost > 10


async def two_pairs(world: World) -> None:
    """Two Ms, one lock, two pairs each."""
    lock = world.mutex("memlock")

    async def worker(m: M) -> None:
        for _ in range(2):
            await lock.lock("test")
            await lock.unlock("test")

    async with world.open_ms() as ms:
        ms.start_soon(worker)
        ms.start_soon(worker)


def test_what_it_spares() -> None:
    """6 schedules, where a queue has 38 and sema on one CPU has 11,142, of which 2,000 are run."""

    def found(mutex: str) -> Any:
        config = Config(ms=2, cpus=1, mutex=mutex)
        return explore(two_pairs, config=config, strategy="exhaustive", budget=2000)

    assert (found("any").verdict, found("any").statistics.schedules) == ("exhausted", 6)
    assert (found("queue").verdict, found("queue").statistics.schedules) == ("exhausted", 38)
    assert (found("sema").verdict, found("sema").statistics.schedules) == ("inconclusive", 2000)


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({"release": "go1.22", "platform": "plan9/amd64"},
         "gorun-mem verify sema --release go1.22 --ms 2 --cpus 4"),
        ({"release": "go1.27"}, "gorun-mem verify spinbit --release go1.27 --ms 2 --cpus 4"),
        ({"release": "go1.23", "platform": "js/wasm", "cpus": 1},
         "gorun-mem verify sema --release go1.23 --ms 2 --cpus 1"),
        ({"release": "go1.27", "ms": 9},
         "gorun-mem verify spinbit --release go1.27 --ms 4 --cpus 4"),
    ],
)  # fmt: skip
def test_the_verdict_says_what_it_stands_on(settings: dict[str, Any], command: str) -> None:
    """Both in the sentence and in the document, with the lock that the release has there."""
    given: dict[str, Any] = {"ms": 2, "mutex": "any"} | settings
    found = explore(two_pairs, config=Config(**given))
    assert f"stands on what `{command}` finds of the lock in its place" in found.sentence
    assert found.document()["world"]["stands_on"] == command
    release = settings["release"]
    assert default_mutex(release, settings.get("platform", "plan9/amd64"), 2) in command


def test_other_verdicts_stand_on_nothing() -> None:
    """With a real lock there is nothing in another's place."""
    found = explore(two_pairs, config=Config(ms=2, mutex="queue"), budget=5, strategy="pos")
    assert "stands on" not in found.sentence
    assert found.document()["world"]["stands_on"] is None

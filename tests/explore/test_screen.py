"""The screen against the detectors: no run in which these find something passes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.detectors.races import Races
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.taped import STEPS_MAX
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.pos import Pos
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.sync import Cell, Event, Lock
from tests.explore.brute_force import Main, draw_plan, main_of

PROGRAMS = 250
RUNS = 8


class Unscreened:
    """A detector that looks at every run."""

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._inner = make()
        self.name = self._inner.name

    def __getattr__(self, name: str) -> Any:
        if name == "screened":
            return False
        return getattr(self._inner, name)


def unscreened(make: Callable[[], Detector]) -> Callable[[], Any]:
    return lambda: Unscreened(make)


def compared(target: Target, runs: int, seed: int) -> tuple[int, int]:
    """The same schedules with a screen and without: how many runs failed, and by findings alone.

    Raises:
        AssertionError: one ended differently.
    """
    screened = Worker(target, DEFAULT_DETECTORS, steps_max=2_000)
    every = Worker(target, [unscreened(make) for make in DEFAULT_DETECTORS], steps_max=2_000)
    failed = found = 0
    for number in range(runs):
        ends = []
        for worker in (screened, every):
            strategy = Pos() if number % 2 else SearchingWalk()
            strategy.begin(Random(f"{seed}/{number}"), worker.profile)
            done = worker.run(strategy)
            ends.append((done.signature, done.tape, [one.text for one in done.findings]))
            failure = done.world.failure
        assert ends[0] == ends[1], (seed, number)
        failed += ends[0][0] is not None
        found += ends[0][0] is not None and failure is None
    return failed, found


def layered(random: Random) -> Main:
    """A program by chance with runtime mutexes, memory that changes hands, locks and cells."""
    plans = [
        [
            (random.choice("lLcCcmmafwrb"), random.randrange(2), random.random() < 0.9)
            for _ in range(random.randint(2, 5))
        ]
        for _ in range(random.randint(2, 3))
    ]
    none = random.random() < 0.15

    async def main(world: World) -> None:
        mutexes = [world.mutex("one"), world.mutex("two")]
        locks = [Lock("K"), Lock("L")]
        cells = [Cell("x"), Cell("y")]
        event = Event("E")
        blocks: list[int] = [await world.main.sys_alloc(64 * 1024)]
        await cells[0].store(1)

        async def follow(m: M, plan: list[tuple[str, int, bool]]) -> None:
            for number, (kind, on, back) in enumerate(plan):
                if kind == "l":
                    await m.lock(mutexes[on])
                    await follow(m, plan[number + 1 :])
                    if back:
                        await m.unlock(mutexes[on])
                    return
                if kind == "L":
                    await locks[on].acquire()
                    await follow(m, plan[number + 1 :])
                    if back:
                        await locks[on].release()
                    return
                if kind == "c":
                    await cells[on].load()
                elif kind == "C":
                    await cells[on].store(number)
                elif kind == "m" and blocks:
                    await m.store(blocks[0] + 8 * on, number)
                elif kind == "r" and blocks:
                    await m.load(blocks[-1] + 8 * on)
                elif kind == "a":
                    blocks.append(await m.sys_alloc(64 * 1024))
                elif kind == "f" and blocks:
                    await m.sys_free(blocks.pop(), 64 * 1024)
                elif kind == "w":
                    await event.set()
                elif kind == "b" and event.happened:
                    await event.wait()

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(follow, plan)
        await cells[1].load()

    main.__qualname__ = "none" if none else "usual"
    return main


def test_random_programs_end_the_same_with_a_screen_and_without() -> None:
    """Signatures, findings and their texts are the same, run by run, on random programs."""
    failed = found = runs = 0
    for seed in range(PROGRAMS):
        random = Random(seed)
        plans = [draw_plan(random, random.randint(2, 6), 2) for _ in range(random.randint(2, 3))]
        some = compared(Target.of(main_of(plans), Config(ms=2, mutex="queue")), RUNS, seed)
        failed, found, runs = failed + some[0], found + some[1], runs + RUNS
    assert found > runs // 20
    assert failed < runs * 0.9


def test_programs_of_locks_and_memory_end_the_same() -> None:
    """Likewise with runtime mutexes of several kinds, and memory that changes hands."""
    failed = found = runs = 0
    for seed in range(PROGRAMS):
        random = Random(f"layered/{seed}")
        main = layered(random)
        mutex = "none" if main.__qualname__ == "none" else random.choice(("queue", "sema", "futex"))
        granularity = "access" if mutex == "none" and random.random() < 0.4 else "sync"
        config = Config(ms=2, mutex=mutex, granularity=granularity, cpus=random.choice((1, 4)))
        some = compared(Target.of(main, config), RUNS, seed)
        failed, found, runs = failed + some[0], found + some[1], runs + RUNS
    assert found > runs // 20
    assert failed < runs * 0.95


def test_every_kernel_ends_the_same() -> None:
    """The kernels and their twins, with every detector, screened and not."""
    failed = []
    for seed, kernel in enumerate(KERNELS.values()):
        failed.append(compared(kernel.target(), 24, seed)[0] > 0)
        assert compared(kernel.twin(), 12, seed) == (0, 0), kernel.fixed.__name__
    assert sum(failed) > len(KERNELS) * 3 // 4


def ordered_by_an_event(ms: int, rounds: int) -> Main:
    """Plain data that an event and atomic words order, and no lock: no race."""

    async def main(world: World) -> None:
        cells = [Cell(f"x{number}") for number in range(ms)]
        events = [Event(f"E{number}") for number in range(ms)]

        async def link(m: M, number: int) -> None:
            if number:
                await events[number - 1].wait()
                await cells[number - 1].load()
            for _ in range(rounds):
                await cells[number].store(await cells[number].load() + 1)
            await events[number].set()

        async with world.open_ms() as started:
            for number in range(ms):
                started.start_soon(link, number)

    return main


def test_clocks_are_kept_where_locks_are_not_enough() -> None:
    """A run that was suspected for nothing is looked at twice once, and the next ones are not."""
    target = Target.of(ordered_by_an_event(3, 2), Config(ms=2))
    looked = 0
    begin = Races.begin

    class Counted(Races):
        def begin(self, world: World) -> None:
            nonlocal looked
            looked += 1
            begin(self, world)

    worker = Worker(target, [Counted], steps_max=STEPS_MAX)
    batch = worker.draw("random", 0, 64)
    assert batch.schedules == 64
    assert batch.found == []
    # The sampled run is looked at by itself, and one was suspected.
    assert looked == 2


def rate(worker: Worker, runs: int) -> float:
    start = time.process_time()
    worker.draw("random", 0, runs)
    return runs / (time.process_time() - start)


def test_detectors_leave_most_of_the_rate() -> None:
    """With all detectors a search makes half the schedules it makes without, and more.

    `bench explore` asks for 0.6; a test among others leaves room for what else the machine does.
    """

    async def main(world: World) -> None:
        cell, lock = Cell("x"), Lock("L")

        async def add(m: M) -> None:
            for _ in range(10):
                await lock.acquire()
                await cell.store(await cell.load() + 1)
                await lock.release()

        async with world.open_ms() as ms:
            for _ in range(4):
                ms.start_soon(add)

    target = Target.of(main, Config(ms=4))
    bare = Worker(target, steps_max=STEPS_MAX)
    all_looking = Worker(target, DEFAULT_DETECTORS, steps_max=STEPS_MAX)
    ratios = [rate(all_looking, 64) / rate(bare, 64) for _ in range(5)]
    assert max(ratios) > 0.5

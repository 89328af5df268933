"""One seed is one load: what an M draws is its own, whatever lock, schedule and host it meets."""

from itertools import product
from typing import Any

import pytest
import trio

from gorun_mem import M, World
from gorun_mem.explore import explore, replay
from gorun_mem.explore.target import Target
from gorun_mem.machine import library
from gorun_mem.machine.config import Config
from gorun_mem.machine.run import run
from gorun_mem.machine.scenario import scenario
from gorun_mem.machine.trampoline import drive
from gorun_mem.runtime.mutex import MUTEXES
from gorun_mem.step.schedule import Schedule
from gorun_mem.step.strategies import for_runs
from gorun_mem.step.streams import stream
from tests.machine.machine_workloads import HOSTS, logged

SEVERAL_M = sorted(name for name, lock in MUTEXES.items() if lock.several_ms)


def load_of(**settings: Any) -> Any:
    """What each M draws under a contended lock, by the names that the Ms have in the program."""
    drawn = {}

    async def child(m: M, name: str, lock: str) -> None:
        drawn[name] = [m.randrange(1000)]
        await m.lock(lock)  # type: ignore[arg-type]
        drawn[name].append(await m.choose(*range(1000)))
        await m.unlock(lock)  # type: ignore[arg-type]

    async def worker(m: M, name: str, lock: str, nursery: trio.Nursery) -> None:
        drawn[name] = []
        for turn in range(3):
            await m.lock(lock)  # type: ignore[arg-type]
            drawn[name].append(m.choice(*range(1000)))
            await m.compute(300)
            await m.unlock(lock)  # type: ignore[arg-type]
            # Which of them starts its M first is the schedule's, and so are the Ms' numbers.
            nursery.start_soon(child, f"{name}{turn}", lock)  # type: ignore[arg-type]

    async def program(world: World) -> None:
        """Ms that draw data where they meet, and start Ms that do."""
        lock = world.mutex("l")
        async with world.open_ms() as nursery:
            for name in "abc":
                nursery.start_soon(worker, name, lock, nursery)

    host = settings.pop("host", "trampoline")
    done = run(scenario(ms=3)(program), Config(ms=3, **settings), host=host)
    assert done.outcome.ok, done.outcome
    return drawn


def test_one_seed_is_one_load_under_every_lock_strategy_and_host() -> None:
    """Locks that draw lots and locks that do not, schedules that draw and those that count: the
    data of every M is the same."""
    expected = load_of(mutex="queue")
    assert len(expected) == 12
    for mutex, strategy, host in product(SEVERAL_M, for_runs(), HOSTS):
        got = load_of(mutex=mutex, strategy=strategy, host=host)
        assert got == expected, (mutex, strategy, host)


def test_the_storm_asks_for_the_same_blocks_under_every_lock() -> None:
    """memlock_storm: each M allocates the same sizes in the same order, whatever the mutex; so what
    `--mutex` changes in a report is the lock's doing."""
    storm = library.find("memlock_storm")

    def blocks(**settings: Any) -> Any:
        asked: dict[Any, Any] = {}
        for event in logged(storm, ms=4, seed=3, **settings).events:
            if event.name == "mem.call" and event.fn == "sysAllocOS":
                asked.setdefault(event.m, []).append(event.n)
        return asked

    expected = blocks(mutex="queue")
    assert [len(sizes) for sizes in expected.values()] == [50] * 4
    for mutex, strategy in product(SEVERAL_M, for_runs()):
        if mutex != "none":  # without a lock the list may break, and then the storm ends early
            assert blocks(mutex=mutex, strategy=strategy) == expected, (mutex, strategy)


@pytest.mark.parametrize(
    "settings",
    [{"cpus": 1}, {"cpus": 16}, {"release": "go1.21.13"}, {"release": "go1.24.11"},
     {"platform": "js/wasm", "mutex": "spinbit"}],
)  # fmt: skip
def test_nor_does_the_machine_change_it(settings: Any) -> None:
    """CPUs, release and platform have no part in it."""
    assert load_of(**settings) == load_of()


def test_another_seed_is_another_load() -> None:
    """The twin of all this: the seed does matter, and no two Ms of a run draw alike."""
    one, other = load_of(seed=1), load_of(seed=2)
    assert all(one[name] != other[name] for name in one)
    assert len({tuple(values) for values in one.values()}) == len(one)


def test_the_numbers_stay() -> None:
    """A stream's numbers are the same on every machine: this one's, written down."""
    assert stream(7, "data 0.1").randrange(1000) == 90


def test_a_search_still_decides_data() -> None:
    """In a search data is the schedule's: every value of a choice is reached and replays."""
    seen = set()

    async def program(world: World) -> None:
        async def worker(m: M) -> None:
            seen.add(m.choice("a", "b", "c"))

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    assert explore(program, strategy="exhaustive").verdict == "exhausted"
    assert seen == {"a", "b", "c"}


def test_what_a_search_drew_is_in_the_token() -> None:
    """A failure that hangs on data replays from its token alone, with that data."""
    drawn = []

    async def program(world: World) -> None:
        async def worker(m: M) -> None:
            drawn.append((m.randrange(50), await m.choose(*range(50))))
            assert sum(drawn[-1]) != 61

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    found = explore(program, strategy="random", budget=2000, seed=1)
    assert found.failures
    drawn.clear()
    token = found.failures[0].token
    assert replay(Target.of(program), Schedule.from_token(token)).signature is not None
    again = World(Config(ms=1, strategy="replay", schedule=token))
    drive(again.driver, program(again))
    assert isinstance(again.failure, AssertionError)
    assert [sum(pair) for pair in drawn] == [61, 61]


def test_a_world_that_is_driven_twice_does_not_draw_again_what_it_drew() -> None:
    """Ms of a second nursery are others than those of the first, and draw other data."""
    drawn = []

    async def main(world: World) -> None:
        for _ in range(2):
            async with world.open_ms() as ms:
                ms.start_soon(worker)

    async def worker(m: M) -> None:
        drawn.append([m.randrange(1 << 30) for _ in range(3)])

    world = World()
    for _ in range(2):
        drive(world.driver, main(world))
    assert len(drawn) == 4
    assert len({tuple(values) for values in drawn}) == 4


def test_ms_that_start_ms_in_a_row_without_end_stay_small() -> None:
    """An M's origin is bounded however deep it is, and still its own."""
    drawn = []

    async def link(m: M, nursery: trio.Nursery, left: Any) -> None:
        drawn.append(m.randrange(1 << 60))
        assert len(m.origin) <= 80
        if left:
            nursery.start_soon(link, nursery, left - 1)  # type: ignore[arg-type]

    async def main(world: World) -> None:
        async with world.open_ms() as nursery:
            nursery.start_soon(link, nursery, 300)

    world = World()
    drive(world.driver, main(world))
    assert world.failure is None
    assert len(set(drawn)) == 301

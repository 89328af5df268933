"""The exhaustive search runs every schedule that is different, once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Coroutine
from math import comb, factorial
from random import Random
from typing import Any

import pytest

from gorun_mem.explore import explore
from gorun_mem.explore.batch import Batch
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.wakeup import LOCAL
from gorun_mem.sync import Lock, Word

Main = Callable[[World], Coroutine[Any, Any, None]]


def sections(*counts: int) -> Main:
    """Ms that enter a critical section of one lock so many times each."""

    async def main(world: World) -> None:
        lock = Lock("L")

        async def enter(m: M, times: int) -> None:
            for _ in range(times):
                await lock.acquire()
                await lock.release()

        async with world.open_ms() as ms:
            for count in counts:
                ms.start_soon(enter, count)

    return main


def of_mutex(ms_count: int, rounds: int) -> Main:
    """Ms that enter a critical section of a runtime mutex."""

    async def main(world: World) -> None:
        mutex = world.mutex("p")
        order = world.results["order"] = []  # type: ignore[assignment]

        async def enter(m: M) -> None:
            for _ in range(rounds):
                await m.lock(mutex, "enter")
                order.append(m.id)
                await m.unlock(mutex)

        async with world.open_ms() as ms:
            for _ in range(ms_count):
                ms.start_soon(enter)

    return main


async def uneven(world: World) -> None:
    """One M enters twice, the other once."""
    mutex = world.mutex("p")
    order = world.results["order"] = []  # type: ignore[assignment]

    async def enter(m: M, rounds: int) -> None:
        for _ in range(rounds):
            await m.lock(mutex, "enter")
            order.append(m.id)
            await m.unlock(mutex)

    async with world.open_ms() as ms:
        ms.start_soon(enter, 2)
        ms.start_soon(enter, 1)


class Trace:
    """A detector that notes what orders a run: steps by M, and dependent steps by object."""

    name = "trace"
    kept: Counter[Any]
    ends: set[Any]

    def __init__(self) -> None:
        self._by_m: dict[int, list[str]] = {}
        self._by_obj: dict[str, list[Any]] = {}

    def begin(self, world: World) -> None:
        self._by_m, self._by_obj = {}, {}
        engine: Any = world.engine
        draw = engine.choice

        def choice(m: Any, n: int, label: str) -> int:
            value: int = draw(m, n, label)
            self._by_m.setdefault(m.id, []).append(f"{label} {value}")
            return value

        engine.choice = choice

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        self._by_m.setdefault(task.id, []).append(f"{kind} {obj}")
        if kind in LOCAL:
            return
        groups = self._by_obj.setdefault(obj, [])
        if reads and groups and isinstance(groups[-1], Counter):
            groups[-1][task.id] += 1
        else:
            groups.append(Counter([task.id]) if reads else task.id)

    def end(self, world: World) -> tuple[()]:
        key = (
            tuple(sorted((m, tuple(names)) for m, names in self._by_m.items())),
            tuple(sorted((obj, repr(_sorted(groups))) for obj, groups in self._by_obj.items())),
        )
        self.kept[key] += 1
        self.ends.add((tuple(world.results.get("order", ())), type(world.failure).__name__))  # type: ignore[arg-type]
        return ()


def _sorted(groups: list[Any]) -> list[Any]:
    return [sorted(g.items()) if isinstance(g, Counter) else g for g in groups]


def climb(main: Main, strategy: str, **config: Any) -> tuple[Batch, Counter[Any], set[Any]]:
    """Every run of a tree: what was counted, the traces, how the runs ended."""
    kept: Counter[Any] = Counter()
    ends: set[Any] = set()

    def make() -> Trace:
        trace = Trace()
        trace.kept, trace.ends = kept, ends
        return trace

    worker = Worker(
        Target.of(main, Config(**{"ms": 2, "mutex": "queue", **config})),
        [make],
        steps_max=2_000,
        failures_max=1 << 30,
    )
    return worker.tree(strategy), kept, ends


@pytest.mark.parametrize("s", [1, 2, 3, 4, 5])
def test_two_ms_with_s_critical_sections_have_c_2s_s_schedules(s: int) -> None:
    """2, 6, 20, 70, 252: as many as there are orders of the sections, and none twice."""
    found = explore(sections(s, s), strategy="exhaustive", budget=1000)
    assert found.outcome == "exhausted"
    assert found.statistics.schedules == comb(2 * s, s)
    assert found.reason.startswith(f"{comb(2 * s, s)} schedules: every one that is different")


@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (3, 2, 1)])
def test_three_ms_have_a_multinomial_of_schedules(counts: tuple[int, int, int]) -> None:
    """(a+b+c)! / a! b! c! orders of the sections of three Ms."""
    a, b, c = counts
    orders = factorial(a + b + c) // (factorial(a) * factorial(b) * factorial(c))
    batch, kept, _ = climb(sections(*counts), "exhaustive", ms=3)
    assert (batch.complete, batch.schedules) == (True, orders)
    assert set(kept.values()) == {1}


@pytest.mark.parametrize("mutex", ["queue", "sema", "futex", "spinbit"])
def test_one_run_for_each_class_of_schedules(mutex: str) -> None:
    """The classes are counted apart, from all schedules: each is run, none twice, in few runs.

    Two schedules are of one class iff each M makes the same steps and on each object steps that
    depend on one another come in the same order.
    """
    plain, classes, ends = climb(of_mutex(2, 1), "dfs", mutex=mutex)
    reduced, kept, same_ends = climb(of_mutex(2, 1), "exhaustive", mutex=mutex)
    assert plain.complete
    assert reduced.complete
    assert set(kept) == set(classes)
    assert ends == same_ends
    assert len(ends) == 2
    assert reduced.schedules * 3 < plain.schedules
    assert set(kept.values()) == {1}


@pytest.mark.parametrize("mutex", ["queue", "futex"])
def test_the_same_ends_as_all_schedules(mutex: str) -> None:
    """Two sections and one: all three orders, as plain depth first finds them."""
    reduced, _, ends = climb(uneven, "exhaustive", mutex=mutex)
    plain, _, all_ends = climb(uneven, "dfs", mutex=mutex)
    assert ends == all_ends
    assert len(ends) == 3
    assert reduced.schedules * 2 < plain.schedules


async def leaves(world: World) -> None:
    """Two Ms that each start one, in either order; these enter a critical section."""
    mutex, turn = world.mutex("p"), Word("turn")
    order = world.results["order"] = []  # type: ignore[assignment]

    async def enter(m: M, of: int) -> None:
        await m.lock(mutex, "enter")
        order.append(of)
        await m.unlock(mutex)

    async def start(m: M, of: int) -> None:
        await turn.add(1)
        async with world.open_ms() as ms:
            ms.start_soon(enter, of)

    async with world.open_ms() as ms:
        ms.start_soon(start, 0)
        ms.start_soon(start, 1)


@pytest.mark.parametrize("mutex", ["queue", "sema"])
def test_numbers_of_ms_go_by_the_order_of_starting(mutex: str) -> None:
    """What is an M's own, its semaphore for one, is named by its number: it is the M's all the
    same, whichever was started first."""
    batch, _, ends = climb(leaves, "exhaustive", mutex=mutex, cpus=1)
    assert batch.complete
    assert {end[0] for end in ends} == {(0, 1), (1, 0)}
    two, _, _ = climb(of_mutex(2, 1), "exhaustive", mutex=mutex, cpus=1)
    assert (batch.schedules, batch.redundant) == (2 * two.schedules, 0)


def using_memory(seed: int, ends: set[Any]) -> Main:
    """Two Ms that load and store words of two blocks, free them and allocate others, by chance."""
    random = Random(seed)
    kinds = ("load", "store", "load", "store", "free", "alloc")
    plans = [
        [(random.choice(kinds), random.randrange(3)) for _ in range(random.randint(1, 3))]
        for _ in range(2)
    ]

    async def main(world: World) -> None:
        a, b = [await world.main.sys_alloc(8192) for _ in range(2)]
        words = (a, a + 8, b)
        seen: list[Any] = []

        async def use(m: M, plan: list[tuple[str, int]]) -> None:
            for number, (kind, word) in enumerate(plan):
                if kind == "load":
                    seen.append((m.id, number, await m.load(words[word])))
                elif kind == "store":
                    await m.store(words[word], m.id * 10 + number)
                elif kind == "free":
                    await m.sys_free(words[word] // 8192 * 8192, 8192)
                else:
                    seen.append((m.id, number, await m.sys_alloc(8192)))

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(use, plan)
        memory = world.runtime.memory
        ends.add((tuple(sorted(seen)), *[memory.load_word(word) for word in words]))

    return main


@pytest.mark.parametrize("mutex", ["queue", "none"])
def test_words_of_user_memory_are_objects_of_their_own(mutex: str) -> None:
    """What that leaves out shows nothing: of 60 programs each ends as all its schedules do.

    A program that fails in any schedule is found to; after a failure there is no more to compare.
    """
    fewer = 0
    for seed in range(60):
        found = []
        for strategy in ("exhaustive", "dfs"):
            ends: set[Any] = set()
            target = Target.of(using_memory(seed, ends), Config(ms=2, mutex=mutex))
            batch = Worker(target, steps_max=2_000).tree(strategy)
            assert batch.complete is not bool(batch.found)
            found.append((bool(batch.found), set() if batch.found else ends))
            fewer += batch.schedules if strategy == "dfs" else -batch.schedules
        assert found[0] == found[1], seed
    assert fewer > 500


def test_the_budget_of_a_tree_is_honoured_and_said() -> None:
    """One schedule less than there are: inconclusive, never a pass."""
    found = explore(sections(4, 4), strategy="exhaustive", budget=69)
    assert found.outcome == "inconclusive"
    assert found.exit_code == 5
    assert found.reason.startswith("the budget was used up after ")


@pytest.mark.parametrize("bound", [0, 1, 2])
def test_depth_first_by_departures(bound: int) -> None:
    """A lost update needs one forced switch; none is not enough, and the verdict says so."""
    from tests.explore.explore_programs import kept_update, lost_update

    found = explore(kept_update, strategy="dfs", bound=bound)
    assert found.outcome == "exhausted"
    of = "1 departure" if bound == 1 else f"{bound} departures"
    if bound < 2:
        assert f"every one with at most {of} from run-to-block, where " in found.reason
    else:  # there are none with more
        assert "every one that is different, where " in found.reason
    worker = Worker(Target.of(lost_update), steps_max=100)
    batch = worker.tree("dfs", bound=bound)
    assert bool(batch.found) == (bound > 0)


def test_a_tree_notices_a_program_that_is_not_deterministic() -> None:
    """What an M offers after the same steps must be what it offered before."""
    calls = 0

    async def main(world: World) -> None:
        nonlocal calls
        calls += 1
        lock = Lock(f"L{calls % 2}")

        async def enter(m: M) -> None:
            await lock.acquire()
            await lock.release()

        async with world.open_ms() as ms:
            ms.start_soon(enter)
            ms.start_soon(enter)

    for strategy in ("dfs", "exhaustive"):
        calls = 0
        worker = Worker(Target.of(main), steps_max=100, failures_max=1 << 30)
        batch = worker.tree(strategy)
        kinds = {found.signature.kind for found in batch.found}
        assert "nondeterminism" in kinds, strategy
        assert not batch.complete


def test_time_is_honoured() -> None:
    """A tree far too large ends when its time is up."""
    start = time.monotonic()
    found = explore(sections(9, 9, 9), strategy="exhaustive", time_s=0.5)
    assert time.monotonic() - start < 2.0
    assert found.outcome == "inconclusive"
    assert found.reason.startswith("the time was up after ")

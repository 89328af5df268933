"""What an atomic access costs in virtual time, by which CPU has the word's cache line."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import M, World, scenario
from gorun_mem import run as gorun_run
from gorun_mem.runtime.op import MORE, MLike, Op
from gorun_mem.step.costs import MECHANISMS, CostTable
from gorun_mem.step.engine import Breath
from gorun_mem.step.strategies import make_strategy
from gorun_mem.step.task import Task
from gorun_mem.step.timing import TimingEngine

EXACT = {
    "atomic.load": 1, "atomic.xchg": 10, "line.fetch": 100, "line.spread": 0, "line.share": 30,
    "line.invalidate": 5, "switch": 0,
}  # fmt: skip
PLAIN = tuple(MECHANISMS)
"""Nothing varies, and no read takes a line over."""


class Script(Op):
    """Accesses one after another, each noted with its M and time.

    Args:
        trace: gets (M, kind, time).
        plan: (kind, object) of each.
    """

    def __init__(self, trace: list[tuple[int, str, int]], *plan: tuple[str, str]) -> None:
        self.trace, self.plan = trace, list(plan)
        self.kind, self.obj = self.plan.pop(0)

    def step(self, m: MLike) -> Any:
        self.trace.append((m.id, self.kind, m.sched.now_ns))
        if not self.plan:
            return "done"
        self.kind, self.obj = self.plan.pop(0)
        return MORE


def run(
    *plans: list[tuple[str, str]],
    cpus: int = 4,
    seed: int = 0,
    without: tuple[str, ...] = PLAIN,
    **costs: float,
) -> Any:
    """One M for each plan, all from time 0; (M, kind, time) of each access and the last clock."""
    table = CostTable({**EXACT, **costs}, without=without)
    engine = TimingEngine(make_strategy("timing", seed), seed, costs=table, cpus=cpus)
    trace: list[tuple[int, str, int]] = []
    tasks = [Task(engine, i + 1, "m") for i in range(len(plans))]
    for task in tasks:
        engine.add(task)
    for task, plan in zip(tasks, plans, strict=True):
        engine.submit(task, Script(trace, *plan))
    while True:
        try:
            through = engine.advance()
        except Breath:
            continue
        if through is None:
            return trace, [t.clock_ns for t in tasks]
        engine.exit(through)


LOAD, SWAP = ("atomic.load", "key"), ("atomic.xchg", "key")


def pause(ns: int) -> list[tuple[str, str]]:
    """Work that touches nothing, for `ns`."""
    return [("compute", "cpu")] * ns


def test_a_line_of_ones_own_costs_no_transfer() -> None:
    """One M alone pays for the access and nothing else, however often it writes."""
    _, clocks = run([SWAP] * 5 + [LOAD] * 5)
    assert clocks == [55]


def test_a_line_that_another_has_written_comes_over() -> None:
    """A read and a write of a line that another CPU has written take a fetch first."""
    for access, cost in ((LOAD, 1), (SWAP, 10)):
        trace, clocks = run([SWAP], [*pause(200), access])
        assert trace[-1] == (2, access[0], 300)
        assert clocks[1] == 300 + cost


def test_copies_are_read_for_nothing_and_invalidated_one_by_one() -> None:
    """Whoever has a copy reads it at once; a write waits for all copies but its own to go."""
    trace, _ = run(
        [SWAP],
        [*pause(200), LOAD, LOAD],  # fetched from M1
        [*pause(400), LOAD],  # shared: nobody has to give it up
        [*pause(600), SWAP],  # M1, M2 and M3 have copies
    )
    assert [access for access in trace if access[1] != "compute"][1:] == [
        (2, "atomic.load", 300),
        (2, "atomic.load", 301),
        (3, "atomic.load", 430),
        (4, "atomic.xchg", 600 + 100 + 2 * 5),
    ]


def test_a_write_takes_the_copies_away() -> None:
    """After a write the next read of another CPU is a fetch again."""
    trace, _ = run(
        [SWAP, *pause(500), SWAP],
        [*pause(200), LOAD, *pause(600), LOAD],
    )
    loads = [(m, t) for m, kind, t in trace if (m, kind) == (2, "atomic.load")]
    assert (2, 300) in loads
    assert loads[-1] == (2, 901 + 100)


def test_transfers_of_one_line_wait_for_each_other_and_of_two_do_not() -> None:
    """Four CPUs that want one line get it one after another, a fetch apart; four lines at once."""
    trace, _ = run([SWAP], *[[*pause(200), SWAP]] * 3)
    assert [t for _, kind, t in trace if kind == "atomic.xchg"] == [0, 300, 400, 500]
    plans = [[*pause(200), ("atomic.xchg", f"key {i}")] for i in range(3)]
    trace, _ = run([("atomic.xchg", f"key {i}") for i in range(3)], *plans)
    assert [t for m, kind, t in trace if kind == "atomic.xchg" and m > 1] == [300, 300, 300]


def test_the_owner_keeps_a_line_until_the_request_has_come_through() -> None:
    """Half a fetch long the owner goes on writing for nothing; then it has to ask for the line."""
    # M2 asks at 20 and gets the line at 120: M1 has it until 70.
    trace, _ = run([SWAP] * 8, [*pause(20), SWAP])
    mine = [t for m, _, t in trace if m == 1]
    assert mine == [0, 10, 20, 30, 40, 50, 60, 220]
    assert trace[-2] == (2, "atomic.xchg", 120)


def test_one_cpu_never_waits_for_a_line() -> None:
    """Ms that take turns on one CPU share its cache: no access costs a transfer."""
    plan = [SWAP, ("osyield", "cpu")] * 10
    trace, clocks = run(plan, plan, plan, cpus=1, osyield=0)
    assert len(trace) == 60
    assert max(clocks) == 3 * 10 * 10
    _, clocks = run(plan, plan, plan, cpus=3, osyield=0)
    assert min(clocks) > 3 * 10 * 10


def test_spinners_slow_the_holder_down_by_their_number() -> None:
    """A holder's write takes the longer, the more Ms have looked at its lock since the last one."""
    took = []
    for spinners in (0, 1, 3, 9):
        trace, _ = run([SWAP, *pause(2000), SWAP], *[[*pause(100), LOAD]] * spinners, cpus=10)
        took.append([t for m, kind, t in trace if kind == "atomic.xchg"][1] - 2010)
    assert took == [0, 100, 100 + 2 * 5, 100 + 8 * 5]


def test_the_spread_is_drawn_from_the_seed_within_its_bounds() -> None:
    """Transfers take fetch give or take spread: by the seed, the same again, never outside."""
    plans = [[SWAP], [*pause(200), SWAP]]
    took = {seed: run(*plans, seed=seed, **{"line.spread": 40})[0][-1][2] for seed in range(60)}  # type: ignore[arg-type]
    assert all(200 + 60 <= t <= 200 + 140 for t in took.values())
    assert min(took.values()) < 200 + 80 < 200 + 120 < max(took.values())
    again = {seed: run(*plans, seed=seed, **{"line.spread": 40})[0][-1][2] for seed in range(60)}  # type: ignore[arg-type]
    assert again == took


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_time_never_goes_back(cpus: int) -> None:
    """With lines going round, accesses still happen in the order of their times."""
    plan = [SWAP, LOAD, *pause(7), SWAP, ("osyield", "cpu"), LOAD] * 20
    trace, _ = run(*[plan] * 6, cpus=cpus)
    times = [t for _, _, t in trace]
    assert len(times) == 6 * len(plan)
    assert times == sorted(times)


def test_the_laptops_costs_come_to_what_go_measured() -> None:
    """A lock and unlock alone take under 20 ns (50,000,000 a second), and a lock that is handed
    from sleeper to sleeper moves some 200,000 times a second (40,000 to 500,000)."""
    costs = CostTable.find("laptop-68578")

    @scenario(mutex="queue", platform="plan9/amd64")
    async def pairs(world: World, *, rounds: int = 1000) -> None:
        async def worker(m: M) -> None:
            for _ in range(rounds):
                await m.lock(world.mutex("shared"))
                await m.unlock(world.mutex("shared"))

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)

    for mutex in ("queue", "sema", "futex", "spinbit"):
        config = pairs.config(ms=1, mutex=mutex, costs=costs)
        alone = gorun_run(pairs, config, {"rounds": 10_000}).outcome.time_ns
        assert 10 < alone / 10_000 < 20
    moved = gorun_run(pairs, pairs.config(ms=8, cpus=8, costs=costs)).outcome.time_ns / 8000
    assert 1e9 / 220_000 < moved < 1e9 / 120_000

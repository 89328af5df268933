"""The timing strategy: who goes next, and what the clocks say."""

from __future__ import annotations

from gorun_mem.step.costs import MECHANISMS, CostTable
from tests.step.test_engine import Follow, Park, Steps, Wake, make, ms, run_out

# The timing strategy.


def times(trace: list[tuple[int, int]], m: int) -> list[int]:
    return [t for t, who in trace if who == m]


def test_accesses_happen_in_the_order_of_their_times() -> None:
    """Clocks of several CPUs are merged: the trace's times never go down."""
    engine = make(cpus=3, costs=CostTable({"atomic.cas": 7, "store": 11, "load": 13}))
    trace: list[tuple[int, int]] = []
    for m, kind in zip(ms(engine, 3), ("atomic.cas", "store", "load"), strict=True):
        engine.submit(m, Steps(trace, 50, kind))
    run_out(engine)
    assert trace == sorted(trace, key=lambda e: e[0])
    assert times(trace, 1) == [7 * i for i in range(50)]
    assert times(trace, 2) == [11 * i for i in range(50)]
    assert times(trace, 3) == [13 * i for i in range(50)]


def test_ms_above_cpus_queue_first_come_first_served() -> None:
    """With one CPU the second M begins when the first ends, a context switch later."""
    costs = CostTable({"store": 100, "switch": 30})
    engine = make(cpus=1, costs=costs)
    trace: list[tuple[int, int]] = []
    for m in ms(engine, 3):
        engine.submit(m, Steps(trace, 2, "store"))
    assert run_out(engine) == [1, 2, 3]
    assert trace == [(0, 1), (100, 1), (230, 2), (330, 2), (460, 3), (560, 3)]


def test_time_slice() -> None:
    """An M loses its CPU at the end of its slice while others wait, and only then."""
    costs = CostTable({"store": 100, "switch": 0}, time_slice_ns=300)
    for n, first_run in ((1, 9), (2, 3)):
        engine = make(cpus=1, costs=costs)
        trace: list[tuple[int, int]] = []
        for m in ms(engine, n):
            engine.submit(m, Steps(trace, 9, "store"))
        run_out(engine)
        order = [m for _, m in trace]
        assert order[: first_run + 1] == [1] * first_run + [2] * (n > 1)
        assert trace == sorted(trace)
        if n == 2:
            assert order == ([1] * 3 + [2] * 3) * 3


def test_spinning_holds_a_cpu_and_sleeping_frees_it() -> None:
    """With one CPU, others wait for as long as one spins, and run while one sleeps."""
    costs = CostTable(
        {"procyield": 400, "store": 10, "sleep": 0, "switch": 0}, without=tuple(MECHANISMS)
    )
    trace: list[tuple[int, int]] = []
    engine = make(cpus=1, costs=costs)
    spinner, other = ms(engine, 2)
    engine.submit(spinner, Steps([], 50, "procyield"))
    engine.submit(other, Steps(trace, 1, "store"))
    run_out(engine)
    assert trace == [(20_000, 2)]

    trace.clear()
    engine = make(cpus=1, costs=costs)
    sleeper, other = ms(engine, 2)
    engine.submit(sleeper, Park(20_000))
    engine.submit(other, Steps(trace, 1, "store"))
    run_out(engine)
    assert trace == [(0, 2)]


def test_yielding_gives_way_to_those_that_wait_for_a_cpu() -> None:
    """An osyield hands the CPU to the head of the queue; with nobody there it keeps it."""
    costs = CostTable({"osyield": 10, "switch": 0})
    engine = make(cpus=1, costs=costs)
    trace: list[tuple[int, int]] = []
    for m in ms(engine, 2):
        engine.submit(m, Steps(trace, 3, "osyield"))
    run_out(engine)
    assert [m for _, m in trace] == [1, 2, 1, 2, 1, 2]


def test_ties_go_by_the_seed() -> None:
    """Ms whose clocks are equal go in an order drawn from the seed: all 6 orders of 3 turn up.

    100 seeds miss one of them with probability below 6 * (5/6)^100 < 1e-7; the seeds are fixed.
    """
    orders = set()
    for seed in range(100):
        engine = make("timing", seed)
        trace: list[tuple[int, int]] = []
        for m in ms(engine, 3):
            engine.submit(m, Steps(trace, 2, "store"))
        run_out(engine)
        order = [m for _, m in trace]
        assert order[:3] == order[3:]  # the same order at every tie
        orders.add(tuple(order[:3]))
    assert len(orders) == 6


def test_a_short_sleep_does_not_put_the_clock_ahead() -> None:
    """Time never goes back, though a sleep shorter than its own cost ends after other steps."""
    engine = make(cpus=2, costs=CostTable({"sleep": 5000, "store": 10}))
    follow = Follow(engine)
    sleeper, other = ms(engine, 2)
    trace: list[tuple[int, int]] = []
    engine.submit(sleeper, Park(100))
    engine.submit(other, Steps(trace, 30, "store"))
    run_out(engine)
    woken = next(told[4] for told in follow.told if told[0] == "unpark")
    assert woken == 100
    later = [t for t, _ in trace if t > 100]
    assert later == list(range(110, 300, 10))


def test_coming_back_does_not_put_the_clock_ahead() -> None:
    """An M that comes back from elsewhere does not carry the others' clocks with it."""
    engine = make(cpus=2, costs=CostTable({"store": 10, "grow": 100_000}))
    first, second = ms(engine, 2)
    trace: list[tuple[int, int]] = []
    engine.submit(first, Steps([], 1, "grow"))
    engine.submit(second, Steps(trace, 1, "store"))
    one, two = engine.advance(), engine.advance()
    assert {one, two} == {first, second}
    engine.leave(first)
    now = engine.now_ns
    engine.come_back(first)
    assert engine.now_ns == now
    engine.submit(second, Steps(trace, 1, "store"))
    assert engine.advance() is second
    assert times(trace, 2) == [0, 10]


def test_a_wakeup_takes_its_latency() -> None:
    """A woken M runs `wake` ns after the step that woke it."""
    engine = make(cpus=2, costs=CostTable({"wake": 777, "semawakeup": 1, "sleep": 1}))
    sleeper, waker = ms(engine, 2)
    engine.submit(sleeper, Park())
    engine.submit(waker, Park(5000))
    assert engine.advance() is waker
    now = engine.now_ns
    engine.submit(waker, Wake(sleeper))
    assert {engine.advance(), engine.advance()} == {waker, sleeper}
    assert sleeper.clock_ns >= now + 777

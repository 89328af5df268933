"""The engine by itself: Ms with scripted operations, no coroutines and no host."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gorun_mem import M
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.costs import MECHANISMS, CostTable
from gorun_mem.step.engine import BREATH, TIMER, Breath, Engine, StepsExceeded
from gorun_mem.step.strategies import RUNNING, UnknownStrategy, make_strategy
from gorun_mem.step.task import State, Task
from gorun_mem.step.timing import TimingEngine


class Steps(Op):
    """An operation of `n` accesses, noted in `trace` with their times."""

    def __init__(self, trace: list[tuple[int, int]], n: int = 1, kind: str = "atomic.cas") -> None:
        self.kind = kind
        self.obj = "word"
        self.trace = trace
        self.left = n

    def step(self, m: M) -> Any:
        self.trace.append((m.sched.now_ns, m.id))
        self.left -= 1
        return MORE if self.left else "done"


class Park(Op):
    """Sleeps until it is woken, or until `t_ns`."""

    def __init__(self, t_ns: int | None = None) -> None:
        self.kind = "sleep"
        self.obj = "timer"
        self.t_ns = t_ns
        self.asleep = False

    def step(self, m: M) -> Any:
        if self.asleep:
            return "woken"
        self.asleep = True
        if self.t_ns is not None:
            m.sched.sleep_until(m, self.t_ns)
        return PARKED


class Asleep(Op):
    """Asleep from the beginning, until `t_ns`."""

    kind = "sleep"
    obj = "timer"

    def __init__(self, t_ns: int) -> None:
        self.t_ns = t_ns

    def begin(self, m: M) -> Any:
        m.sched.sleep_until(m, self.t_ns)
        return False

    def step(self, m: M) -> str:
        return "woken"


class Wake(Op):
    """Wakes another M."""

    kind = "semawakeup"
    obj = "m"

    def __init__(self, other: Task) -> None:
        self.other = other

    def step(self, m: M) -> None:
        m.sched.unpark(self.other)


class Follow:
    """A follower that keeps what it is told."""

    def __init__(self, engine: Engine) -> None:
        self.m = -1
        self.told: list[tuple[object, ...]] = []
        self._engine = engine
        engine.follower = self  # type: ignore[assignment]

    def m_park(self, m: M, reason: str = "", by_m: int = 0) -> None:
        self.told.append(("park", m, reason))

    def m_unpark(self, m: M, by_m: int = 0, reason: str = "") -> None:
        self.told.append(("unpark", m, by_m, reason, self._engine.now_ns))


def make(strategy: str = "timing", seed: int = 0, **settings: Any) -> Engine:
    kind = TimingEngine if strategy == "timing" else Engine
    args = (seed,) if strategy == "timing" else ()
    return kind(make_strategy(strategy, seed), *args, **settings)


def ms(engine: Engine, n: int) -> list[Task]:
    found = [Task(engine, i + 1, f"m{i + 1}") for i in range(n)]
    for m in found:
        engine.add(m)
    return found


def run_out(engine: Engine) -> list[int]:
    """Advance until nobody can go on; the ids of those whose operations came through."""
    through: list[Any] = []
    while True:
        try:
            m = engine.advance()
        except Breath:
            continue
        if m is None:
            return through
        through.append(m.id)
        engine.exit(m)


@pytest.mark.parametrize("strategy", RUNNING)
def test_a_run_is_a_function_of_strategy_and_seed(strategy: str) -> None:
    """The same strategy and seed step the same Ms at the same times; every step is made."""
    for seed in range(20):
        traces = []
        for _ in range(2):
            engine = make(strategy, seed, cpus=2)
            trace: list[tuple[int, int]] = []
            for m in ms(engine, 5):
                engine.submit(m, Steps(trace, 4))
            assert sorted(run_out(engine)) == [1, 2, 3, 4, 5]
            assert Counter(m for _, m in trace) == dict.fromkeys(range(1, 6), 4)
            assert engine.steps == 20
            traces.append(trace)
        assert traces[0] == traces[1]


def test_random_reaches_every_interleaving() -> None:
    """Two Ms of three steps each have C(6, 3) = 20 interleavings; the random walk takes all.

    The least likely has probability 1/64, so 2,000 seeds miss it with (63/64)^2000 < 3e-14.
    """
    seen = set()
    for seed in range(2000):
        engine = make("random", seed)
        trace: list[tuple[int, int]] = []
        for m in ms(engine, 2):
            engine.submit(m, Steps(trace, 3))
        run_out(engine)
        seen.add(tuple(m for _, m in trace))
    assert len(seen) == 20


def test_round_robin_and_run_to_block_by_hand() -> None:
    """Round robin is one step each in turn; run-to-block finishes one M before the next."""
    for strategy, order in (("round_robin", [1, 2, 3] * 2), ("run_to_block", [1, 1, 2, 2, 3, 3])):
        engine = make(strategy)
        trace: list[tuple[int, int]] = []
        for m in ms(engine, 3):
            engine.submit(m, Steps(trace, 2))
        run_out(engine)
        assert [m for _, m in trace] == order


def test_unknown_strategy_lists_the_known() -> None:
    """An unknown strategy is refused with the nearest and all names."""
    with pytest.raises(UnknownStrategy, match=r"did you mean random\? the strategies are round_"):
        make_strategy("randm", 0)


@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_timers_wake_in_order_and_by_nobody(strategy: str) -> None:
    """Sleepers wake in the order of their times, not before, and the log says that a timer did."""
    engine = make(strategy, cpus=1)
    follow = Follow(engine)
    for m, t_ns in zip(ms(engine, 3), (900_000, 300_000, 600_000), strict=True):
        engine.submit(m, Park(t_ns))
    assert run_out(engine) == [2, 3, 1]
    woken = [told for told in follow.told if told[0] == "unpark"]
    assert [told[:4] for told in woken] == [("unpark", m, 0, TIMER) for m in (2, 3, 1)]
    assert all(t >= at for (*_, t), at in zip(woken, (300_000, 600_000, 900_000), strict=True))


@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_a_wakeup_cancels_the_timer(strategy: str) -> None:
    """Who is woken before its time is not woken again by the timer in its next sleep."""
    engine = make(strategy)
    follow = Follow(engine)
    sleeper, waker = ms(engine, 2)
    engine.submit(sleeper, Park(50_000))
    engine.submit(waker, Park(20_000))
    assert engine.advance() is waker
    engine.submit(waker, Wake(sleeper))
    through = [engine.advance(), engine.advance()]
    assert {m.id for m in through} == {1, 2}
    engine.exit(waker)
    engine.submit(sleeper, Park(None))
    assert engine.advance() is None
    assert engine.is_stuck
    assert ("unpark", 1, 2, "") in [told[:4] for told in follow.told]


@pytest.mark.parametrize("strategy", ["timing", "random", "run_to_block"])
def test_steps_max_ends_a_run_without_progress(strategy: str) -> None:
    """An operation that never comes through ends at exactly steps_max steps, with the figure."""
    engine = make(strategy, steps_max=1234)
    (m,) = ms(engine, 1)
    engine.submit(m, Steps([], 10**9))
    with pytest.raises(StepsExceeded, match="no end after 1,234 steps; raise steps_max"):
        run_out(engine)
    assert engine.steps == 1234


@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_breath(strategy: str) -> None:
    """A long operation lets its host breathe every BREATH steps, and loses none of them."""
    engine = make(strategy)
    (m,) = ms(engine, 1)
    trace: list[tuple[int, int]] = []
    engine.submit(m, Steps(trace, 3 * BREATH))
    breaths = 0
    while True:
        try:
            assert engine.advance() is m
            break
        except Breath:
            breaths += 1
    assert (breaths, len(trace), engine.steps) == (2, 3 * BREATH, 3 * BREATH)


@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_a_step_that_raises_is_counted(strategy: str) -> None:
    """Both engines count the step that ended the program: the log's steps are the same."""

    class Bad(Steps):
        def step(self, m: M) -> Any:
            if super().step(m) is MORE:
                return MORE
            raise ZeroDivisionError

    engine = make(strategy)
    (m,) = ms(engine, 1)
    engine.submit(m, Bad([], 7))
    with pytest.raises(ZeroDivisionError):
        engine.advance()
    assert engine.steps == 7
    assert engine.current is m


@pytest.mark.parametrize("strategy", RUNNING)
def test_disabled_ms_do_not_go(strategy: str) -> None:
    """A disabled M is passed over until it is made runnable again."""
    engine = make(strategy)
    first, second = ms(engine, 2)
    trace: list[tuple[int, int]] = []
    engine.submit(first, Steps(trace, 2))
    engine.submit(second, Steps(trace, 2))
    engine.disable(first)
    assert first.state is State.PARKED
    assert run_out(engine) == [2]
    assert engine.is_stuck
    engine.unpark(first)
    assert run_out(engine) == [1]
    assert [m for _, m in trace] == [2, 2, 1, 1]


@pytest.mark.parametrize("strategy", RUNNING)
def test_away_ms_are_neither_stuck_nor_stepped(strategy: str) -> None:
    """An M that is away keeps the run from being stuck, makes no step, and can come back."""
    engine = make(strategy, cpus=1)
    first, second = ms(engine, 2)
    trace: list[tuple[int, int]] = []
    for m in (first, second):
        engine.submit(m, Steps(trace))
    away = engine.advance()
    assert away is not None
    engine.leave(away)
    other = engine.advance()
    assert other is {first, second}.difference({away}).pop()
    engine.exit(other)
    assert engine.advance() is None
    assert not engine.is_stuck
    engine.come_back(away)
    assert engine.running is away
    assert engine.current is away
    engine.submit(away, Steps(trace))
    assert engine.advance() is away


@pytest.mark.parametrize("strategy", RUNNING)
def test_withdrawn_operations_do_not_happen(strategy: str) -> None:
    """A withdrawn operation makes no access, runnable or asleep, and its timer wakes nobody."""
    engine = make(strategy, cpus=1)
    first, second, third = ms(engine, 3)
    trace: list[tuple[int, int]] = []
    engine.submit(first, Asleep(1000))
    engine.submit(second, Steps(trace))
    engine.submit(third, Steps(trace))
    engine.withdraw(second)
    engine.withdraw(first)
    assert engine.advance() is third
    assert [m for _, m in trace] == [3]
    engine.exit(third)
    assert engine.advance() is None
    engine.come_back(first)
    engine.exit(first)
    engine.come_back(second)
    engine.exit(second)
    assert engine.alive == 0
    assert not engine.is_stuck


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

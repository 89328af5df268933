"""The engine by itself: Ms with scripted operations, no coroutines and no host."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gorun_mem import M
from gorun_mem.runtime.op import MORE, PARKED, MLike, Op
from gorun_mem.step.engine import BREATH, TIMER, Breath, Engine, StepsExceeded
from gorun_mem.step.strategies import UnknownStrategy, for_runs, make_strategy
from gorun_mem.step.task import State, Task
from gorun_mem.step.timing import TimingEngine


class Steps(Op):
    """An operation of `n` accesses, noted in `trace` with their times."""

    def __init__(self, trace: list[tuple[int, int]], n: int = 1, kind: str = "atomic.cas") -> None:
        self.kind = kind
        self.obj = "word"
        self.trace = trace
        self.left = n

    def step(self, m: MLike) -> Any:
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

    def step(self, m: MLike) -> Any:
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

    def begin(self, m: MLike) -> Any:
        m.sched.sleep_until(m, self.t_ns)
        return False

    def step(self, m: MLike) -> str:
        return "woken"


class Wake(Op):
    """Wakes another M."""

    kind = "semawakeup"
    obj = "m"

    def __init__(self, other: Task) -> None:
        self.other = other

    def step(self, m: MLike) -> None:
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


@pytest.mark.parametrize("strategy", for_runs())
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
    names = ", ".join(for_runs())
    with pytest.raises(UnknownStrategy, match=rf"did you mean random\? those of a run are {names}"):
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
    times: list[Any] = [told[4] for told in woken]
    assert all(t >= at for t, at in zip(times, (300_000, 600_000, 900_000), strict=True))


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
    assert {m.id for m in through if m is not None} == {1, 2}
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
        def step(self, m: MLike) -> Any:
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


@pytest.mark.parametrize("strategy", for_runs())
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


@pytest.mark.parametrize("strategy", for_runs())
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


@pytest.mark.parametrize("strategy", for_runs())
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

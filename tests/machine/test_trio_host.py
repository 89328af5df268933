"""The trio host: gated tasks, real awaits inside Ms, nurseries of either kind."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
import trio.testing

from gorun_mem import IllegalUse, KiB, M, World, run_on_trio, scenario
from gorun_mem.events import Recorder, capture_events
from gorun_mem.machine.scenario import Scenario
from gorun_mem.runtime.op import MLike, Op
from tests.machine.machine_workloads import assert_ended, config_for, storm


class Step(Op):
    """One access, noted in `trace`."""

    kind = "store"
    obj = "trace"

    def __init__(self, trace: list[int]) -> None:
        self.trace = trace

    def step(self, m: MLike) -> None:
        self.trace.append(m.id)


async def run_here(
    scenario: Scenario, options: Any = None, *, recorder: Any = None, **config: Any
) -> Any:
    """Run in the trio of the test, at the settings the test gives."""
    return await run_on_trio(
        scenario, scenario.config(**config), options, recorder=recorder, watch_s=0
    )


class CountSteps(trio.abc.Instrument):
    """Counts the steps that trio's tasks take, by task."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}

    def before_task_step(self, task: Any) -> None:
        self.steps[task.name] = self.steps.get(task.name, 0) + 1


@pytest.mark.trio
async def test_every_interleaving_is_reachable() -> None:
    """The random strategy takes all 90 interleavings of 3 Ms of 2 steps.

    trio itself takes 4 of them, and 36 where a test plugin has it shuffle: it goes round by round.

    The least likely schedule of these 6 steps and 3 starts has probability at least 3^-6 (the last
    M and its last steps are forced), so 8,000 seeds miss one with 90 * (1 - 3^-6)^8000 < 0.002;
    the seeds are fixed, so that either always or never happens.
    """
    trace: list[int] = []

    @scenario(ms=3, strategy="random")
    async def six_steps(world: World) -> None:
        async def worker(m: M) -> None:
            await Step(trace)
            await Step(trace)

        async with world.open_ms() as ms:
            for _ in range(3):
                ms.start_soon(worker)

    seen = set()
    for seed in range(8000):
        trace.clear()
        await run_here(six_steps, seed=seed)
        seen.add(tuple(trace))
        if len(seen) == 90:
            break
    assert len(seen) == 90

    async def stock(number: int) -> None:
        for _ in range(2):
            trace.append(number)
            await trio.sleep(0)

    plain = set()
    for _ in range(200):
        trace.clear()
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(stock, number)
        plain.add(tuple(trace))
    assert len(plain) <= 36


def test_no_switch_when_the_same_m_goes_on() -> None:
    """An M that goes on itself costs no step of trio's; one that hands over costs one."""

    @scenario(ms=2)
    async def steps(world: World, *, n: int = 1) -> None:
        async def worker(m: M) -> None:
            for _ in range(n):
                await Step([])

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)

    def trio_steps(strategy: str, n: int) -> Any:
        count = CountSteps()

        async def main() -> None:
            await run_here(steps, {"n": n}, strategy=strategy)

        trio.run(main, instruments=[count])
        return sum(v for k, v in count.steps.items() if k.startswith(("M1 ", "M2 ")))

    assert trio_steps("run_to_block", 1000) == trio_steps("run_to_block", 10)
    few, many = trio_steps("round_robin", 10), trio_steps("round_robin", 1010)
    assert many - few == 2 * 1000


def test_ms_are_named_trio_tasks() -> None:
    """Whoever looks at trio's tasks finds each M by number and name."""
    count = CountSteps()

    async def main() -> None:
        await run_here(storm, ms=2)

    trio.run(main, instruments=[count])
    assert {"M1 worker", "M2 worker"} <= count.steps.keys()


@pytest.mark.trio
async def test_real_awaits_inside_an_m(autojump_clock: trio.testing.MockClock) -> None:
    """Ms may sleep in real time and talk over trio's channels; the run says where, and goes on."""
    got = []

    @scenario(ms=2)
    async def talks(world: World) -> None:
        send, receive = trio.open_memory_channel(0)

        async def sender(m: M) -> None:
            for i in range(3):
                await trio.sleep(10)
                addr = await m.sys_alloc(64 * KiB)
                await send.send((i, addr))
            await send.aclose()

        async def receiver(m: M) -> None:
            async for i, addr in receive:
                await m.sys_free(addr, 64 * KiB)
                got.append((i, trio.current_time() - start))

        async def bystander(m: M) -> None:
            for _ in range(50):
                await m.pause()

        async with world.open_ms() as ms:
            for worker in (sender, receiver, bystander):
                ms.start_soon(worker)
        world.check()

    start = trio.current_time()
    with capture_events() as events:
        ended = await run_here(talks, recorder=Recorder())
    assert ended.outcome.ok, ended.outcome.error
    assert [i for i, _ in got] == [0, 1, 2]
    assert [t for _, t in got] == pytest.approx([10, 20, 30])
    places = ended.outcome.uncontrolled
    assert len(places) == 4  # sleep, send, aclose, receive
    assert all(re.fullmatch(r".*/test_trio_host\.py:\d+", place) for place in places)
    with open(__file__) as file:
        lines = file.read().splitlines()
    texts = [lines[int(place.rpartition(":")[2]) - 1].strip() for place in places]
    assert "await trio.sleep(10)" in texts
    assert "async for i, addr in receive:" in texts
    assert events[-1].uncontrolled
    assert_ended(events, "ok")


@pytest.mark.trio
async def test_a_run_without_trio_is_controlled() -> None:
    """A run whose Ms await operations only is not marked."""
    ended = await run_here(storm)
    assert ended.outcome.ok
    assert ended.outcome.uncontrolled == ()


@pytest.mark.trio
async def test_timeouts_around_operations(autojump_clock: trio.testing.MockClock) -> None:
    """A timeout cancels what it is around, where the M neither holds nor waits for a lock."""
    seen = {}

    @scenario(ms=3, strategy="round_robin")
    async def timeouts(world: World) -> None:
        lock = world.mutex("lock")
        scope = trio.CancelScope()

        async def keeper(m: M) -> None:
            await m.lock(lock)
            for _ in range(20):
                await m.pause()
            seen["given back"] = True
            await m.unlock(lock)

        async def waiter(m: M) -> None:
            with scope:
                await m.lock(lock)  # waits for the keeper, and is not interrupted
                seen["got"] = seen["given back"]
                await m.unlock(lock)
                await m.pause()
                seen["not here"] = True
            seen["cancelled"] = scope.cancelled_caught

        async def canceller(m: M) -> None:
            for _ in range(10):
                await m.pause()
            scope.cancel()
            seen["asked"] = "given back" not in seen

        async def sleeper(m: M) -> None:
            with trio.move_on_after(1) as timeout:
                await trio.sleep_forever()
            seen["timeout"] = timeout.cancelled_caught
            with trio.fail_after(1):
                await m.pause()

        async with world.open_ms() as ms:
            for worker in (keeper, waiter, canceller, sleeper):
                ms.start_soon(worker)
        assert [m.locks for m in ms.ms] == [0] * 4

    ended = await run_here(timeouts, **config_for("queue"))
    assert ended.outcome.ok, ended.outcome.error
    assert "not here" not in seen
    assert seen.keys() == {"given back", "got", "asked", "cancelled", "timeout"}
    assert all(seen.values())


@pytest.mark.trio
async def test_trio_under_a_lock_is_refused() -> None:
    """An M that holds a lock may not await trio: it says where, and what to do instead."""

    @scenario(ms=1, mutex="queue", platform="plan9/amd64")
    async def holds(world: World) -> None:
        async def worker(m: M) -> None:
            await m.lock(world.mutex("lock"))
            await trio.sleep(0)

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    ended = await run_here(holds)
    assert ended.outcome.verdict == "failed"
    assert re.fullmatch(
        r"M1 \(worker\) awaits trio itself at .*test_trio_host.py:\d+ "
        r"while it holds a runtime lock: give the lock back first, "
        r"or sleep in virtual time with m.sleep\(\)",
        str(ended.outcome.error),
    )
    assert ended.outcome.uncontrolled == ()


@pytest.mark.trio
async def test_nested_nurseries_of_ms() -> None:
    """An M may start Ms of its own and wait for them, three deep."""
    order = []

    @scenario(ms=1)
    async def nested(world: World) -> None:
        async def worker(m: M, depth: int) -> None:
            if depth:
                async with world.open_ms() as ms:
                    ms.start_soon(worker, depth - 1)
                    ms.start_soon(worker, depth - 1)
            order.append(depth)

        async with world.open_ms() as ms:
            ms.start_soon(worker, 3)

    ended = await run_here(nested)
    assert ended.outcome.ok
    assert ended.statistics.ms == 15
    assert sorted(order) == [0] * 8 + [1] * 4 + [2] * 2 + [3]
    assert order[-1] == 3


@pytest.mark.trio
async def test_a_timeout_around_a_nursery_of_ms(autojump_clock: trio.testing.MockClock) -> None:
    """A timeout around open_ms cancels the Ms in it, waits for them, and lets the others go on."""
    ended_ms = []

    @scenario(ms=1)
    async def timed(world: World) -> None:
        async def sleeper(m: M) -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended_ms.append(m.id)

        async def pauser(m: M) -> None:
            try:
                while True:
                    await m.pause()
                    await trio.sleep(0.1)
            finally:
                ended_ms.append(m.id)

        async def outer(m: M) -> None:
            with trio.move_on_after(1) as scope:
                async with world.open_ms() as inner:
                    inner.start_soon(sleeper)
                    inner.start_soon(pauser)
            assert scope.cancelled_caught
            assert sorted(ended_ms) == [2, 3]
            await m.sys_alloc(64 * KiB)

        async with world.open_ms() as ms:
            ms.start_soon(outer)

    ended = await run_here(timed)
    assert ended.outcome.ok, ended.outcome.error
    assert trio.current_time() < 10**9


@pytest.mark.trio
async def test_operations_in_a_task_that_is_no_m() -> None:
    """A child of an M's own trio nursery is no M: its operations are refused with the reason."""

    @scenario(ms=1)
    async def strays(world: World) -> None:
        async def worker(m: M) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(m.sys_alloc, 64 * KiB)

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    ended = await run_here(strays)
    assert ended.outcome.verdict == "failed"
    group = ended.outcome.error
    assert isinstance(group, ExceptionGroup)
    (stray,) = group.exceptions
    assert isinstance(stray, IllegalUse)
    assert "was awaited by a task that is no M; start Ms with world.open_ms()" in str(stray)


@pytest.mark.trio
async def test_an_m_with_a_nursery_of_trio_s() -> None:
    """An M may run trio tasks beside its operations: they share the M's trio, not the engine."""
    ticks = []

    @scenario(ms=2)
    async def mixed(world: World) -> None:
        async def ticker() -> None:
            while True:
                ticks.append(1)
                await trio.sleep(0)

        async def worker(m: M) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ticker)
                for _ in range(5):
                    addr = await m.sys_alloc(64 * KiB)
                    await trio.sleep(0)
                    await m.sys_free(addr, 64 * KiB)
                nursery.cancel_scope.cancel()

        async with world.open_ms() as ms:
            ms.start_soon(worker)
            ms.start_soon(worker)
        world.check()

    ended = await run_here(mixed)
    assert ended.outcome.ok, ended.outcome.error
    assert ticks
    assert ended.outcome.uncontrolled


@pytest.mark.trio
async def test_the_log_says_whose_event_it_is_after_a_real_await() -> None:
    """An M that comes back while another runs does not take over the other's events."""

    @scenario(ms=2, strategy="round_robin")
    async def interleaved(world: World) -> None:
        async def away(m: M) -> None:
            for _ in range(30):
                await trio.sleep(0)
                await m.pause()

        async def allocates(m: M) -> None:
            for _ in range(30):
                addr = await m.sys_alloc(64 * KiB)
                await m.sys_free(addr, 64 * KiB)

        async with world.open_ms() as ms:
            ms.start_soon(away)
            ms.start_soon(allocates)

    with capture_events() as events:
        ended = await run_here(interleaved, recorder=Recorder(), **config_for("sema"))
    assert ended.outcome.ok, ended.outcome.error
    calls = events.named("mem.call", "mem.return", "lock.acquire", "lock.release")
    assert len(calls) == 4 * 60
    assert {e.m for e in calls} == {2}

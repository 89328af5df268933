"""Cancellation and Ctrl-C at every step of a contended run, on every mutex.

The engine takes a breath after every step here, so that whatever happens from outside can happen
between any two of them; `at_step` does it at the one that is asked for.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest
import trio

from gorun_mem import Config, KiB, M, World, run, run_on_trio, scenario
from gorun_mem.events import Recorder, capture_events
from gorun_mem.step import engine
from tests.machine.machine_workloads import MUTEXES

LOCKING = tuple(name for name in MUTEXES if name != "none")


@scenario(ms=3)
async def small(world: World, *, rounds: int = 2) -> None:
    """Two rounds of allocation and free by every M."""

    async def worker(m: M) -> None:
        for _ in range(rounds):
            addr = await m.sys_alloc(64 * KiB)
            await m.sys_free(addr, 64 * KiB)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


@pytest.fixture(autouse=True)
def breathless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the host come up for air after every step."""
    monkeypatch.setattr(engine, "BREATH", 1)


class AtStep:
    """An `on_breath` that does something once, when the engine has made `step` steps."""

    def __init__(self, step: int, action: Any) -> None:
        self._step = step
        self._action = action
        self.fired = False

    def __call__(self, world: World) -> None:
        if not self.fired and world.engine.steps >= self._step:
            self.fired = True
            self.steps = world.engine.steps
            self._action()


def config(mutex: str, **changes: Any) -> Any:
    return Config(ms=3, mutex=mutex, strategy="random", seed=5, **changes)


def steps_of(mutex: str) -> Any:
    return run(small, config(mutex)).outcome.steps


def assert_sound(events: Any, world: World, verdict: Any) -> Any:
    """The log ends with run.end and nothing after it, and the memory is as it should be."""
    ends = [event for event in events if event.name == "run.end"]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    assert ends[0].outcome == verdict
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    held = {lock.name for task in world.engine.tasks for lock in task.go.held}
    if not held:
        world.check()
    return ends[0]


@pytest.mark.parametrize("mutex", LOCKING)
def test_the_run_is_cancelled_at_every_step(mutex: str) -> None:
    """Wherever a run is cancelled no M makes another step, and run.end names holder and waiters."""
    named = 0
    for step in range(1, steps_of(mutex)):

        async def main(step: int = step) -> Any:
            with trio.CancelScope() as scope:
                trigger = AtStep(step, scope.cancel)
                await run_on_trio(
                    small, config(mutex), recorder=Recorder(), on_breath=trigger, watch_s=0
                )
            return trigger, scope.cancelled_caught

        with capture_events() as events:
            trigger, caught = trio.run(main)
        assert trigger.fired
        assert caught
        end = events[-1]
        assert (end.name, end.outcome) == ("run.end", "cancelled")
        assert end.steps == trigger.steps
        holds = len([e for e in events if e.name == "lock.acquire"]) > len(
            [e for e in events if e.name == "lock.release"]
        )
        stuck = end.stuck or ()
        assert holds == any("holds memlock" in text for text in stuck), (step, stuck)
        named += holds
    assert named


@pytest.mark.parametrize("mutex", LOCKING)
def test_one_m_is_cancelled_at_every_step(mutex: str) -> None:
    """A cancelled M ends only where it holds no runtime lock and waits for none; the rest go on.

    Under `any` an M that asks for a lock counts as one that waits, and these Ms do nothing else.
    """
    cancelled = 0
    for step in range(1, steps_of(mutex)):
        scopes: list[Any] = []
        locks_at_cancel: list[Any] = []

        @scenario(ms=3)
        async def with_a_scope(
            world: World, scopes: Any = scopes, locks_at_cancel: Any = locks_at_cancel
        ) -> None:
            """M1 runs under a scope of its own."""

            async def guarded(m: M) -> None:
                with trio.CancelScope() as scope:
                    scopes.append(scope)
                    try:
                        await worker(m)
                    except trio.Cancelled:
                        locks_at_cancel.append(m.locks)
                        raise

            async def worker(m: M) -> None:
                for _ in range(2):
                    addr = await m.sys_alloc(64 * KiB)
                    await m.sys_free(addr, 64 * KiB)

            async with world.open_ms() as ms:
                ms.start_soon(guarded)
                ms.start_soon(worker)
                ms.start_soon(worker)
            world.check()

        trigger = AtStep(step, lambda scopes=scopes: [scope.cancel() for scope in scopes])
        with capture_events() as events:
            ended = run(
                with_a_scope,
                config(mutex),
                host="trio",
                recorder=Recorder(),
                on_breath=trigger,
                watch_s=0,
            )
        assert ended.outcome.ok, (step, ended.outcome)
        assert_sound(events, ended.world, "ok")
        assert ended.world.memlock.holder is None
        assert not ended.world.memlock.waiters
        assert all(task.locks == 0 for task in ended.world.engine.tasks)
        assert set(locks_at_cancel) <= {0}
        cancelled += len(locks_at_cancel)
    assert bool(cancelled) is (mutex != "any")


@pytest.mark.parametrize("host", ["trampoline", "trio"])
@pytest.mark.parametrize("mutex", LOCKING)
def test_ctrl_c_at_every_step(mutex: str, host: str) -> None:
    """Ctrl-C at any step ends the run as interrupted, with a log that ends with run.end."""
    for step in range(1, steps_of(mutex)):
        trigger = AtStep(step, lambda: signal.raise_signal(signal.SIGINT))
        with capture_events() as events:
            ended = run(
                small,
                config(mutex),
                host=host,  # type: ignore[arg-type]
                recorder=Recorder(),
                on_breath=trigger,
                watch_s=0,
            )
        assert trigger.fired
        assert ended.outcome.verdict == "interrupted", step
        assert ended.outcome.exit_code == 130
        assert ended.outcome.steps <= trigger.steps + 1
        assert_sound(events, ended.world, "interrupted")

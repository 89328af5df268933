"""Small scenarios, and runs of them on both hosts with their events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gorun_mem import Config, KiB, M, Run, World, run, scenario
from gorun_mem.events import Recorder, capture_events
from gorun_mem.events.capture import CapturedEvents
from gorun_mem.machine.scenario import Scenario

MUTEXES = ("queue", "sema", "futex", "spinbit", "any", "none")
HOSTS = ("trampoline", "trio")


@scenario(ms=3)
async def storm(world: World, *, rounds: int = 3) -> None:
    """Every M allocates, writes and frees under memlock; an arena and a second lock besides."""
    gate = world.mutex("gate")

    async def worker(m: M) -> None:
        for _ in range(rounds):
            size = m.choice(64, 128, 192) * KiB
            addr = await m.sys_alloc(size)
            await m.store(addr, m.id)
            if await m.choose(True, False):
                await m.lock(gate)
                await m.unlock(gate)
            assert await m.load(addr) == m.id
            await m.sys_free(addr, size)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


@scenario(ms=3)
async def varied(world: World) -> None:
    """Sleeps, pauses, computing and a nursery inside an M."""

    async def inner(m: M, ns: int) -> None:
        await m.sleep(ns)
        await m.pause()

    async def worker(m: M) -> None:
        async with m.world.open_ms() as ms:  # type: ignore[attr-defined]
            ms.start_soon(inner, 100 + m.randrange(3000))
            ms.start_soon(inner, 100)
            await m.compute(m.randrange(2000))
        await m.sleep(50)
        addr = await m.sys_alloc(64 * KiB)
        await m.sleep(m.randrange(20_000))
        await m.sys_free(addr, 64 * KiB)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


@dataclass
class Logged:
    """A run with its events."""

    run: Run
    events: CapturedEvents

    @property
    def outcome(self) -> Any:
        return self.run.outcome

    @property
    def world(self) -> Any:
        return self.run.world


def logged(
    scenario: Scenario,
    host: str = "trampoline",
    options: Any = None,
    watch_s: Any = 0.0,
    on_breath: Any = None,
    **config: Any,
) -> Any:
    """Run a scenario and keep its events."""
    with capture_events() as events:
        settings = scenario.config(**config)
        ended = run(
            scenario, settings, options, host=host, recorder=Recorder(), watch_s=watch_s,  # type: ignore[arg-type]
            on_breath=on_breath,
        )  # fmt: skip
    return Logged(ended, events)


def config_for(mutex: str, **more: Any) -> dict[str, Any]:
    """Settings with that mutex."""
    return {"mutex": mutex, "release": "go1.24.11", **more}


def assert_ended(events: CapturedEvents, outcome: str) -> None:
    """The log ends with run.end and has no other, and its times never go back."""
    assert events[-1].name == "run.end"
    assert events[-1].outcome == outcome
    assert len(events.named("run.end")) == 1
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    times = [e.t_ns for e in events]
    assert times == sorted(times)


__all__ = ["HOSTS", "MUTEXES", "Config", "Logged", "assert_ended", "config_for", "logged"]

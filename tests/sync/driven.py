"""Programs over the kit, run to their end or searched."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gorun_mem import M, World
from gorun_mem.explore import explore
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.verdict import Exploration
from gorun_mem.machine.config import Config
from gorun_mem.machine.trampoline import drive

Main = Callable[[World], Coroutine[Any, Any, None]]
Work = Callable[[M], Coroutine[Any, Any, None]]


def finished(main: Main, **settings: Any) -> World:
    """Run a program to its end; what ended it badly is raised."""
    world = World(Config(ms=2, **settings))
    drive(world.driver, main(world))
    if world.failure is not None:
        raise world.failure
    return world


def together(*works: Work) -> Main:
    """A program of Ms that are started one after another."""

    async def main(world: World) -> None:
        async with world.open_ms() as ms:
            for work in works:
                ms.start_soon(work)

    return main


def searched(main: Main, **settings: Any) -> Exploration:
    """Every schedule of a program that differs."""
    config = Config(ms=2, faults=settings.pop("faults", ()))
    settings.setdefault("detectors", DEFAULT_DETECTORS)
    return explore(main, config=config, strategy="exhaustive", canary=False, **settings)


def failure_of(main: Main, **settings: Any) -> str:
    """The kind of what a search finds; "" where it has seen every schedule and found nothing."""
    found = searched(main, **settings)
    if found.failure is None:
        assert found.verdict == "exhausted", found.sentence
        return ""
    return found.failure.signature.kind

"""One loop makes all steps, and its parts say what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.taped import ExploringEngine
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.engine import Engine
from gorun_mem.step.loop import Loop
from gorun_mem.step.solo import SoloLoop
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.searching import Searching
from gorun_mem.step.task import Task
from gorun_mem.step.timing import TimingEngine
from gorun_mem.sync import Word


@pytest.mark.parametrize("kind", [Engine, TimingEngine, ExploringEngine, SoloLoop])
def test_nobody_has_a_loop_of_its_own(kind: type[Loop]) -> None:
    """The engine, virtual time, a search and a lone M make their steps in `Loop.advance`."""
    own = [c.__name__ for c in kind.__mro__ if "advance" in vars(c)]
    assert own == ["Loop"]


class Numbers:
    """A detector that keeps the engine's number of each step that it is shown."""

    name = "numbers"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def begin(self, world: World) -> None:
        self._engine = world.engine

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        self.seen.append(self._engine.steps)

    def end(self, world: World) -> Sequence[Any]:
        return ()


async def two_adds(world: World) -> None:
    cell = Word("x")

    async def add(m: M) -> None:
        await cell.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)


def test_who_looks_on_sees_the_number_of_the_step_under_way() -> None:
    """From 1 to the last, in order."""
    numbers = Numbers()
    done = run_once(Target.of(two_adds, Config(ms=2)), SearchingWalk(), detectors=[numbers])
    assert numbers.seen == list(range(1, done.steps + 1))


class Broken(Searching):
    """A strategy with a mistake in it, where it has to choose."""

    name = "broken"

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        if len(runnable) > 1:
            raise ZeroDivisionError("in the strategy")
        return runnable[0]


class Fails(Op):
    """An operation whose step fails."""

    kind = "store"
    obj = "x"

    def step(self, m: MLike) -> object:
        raise ZeroDivisionError("in a step")


async def failing(world: World) -> None:
    await Fails()


def test_a_mistake_of_the_strategy_is_none_of_the_programs() -> None:
    """It goes through; the same error raised by a step fails the run."""
    with pytest.raises(ZeroDivisionError, match="in the strategy"):
        run_once(Target.of(two_adds, Config(ms=2)), Broken())
    done = run_once(Target.of(failing, Config(ms=2)), SearchingWalk())
    assert str(done.world.failure) == "in a step"
    assert done.steps == 1

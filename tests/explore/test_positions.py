"""Positions: what each M is about to do, noted without walking over all Ms."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.positions import Positions
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.returning import Returning
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.step.task import Task
from gorun_mem.sync import Chan, Lock, Word

Standing = tuple[tuple[str, str], ...]


class Watching(SearchingWalk):
    """A random walk that looks at all Ms wherever there is a choice."""

    def __init__(self) -> None:
        super().__init__()
        self.stood: list[Standing] = []

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """See where they stand."""
        if len(runnable) > 1:
            self.stood.append(standing(runnable[0].sched))
        return super().next_task(runnable, current)


class WatchingReturn(Returning):
    """The same, of a run that goes back."""

    def __init__(self, tapes: Sequence[Sequence[int]]) -> None:
        super().__init__(tapes)
        self.stood: list[Standing] = []

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """See where they stand."""
        if len(runnable) > 1:
            self.stood.append(standing(runnable[0].sched))
        return super().next_task(runnable, current)


def standing(engine: Any) -> Standing:
    """What the Ms that have begun are about to do, whichever is which."""
    begun = [task.op for task in engine.tasks if task.steps and task.op is not None]
    return tuple(sorted((op.kind, op.obj) for op in begun))


def _program(seed: int) -> Target:
    """Ms that do what is drawn to words, locks and channels."""
    random = Random(seed)
    plans = [[random.choice("wlcpy") for _ in range(3)] for _ in range(random.choice((2, 3)))]

    async def main(world: World) -> None:
        words, lock, chan = [Word("x"), Word("y")], Lock("l"), Chan("c", 2)

        def follows(plan: Sequence[str]) -> Any:
            async def follow(m: M) -> None:
                for number, what in enumerate(plan):
                    if what == "w":
                        await words[number % 2].add(1)
                    elif what == "l":
                        async with lock:
                            await words[0].load()
                    elif what == "c":
                        await chan.send(1)
                        await chan.recv()
                    elif what == "p":
                        async with world.open_ms() as ms:
                            ms.start_soon(follows(["w", "y"]))
                    else:
                        await m.pause()

            return follow

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(follows(plan))

    return Target.of(main, Config(ms=2))


@pytest.mark.parametrize("seed", range(12))
def test_a_number_stands_for_where_they_stand(seed: int) -> None:
    """Over many runs: the same number for the same, another for anything else."""
    target, looks = _program(seed), Positions()
    numbers: dict[Standing, int] = {}
    for again in range(30):
        walk = Watching()
        walk.begin(Random(again), Profile())
        run_once(target, walk, detectors=(looks,)).world.driver.dissolve()
        firsts = list(dict.fromkeys(walk.stood))
        assert len(firsts) == len(looks.found)
        for stood, number in zip(firsts, looks.found, strict=True):
            assert numbers.setdefault(stood, number) == number
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize("seed", range(6))
def test_the_tape_up_to_there_leads_there(seed: int) -> None:
    """A run that returns stands where the first run stood."""
    target, looks = _program(seed), Positions()
    walk = Watching()
    walk.begin(Random(seed), Profile())
    done = run_once(target, walk, detectors=(looks,))
    done.world.driver.dissolve()
    firsts = list(dict.fromkeys(walk.stood))
    for stood, length in zip(firsts, looks.found.values(), strict=True):
        back = WatchingReturn([done.tape[:length]])
        back.begin(Random(seed + 1), Profile())
        run_once(target, back).world.driver.dissolve()
        assert back.stood[walk.stood.index(stood)] == stood

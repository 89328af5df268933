"""Choices of the schedule's that are no steps, told in words where another would have passed."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem.explore import explore
from gorun_mem.explore.matters import difference
from gorun_mem.explore.target import Target
from gorun_mem.explore.telling import neighbours_of
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import FutexWord
from tests.explore.controlled.known_bugs import BUGS


async def sleeps_once(world: World) -> None:
    """An M that is sure of having been woken by nobody."""
    word = FutexWord("word")

    async def sleeper(m: M) -> None:
        assert not await word.wait(0, timeout_ns=10)

    async with world.open_ms() as ms:
        ms.start_soon(sleeper)


async def takes_memory_for_given(world: World) -> None:
    """An M that does not look whether there was memory."""

    async def work(m: M) -> None:
        assert await m.sys_alloc(1 << 20)

    async with world.open_ms() as ms:
        ms.start_soon(work)


@pytest.mark.parametrize(
    ("program", "fault", "said"),
    [
        (sleeps_once, "spurious", "had the sleep not ended by itself at step"),
        (takes_memory_for_given, "grow", "had the memory grown at step"),
        (BUGS["racing_timeouts"][0], "", "had another deadline passed first at step"),
    ],
)
def test_a_choice_is_told_in_words(program: Any, fault: str, said: str) -> None:
    """What would have had to be, where the nearest schedule that passes draws another value."""
    target = Target.of(program, Config(ms=2, faults=(fault,) if fault else ()))
    failure = explore(target, budget=500, canary=False).failure
    assert failure is not None
    near = neighbours_of(target, failure)
    assert near is not None
    assert near.found is not None
    assert difference(failure, near.found).startswith(said)

"""The scenario's own coroutine, M 0, takes locks as any M does."""

from __future__ import annotations

import pytest

from gorun_mem import KiB, World, run, scenario


@pytest.mark.parametrize("mutex", ["queue", "sema", "futex", "spinbit", "any", "none"])
def test_the_scenario_itself_may_call(mutex: str) -> None:
    """A call from M 0 is locked and unlocked on every mutex."""

    @scenario(ms=2)
    async def from_m0(world: World) -> None:
        addr = await world.main.sys_alloc(64 * KiB)
        await world.main.sys_free(addr, 64 * KiB)

    ended = run(from_m0, from_m0.config(mutex=mutex))
    assert ended.outcome.ok, ended.outcome

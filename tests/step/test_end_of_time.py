"""Virtual time has an end, so that times fit into 64 bits wherever they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gorun_mem import M, Run, World, run, scenario
from gorun_mem.events import read_events
from gorun_mem.events.log import open_log
from gorun_mem.events.recorder import Recorder
from gorun_mem.step.costs import COST_NS_MAX, DEFAULT_NS, TIME_NS_MAX, CostError, CostTable


@scenario(ms=1)
async def sleeper(world: World, *, ns: int = 1 << 80, times: int = 3) -> None:
    """Sleeps for very long."""

    async def sleep(m: M) -> None:
        for _ in range(times):
            await m.sleep(ns)

    async with world.open_ms() as ms:
        ms.start_soon(sleep)


def times_of(tmp_path: Path, options: dict[str, int], **settings: Any) -> tuple[Run, int]:
    """A run of `sleeper`, and the latest time in its log."""
    log = tmp_path / "log.jsonl"
    recorder = Recorder(open_log(log))
    done = run(sleeper, sleeper.config(**settings), options, recorder=recorder)
    recorder.close()
    return done, max(event.t_ns for event in read_events(log))


@pytest.mark.parametrize("strategy", ["timing", "random"])
@pytest.mark.parametrize("ns", [1 << 61, 1 << 62, 1 << 63, 1 << 80])
def test_time_ends_before_it_outgrows_64_bits(tmp_path: Path, ns: int, strategy: str) -> None:
    """A run that sleeps past the end of time makes no progress, says so, and has no time in its log
    that 64 bits do not hold."""
    done, latest = times_of(tmp_path, {"ns": ns}, strategy=strategy)
    assert done.outcome.verdict == "no_progress"
    assert "virtual time has come to its end" in str(done.outcome.error)
    assert latest < 1 << 63


@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_dear_steps_end_time_too(tmp_path: Path, strategy: str) -> None:
    """So do steps that cost as much as a table may say; a table may not say more."""
    costs = CostTable(dict.fromkeys(DEFAULT_NS, COST_NS_MAX))
    _, latest = times_of(
        tmp_path, {"ns": TIME_NS_MAX - 10**13, "times": 9}, costs=costs, strategy=strategy
    )
    assert TIME_NS_MAX - 10**13 < latest < 1 << 63
    for wrong in (2 * COST_NS_MAX, float("inf"), float("nan"), -1, 10**5000):
        with pytest.raises(CostError, match="is not a cost in ns"):
            CostTable({"other": wrong})

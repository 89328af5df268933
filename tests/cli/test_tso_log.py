"""The event log of a run whose stores are late: when each was made, and when it was seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.cli._by_schedule import follow
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.target import Target
from gorun_mem.machine.library import find
from gorun_mem.step.strategies.random import RandomWalk
from tests.cli.run_scripts import Command


def events_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_of_a_failure_under_tso_says_when_stores_were_late(gorun_mem: Command) -> None:
    """Both stores are made before either is seen, and the same log comes of the token."""
    search = ("explore", "lessons/store_buffering", "--memory", "tso", "--log", "a.jsonl")
    assert gorun_mem(*search, "--save", "a.schedule")[0] == 1
    events = events_of(Path("a.jsonl"))
    assert events[0]["memory"] == "tso"
    assert events[-1]["outcome"] == "failed"
    stores = [(one["event"], one["m"]) for one in events if one["event"].startswith("store.")]
    late = [m for event, m in stores if event == "store.late"]
    assert sorted(late) == [1, 2]
    assert {event for event, _ in stores[:2]} == {"store.late"}
    flushed = [m for event, m in stores if event == "store.flush"]
    assert sorted(flushed) == [1, 2]
    assert gorun_mem("replay-schedule", "a.schedule", "--log", "b.jsonl")[0] == 1
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
    code, out, _ = gorun_mem("report", "a.jsonl")
    assert code == 0
    assert "failed after" in out


@pytest.mark.parametrize("seed", range(3))
def test_a_run_under_tso_is_logged_as_it_was_made(seed: int) -> None:
    """A scenario that calls the memory layer: as many steps as in the search, and its Ms wait for
    locks and are woken by Ms; no buffer is an M."""
    from gorun_mem.events.recorder import Recorder

    scenario = find("memlock_storm")
    target = Target.of(
        scenario, scenario.config().but(ms=2, mutex="sema", memory="tso"), {"rounds": 1}
    )
    walk: Any = RandomWalk(seed)
    found = run_once(target, walk, transcribe=True)
    assert found.transcriber is not None
    told: list[Any] = []
    recorder = Recorder(None)
    recorder.subscribe(told.append)
    schedule = found.transcriber.schedule(target.about)
    done = follow(scenario, target, schedule, "trampoline", recorder, watch_s=0)
    assert done.outcome.ok
    assert done.outcome.steps == found.steps
    assert {event.m for event in told} <= {0, 1, 2}
    kinds = [type(event).__name__ for event in told]
    assert kinds.count("MemCall") == kinds.count("MemReturn") > 0
    assert kinds.count("MPark") == kinds.count("MUnpark")

"""A seed names one log, the same bytes on either host and whenever it is run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gorun_mem.machine.library import find, names
from tests import TRACES
from tests.scenarios.scenario_runs import logged

TRACE = str(TRACES / "go1.26.6-js-trees_oom.jsonl.gz")

SMALL: dict[str, dict[str, Any]] = {
    "arena_at_break": {"arenas": 3},
    "boot_order": {},
    "chan_contended": {"iterations": 1, "threads": "1,3"},
    "checkerboard": {"blocks": 12},
    "end_of_memory": {"blocks": 6},
    "freelist_fallback": {"rounds": 2},
    "leaked_lock": {},
    "lifo_starvation": {"ops": 40},
    "memlock_storm": {"rounds": 8},
    "mutex_shootout": {"ops": 20, "threads": "1,4", "processors": "2"},
    "out_of_memory": {"room": 24},
    "preempted_holder": {"rounds": 2},
    "real_program": {"trace": TRACE, "order": "free"},
    "reuse_before_after": {"rounds": 5},
}
"""Options that keep each scenario short."""


def test_every_scenario_is_here() -> None:
    """The table above has the library's scenarios, all of them."""
    assert sorted(SMALL) == names()


def settings(seed: int) -> dict[str, Any]:
    """Three Ms, who goes first by the clock or by lot."""
    return {"ms": 3, "seed": seed, "strategy": "random" if seed % 2 else "timing"}


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("seed", range(20))
def test_both_hosts_write_the_same_bytes(name: str, seed: int) -> None:
    """Whatever the seed, the trio host's log is the trampoline's, byte for byte."""
    scenario = find(name)
    one = logged(scenario, "trampoline", settings(seed), **SMALL[name])
    other = logged(scenario, "trio", settings(seed), **SMALL[name])
    assert one.log == other.log
    assert one.results == other.results
    assert one.exit_code == other.exit_code == EXITS.get(name, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_recording_in_its_order_too(seed: int) -> None:
    """Turns are given the same way on either host."""
    one = logged("real_program", "trampoline", settings(seed), trace=TRACE)
    other = logged("real_program", "trio", settings(seed), trace=TRACE)
    assert one.log == other.log
    assert one.exit_code == other.exit_code == 0


EXITS = {"boot_order": 1, "leaked_lock": 3, "real_program": 1}
"""Scenarios that are meant to fail, and how; the recorded program had not memory enough."""


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_log_is_whole(name: str) -> None:
    """run.start is first, run.end last, and seq has no gaps."""
    done = logged(name, config={"ms": 3}, **SMALL[name])
    lines = [msgspec.json.decode(line) for line in done.log.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["event"] == "run.start"
    assert lines[0]["scenario"] == name
    assert lines[-1]["event"] == "run.end"


@pytest.mark.parametrize("name", ["memlock_storm", "end_of_memory", "real_program"])
def test_seeds_differ(name: str) -> None:
    """The check above could fail: another seed gives another log."""
    logs = {
        logged(name, config={"ms": 3, "seed": seed, "strategy": "random"}, **SMALL[name]).log
        for seed in range(4)
    }
    bodies = {log.split(b"\n", 1)[1] for log in logs}
    assert len(bodies) == 4

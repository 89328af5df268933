"""Recordings under other policies; under Go's own they are what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import UNSET

from gorun_mem.policies import POLICIES, load_policy, policy_parts
from gorun_mem.predict.policies import under_policy
from gorun_mem.predict.policy_script import is_script, script_under_policy
from gorun_mem.predict.program import load
from gorun_mem.predict.span import simulate
from gorun_mem.replay.compare import ReplayTally
from gorun_mem.replay.opscript import Script
from gorun_mem.replay.os_level import Level, RecordingReplay
from gorun_mem.replay.recording import Recording, RecordingError
from gorun_mem.replay.shipped import names
from gorun_mem.runtime.behaviour import release
from tests import ROOT

TRACES = sorted(
    path
    for system in ("js", "wasip1")
    for path in (ROOT / "tests/data/traces").glob(f"*-{system}-*.gz")
    if "go1.19" not in path.name and "t_runtime" not in path.name  # the latter are long
)


@pytest.mark.parametrize("name", names())
def test_gos_own_policy_is_exact(name: str) -> None:
    """Every recorded call is answered as Go did; pages and growths are the real layer's."""
    tally = ReplayTally()
    with Recording(name) as recording:
        parts = policy_parts(load_policy("first_fit")())
        RecordingReplay(recording, Level.OS, tally, parts).run()
    assert tally.calls
    assert not tally.differences, tally.first
    program = load(name)
    header = program.header
    real = simulate(program, program.release, header.end, program.initial_pages, header.max_pages)
    own = under_policy(name, load_policy("first_fit"))
    assert (own.pages, own.grows, own.lived) == (real.pages, real.grows, True)
    assert own.pages == program.pages


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name)
def test_recorded_calls_under_gos_own_policy_are_exact(path: Path) -> None:
    """Without spans: the calls made in order, moved by nothing, give the recorded memory."""
    last = 0
    with Recording(path) as recording:
        for event in recording:
            last = last if event.pages_now is UNSET else event.pages_now
    own = under_policy(path, load_policy("first_fit"))
    assert (own.level, own.pages) == ("os", last)


def test_moved_calls_live_under_every_policy() -> None:
    """Each serves the whole recording, and ends with a sound list."""
    for name in POLICIES:
        found = under_policy(TRACES[-1], load_policy(name))
        assert found.lived, name
        assert found.free_bytes >= found.largest


def test_smaller_arenas_are_what_the_next_release_has() -> None:
    """go1.24 with arenas of 512 KiB takes what go1.27 is predicted to take, within 5 %."""
    for name in ("trees-go1.24.11", "slices-go1.24.11", "stacks-go1.24.11"):
        program = load(name)
        header = program.header
        to = release("go1.27.3")
        end, first, most = header.end, program.initial_pages, header.max_pages
        real = simulate(program, to, end, first, most).pages
        assert under_policy(name, load_policy("arena")).pages == pytest.approx(real, rel=0.05)


def test_a_limit_kills() -> None:
    """One page less than it takes is one too few."""
    first = load_policy("first_fit")
    pages = under_policy("trees-go1.24.11", first).pages
    assert under_policy("trees-go1.24.11", first, pages).lived
    assert not under_policy("trees-go1.24.11", first, pages - 1).lived


def test_a_release_without_a_free_list_is_refused() -> None:
    """Up to 1.20 nothing is reused."""
    with pytest.raises(RecordingError, match="no free list"):
        under_policy(ROOT / "tests/data/traces/go1.19-js-tracer.jsonl.gz", load_policy("buddy"))


SCRIPTS = sorted(
    path for path in (ROOT / "tests/data/ops").glob("*-wasm-*.gz") if "1.19" not in path.name
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts(path: Path) -> None:
    """Under Go's own policy the pages that were recorded; every policy serves the last script."""
    with Script.open(str(path)) as script:
        script.header()
        states = [op.recorded for op in script if op.name == "state" and op.recorded]
    last = int(re.findall(r"pages=(\d+)", states[-1])[0])
    assert is_script(path)
    for name in POLICIES if path == SCRIPTS[-1] else ["first_fit"]:
        found = script_under_policy(path, load_policy(name)())
        if name == "first_fit":
            assert (found.level, found.lived, found.pages) == ("ops", True, last)
        assert found.free_blocks

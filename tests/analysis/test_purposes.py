"""What memory was for: arenas are arenas, whoever asked and however it was recorded."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import Config, KiB, M, World, scenario
from gorun_mem.analysis.memoryreport import Layout
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events.capture import capture_events
from gorun_mem.machine import library
from gorun_mem.machine.run import run
from gorun_mem.report.sections import SECTIONS
from gorun_mem.runtime.purposes import ARENAS, HEAP, HEAP_RESERVATION, UNNAMED, in_reports
from tests import TRACES

RECORDINGS = sorted(TRACES.glob("*.jsonl.gz"))


def layout_of(
    program: Any, config: Config, options: dict[str, Any] | None = None, ends: str = "ok"
) -> Layout:
    with capture_events() as events:
        done = run(program, config, options or {}, recorder=events.recorder)
    assert done.outcome.verdict == ends, done.outcome
    return LogAnalysis.of(events).memory.end


@pytest.mark.parametrize("trace", RECORDINGS, ids=lambda path: path.name)
@pytest.mark.parametrize("order", ["recorded", "free"])
def test_a_recordings_arenas_are_those_that_go_got(trace: Path, order: str) -> None:
    """The bytes that a report calls arenas are those that mheap.sysAlloc answered in Go, by the
    recording's own lines; what is called metadata is the rest, each under its caller's name."""
    with gzip.open(trace, "rt") as lines:
        events = [json.loads(line) for line in lines]
    go = sum(e["size"] for e in events if e.get("ev") == "mheap.sysAlloc" and e["v"])
    program = library.find("real_program")
    if order == "free" and "-drive" in trace.name:
        pytest.skip("driven: neither its boot nor its limit is a whole program's")
    dies = order == "free" and "oom" in trace.name
    end = layout_of(
        program,
        program.config(ms=1),
        {"trace": str(trace), "order": order},
        "out_of_memory" if dies else "ok",
    )
    if dies:  # at the growth that Go lived on without: what comes after it is not there
        assert 0 < end.arena_bytes <= go
    else:
        assert end.arena_bytes == go
    assert UNNAMED not in end.held
    assert sum(end.held.values()) == end.arena_bytes + end.metadata_bytes
    assert not any("sysReserveAligned" in purpose for purpose in end.held)


@pytest.mark.parametrize(
    ("release", "platform"),
    [("go1.27.3", "js/wasm"), ("go1.22.10", "js/wasm"), ("go1.27.3", "plan9/amd64"),
     ("go1.19", "js/wasm"), ("go1.22.10", "plan9/386"), ("go1.27.3", "plan9/386")],
)  # fmt: skip
def test_a_heaps_arenas_and_an_aligned_block_of_ones_own(release: str, platform: str) -> None:
    """mallocinit's metadata is none of the arenas, and a purpose that is said counts, aligned or
    not."""

    @scenario(ms=1)
    async def program(world: World) -> None:
        """A heap with two arenas, and blocks of one's own."""

        async def worker(m: M) -> None:
            await m.mallocinit()
            got.extend([await m.mheap_sys_alloc(64 * KiB) for _ in range(2)])
            got.append(await m.sys_reserve_aligned(192 * KiB, 64 * KiB, "mine"))

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    got: list[tuple[int, int]] = []
    end = layout_of(program, Config(ms=1, release=release, platform=platform))
    *arenas, mine = [size for _, size in got]
    assert end.arena_bytes == sum(arenas) > 0
    assert end.held["mine"] == mine >= 192 * KiB


@pytest.mark.parametrize("trace", RECORDINGS, ids=lambda path: path.name)
def test_a_recordings_hints_are_gos(trace: Path) -> None:
    """Issued in its order, a recording's hints that hit and that were asked in vain are Go's own,
    in metrics, section and diff alike, and every arena is told of."""
    with gzip.open(trace, "rt") as lines:
        events = [json.loads(line) for line in lines]
    hits = sum(e.get("ev") == "hintHit" and e["v"] != 0 for e in events)
    asked = {
        e["v"] for e in events
        if e.get("ev") == "sysReserveOS" and e["by"].startswith("runtime.(*mheap).")
    }  # fmt: skip
    missed = sum(e.get("ev") == "hintDrop" and e["addr"] in asked for e in events)
    arenas = [(e["v"], e["size"]) for e in events if e.get("ev") == "mheap.sysAlloc" and e["v"]]
    program = library.find("real_program")
    with capture_events() as told:
        run(program, program.config(ms=1), {"trace": str(trace)}, recorder=told.recorder)
    found = LogAnalysis.of(told)
    assert (found.metrics["hint_hits"], found.metrics["hint_misses"]) == (hits, missed)
    assert found.memory.hint_hits == hits
    assert found.memory.hint_misses_seen == missed
    facts = dict(SECTIONS["hints"](found).facts)
    assert facts == {"hit": f"{hits:,}", "missed": f"{missed:,}"}
    got = [(e.addr, e.size) for e in told if e.name == "arena.reserve" and e.addr]
    assert got == arenas


def test_purposes_in_reports() -> None:
    """Words of the heap are arenas; aligned memory without a word is, too, for that is Go's."""
    assert [in_reports(said, False) for said in (HEAP, HEAP_RESERVATION, "x", "", None)] == [
        ARENAS, ARENAS, "x", UNNAMED, UNNAMED,
    ]  # fmt: skip
    assert [in_reports(said, True) for said in ("x", "", None)] == ["x", ARENAS, ARENAS]

"""A page is 64 KiB in every figure, on Plan 9 too."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import Config, KiB, M, World, scenario
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events.capture import capture_events
from gorun_mem.machine.run import run
from gorun_mem.runtime.pages import PAGE, pages_of, top_of

SETTINGS = [
    {"platform": "plan9/amd64"},
    {"platform": "plan9/386"},
    {"platform": "plan9/amd64", "release": "go1.21.13"},
    {"platform": "plan9/amd64", "release": "dac514ea", "wrong_order": True},
    {"platform": "js/wasm"},
    {"platform": "wasip1/wasm", "release": "go1.22.10"},
    {"platform": "js/wasm", "release": "go1.19"},
]


@scenario(ms=1)
async def sawtooth(world: World) -> None:
    """Sizes that are no multiples of a page come and go, up to a limit and against it."""

    async def worker(m: M) -> None:
        had = []
        for turn in range(60):
            n = 4 * KiB * (1 + m.randrange(90))
            p = await m.sys_alloc_os(n)
            if p:
                had.append((p, n))
            if turn % 3 == 2 and had:
                await m.sys_free_os(*had.pop(m.randrange(len(had))))
        world.runtime.memory.limit(world.snapshot().pages)
        await m.sys_alloc_os(600 * PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(worker)


def test_what_a_page_is() -> None:
    """One page holds 64 KiB, and a byte more takes another."""
    assert [pages_of(n) for n in (0, 1, PAGE, PAGE + 1)] == [0, 1, 1, 2]
    assert top_of(3, 5000, True) == 3 * PAGE
    assert top_of(3, 5000, False) == 5000


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_all_figures_of_pages_agree(settings: Any, seed: int) -> None:
    """Start, growths, returns, the end, the snapshot and the report count the same pages: those at
    the start and what the growths that were granted added are those at the end."""
    with capture_events() as events:
        done = run(sawtooth, Config(ms=1, seed=seed, **settings), recorder=events.recorder)
    assert done.outcome.ok, done.outcome
    start, end = events[0], events[-1]
    grows = [e for e in events if e.name == "mem.grow"]
    returns = [e for e in events if e.name == "mem.return"]
    wasm = not start.platform.startswith("plan9")

    at = start.initial_pages
    for grow in grows:
        assert grow.pages_before == at == pages_of(grow.bytes_before)
        assert grow.pages_after == pages_of(grow.bytes_after)
        assert grow.pages_before + grow.delta_pages == pages_of(
            grow.bytes_before + grow.delta_bytes
        )
        assert grow.pages_after == at + grow.delta_pages * grow.ok
        at = grow.pages_after
    assert grows
    assert not grows[-1].ok
    assert grows[-1].max_pages == at  # the limit of N pages is said as N
    assert at == returns[-1].pages == end.final_pages == done.world.snapshot().pages
    assert returns[-1].pages == pages_of(top_of(returns[-1].pages, returns[-1].bloc_max, wasm))

    use = LogAnalysis.of(events).memory
    assert use.end.pages == end.final_pages
    assert [(g.before, g.ok) for g in use.growths] == [(g.bytes_before, g.ok) for g in grows]
    first = top_of(start.initial_pages, use.growths[0].before, wasm)
    assert first + sum(g.after - g.before for g in use.growths if g.ok) == use.end.top
    assert sum(cause.bytes for cause in use.causes) == use.end.top - first
    needed = pages_of(max(g.bytes_before + g.delta_bytes for g in grows))
    assert use.budget(end.final_pages).needed == max(needed, end.final_pages)

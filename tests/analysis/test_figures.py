"""Every figure of memory in reports is that of the raw events, worked out independently."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import M, World, scenario
from gorun_mem.analysis.by_release import PARTS, ArenaPattern, OnRelease
from gorun_mem.analysis.diff import _rows
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.testing.strategies import KINDS, DrawnCall, play
from tests.analysis.make_logs import heap, run_events, storm, toy_events
from tests.analysis.raw_memory import PAGE, Raw
from tests.scenarios.scenario_runs import logged
from tests.scenarios.test_same_log import SMALL

RELEASES = [
    ("go1.27.3", "plan9/amd64"), ("go1.22.10", "plan9/386"), ("go1.26.6", "js/wasm"),
    ("go1.22.10", "js/wasm"), ("go1.19", "js/wasm"), ("dac514ea", "plan9/amd64"),
]  # fmt: skip


@scenario(ms=3)
async def odd_calls(world: World) -> None:
    """Ms that make random legal calls, most of them of sizes that are no whole number of pages."""
    release = world.settings.release.behaviour
    kinds = [k for k in KINDS if k != "reserve_aligned" or release.is_sbrk_platform]

    def call(m: M) -> DrawnCall:
        kind = m.choice(*kinds)
        n = 1 + m.randrange(300_000)
        if kind == "reserve_aligned":
            n = -(-n // PAGE) * PAGE
        return DrawnCall(
            kind, n=n, align=PAGE << m.randrange(3), which=m.randrange(5) - 1,
            head=m.choice(True, False), pages=1 + m.randrange(3),
        )  # fmt: skip

    async def worker(m: M) -> None:
        await play(m, [call(m) for _ in range(60)])

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)


LOGS: list[Any] = [
    *(pytest.param(lambda s=s: toy_events(s, steps=700), id=f"toy{s}") for s in range(12)),
    *(
        pytest.param(
            lambda w=w, r=r, p=p, s=s: run_events(
                w, w.config(release=r, platform=p, seed=s, max_pages=30000)
            )[1],
            id=f"{w.name}-{r}-{p}-{s}",
        )
        for w in (heap, storm, odd_calls)
        for r, p in RELEASES
        for s in range(3 if w is odd_calls else 2)
    ),
    pytest.param(
        lambda: run_events(heap, heap.config(release="go1.26.6", max_pages=400))[1], id="refused"
    ),
    *(
        pytest.param(
            lambda n=n, s=s: logged(n, config={"ms": 3, "seed": s}, **SMALL[n]).events,
            id=f"{n}-{s}",
        )
        for n in sorted(SMALL)
        for s in range(2)
    ),
]


@pytest.fixture(params=LOGS)
def events(request: pytest.FixtureRequest) -> list[Any]:
    return list(request.param())


def test_where_the_memory_is(events: list[Any]) -> None:
    """Live, handed out by purpose, free, slack, holes and what could be discarded, at the end; live
    and handed out at the peak; and the parts of the whole, which leave nothing over."""
    raw, use = Raw(events), LogAnalysis.of(events).memory
    if not raw.returns:
        assert use.end.held == {}
        assert use.peak_live == 0
        return
    last, end = raw.returns[-1], use.end
    most, at = raw.peak_live()
    assert (use.peak_live, use.peak.live) == (most, most)
    assert use.peak.held == raw.held_after[at]
    assert use.peak.top == raw.states[at][1]
    assert end.live == raw.states[-1][5]
    assert end.held == raw.held_after[-1]
    assert end.rounding == sum(raw.held_after[-1].values()) - raw.states[-1][5]
    blocks = raw.blocks_after[-1]
    assert (end.free, end.free_blocks) == (sum(blocks.values()), len(blocks))
    assert end.free_largest == max(blocks.values(), default=0)
    assert end.hole_bytes == raw.holes
    assert end.top == raw.states[-1][1]
    assert end.slack == max(0, last.bloc_max - last.bloc)
    assert use.peak_top == raw.peak_top()
    assert end.static == raw.static
    assert use.noop_bytes == raw.noop
    parts = end.static + sum(raw.held_after[-1].values()) + end.free + end.slack + end.never_used
    assert end.lost == end.top - parts == raw.noop
    assert use.most_free[0] == max(state[4] for state in raw.states)
    found = use.discard()
    assert found is not None
    assert (found.free_pages, found.slack_pages) == raw.discard_pages()


def test_why_it_grew(events: list[Any]) -> None:
    """Growths one by one and by cause: how much, for which call, and what was free before it."""
    raw, use = Raw(events), LogAnalysis.of(events).memory
    assert use.growths_seen == len(raw.grows)
    assert use.refused == sum(not grow.ok for grow in raw.grows)
    causes = {(one.fn, one.purpose): (one.count, one.bytes, one.refused) for one in use.causes}
    assert causes == raw.causes()
    granted = sum(size for _, size, _ in causes.values())
    if raw.returns:
        assert granted == use.end.top - raw.first_top()
    for ours, grow in zip(use.growths, raw.grows, strict=True):
        last = raw.before(grow.seq)
        assert (ours.seq, ours.t_ns, ours.ok) == (grow.seq, grow.t_ns, grow.ok)
        assert ours.before == grow.bytes_before
        assert ours.after == grow.bytes_before + grow.delta_bytes
        assert ours.cause is not None
        assert ours.cause.op == grow.op
        assert ours.free == (last.free_bytes if last is not None else 0)
        assert ours.largest == (last.free_largest if last is not None else 0)
        assert ours.live == raw.live_before(grow.seq)
        assert ours.slack == (max(0, last.bloc_max - last.bloc) if last is not None else 0) or (
            last is None
        )
    needed = -(-max([raw.peak_top(), *raw.asked_tops()]) // PAGE)
    for pages in (needed - 1, needed, needed + 1):
        assert use.budget(pages).fits == (needed <= pages)
        assert use.budget(pages).needed == needed


def test_how_fragmented_it_is(events: list[Any]) -> None:
    """Measures at their greatest, Wilson's ratios, rounding, searches and failures."""
    raw, seen = Raw(events), LogAnalysis.of(events).fragmentation
    assert seen.external_max[0] == pytest.approx(raw.external_max())
    assert seen.sawicki_max is not None
    assert seen.sawicki_max[0] == pytest.approx(raw.sawicki_max())
    got = [e for e in raw.returns if e.fn != "sysFreeOS" and e.ok]
    assert seen.asked_bytes == sum(e.n for e in got)
    assert seen.rounding_bytes == sum(raw.rounded(e.n) - e.n for e in got)
    assert seen.blocks_max == max([0, *(e.free_blocks for e in raw.returns)])
    asks = sorted(e.search_steps for e in raw.returns if e.fn != "sysFreeOS")
    assert seen.search_steps.count == len(asks)
    assert seen.search_steps.total == sum(asks)
    assert seen.failures_seen == sum(
        e.fn != "sysFreeOS" and not e.ok and e.path == "fail" for e in raw.returns
    )
    if any(state[5] > 0 for state in raw.states):
        ours = seen.ratios
        assert (
            ours.average, ours.at_peak_live, ours.at_peak_heap, ours.peak_over_peak
        ) == pytest.approx(raw.wilson())  # fmt: skip


def test_summary_metrics_releases_and_diff_say_the_same(events: list[Any]) -> None:
    """What `run`, `releases` and `diff` say of memory is what the events say."""
    raw, found = Raw(events), LogAnalysis.of(events)
    metrics = found.metrics
    end = events[-1]
    if raw.returns:
        last = raw.returns[-1]
        assert metrics["final_pages"] == -(-raw.states[-1][1] // PAGE)
        assert (metrics["bloc"], metrics["bloc_max"]) == (last.bloc, last.bloc_max)
        assert metrics["free_bytes_max"] == max(e.free_bytes for e in raw.returns)
        assert metrics["free_blocks_max"] == max(e.free_blocks for e in raw.returns)
        assert metrics["free_bytes"] == sum(raw.blocks_after[-1].values())
    assert metrics["calls"] == len(raw.returns)
    assert metrics["calls_failed"] == sum(not e.ok for e in raw.returns)
    assert metrics["search_steps"] == sum(e.search_steps for e in raw.returns)
    assert metrics["cleared_bytes"] == sum(e.cleared_bytes for e in raw.returns)
    assert metrics["hint_hits"] == sum(e.path == "hint" for e in raw.returns)
    assert metrics["grows_refused"] == sum(not e.ok for e in raw.grows)
    if end.name == "run.end":
        assert metrics["peak_live_bytes"] == raw.peak_live()[0]
        assert metrics["grows"] == len(raw.grows)
        assert metrics["hint_misses"] == sum(e.name == "arena.hint_miss" for e in events)
    one = OnRelease.of("r", "ok", found, ArenaPattern())
    assert set(one.parts) == {name for name, _ in PARTS}
    assert sum(one.parts.values()) == found.memory.end.top
    assert one.grows == len(raw.grows)
    rows = {row.name: (row.a, row.b) for row in _rows(found, found)}
    for purpose, size in (raw.held_after[-1] if raw.returns else {}).items():
        assert rows[f"held: {purpose}"] == (size, size)


def test_a_figure_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of all this: an analysis that misses a single return, or calls arenas something
    else, is caught."""
    events = list(run_events(heap, heap.config(release="go1.26.6"))[1])
    raw = Raw(events)
    right, deaf = LogAnalysis.of(events).memory, LogAnalysis.of(_without_one(events)).memory
    assert right.end.held == raw.held_after[-1]
    assert right.peak_live == raw.peak_live()[0]
    assert deaf.end.held != raw.held_after[-1]
    assert deaf.peak_live != raw.peak_live()[0]
    monkeypatch.setattr("gorun_mem.analysis.callbooks.in_reports", lambda said, aligned: "unnamed")
    assert LogAnalysis.of(events).memory.end.held != raw.held_after[-1]


def _without_one(events: list[Any]) -> list[Any]:
    """A log that lacks the first return of memory that nobody frees."""
    freed = {e.v for e in events if e.name == "mem.return" and e.fn == "sysFreeOS"}
    lost = next(
        e for e in events
        if e.name == "mem.return" and e.ok and e.fn != "sysFreeOS" and e.p not in freed
    )  # fmt: skip
    return [e for e in events if e is not lost]

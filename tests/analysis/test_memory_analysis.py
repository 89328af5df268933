"""Where the memory is: against the run's own ledger, against brute force, and by hand."""

from __future__ import annotations

import io
from math import sqrt
from typing import Any

import pytest

from gorun_mem import MiB
from gorun_mem.analysis.blocks import FreeBlocks
from gorun_mem.analysis.callbooks import external, sawicki
from gorun_mem.analysis.fragmentation import Fragmentation, fragmentation_index, unusable
from gorun_mem.analysis.memory import MemoryUse, whole_pages
from gorun_mem.analysis.stream import analyse, feed
from gorun_mem.events.capture import capture_events
from gorun_mem.runtime.call import Call, LayerState
from tests.analysis.make_logs import PAGE, heap, run_events, run_log, storm, toy_events, toy_log

PLATFORMS = [
    ("go1.19", "js/wasm"), ("go1.21", "js/wasm"), ("go1.23", "js/wasm"), ("go1.24", "js/wasm"),
    ("go1.25", "js/wasm"), ("go1.26", "js/wasm"), ("go1.27", "wasip1/wasm"),
    ("go1.23", "plan9/386"), ("go1.23", "plan9/amd64"), ("go1.27", "plan9/386"),
    ("go1.27", "plan9/amd64"),
]  # fmt: skip


def analysed(events: Any) -> tuple[MemoryUse, Fragmentation, FreeBlocks]:
    free = FreeBlocks()
    found = MemoryUse(free), Fragmentation(free), free
    feed(events, [free, found[0], found[1]])
    return found


@pytest.mark.parametrize(("release", "platform"), PLATFORMS)
def test_layout_is_the_ledger_and_leaves_nothing_over(release: str, platform: str) -> None:
    """Handed out, free and top at the end are the run's own; the parts sum to the top."""
    config = heap.config(release=release, platform=platform, max_pages=30000)
    done, events = run_events(heap, config)
    memory, _, free = analysed(events)
    snapshot = done.statistics.memory
    end = memory.end
    assert end.held_bytes == snapshot.live_bytes
    assert (end.free, end.free_blocks) == (snapshot.free_bytes, len(snapshot.free))
    assert free.ordered() == list(snapshot.free)
    assert free.mismatches == 0, free.mismatch
    assert end.pages == snapshot.pages == events[-1].final_pages
    assert end.slack == max(0, snapshot.bloc_max - snapshot.bloc)
    assert memory.peak_live == events[-1].peak_live_bytes == memory.peak.live
    assert memory.growths_seen == snapshot.grows
    assert memory.refused == snapshot.grows_refused
    assert memory.unknown_frees == 0
    assert memory.hint_misses_seen == events[-1].hint_misses
    # Up to 1.20 what is freed is lost, and nothing else ever is.
    assert end.lost == memory.noop_bytes
    assert (end.lost > 0) == (release == "go1.19")
    assert memory.peak.lost >= 0


@pytest.mark.parametrize("seed", range(10))
def test_against_a_set_of_pages(seed: int) -> None:
    """Held by purpose, free, peak and discard, recomputed page by page."""
    events = toy_events(seed, locks=1, ms=3, steps=600)
    memory, fragmentation, free = analysed(events)
    owner: dict[int, str] = {}
    listed: set[int] = set()
    live = peak = 0
    at_peak: dict[str, int] = {}
    heap_sum, points = 0.0, 0
    best = (0.0, 0)
    for e in events:
        if e.name == "freelist.put":
            listed |= set(range(e.addr // PAGE, (e.addr + e.size) // PAGE))
        elif e.name == "freelist.take":
            listed -= set(range(e.addr // PAGE, (e.addr + e.size) // PAGE))
        elif e.name == "mem.return":
            span = range((e.p or e.v) // PAGE, -(-((e.p or e.v) + e.n) // PAGE))
            if e.fn == "sysFreeOS":
                live -= e.n
                for page in span:
                    del owner[page]
            elif e.ok:
                live += e.n
                purpose = e.purpose if isinstance(e.purpose, str) else "unnamed"
                purpose = "arenas" if purpose == "heap reservation" else purpose
                owner |= dict.fromkeys(span, purpose)
            if live > peak:
                peak = live
                at_peak = {}
                for purpose in owner.values():
                    at_peak[purpose] = at_peak.get(purpose, 0) + PAGE
            heap = e.pages * PAGE - 20 * PAGE
            if live > 0:
                heap_sum, points = heap_sum + heap / live, points + 1
            if live > best[1]:
                best = (heap / live, live)
    at_end: dict[str, int] = {}
    for purpose in owner.values():
        at_end[purpose] = at_end.get(purpose, 0) + PAGE
    assert memory.end.held == at_end
    assert memory.peak.held == at_peak
    assert (memory.peak_live, memory.end.live) == (peak, live)
    assert memory.end.free == len(listed) * PAGE == free.total
    assert memory.end.lost == 0
    assert free.squares == sum(s * s for s in free.blocks.values())
    assert fragmentation.ratios.average == pytest.approx(heap_sum / points)
    assert fragmentation.ratios.at_peak_live == pytest.approx(best[0])
    discard = memory.discard()
    assert discard is not None
    # A block keeps the page that its header is in, and whole pages are all that there is here.
    assert discard.free_pages == len(listed) - len(free.blocks)


@pytest.mark.parametrize("seed", range(10))
def test_every_sample_against_the_rebuilt_list(seed: int) -> None:
    """Sawicki's, external and the failures' indices are those of the list as it was then."""
    events = toy_events(seed, locks=1, ms=3, steps=600)
    _, found, _ = analysed(events)
    blocks: set[int] = set()
    worst_external = worst_sawicki = 0.0
    failures = []
    for e in events:
        if e.name == "freelist.put":
            blocks |= set(range(e.addr // PAGE, (e.addr + e.size) // PAGE))
        elif e.name == "freelist.take":
            blocks -= set(range(e.addr // PAGE, (e.addr + e.size) // PAGE))
        elif e.name == "mem.return":
            sizes = runs_of(blocks)
            total = sum(sizes)
            assert (total, len(sizes)) == (e.free_bytes, e.free_blocks)
            if total:
                worst_external = max(worst_external, 1 - max(sizes) / total)
                squares = sum(s * s for s in sizes)
                worst_sawicki = max(worst_sawicki, 1 - sqrt(squares) / total)
            if e.path == "fail":
                need = -(-e.n // PAGE) * PAGE
                useful = sum(s // need for s in sizes) * need
                index = (1 - (1 + total / need) / len(sizes)) if sizes else 0.0
                if any(s >= need for s in sizes):
                    index = -1.0
                failures.append((e.seq, 1 - useful / total if total else 1.0, index))
    assert found.external_max[0] == pytest.approx(worst_external)
    assert found.sawicki_max is not None
    assert found.sawicki_max[0] == pytest.approx(worst_sawicki, abs=1e-9)
    assert found.failures_seen == len(failures)
    for got, (seq, useless, index) in zip(found.failures, failures, strict=False):
        assert got.seq == seq
        assert got.index == pytest.approx(index)
        assert got.unusable == pytest.approx(useless)


def runs_of(pages: set[int]) -> list[int]:
    """Bytes of each maximal run of pages; the toy merges all neighbours."""
    sizes: list[int] = []
    last = None
    for page in sorted(pages):
        if last is not None and page == last + 1:
            sizes[-1] += PAGE
        else:
            sizes.append(PAGE)
        last = page
    return sizes


def test_measures_by_hand() -> None:
    """The pure functions on cases worked out on paper."""
    assert external(0, 0) == 0.0
    assert external(100, 100) == 0.0
    assert external(100, 25) == 0.75
    assert sawicki(0, 0) == 0.0
    assert sawicki(100, 100 * 100) == 0.0
    assert sawicki(100, 4 * 25 * 25) == pytest.approx(0.5)  # four alike: 1 - 1/sqrt(4)
    assert sawicki(7, 9 + 16) == pytest.approx(1 - 5 / 7)  # blocks of 3 and 4
    assert sawicki(2 * 10**400, 10**800) == pytest.approx(0.5)  # beyond floats
    assert unusable([], 8) == 1.0
    assert unusable([8, 8], 8) == 0.0
    assert unusable([12, 4], 8) == pytest.approx(0.5)  # 8 of 16 bytes can be had
    assert unusable([4, 4], 8) == 1.0
    assert fragmentation_index([], 8) == 0.0
    assert fragmentation_index([4, 8], 8) == -1.0
    # 1 - (1 + 12/8)/3: three pieces that together would do, towards fragmentation.
    assert fragmentation_index([4, 4, 4], 8) == pytest.approx(1 - 2.5 / 3)
    assert fragmentation_index([4], 8) == pytest.approx(-0.5)  # half of it, in one piece: memory
    assert fragmentation_index([1] * 1000, 8) == pytest.approx(1 - (1 + 125) / 1000)


def test_wilson_by_hand() -> None:
    """Two allocations and a free: each ratio is the one of its definition."""
    with capture_events() as events:
        rec = events.recorder
        start(rec, pages=0)
        alloc(rec, 0, PAGE, pages=1)  # heap 1 page, live 1
        alloc(rec, PAGE, PAGE, pages=2)  # heap 2, live 2: the most live
        give(rec, 0, PAGE, pages=2)  # heap 2, live 1
        alloc(rec, 2 * PAGE, PAGE // 2, pages=4)  # heap 4, live 1.5: the greatest heap
    _, found, _ = analysed(events)
    assert found.ratios.average == pytest.approx((1 + 1 + 2 + 4 / 1.5) / 4)
    assert found.ratios.at_peak_live == pytest.approx(1.0)
    assert found.ratios.at_peak_heap == pytest.approx(4 / 1.5)
    assert found.ratios.peak_over_peak == pytest.approx(2.0)
    assert found.rounding_bytes == PAGE // 2
    assert found.asked_bytes == 2 * PAGE + PAGE // 2


def start(rec: Any, *, pages: int, release: str = "go1.24.3", page: int = PAGE) -> None:
    rec.run_start(
        release=release, platform="js/wasm", mutex="js", what_if=False, phys_page_size=page,
        heap_arena_bytes=4 << 20, data_end=0, initial_pages=pages, max_pages=65536, ms=1, cpus=1,
        strategy="timing", granularity="sync", seed=0, scenario="hand",
    )  # fmt: skip


def returned(
    rec: Any, fn: str, v: int, n: int, p: int, path: str, pages: int, **state: int
) -> None:
    rec.m = 1
    rec.mem_return(
        Call(fn, v, n, 0, state.get("purpose", ""), p, n, p >= 0, path, 0, 0),  # type: ignore[arg-type]
        LayerState(
            pages, state.get("bloc", pages * PAGE), state.get("bloc_max", pages * PAGE),
            state.get("free", 0), state.get("blocks", 0), state.get("largest", 0),
        ),
    )  # fmt: skip


def alloc(rec: Any, p: int, n: int, *, pages: int, **state: int) -> None:
    rec.m = 1
    rec.mem_call(Call("sysAllocOS", 0, n))
    returned(rec, "sysAllocOS", 0, n, p, "sbrk", pages, **state)


def give(rec: Any, v: int, n: int, *, pages: int, **state: int) -> None:
    rec.m = 1
    rec.mem_call(Call("sysFreeOS", v, n))
    returned(rec, "sysFreeOS", v, n, 0, "memfree", pages, **state)


def test_budget_says_what_was_missing() -> None:
    """Ten pages hold it; nine do not, for want of memory or because the free ones are in pieces."""
    with capture_events() as events:
        rec = events.recorder
        start(rec, pages=4)
        alloc(rec, 0, 4 * PAGE, pages=4)
        # Three pages free in pieces when three in one are needed.
        give(rec, 0, PAGE, pages=4, free=3 * PAGE, blocks=3, largest=PAGE)
        rec.mem_call(Call("sysAllocOS", 0, 3 * PAGE))
        rec.mem_grow(3 * PAGE, 4 * PAGE, 7 * PAGE, True, 65536 * PAGE, 1)
        returned(rec, "sysAllocOS", 0, 3 * PAGE, 4 * PAGE, "sbrk", 7)
        rec.mem_call(Call("sysAllocOS", 0, 3 * PAGE))
        rec.mem_grow(3 * PAGE, 7 * PAGE, 10 * PAGE, True, 65536 * PAGE, 2)
        returned(rec, "sysAllocOS", 0, 3 * PAGE, 7 * PAGE, "sbrk", 10)
    memory, _, _ = analysed(events)
    assert memory.budget(10).fits
    assert memory.budget(10).needed == 10
    nine = memory.budget(9)
    assert (nine.fits, nine.verdict) == (False, "memory")
    assert nine.failure is not None
    assert (nine.failure.before, nine.failure.after) == (7 * PAGE, 10 * PAGE)
    six = memory.budget(6)
    assert (six.fits, six.verdict) == (False, "fragmentation")
    assert memory.budget(3).verdict == "start"


def test_a_budget_of_a_run_that_was_refused() -> None:
    """What its limit refused is granted by more pages, and from there on the log knows nothing.

    Not so a growth that was made to fail, nor one that asks for more than a memory can have: no
    budget lets those through, and the run had lived with it.
    """
    with capture_events() as events:
        rec = events.recorder
        start(rec, pages=4)
        rec.mem_call(Call("sysAllocOS", 0, 3 * PAGE))
        rec.mem_grow(3 * PAGE, 4 * PAGE, 4 * PAGE, False, 65536 * PAGE, 1)
        rec.mem_grow(((1 << 32) - 1) * PAGE, 4 * PAGE, 4 * PAGE, False, 6 * PAGE, 2)
        rec.mem_grow(3 * PAGE, 4 * PAGE, 4 * PAGE, False, 6 * PAGE, 3)
        returned(rec, "sysAllocOS", 0, 3 * PAGE, 0, "fail", 4)
        rec.mem_call(Call("sysAllocOS", 0, PAGE))
        rec.mem_grow(PAGE, 4 * PAGE, 5 * PAGE, True, 6 * PAGE, 4)
        returned(rec, "sysAllocOS", 0, PAGE, 4 * PAGE, "sbrk", 5)
    memory, _, _ = analysed(events)
    assert memory.budget(1).needed == 7
    seven = memory.budget(7)
    assert (seven.fits, seven.failure) == (True, None)
    assert seven.unknown is not None
    assert (seven.unknown.after, seven.unknown.limited) == (7 * PAGE, True)
    six = memory.budget(6)
    assert not six.fits
    assert six.failure is seven.unknown
    three = memory.budget(3)
    assert (three.verdict, three.start_pages) == ("start", 4)


def test_budget_against_runs_with_that_limit() -> None:
    """A run that is given exactly the pages needed ends well; with one less it does not."""
    _, events = run_events(heap, heap.config(release="go1.24"))
    memory, _, _ = analysed(events)
    needed = memory.budget(1).needed
    assert memory.budget(needed).fits
    assert not memory.budget(needed - 1).fits
    for pages, refused in ((needed, 0), (needed - 1, 1)):
        done, _ = run_events(heap, heap.config(release="go1.24", max_pages=pages))
        assert bool(done.statistics.memory.grows_refused) == bool(refused)


def test_a_hint_miss_names_who_took_its_address() -> None:
    """In 1.26 metadata between two arenas takes the hinted address; the miss points at it."""
    _, events = run_events(heap, heap.config(release="go1.26"), rounds=30)
    memory, _, _ = analysed(events)
    stolen = [
        miss for miss in memory.hint_misses if miss.taken_by and miss.taken_by.p == miss.hint_addr
    ]
    assert stolen
    returns = {e.seq: e for e in events if e.name == "mem.return"}
    for miss in stolen:
        assert miss.taken_by is not None
        taker = returns[miss.taken_by.seq]
        assert taker.seq < miss.seq
        assert taker.p == miss.hint_addr
        # Nobody had that address before, and no reservation by the hint can have taken it.
        assert taker.path != "hint"
    assert memory.hint_hits == sum(
        e.name == "arena.reserve" and e.via == "hint" for e in events
    )  # fmt: skip


def test_no_hint_miss_where_nothing_lies_between() -> None:
    """Arenas without metadata of their own between them: all hints hit, and nothing is reported."""
    with capture_events() as events:
        rec = events.recorder
        start(rec, pages=4)
        rec.arena_reserve(0, 4 * MiB, "aligned", 0, 0)
        rec.arena_hint_new(4 * MiB, False)
        for index in range(1, 4):
            rec.mem_call(Call("sysReserveOS", 4 * MiB * index, 4 * MiB, 0, "heap reservation"))
            returned(rec, "sysReserveOS", 0, 4 * MiB, 4 * MiB * index, "hint", 64 * (index + 1))
            rec.arena_reserve(4 * MiB * index, 4 * MiB, "hint", 4 * MiB * index, 0)
    memory, _, _ = analysed(events)
    assert (memory.hint_hits, memory.hint_misses, memory.hint_misses_seen) == (3, [], 0)


def test_growths_are_charged_to_their_calls() -> None:
    """Causes sum to what the memory grew by, refusals counted apart."""
    _, events = run_events(heap, heap.config(release="go1.24", max_pages=900))
    memory, _, _ = analysed(events)
    assert sum(one.count for one in memory.causes) + memory.refused == memory.growths_seen
    grown = sum(one.bytes for one in memory.causes)
    assert grown == memory.peak_top - events[0].initial_pages * PAGE
    assert all(growth.cause is not None for growth in memory.growths)


@pytest.mark.parametrize("program", [heap, storm])
def test_canonical_logs_say_where_the_memory_is(program: Any) -> None:
    """mem.return alone gives the same layout at the end and at the peak, but for holes."""
    _, full_log = run_log(program)
    _, thin_log = run_log(program, level="canonical")
    layouts = []
    for log in (full_log, thin_log):
        free = FreeBlocks()
        memory = MemoryUse(free)
        analyse(io.BytesIO(log), [free, memory])
        layouts.append(memory)
    full, thin = layouts
    for name in ("top", "static", "held", "free", "slack", "never_used", "live", "lost"):
        assert getattr(thin.end, name) == getattr(full.end, name), name
        assert getattr(thin.peak, name) == getattr(full.peak, name), name
    assert thin.end.hole_bytes is None or not thin.end.free
    assert sum(c.bytes for c in thin.causes) == sum(c.bytes for c in full.causes)


def test_reasons_why_memory_stays() -> None:
    """Each release's way of keeping memory is named where it is at work, and only there."""
    codes = {}
    for release in ("go1.19", "go1.22", "go1.24"):
        _, events = run_events(heap, heap.config(release=release))
        memory, _, _ = analysed(events)
        codes[release] = {reason.code for reason in memory.reasons()}
        assert all(str(reason.bytes) in reason.text for reason in memory.reasons()
                   if reason.code != "unrounded_end")  # fmt: skip
    assert "noop_free" in codes["go1.19"]
    assert "never_used" in codes["go1.22"]
    assert not codes["go1.24"] & {"noop_free", "never_used"}


def test_whole_pages() -> None:
    """Only pages that lie within as a whole count."""
    assert whole_pages(0, PAGE) == 1
    assert whole_pages(1, PAGE) == 0
    assert whole_pages(1, 2 * PAGE) == 1
    assert whole_pages(5, 4) == 0


def test_a_free_list_that_does_not_fit_is_said() -> None:
    """A take from a block that nobody put is a mismatch; a snapshot puts the list right."""
    with capture_events() as events:
        rec = events.recorder
        rec.m = 1
        rec.freelist_put(PAGE, PAGE, False, False, PAGE, PAGE, "mid_free")
        rec.freelist_take(9 * PAGE, PAGE, 9 * PAGE, 4 * PAGE, False, 0)
        rec.freelist_snapshot(((PAGE, PAGE),), "keyframe")
        rec.freelist_snapshot(((PAGE, PAGE),), "end")
    _, _, free = analysed(events)
    assert free.mismatches == 2
    assert "0x90000" in free.mismatch
    assert (free.blocks, free.total, free.squares) == ({PAGE: PAGE}, PAGE, PAGE * PAGE)


def test_a_canonical_toy_keeps_external_fragmentation() -> None:
    """Without blocks Sawicki's measure is not known, and said so by None; external is."""
    free = FreeBlocks()
    found = Fragmentation(free)
    analyse(io.BytesIO(toy_log(3, "canonical", locks=1, ms=3, steps=600)), [free, found])
    _, full, _ = analysed(toy_events(3, locks=1, ms=3, steps=600))
    assert found.external_max == full.external_max
    assert found.sawicki_max is None
    assert full.sawicki_max is not None


def test_memory_handed_out_of_the_programs_data() -> None:
    """With osinit in the wrong order the break starts at 0: what it gives out is static no more."""
    config = storm.config(platform="plan9/amd64", wrong_order=True, ms=1)
    done, events = run_events(storm, config)
    memory, fragmentation, _ = analysed(events)
    handed_out = [e for e in events if e.name == "mem.return" and e.p]
    assert handed_out[0].p < events[0].data_end
    assert memory.end.static == min(e.p for e in handed_out)
    assert memory.end.lost == 0
    assert memory.end.held_bytes == done.statistics.memory.live_bytes
    assert fragmentation.ratios.at_peak_heap >= 1

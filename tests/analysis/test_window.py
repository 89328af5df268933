"""Windows of a run: what is of them, and that windows side by side make the whole."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest

from gorun_mem.analysis.summary import Summary
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.analysis.window import Window
from gorun_mem.report.page import document, read
from gorun_mem.report.sections import SECTIONS, render, sections
from tests.analysis.make_logs import run_events, storm, toy_events
from tests.analysis.test_blame import by_the_ns, charges, tangle


def cuts(events: list[Any], parts: int) -> list[Window]:
    """Windows side by side that cover the run."""
    end = events[-1].t_ns
    edges = [end * i // parts for i in range(parts)]
    return [Window(a, b) for a, b in zip(edges, [*edges[1:], None], strict=True)]


def wait_sums(found: LogAnalysis) -> Counter[Any]:
    sums: Counter[Any] = Counter()
    for name, lock in found.contention.locks.items():
        for m, part in lock.by_m.items():
            sums["wait", name, m] += part.share.wait_ns
            sums["hold", name, m] += part.share.hold_ns
        sums["blocked", name] += found.summary.locks[name].blocked_ns
        for depth, ns in lock.queue.ns_at.items():
            sums["depth", name, depth] += ns if depth else 0
        for one in lock.blame:
            sums["running", name, one.lock, one.m, one.site] += one.held_ns
            sums["off", name, one.lock, one.m, one.site] += one.off_cpu_ns
            sums["circle", name, one.lock, one.m, one.site] += one.circle_ns
            sums["handoff", name] += one.handoff_ns
    return +sums


@pytest.mark.parametrize("parts", [2, 3, 7])
@pytest.mark.parametrize("make", [toy_events, tangle], ids=["toy", "tangle"])
def test_windows_side_by_side_make_the_whole(make: Any, parts: int) -> None:
    """Waits and holds of each M, time at each depth and blame by culprit add up."""
    for seed in range(12):
        events = make(seed)
        whole = wait_sums(LogAnalysis.of(events))
        summed: Counter[Any] = Counter()
        for window in cuts(events, parts):
            summed += wait_sums(LogAnalysis.of(events, window))
        if make is tangle:  # its releases do not say who was blocked
            whole = Counter({key: ns for key, ns in whole.items() if key[0] != "blocked"})
            summed = Counter({key: ns for key, ns in summed.items() if key[0] != "blocked"})
        assert summed == whole, seed


def test_a_window_has_what_the_reference_has_in_it() -> None:
    """Blame in a window is that of its ns, gone through one by one."""
    for seed in range(60):
        events = tangle(seed)
        end = events[-1].t_ns
        low, high = end // 3, 2 * end // 3
        inside = [e for e in events if e.t_ns < high]
        last = inside[-1]
        charged, _ = by_the_ns([*inside, type(last)(**{**fields(last), "t_ns": high})], low)
        found = LogAnalysis.of(events, Window(low, high)).contention
        for name, lock in found.locks.items():
            assert without_handoffs(charges(lock)) == without_handoffs(charged[name]), (seed, name)
            assert sum(charges(lock).values()) == sum(charged[name].values())


def fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def without_handoffs(charged: Counter[Any]) -> Counter[Any]:
    return Counter({key: ns for key, ns in charged.items() if key[0] != "handoff" and ns})


@pytest.mark.parametrize("seed", range(4))
def test_the_summary_of_a_window_is_that_of_the_analysis(seed: int) -> None:
    """The one-screen report and the full pass agree on a window too."""
    events = toy_events(seed)
    for window in (*cuts(events, 3), Window(0, None), Window(5, 5 + events[-1].t_ns // 2)):
        summary, found = Summary.of(events, window), LogAnalysis.of(events, window)
        assert summary.metrics() == found.metrics
        assert summary.at_least() == found.summary.at_least()
        assert summary.slowest == found.summary.slowest


@pytest.mark.parametrize("seed", range(4))
def test_a_window_of_all_is_the_whole(seed: int) -> None:
    """From 0 to the end nothing is cut; only the sums of run.end are left to what was seen."""
    events = toy_events(seed)
    whole, window = LogAnalysis.of(events), LogAnalysis.of(events, Window())
    assert wait_sums(whole) == wait_sums(window)
    assert whole.contention.path == window.contention.path
    for name, value in window.metrics.items():
        if name not in ("final_pages", "hint_misses", "lock_wait_ns", "grows"):
            assert whole.metrics[name] == value, name


def test_memory_in_a_window_is_that_at_its_end() -> None:
    """Up to a moment, the memory is what it was then; calls are those in between."""
    _, events = run_events(storm)
    middle = events[len(events) // 2].t_ns + 1  # between two of them
    returns = [e for e in events if e.name == "mem.return"]
    before = [e for e in returns if e.t_ns < middle]
    found = LogAnalysis.of(events, Window(0, middle))
    late = LogAnalysis.of(events, Window(middle, None))
    assert found.metrics["bloc"] == before[-1].bloc
    assert found.metrics["free_bytes"] == before[-1].free_bytes
    assert sum(size for size in found.free.blocks.values()) == before[-1].free_bytes
    assert found.metrics["calls"] == len(before)
    assert late.metrics["calls"] == len(returns) - len(before)
    assert late.metrics["bloc"] == returns[-1].bloc
    nothing = LogAnalysis.of(events, Window(middle, middle + 1))
    assert nothing.metrics["bloc"] == before[-1].bloc


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_names_the_window(name: str) -> None:
    """No section is taken for one of the whole run."""
    _, events = run_events(storm)
    found = LogAnalysis.of(events, Window(10_000, 200_000))
    text = render(sections(found, [name]))
    assert "window from 10.000 us to 200.000 us" in text


def test_the_page_names_the_window() -> None:
    """The page is of the window, and says so."""
    from tests.analysis.make_logs import toy_log

    view = read(io.BytesIO(toy_log(1)), window=Window(10_000, 20_000))
    assert ("window", "from 10.000 us to 20.000 us") in document(view)["head"]
    assert view.found.contention.end_ns == 20_000
    waits = {m: sum(lane.waits) for m, lane in view.lanes.lanes.items()}
    assert 0 < max(waits.values()) <= 10_000

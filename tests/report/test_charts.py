"""Every chart agrees with the report: its area, its last value or its greatest is in it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from gorun_mem.export.chrome import write_chrome
from gorun_mem.report import charts
from gorun_mem.report.page import PageData, document, read
from gorun_mem.report.plot import SEVERAL, plot
from tests.analysis.make_logs import heap, one_wait, run_log, storm, toy_events, toy_log
from tests.scenarios.scenario_runs import logged
from tests.scenarios.test_same_log import SMALL

LOGS: list[Any] = [
    *(pytest.param(lambda s=s: toy_log(s, steps=700, ms=6), id=f"toy{s}") for s in range(8)),
    *(pytest.param(lambda s=s: toy_log(s, "canonical"), id=f"canonical{s}") for s in range(2)),
    pytest.param(lambda: run_log(storm)[1], id="storm"),
    pytest.param(lambda: run_log(storm)[1][:60_000], id="cut"),
    pytest.param(lambda: run_log(heap, heap.config(release="go1.26"), rounds=40)[1], id="heap"),
    pytest.param(lambda: run_log(one_wait)[1], id="one wait"),
    *(
        pytest.param(
            lambda n=n, s=s: logged(n, config={"ms": 3, "seed": s}, **SMALL[n]).log, id=f"{n}-{s}"
        )
        for n in sorted(SMALL)
        for s in range(2)
    ),
]


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest) -> bytes:
    made: bytes = request.param()
    return made


def view_of(log: bytes) -> PageData:
    return read(io.BytesIO(log))


def waited(view: PageData) -> dict[str, int]:
    """Lock -> what the report says was waited for it, those included who wait still."""
    return {name: lock.wait_ns.total for name, lock in view.found.contention.locks.items()}


def test_the_area_of_ms_waiting_is_what_was_waited(log: bytes) -> None:
    """For each lock, the mean of each stretch times how long the stretch is, summed."""
    view = view_of(log)
    expected = waited(view)
    end = view.found.contention.end_ns
    drawn = charts.queues(view.found, view.lanes)
    for queue in drawn:
        area = 0.0
        for i, ns in enumerate(queue["waits"]):
            lasts = min((i + 1) * queue["width"], end) - i * queue["width"]
            assert ns == 0 or lasts > 0
            area += ns / lasts * lasts if ns else 0
            # Nobody is drawn who is not there: a mean is at most the most.
            assert ns <= queue["most"] * max(lasts, 0)
        assert round(area) == sum(queue["waits"]) == expected[queue["name"]]
    most = sorted((ns for ns in expected.values() if ns), reverse=True)[: charts.QUEUES_MAX]
    assert [sum(queue["waits"]) for queue in drawn] == most


@pytest.mark.parametrize("seed", range(8))
def test_each_stretch_has_what_was_waited_in_it(seed: int) -> None:
    """Stretch by stretch, from the events that begin and end waits."""
    events = toy_events(seed, steps=500, ms=6, locks=2)
    view = view_of(toy_log(seed, steps=500, ms=6, locks=2))
    end = events[-1].t_ns
    for queue in charts.queues(view.found, view.lanes):
        since: dict[int, int] = {}
        spans = []
        for event in events:
            if getattr(event, "lock", "") != queue["name"]:
                continue
            if event.name == "lock.wait":
                since[event.m] = event.t_ns
            elif event.name == "lock.acquire" and event.m in since:
                spans.append((since.pop(event.m), event.t_ns))
        spans += [(start, end) for start in since.values()]
        width = queue["width"]
        assert queue["waits"] == [
            sum(max(0, min(high, (i + 1) * width) - max(low, i * width)) for low, high in spans)
            for i in range(len(queue["waits"]))
        ]


def test_one_short_wait_is_a_short_peak() -> None:
    """A wait of a microsecond and a half in a run of a millisecond is drawn where it was, and the
    line is 0 from there on."""
    view = view_of(run_log(one_wait)[1])
    (queue,) = charts.queues(view.found, view.lanes)
    lock = view.found.contention.locks["shared"]
    assert lock.contended == 1
    assert 1000 < lock.wait_ns.total < 2000
    assert view.found.contention.end_ns > 1_000_000
    busy = [i * queue["width"] for i, ns in enumerate(queue["waits"]) if ns]
    assert busy
    assert max(busy) < 10_000
    assert sum(queue["waits"]) == lock.wait_ns.total


def test_memory_lines_end_at_the_end_and_go_through_the_peaks(log: bytes) -> None:
    """Top, break, its greatest, live and free bytes: last and greatest are the report's."""
    view = view_of(log)
    use, lines = view.found.memory, charts.memory(view.found)
    end = use.end
    if not use.over_time:
        return
    if view.found.summary.sums.last is not None:
        last = view.found.summary.sums.last
        assert lines["bloc"][-1][1] == last.bloc
        assert lines["bloc_max"][-1][1] == last.bloc_max
    assert lines["top"][-1][1] == end.top
    assert max(value for _, value in lines["top"]) == use.peak_top
    assert lines["live"][-1][1] == end.live
    assert max(value for _, value in lines["live"]) == use.peak_live
    assert lines["free"][-1][1] == end.free
    metrics = view.found.metrics
    assert max(value for _, value in lines["free"]) == metrics.get("free_bytes_max", 0)


def test_fragmentation_lines_end_at_the_end_and_go_through_the_peaks(log: bytes) -> None:
    """External fragmentation and Sawicki's measure likewise."""
    view = view_of(log)
    seen, lines = view.found.fragmentation, charts.fragmentation(view.found)
    for name, most, last in (
        ("external", seen.external_max, seen.last.external),
        ("sawicki", seen.sawicki_max, seen.last.sawicki),
    ):
        if not lines[name]:
            continue
        assert most is not None
        assert max(value for _, value in lines[name]) == round(most[0], charts.DIGITS)
        if last is not None:
            assert lines[name][-1][1] == round(last, charts.DIGITS)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [200, 3000])
def test_every_corner_of_a_line_is_a_state_of_the_run(seed: int, steps: int) -> None:
    """At a corner's time the run had that value."""
    events = toy_events(seed, steps=steps)
    view = view_of(toy_log(seed, steps=steps))
    lines = charts.memory(view.found)
    live, states = 0, []
    for e in events:
        if e.name == "mem.return":
            live += 0 if not e.ok else -e.n if e.fn == "sysFreeOS" else e.n
            states.append((e.t_ns, {"bloc": e.bloc, "bloc_max": e.bloc_max, "top": e.pages << 16,
                                    "free": e.free_bytes, "live": live}))  # fmt: skip
    for name, line in lines.items():
        had = {(t_ns, values[name]) for t_ns, values in states}
        assert set(line[1:]) <= had, name
        assert [t for t, _ in line] == sorted(t for t, _ in line)


def test_lanes_and_arrows_add_up(log: bytes) -> None:
    """The lanes' waits and holds are those of all locks; an arrow leads from one M to another."""
    view = view_of(log)
    locks = view.found.contention.locks.values()
    assert sum(sum(lane.waits) for lane in view.lanes.lanes.values()) == sum(waited(view).values())
    held = sum(lock.hold_ns.total for lock in locks)
    assert sum(sum(lane.holds) for lane in view.lanes.lanes.values()) == held
    assert all(giver != taker for giver, taker in view.lanes.pairs)
    assert document(view)["queues"] == charts.queues(view.found, view.lanes)


# The counters of the Chrome trace.


def counters(log: bytes) -> tuple[dict[str, list[tuple[float, int]]], list[dict[str, Any]]]:
    out = io.BytesIO()
    write_chrome(io.BytesIO(log), out)
    trace = json.loads(out.getvalue())["traceEvents"]
    found: dict[str, list[tuple[float, int]]] = {}
    for event in trace:
        if event["ph"] == "C":
            found.setdefault(event["name"], []).append((event["ts"], event["args"]["value"]))
    return found, trace


def test_counters_of_the_trace_agree(log: bytes) -> None:
    """The area of a queue's counter is what was waited for the lock, and its greatest the most that
    waited; the memory's counters end at the end and have the greatest of the report."""
    view, (found, _) = view_of(log), counters(log)
    end = view.found.contention.end_ns / 1000
    for name, ns in waited(view).items():
        points = found.get(f"queue {name}", [])
        if view.found.contention.locks[name].detail != "full":
            assert not points
            continue
        pairs = zip(points, [*points[1:], (end, 0)][: len(points)], strict=True)
        area = sum(value * (until - since) for (since, value), (until, _) in pairs)
        assert round(area * 1000) == ns
        summary = view.found.contention.summaries[name]
        assert max([0, *(value for _, value in points)]) == summary.queue.queue_depth_max
    if "memory top" in found:
        use, metrics = view.found.memory, view.found.metrics
        assert found["memory top"][-1][1] == use.end.top
        assert max(v for _, v in found["memory top"]) == max(
            row[1] for i, (_, row) in enumerate(use.over_time) if i or row[0]
        )
        assert found["bloc"][-1][1] == metrics["bloc"]
        assert found["bloc_max"][-1][1] == metrics["bloc_max"]
        assert found["free bytes"][-1][1] == metrics["free_bytes"]
        assert max(v for _, v in found["free bytes"]) == metrics["free_bytes_max"]


def test_arrows_of_the_trace_lead_to_another_m(log: bytes) -> None:
    """Each arrow begins at one M and ends at another, and there is one for each acquisition by
    another M of a lock that was given back while somebody waited."""
    from gorun_mem.events import read_events

    _, trace = counters(log)
    ends: dict[int, list[int]] = {}
    for event in trace:
        if event["ph"] in "sf":
            ends.setdefault(event["id"], []).append(event["tid"])
    assert all(len(pair) == 2 and pair[0] != pair[1] for pair in ends.values())
    waiting: dict[str, set[int]] = {}
    gave: dict[str, int] = {}
    expected = 0
    e: Any
    for e in read_events(io.BytesIO(log)):
        if e.name == "lock.wait":
            waiting.setdefault(e.lock, set()).add(e.m)
        elif e.name == "lock.acquire":
            waiting.setdefault(e.lock, set()).discard(e.m)
            expected += gave.pop(e.lock, e.m) != e.m
        elif e.name == "lock.release" and waiting.get(e.lock):
            gave[e.lock] = e.m
    assert len(ends) == expected


@pytest.mark.parametrize(("flush_at", "held_max"), [(1, 1 << 16), (3, 40), (1, 0)])
def test_arrows_do_not_hang_on_when_the_trace_is_written(
    monkeypatch: pytest.MonkeyPatch, flush_at: int, held_max: int
) -> None:
    """However little is kept back the trace is whole: the same, or without arrows that would have
    to be waited for longer."""
    log = toy_log(3, ms=7)
    _, whole = counters(log)
    monkeypatch.setattr("gorun_mem.export.chrome.FLUSH_AT", flush_at)
    monkeypatch.setattr("gorun_mem.export.chrome.HELD_MAX", held_max)
    _, pieces = counters(log)
    if held_max > len(whole):
        assert pieces == whole
    else:
        rest = [e for e in whole if e["ph"] not in "sf"]
        assert [e for e in pieces if e["ph"] not in "sf"] == rest
        phases = [e["ph"] for e in pieces if e["ph"] in "sf"]
        assert phases.count("s") == phases.count("f")


# Plots of the terminal.


@pytest.mark.parametrize("height", [4, 14, 40])
def test_a_plot_of_the_terminal_can_be_read_back(height: int) -> None:
    """From its row each mark's value is the one that was plotted, to half a row."""
    values = {"a": [1.0, 3.0, 10.0, 55.0], "b": [900.0, 70.0, 8.0, 2.0]}
    lines = plot(list("wxyz"), values, unit="u", height=height).splitlines()
    body = [line.partition("|")[2] for line in lines[1 : height + 2]]
    low, high = 1.0, 900.0
    step = (high / low) ** (1 / height)
    for mark, line in values.items():
        for i, value in enumerate(line):
            column = (i + 1) * 5 - 1
            rows = [
                row for row, text in enumerate(body)
                if len(text) > column and text[column] in (mark, SEVERAL)
            ]  # fmt: skip
            assert any(
                low * step ** (height - row - 0.5001)
                <= value
                <= low * step ** (height - row + 0.5001)
                for row in rows
            ), (mark, value, rows)

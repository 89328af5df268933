"""Chrome traces: slices nest, arrows pair, counters go on in time."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from gorun_mem.export.chrome import write_chrome
from tests.analysis.make_logs import heap, run_events, run_log, storm, toy_events, toy_log


def trace_of(log: bytes) -> list[dict[str, Any]]:
    out = io.BytesIO()
    _, count = write_chrome(io.BytesIO(log), out)
    events: list[dict[str, Any]] = json.loads(out.getvalue())["traceEvents"]
    assert count == len(events)
    return events


def slices_of(trace: list[dict[str, Any]]) -> list[tuple[int, str, float, float, int]]:
    """(tid, name, begin, end, depth) of every slice; fails where they do not nest."""
    open_: dict[int, list[tuple[str, float]]] = {}
    found = []
    for event in trace:
        track = open_.setdefault(event.get("tid", 0), [])
        if event["ph"] == "B":
            track.append((event["name"], event["ts"]))
        elif event["ph"] == "E":
            name, begin = track.pop()
            assert name == event["name"]
            assert begin <= event["ts"]
            found.append((event["tid"], name, begin, event["ts"], len(track)))
    assert not any(open_.values())
    return found


LOGS = [
    *(pytest.param(lambda s=s: toy_log(s, locks=3), id=f"toy{s}") for s in range(6)),
    pytest.param(lambda: run_log(storm)[1], id="storm"),
    pytest.param(lambda: run_log(storm, storm.config(mutex="queue", ms=7))[1], id="queue"),
    pytest.param(lambda: run_log(heap, heap.config(release="go1.26"))[1], id="heap"),
    pytest.param(lambda: run_log(storm, level="canonical")[1], id="canonical"),
]


@pytest.mark.parametrize("make", LOGS)
def test_slices_nest_flows_pair_and_time_goes_on(make: Any) -> None:
    """The three properties that a viewer relies on, on toys that release in any order too."""
    trace = trace_of(make())
    slices_of(trace)
    times = [event["ts"] for event in trace if "ts" in event]
    assert times == sorted(times)
    flows: dict[int, list[str]] = {}
    for event in trace:
        if event["ph"] in "sf":
            flows.setdefault(event["id"], []).append(event["ph"])
    assert all(phases == ["s", "f"] for phases in flows.values())
    counters: dict[str, list[tuple[float, int]]] = {}
    for event in trace:
        if event["ph"] == "C":
            counters.setdefault(event["name"], []).append((event["ts"], event["args"]["value"]))
    for points in counters.values():
        assert points == sorted(points, key=lambda point: point[0])
        assert all(value >= 0 for _, value in points)


@pytest.mark.parametrize("seed", range(4))
def test_slices_last_as_long_as_holds_and_waits(seed: int) -> None:
    """Summed by lock and M, slices are the holds and waits of the log, to the ns."""
    events = toy_events(seed, locks=3)
    slices = slices_of(trace_of(toy_log(seed, locks=3)))
    end = events[-1].t_ns
    for kind in ("hold", "wait"):
        expected: dict[tuple[int, str], int] = {}
        since: dict[tuple[int, str], int] = {}
        begin, finish = (
            ("lock.acquire", "lock.release") if kind == "hold" else ("lock.wait", "lock.acquire")
        )
        for e in events:
            if e.name == finish and (e.m, e.lock) in since:
                key = (e.m, e.lock)
                expected[key] = expected.get(key, 0) + e.t_ns - since.pop(key)
            if e.name == begin:
                since[e.m, e.lock] = e.t_ns
        for key, start in since.items():
            expected[key] = expected.get(key, 0) + end - start
        got: dict[tuple[int, str], int] = {}
        for tid, name, low, high, _ in slices:
            if name.startswith(kind + " "):
                key = (tid, name.removeprefix(kind + " "))
                got[key] = got.get(key, 0) + round(high * 1000) - round(low * 1000)
        assert {k: v for k, v in got.items() if v} == {k: v for k, v in expected.items() if v}


def test_waits_and_holds_lie_in_their_call() -> None:
    """A call's slice has the wait and the hold of memlock in it, and ends with the hold."""
    slices = slices_of(trace_of(run_log(storm)[1]))
    calls = [one for one in slices if one[1].startswith("sys")]
    assert calls
    for tid, name, low, high, depth in slices:
        if name in ("hold memlock", "wait memlock"):
            around = [
                c for c in calls
                if c[0] == tid and c[2] <= low and high <= c[3] and c[4] == depth - 1
            ]  # fmt: skip
            assert around, (tid, name, low, high)


def test_counters_are_the_state_after_each_call() -> None:
    """bloc, bloc_max and free bytes end where the run ended; each M has a named track."""
    done, events = run_events(heap, heap.config(release="go1.26"))
    trace = trace_of(run_log(heap, heap.config(release="go1.26"))[1])
    last = {e["name"]: e["args"]["value"] for e in trace if e["ph"] == "C"}
    memory = done.statistics.memory
    assert last["bloc"] == memory.bloc
    assert last["bloc_max"] == memory.bloc_max
    assert last["free bytes"] == memory.free_bytes
    assert last["memory top"] == memory.pages * 65536
    names = {e["args"]["name"] for e in trace if e["ph"] == "M" and e["name"] == "thread_name"}
    assert {"scenario", "M1"} <= names
    marks = [e for e in trace if e["ph"] == "i" and e["name"] == "mem.grow"]
    assert len(marks) == sum(e.name == "mem.grow" for e in events)


def test_arrows_lead_from_release_to_acquisition() -> None:
    """Each arrow begins within the hold of the M that gives the lock back, where one waited."""
    trace = trace_of(run_log(storm, storm.config(mutex="queue", ms=7))[1])
    starts = {e["id"]: e for e in trace if e["ph"] == "s"}
    ends = {e["id"]: e for e in trace if e["ph"] == "f"}
    assert starts
    slices = slices_of(trace)
    for number, start in starts.items():
        end = ends[number]
        assert end["ts"] >= start["ts"]
        assert any(
            tid == start["tid"] and name.startswith("hold ") and low <= start["ts"] <= high
            for tid, name, low, high, _ in slices
        )

"""The tables over time agree with what the rest of the analysis says."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from gorun_mem.analysis.stream import feed
from gorun_mem.analysis.timeline import COLUMNS, LANE_COLUMNS, MS_MAX, AddressMap, Lanes
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events.types import LockRelease, LogEvent, MemReturn
from tests.analysis.make_logs import heap, run_events, storm, toy_events


def analysed(events: Iterable[LogEvent]) -> tuple[LogAnalysis, AddressMap, Lanes]:
    found = LogAnalysis()
    drawn, lanes = AddressMap(found.memory), Lanes(found.contention)
    feed(events, [drawn, *found.accumulators(), lanes])
    return found, drawn, lanes


@pytest.mark.parametrize("seed", range(6))
def test_lanes_add_up_to_the_waits_and_holds_of_the_locks(seed: int) -> None:
    """However often columns were joined, an M's lane has every ns that it waited and held."""
    found, _, lanes = analysed(toy_events(seed, ms=6, locks=3, steps=900))
    waits = dict.fromkeys(lanes.lanes, 0)
    holds = dict.fromkeys(lanes.lanes, 0)
    for lock in found.contention.locks.values():
        for m, part in lock.by_m.items():
            waits[m] += part.share.wait_ns
            holds[m] += part.share.hold_ns
    assert lanes.width_ns > 1
    assert sum(waits.values()) > 0
    assert {m: sum(lane.waits) for m, lane in lanes.lanes.items()} == waits
    assert {m: sum(lane.holds) for m, lane in lanes.lanes.items()} == holds
    assert all(len(lane.waits) == LANE_COLUMNS for lane in lanes.lanes.values())


def test_no_m_waits_longer_in_a_column_than_it_lasts() -> None:
    """An M waits for one lock at a time, so a column holds at most its width of waiting."""
    _, _, lanes = analysed(toy_events(3, ms=6, locks=3, steps=900))
    most = max(max(lane.waits) for lane in lanes.lanes.values())
    assert 0 < most <= lanes.width_ns


def test_each_contended_acquisition_is_one_handoff() -> None:
    """Handoffs over time and by pair count the same acquisitions: the contended ones."""
    _, events = run_events(storm)
    found, _, lanes = analysed(events)
    contended = sum(lock.contended for lock in found.contention.locks.values())
    assert contended > 0
    assert sum(lanes.pairs.values()) == contended
    assert sum(lanes.handoffs.values()) + lanes.handoffs_left_out == contended


def test_of_many_ms_the_rest_share_a_lane() -> None:
    """Ms beyond the bound are put together, and nothing of theirs is lost."""
    events = [
        LockRelease(  # type: ignore[call-arg]
            seq=m, t_ns=100 * m, m=m, level="debug", lock="memlock", hold_ns=10, wait_ns=20,
            contended=True, spins=0, sleeps=0, blocked_ns=0, waiters=(), next_m=0, site="f",
        )
        for m in range(1, MS_MAX + 51)
    ]  # fmt: skip
    _, _, lanes = analysed(events)
    assert len(lanes.lanes) == MS_MAX + 1
    assert sum(lanes.lanes[-1].holds) == 50 * 10
    assert sum(lanes.lanes[-1].waits) == 50 * 20


def test_the_map_ends_with_the_layout_at_the_end() -> None:
    """The last column holds, to the byte, what the layout says is handed out."""
    _, events = run_events(heap, rounds=30)
    found, drawn, _ = analysed(events)
    last = list(drawn.columns())[-1]
    end = found.memory.end
    assert end.arena_bytes > 0
    assert sum(last.arenas) == end.arena_bytes
    assert sum(last.others) == end.metadata_bytes
    assert last.top == end.top
    assert last.bloc == found.metrics["bloc"]


@pytest.mark.parametrize("seed", [1, 2])
def test_each_column_is_the_memory_at_its_end(seed: int) -> None:
    """A column shows what an analysis of the events up to its end says, and none after."""
    events = toy_events(seed, steps=700)
    _, drawn, _ = analysed(events)
    columns = list(drawn.columns())
    assert 20 < len(columns) <= COLUMNS
    for column in columns[:: len(columns) // 7]:
        until = column.start_ns + drawn.width_ns
        found, _, _ = analysed([event for event in events if event.t_ns < until])
        assert sum(column.arenas) == found.memory.end.arena_bytes
        assert sum(column.others) == found.memory.end.metadata_bytes
        assert column.top == found.memory.end.top


def test_every_row_holds_what_lies_in_it() -> None:
    """Ranges that span rows are cut at their edges, after all joining of rows too."""
    _, events = run_events(heap, rounds=30)
    found, drawn, _ = analysed(events)
    last = list(drawn.columns())[-1]
    unit = drawn.row_bytes
    assert unit > 65536
    ranges = found.memory.ranges()
    assert ranges
    for row in range(len(last.arenas)):
        low, high = row * unit, (row + 1) * unit
        inside = sum(max(0, min(high, p + n) - max(low, p)) for p, n, _ in ranges)
        assert last.arenas[row] + last.others[row] == inside


def test_frees_are_counted_where_they_are() -> None:
    """Marks of frees add up to the frees that returned."""
    _, events = run_events(heap, rounds=30)
    found, drawn, _ = analysed(events)
    assert found.summary.calls["sysFreeOS"].count == sum(times for _, _, times in drawn.frees()) > 0


def test_a_column_ends_before_the_next_begins() -> None:
    """A return at the very ns at which a column ends belongs to the one after."""
    returns = [event for event in toy_events(1) if isinstance(event, MemReturn)][:3]
    assert len(returns) == 3
    _, drawn, _ = analysed(replace(one, t_ns=t) for t, one in enumerate(returns))
    columns = list(drawn.columns())
    assert [column.start_ns for column in columns] == [0, 1, 2]
    assert [column.bloc for column in columns] == [one.bloc for one in returns]

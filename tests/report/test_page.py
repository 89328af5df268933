"""A log as the page's document: whole, bounded, whatever the log says."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gorun_mem import Config
from gorun_mem.analysis.ending import EVENTS_MAX
from gorun_mem.analysis.timeline import ROWS
from gorun_mem.bench.analysis import synthesise
from gorun_mem.events import MemorySink, Recorder
from gorun_mem.events.log import json_logger
from gorun_mem.report.locksections import LOCKS_MAX
from gorun_mem.report.page import ITEMS_MAX, LEVELS, PageData, _cells, _letters, document, read
from gorun_mem.report.sections import sections
from gorun_mem.web.offline import page, write
from tests.analysis.make_logs import Toy, heap, run_log, storm, toy_log


def view_of(log: bytes) -> PageData:
    return read(io.BytesIO(log))


def data_of(log: bytes) -> dict[str, Any]:
    """The document as a browser gets it."""
    found: dict[str, Any] = json.loads(json.dumps(document(view_of(log))))
    return found


def section(data: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in data["sections"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


def test_what_is_drawn_is_what_the_analysis_found() -> None:
    """Columns, lanes, queues and series in the page's data have the analysis's figures."""
    view = view_of(run_log(storm)[1])
    data = json.loads(json.dumps(document(view)))
    last = data["map"]["columns"][-1]
    end = view.found.memory.end
    assert last[3:6] == [end.top, end.arena_bytes, end.metadata_bytes]
    contention = view.found.contention
    waits = sum(lane["wait_ns"] for lane in data["lanes"]["ms"])
    assert waits == sum(lock.wait_ns.total for lock in contention.locks.values()) > 0
    memlock = next(one for one in data["queues"] if one["name"] == "memlock")
    assert memlock["most"] == contention.locks["memlock"].queue.max
    assert sum(memlock["waits"]) == contention.locks["memlock"].wait_ns.total
    assert sum(one[3] for one in data["lanes"]["handoffs"]) == sum(view.lanes.pairs.values())
    assert data["memory"]["top"][-1][1] == end.top
    assert data["end"] == contention.end_ns


def test_a_refused_growth_is_drawn() -> None:
    """Growths are in the data in order, the refused one marked."""
    growths = data_of(run_log(heap, Config(max_pages=60), rounds=30)[1])["map"]["growths"]
    assert growths
    assert any(not ok for *_, ok in growths)
    assert [t for t, *_ in growths] == sorted(t for t, *_ in growths)


def test_cells_keep_apart_none_some_and_all() -> None:
    """A shade is 0 only for nothing and the greatest only for a full row, in either kind."""

    def shades(part: int) -> tuple[int, int]:
        text = _cells([part, 0], [0, part], 1000) or "("
        codes = [ord(c) - 40 - (ord(c) > 92) for c in text.ljust(2, "(")]
        return codes[0] // LEVELS, codes[1] % LEVELS

    assert shades(0) == (0, 0)
    assert shades(1) == (1, 1)
    assert shades(999) == (LEVELS - 2, LEVELS - 2)
    assert shades(1000) == (LEVELS - 1, LEVELS - 1)


def test_letters_need_no_escape_in_json() -> None:
    """Every level has a character of its own that JSON leaves as it is."""
    text = _letters(range(64))
    assert len(set(text)) == 64
    assert msgspec.json.encode(text) == b'"' + text.encode() + b'"'
    assert not set(text[:25]) & set("\\\"'")


def test_the_document_of_a_long_log_is_no_larger(tmp_path: Path) -> None:
    """Five times as many events make no larger data: everything drawn has a bound."""
    sizes = []
    for events in (20_000, 100_000):
        path = tmp_path / "log.jsonl"
        synthesise(path, events)
        view = read(path)
        sizes.append(write(document(view), tmp_path / "out.html"))
        assert len(next(iter(view.drawn.columns())).arenas) == ROWS
    assert max(sizes) < 600_000
    assert abs(sizes[1] - sizes[0]) < 100_000


def wide_log() -> bytes:
    """150 Ms that wait for each of 20 locks from 6 places, beside growths, misses and frees."""
    lines: list[dict[str, Any]] = []
    t_ns = 0
    for m in range(1, 151):
        for lock in range(20):
            for site in range(6):
                t_ns += 977
                lines.append(
                    {
                        "event": "lock.release", "lock": f"a lock of some length {lock}", "m": m,
                        "site": f"example.com/some/package.function{site}",
                        "hold_ns": 500 + t_ns % 397,
                        "wait_ns": 1_000_000 + m * 7919 + lock, "contended": True, "spins": 3,
                        "sleeps": 1, "blocked_ns": t_ns, "waiters": [], "next_m": 0, "t_ns": t_ns,
                    }
                )  # fmt: skip
        for fn, address in (("sysAllocOS", t_ns % 4096 << 16), ("sysFreeOS", m * 11 % 64 << 22)):
            lines.append(
                {
                    "event": "mem.return", "fn": fn, "v": address, "n": 65536, "align": 0,
                    "p": address, "size": 65536, "ok": True, "path": "sbrk", "dur_ns": 1,
                    "search_steps": m, "cleared_bytes": 0, "pages": 4096 + m, "bloc": 4096 << 16,
                    "bloc_max": 4096 << 16, "free_bytes": m << 16, "free_blocks": m,
                    "free_largest": 65536, "purpose": f"a purpose of its own {m}", "m": m,
                    "t_ns": t_ns,
                }
            )  # fmt: skip
        miss = {
            "event": "arena.hint_miss", "hint_addr": t_ns % 4096 << 16, "down": False,
            "bloc": 1 << 28, "gap_bytes": 65536, "m": m, "t_ns": t_ns,
        }  # fmt: skip
        lines += [miss] * 10
    body = [{"level": "debug", "seq": i, **line} for i, line in enumerate(lines, 1)]
    return b"\n".join(json.dumps(line).encode() for line in body)


def test_many_ms_and_locks_stay_within_the_bound() -> None:
    """A run that fills every table to its bound still makes a page below 1.5 MB."""
    view = view_of(wide_log())
    assert not view.found.condition.damage
    made = document(view)
    assert 600_000 < len(page(made).encode()) < 1_500_000
    contention = section(made, "contention")
    hidden = "12 locks more, waited for less, have no tables of their own"
    assert hidden in contention["remarks"]
    by_m = [one for one in contention["tables"] if one["title"].endswith("by M")]
    assert [one["left_out"] for one in by_m] == [50] * LOCKS_MAX
    assert any("1,500 hint misses drawn" in note for note in made["notes"])
    title = "a lock of some length 19 by M"
    (table,) = [
        one for part in sections(view.found, ["contention"]) for one in part.tables
        if one.title == title
    ]  # fmt: skip
    assert {row[0].text for row in table.rows} == {f"M{m}" for m in range(51, 151)}


def test_a_cut_log_is_drawn_as_far_as_it_goes() -> None:
    """A log without its end makes a page that says so."""
    log = run_log(storm)[1]
    data = data_of(log[: len(log) // 2])
    assert ["outcome", "has no end in this log"] in data["head"]
    assert data["outcome"] is None
    assert any("the log was cut" in remark for remark in data["remarks"])
    assert data["end"] > 0


def test_a_failed_run_says_why() -> None:
    """The failure's text is at the top."""
    sink = MemorySink()
    recorder = Recorder(json_logger(sink))
    Toy(1, recorder=recorder).drive()
    log = sink.data.replace(
        b'"outcome":"ok"', b'"outcome":"throw","error":"mem: unordered list","error_type":"Throw"'
    )
    data = data_of(log)
    assert data["stuck"] == ["Throw: mem: unordered list"]
    assert ["outcome", "ended in a throw"] in data["head"]
    assert data["token"] == ""
    timed = log.replace(b'"outcome":"throw"', b'"outcome":"throw","token":"timing:0"')
    assert data_of(timed)["token"] == ""
    with_token = log.replace(b'"outcome":"throw"', b'"outcome":"throw","token":"AgEFA_-x"')
    assert data_of(with_token)["token"] == "AgEFA_-x"


def test_what_a_reader_wants_comes_first() -> None:
    """Where anybody waited for a lock the Ms, where nobody did the map, of a failure its steps."""
    assert data_of(run_log(storm)[1])["first"] == "lanes"
    assert data_of(run_log(heap)[1])["first"] == "map"
    failed = run_log(storm)[1].replace(b'"outcome":"ok"', b'"outcome":"failed"')
    assert data_of(failed)["first"] == "steps"


def test_the_last_steps_are_the_logs_last_events() -> None:
    """Those before run.end, in order, and none of a run that ended well."""
    log = run_log(storm)[1]
    assert data_of(log)["steps"] == []
    lines = [json.loads(line) for line in log.splitlines()][1:-1][-EVENTS_MAX:]
    steps = data_of(log.replace(b'"outcome":"ok"', b'"outcome":"failed"'))["steps"]
    assert [(one["seq"], one["event"], one["t_ns"], one["m"]) for one in steps] == [
        (line["seq"], line["event"], line["t_ns"], line["m"]) for line in lines
    ]


def test_a_long_list_in_a_last_event_is_cut() -> None:
    """A snapshot of a free list in dust does not make the document large."""
    blocks = [[n << 16, 4096] for n in range(100_000)]
    snapshot = {"event": "freelist.snapshot", "seq": 2, "level": "debug", "t_ns": 5, "m": 0}
    snapshot |= {"blocks": blocks, "reason": "failure"}
    first, *_, last = run_log(heap)[1].splitlines()
    last = last.replace(b'"outcome":"ok"', b'"outcome":"failed"')
    data = data_of(b"\n".join([first, json.dumps(snapshot).encode(), last]))
    assert len(data["steps"]) == 1
    assert len(data["steps"][0]["blocks"]) == ITEMS_MAX + 1


def test_up_to_go_1_20_what_is_freed_is_called_lost() -> None:
    """Where frees do nothing, the legend does not call their memory free."""
    lost = data_of(run_log(heap, Config(release="go1.19", platform="js/wasm"), rounds=30)[1])
    assert lost["free_label"] == "free or lost, below the break"
    assert data_of(run_log(heap, rounds=30)[1])["free_label"] == "free, below the break"


@pytest.mark.parametrize("seed", range(8))
def test_no_figure_of_a_damaged_log_breaks_the_page(seed: int) -> None:
    """Numbers that no run has, in any field, make an odd page and no traceback."""
    r = random.Random(seed)
    extremes = [-1, 0, 1, 1 << 31, (1 << 63) - 1, 1 << 64, 1 << 100, -(1 << 70)]
    lines = []
    for line in toy_log(seed, steps=300).splitlines():
        event = json.loads(line)
        for name in [name for name, value in event.items() if type(value) is int]:
            if r.random() < 0.01:
                event[name] = r.choice(extremes)
        lines.append(json.dumps(event).encode())
    assert data_of(b"\n".join(lines))["map"]["columns"]


def test_sizes_beyond_64_bits_and_holds_below_0_are_drawn() -> None:
    """The two that a random fault seldom hits: memory of 2**76 bytes, a hold that ends early."""
    log = wide_log().replace(b'"pages": 4246', b'"pages": 1152921504606846976')
    log = log.replace(b'"hold_ns": 524', b'"hold_ns": -1000000000000', 1)
    assert b"-1000000000000" in log
    data = data_of(log)
    assert max(column[3] for column in data["map"]["columns"]) == 1 << 76

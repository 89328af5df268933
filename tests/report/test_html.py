"""The page as text: whole, bounded, and safe whatever the log says."""

from __future__ import annotations

import io
import json
import random
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gorun_mem import Config
from gorun_mem.analysis.timeline import ROWS
from gorun_mem.bench.analysis import synthesise
from gorun_mem.events import MemorySink, Recorder
from gorun_mem.events.log import json_logger
from gorun_mem.report.html import LEVELS, PageData, _cells, _letters, page, read, write
from gorun_mem.report.locksections import LOCKS_MAX
from gorun_mem.report.sections import SECTIONS, sections
from tests.analysis.make_logs import Toy, heap, run_log, storm, toy_log

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\u2028"


class Tags(HTMLParser):
    """Elements of a page, and the text within them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def ids(self) -> set[str | None]:
        return {attrs["id"] for _, attrs in self.seen if "id" in attrs}


def view_of(log: bytes) -> PageData:
    return read(io.BytesIO(log))


def data_of(text: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


@pytest.fixture(scope="module")
def stormy() -> str:
    return page(view_of(run_log(storm)[1]))


def evil_log() -> bytes:
    """A log in which every word that a user or a stranger can choose is an attack."""
    lines = []
    for line in toy_log(1).splitlines():
        event = json.loads(line)
        for name in ("scenario", "site", "purpose", "lock", "mutex"):
            if name in event:
                event[name] = EVIL + event[name]
        if event["event"] == "run.start":
            event["options"] = {EVIL: EVIL}
        if event["event"] == "run.end":
            event |= {"outcome": "failed", "error": EVIL, "results": {EVIL: EVIL}}
        lines.append(json.dumps(event).encode())
    return b"\n".join(lines) + b"\n"


def test_no_word_of_a_log_becomes_markup() -> None:
    """Names full of markup add no element: the page has those of one with harmless names."""
    text = page(view_of(evil_log()), again=EVIL)
    tags = Tags(text)
    scripts = [attrs for tag, attrs in tags.seen if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {"type": "module"}]
    assert not [tag for tag, _ in tags.seen if tag == "img"]
    assert not [name for _, attrs in tags.seen for name in attrs if name.startswith("on")]
    assert data_of(text)["queues"][0]["name"].startswith(EVIL)
    assert any(EVIL in words for words in tags.texts)


def test_the_page_asks_for_nothing(stormy: str) -> None:
    """No element names a place to load from, and the policy forbids what a script might ask for."""
    for _, attrs in Tags(stormy).seen:
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith(("#", "data:,"))
    assert "default-src &#39;none&#39;" in stormy or "default-src 'none'" in stormy
    assert "http:" not in stormy
    assert "https:" not in stormy
    assert "url(" not in stormy
    assert "@import" not in stormy


def test_every_section_is_there_and_reachable(stormy: str) -> None:
    """Each link within the page leads to something."""
    tags = Tags(stormy)
    assert set(SECTIONS) <= tags.ids()
    for tag, attrs in tags.seen:
        if tag == "a":
            assert (attrs["href"] or "")[1:] in tags.ids()


def test_ids_are_unique(stormy: str) -> None:
    """No two elements have one id, so that labels and links mean one thing."""
    ids = [attrs["id"] for _, attrs in Tags(stormy).seen if "id" in attrs]
    assert sorted(ids, key=str) == sorted(set(ids), key=str)


def test_every_control_has_a_name(stormy: str) -> None:
    """Controls, drawings and scrolled tables say what they are to who does not see them."""
    labelled = Tags(stormy)
    for tag, attrs in labelled.seen:
        if tag in ("canvas", "nav") or attrs.get("role") in ("region", "group"):
            assert attrs.get("aria-label"), (tag, attrs)
        if attrs.get("role") == "region":
            assert attrs["tabindex"] == "0"
        if tag == "input" and attrs["type"] == "range":
            assert attrs["aria-label"]


def test_what_is_drawn_is_what_the_analysis_found() -> None:
    """Columns, lanes, queues and series in the page's data have the analysis's figures."""
    view = view_of(run_log(storm)[1])
    data = data_of(page(view))
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
    view = view_of(run_log(heap, Config(max_pages=60), rounds=30)[1])
    growths = data_of(page(view))["map"]["growths"]
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


def test_the_page_of_a_long_log_is_no_larger(tmp_path: Path) -> None:
    """Five times as many events make no larger data: everything drawn has a bound."""
    sizes = []
    for events in (20_000, 100_000):
        path = tmp_path / "log.jsonl"
        synthesise(path, events)
        view = read(path)
        sizes.append(write(view, tmp_path / "out.html"))
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
    text = page(view)
    assert 800_000 < len(text.encode()) < 1_500_000
    assert "12 locks more, waited for less, have no tables of their own" in text
    assert text.count("by M <small>(and 50 more)") == LOCKS_MAX
    assert "1,500 hint misses drawn" in text
    title = "a lock of some length 19 by M"
    (table,) = [
        one for part in sections(view.found, ["contention"]) for one in part.tables
        if one.title == title
    ]  # fmt: skip
    assert {row[0].text for row in table.rows} == {f"M{m}" for m in range(51, 151)}


def test_a_cut_log_is_drawn_as_far_as_it_goes() -> None:
    """A log without its end makes a page that says so."""
    log = run_log(storm)[1]
    text = page(view_of(log[: len(log) // 2]))
    assert "has no end in this log" in text
    assert "the log was cut" in text
    assert data_of(text)["end"] > 0


def test_a_failed_run_says_why() -> None:
    """The failure's text is at the top."""
    sink = MemorySink()
    recorder = Recorder(json_logger(sink))
    Toy(1, recorder=recorder).drive()
    log = sink.data.replace(
        b'"outcome":"ok"', b'"outcome":"throw","error":"mem: unordered list","error_type":"Throw"'
    )
    text = page(view_of(log))
    assert "Throw: mem: unordered list" in text
    assert "ended in a throw" in text
    assert "gorun-mem view" not in text
    with_token = log.replace(b'"outcome":"throw"', b'"outcome":"throw","token":"AgEFA_-x"')
    assert "<code>gorun-mem view AgEFA_-x</code>" in page(view_of(with_token))


def test_what_a_reader_wants_comes_first(stormy: str) -> None:
    """Where anybody waited for a lock the Ms come before the map, where nobody did behind it."""
    assert stormy.index('id="lanes-canvas"') < stormy.index('id="map-canvas"')
    alone = page(view_of(run_log(heap)[1]))
    assert alone.index('id="map-canvas"') < alone.index('id="lanes-canvas"')


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    """A target that is a folder is refused by the system, and no part of a page stays behind."""
    target = tmp_path / "folder"
    target.mkdir()
    (target / "keep").touch()
    view = view_of(toy_log(1))
    with pytest.raises(OSError, match=r"folder|directory"):
        write(view, target)
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_up_to_go_1_20_what_is_freed_is_called_lost() -> None:
    """Where frees do nothing, the legend does not call their memory free."""
    lost = page(view_of(run_log(heap, Config(release="go1.19", platform="js/wasm"), rounds=30)[1]))
    free = page(view_of(run_log(heap, rounds=30)[1]))
    assert "free or lost, below the break" in lost
    assert "free or lost" not in free


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
    view = view_of(b"\n".join(lines))
    assert data_of(page(view))["map"]["columns"]


def test_sizes_beyond_64_bits_and_holds_below_0_are_drawn() -> None:
    """The two that a random fault seldom hits: memory of 2**76 bytes, a hold that ends early."""
    log = wide_log().replace(b'"pages": 4246', b'"pages": 1152921504606846976')
    log = log.replace(b'"hold_ns": 524', b'"hold_ns": -1000000000000', 1)
    assert b"-1000000000000" in log
    data = data_of(page(view_of(log)))
    assert max(column[3] for column in data["map"]["columns"]) == 1 << 76


def test_only_the_pages_own_script_may_run(stormy: str) -> None:
    """The policy names the one script by its hash; no other inline script is allowed."""
    own = stormy.partition('<script type="module">')[2].partition("</script>")[0]
    wanted = b64encode(sha256(own.encode()).digest()).decode()
    policy = stormy.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert f"script-src 'sha256-{wanted}';" in policy
    assert "default-src 'none'" in policy

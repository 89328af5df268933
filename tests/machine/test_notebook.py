"""What a notebook shows: well-formed tables with the figures, whatever the names are."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import Config, M, World, compare, run, scenario, verify
from gorun_mem._notebook import facts, table
from gorun_mem.explore import explore
from gorun_mem.locks import Mutex
from gorun_mem.machine.library import find
from gorun_mem.predict.estimate import predict
from gorun_mem.predict.program import load
from gorun_mem.runtime.behaviour import release
from gorun_mem.sync import Cell

EVIL = "<script>alert('&\"')</script>"


class Tables(HTMLParser):
    """The cells of each table by its caption; a tag that is not closed in order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._caption = ""
        self._row: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"table", "caption", "thead", "tbody", "tr", "th", "td", "br"}, tag
        if tag == "br":
            return
        self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self._row = []
        if tag in ("th", "td"):
            self._row.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append(self._row)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "caption":
            self._caption += data
        elif self._open and self._open[-1] in ("th", "td"):
            self._row[-1] += data


def tables_of(shown: Any) -> dict[str, list[list[str]]]:
    """What an object shows in a notebook."""
    return Tables(shown._repr_html_()).tables


@scenario(ms=2)
async def lost(world: World) -> None:
    """Two Ms lose an addition."""
    count = Cell(EVIL)

    async def add(m: M) -> None:
        await count.store(await count.load() + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert count.value == 2, EVIL


class Open(Mutex):
    """A lock that keeps nobody out."""

    async def lock(self, m: M) -> None:
        """Take it."""
        await m.pause()

    async def unlock(self, m: M) -> None:
        """Give it back."""
        await m.pause()


def test_a_run_and_its_statistics() -> None:
    """Settings, what was counted, a row for each lock; a deadlock says who is stuck."""
    done = run(find("memlock_storm"), Config(ms=2, mutex="queue"), {"rounds": 5})
    found = tables_of(done)
    assert ["ended", "ok"] in found["memlock_storm"]
    assert ["option rounds", "5"] in found["memlock_storm"]
    lock = done.statistics.lock("memlock")
    head, *rows = found["locks"]
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert by_name["memlock"]["acquisitions"] == f"{lock.acquisitions:,}"
    assert set(by_name) == set(done.statistics.locks)
    assert ["pages", f"{done.statistics.memory.pages:,}"] in found["memory"]
    assert tables_of(done.statistics) == {k: v for k, v in found.items() if k != "memlock_storm"}
    assert len(tables_of(lock)["lock memlock, by M"]) == 1 + len(lock.by_m)
    stuck = tables_of(run(find("leaked_lock"), find("leaked_lock").config()))
    assert any(row[0].startswith("stuck M") for row in stuck["leaked_lock"])


def test_a_search() -> None:
    """The verdict, and each failure with the command that replays it; names cannot break out."""
    found = explore(lost)
    assert found.failure is not None
    shown = tables_of(found)
    assert ["verdict", found.sentence] in shown["explore lost"]
    ((_, *_), (what, how, replay)) = shown["failures"]
    assert what == str(found.failure.signature)
    assert replay == found.failure.command
    assert "script" not in shown
    assert EVIL in tables_of(run(lost, Config(ms=2, seed=3)))["lost"][1][1] or EVIL in how


def test_a_verification() -> None:
    """The verdict; a counterexample step by step."""
    assert ["states", f"{verify('queue', ms=2).states:,}"] in tables_of(verify("queue", ms=2))[
        "verify queue"
    ]
    failed = verify(Open, ms=2)
    shown = tables_of(failed)
    assert failed.verdict == "failed"
    assert len(shown["counterexample"]) == 1 + len(failed.trace)


def test_a_comparison_and_a_prediction() -> None:
    """A table for each metric, a row for each side; the pages and their interval."""
    found = compare(
        "memlock_storm", vary={"mutex": ["sema", "spinbit"]}, fixed={"rounds": 5}, seeds=3,
        metrics=["time_ns"],
    )  # fmt: skip
    (shown,) = tables_of(found).values()
    assert [row[0] for row in shown[1:]] == [side.side.name for side in found.sides]
    program = load(Path("trees-go1.24.11"))
    predicted = predict([program], release("go1.26"))
    assert ["pages", f"{predicted.pages:,}"] in tables_of(predicted)["prediction for go1.26"]


@pytest.mark.parametrize("value", [EVIL, "a\nb", None, True, 1234567, 0.25])
def test_every_value_is_text(value: object) -> None:
    """Escaped, with lines kept; numbers grouped."""
    ((cell,),) = Tables(table(EVIL, (), [(value,)])).tables[EVIL]
    said = {None: "", True: "yes", 1234567: "1,234,567", 0.25: "0.25", "a\nb": "ab"}
    assert cell == said.get(value, value)  # type: ignore[call-overload]
    assert Tables(facts("f", [(EVIL, value)])).tables["f"][0][0] == EVIL

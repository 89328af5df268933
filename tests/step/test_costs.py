"""The cost table and its file."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import KiB, M, World, run, scenario
from gorun_mem.runtime.mutex import MUTEXES
from gorun_mem.runtime.mutex.machine import MutexOp, states_of
from gorun_mem.step.costs import (
    DEFAULT_NS,
    DEFAULT_SPREAD,
    MECHANISMS,
    TIME_SLICE_NS,
    CostError,
    CostTable,
    names,
)


def all_ops(base: Any = MutexOp) -> Iterator[Any]:
    for cls in base.__subclasses__():
        yield cls
        yield from all_ops(cls)


def test_every_access_of_every_mutex_has_a_cost() -> None:
    """No kind of access falls back to `other` because the table forgot it."""
    for name in (
        *{lock.__module__ for lock in MUTEXES.values()},
        "gorun_mem.runtime.mutex.note_sema",
        "gorun_mem.runtime.mutex.note_futex",
    ):
        importlib.import_module(name)
    kinds = {kind for cls in all_ops() for _, _, kind, *_ in states_of(cls).values()}
    assert len(kinds) > 10
    assert sorted(kinds - DEFAULT_NS.keys()) == []


def test_a_file_replaces_single_entries(tmp_path: Path) -> None:
    """What the file names is replaced, the rest stays; the table has another name in the log."""
    path = tmp_path / "costs.toml"
    path.write_text('time_slice_ns = 5000\n[ns]\n"atomic.cas" = 55\nwake = 1.5\n')
    table = CostTable.read(path)
    assert table.time_slice_ns == 5000
    assert table.table() == {**DEFAULT_NS, "atomic.cas": 55, "wake": 1.5}
    assert table.sha256 != CostTable().sha256
    path.write_text("")
    assert CostTable.read(path) == CostTable()
    assert CostTable.read(path).sha256 == CostTable().sha256
    assert CostTable().time_slice_ns == TIME_SLICE_NS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[ns]\natomic = 3", "no kind 'atomic': did you mean atomic"),
        ('[ns]\n"atomic.cass" = 3', "did you mean atomic.cas?"),
        ("[ns]\nwake = -1", "ns.wake = -1 is not a cost in ns"),
        ("[ns]\nwake = nan", "ns.wake = nan is not a cost in ns"),
        ("[ns]\nwake = inf", "ns.wake = inf is not a cost in ns"),
        ("[ns]\nwake = true", "ns.wake = True is not a cost in ns"),
        ('[ns]\nwake = "5"', "ns.wake = '5' is not a cost in ns"),
        ("ns = 3", "ns must be a section"),
        ("time_slice_ns = 0", "time_slice_ns = 0: must be a positive whole number"),
        ("time_slice_ns = 1.5", "time_slice_ns = 1.5: must be a positive whole number"),
        ("time_slice = 5", "no 'time_slice': there are time_slice_ns, without, pinned and"),
        ("[spread]\nspins = 0.2", "no spread 'spins': did you mean spin?"),
        ("[spread]\nspin = 2", "spread.spin = 2: give a number from 0 to 1"),
        ("spread = 3", "spread must be a section"),
        ('without = ["keeps"]', "no mechanism 'keeps': did you mean keep?"),
        ('without = "keep"', "without = 'keep': must be a list of names, of migrate, keep"),
        ("pinned = 1", "pinned = 1: must be true or false"),
        ("wake = 5", "no 'wake': there are"),
        ("[ns", "Expected"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, text: str, words: Any) -> None:
    """Each mistake names the file, the value and what is allowed."""
    path = tmp_path / "costs.toml"
    path.write_text(text)
    with pytest.raises(CostError) as raised:
        CostTable.read(path)
    assert str(raised.value).startswith(f"cost table {path}: ")
    assert words in str(raised.value)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    """So is a file that is not there, and one that is no text."""
    with pytest.raises(CostError, match="No such file"):
        CostTable.read(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CostError, match="can't decode"):
        CostTable.read(tmp_path / "b.toml")


def test_a_table_made_in_code_is_checked_too() -> None:
    """`CostTable(ns=...)` refuses what a file may not hold."""
    with pytest.raises(CostError, match="no kind 'bogus'"):
        CostTable({"bogus": 1})


def test_the_tables_that_come_along_are_found_by_name(tmp_path: Path) -> None:
    """By name anywhere; a file of that name in the folder goes first; others are listed."""
    assert names() == ["laptop-68578", "server-16"]
    laptop = CostTable.find("laptop-68578")
    assert laptop.table()["procyield"] == 1250
    assert laptop.sha256 != CostTable().sha256
    path = tmp_path / "mine.toml"
    path.write_text("[ns]\nwake = 1")
    assert CostTable.find(str(path)) == CostTable({"wake": 1})
    with pytest.raises(CostError, match="no such file; those that come along are laptop"):
        CostTable.find("server")


def test_the_default_is_server_16() -> None:
    """What the file says is what the program has: every figure, and the slice."""
    table = CostTable.find("server-16")
    assert table.sha256 == CostTable().sha256
    assert set(table.ns) <= set(DEFAULT_NS)
    assert table.spread == DEFAULT_SPREAD


def test_what_is_switched_off_names_another_table() -> None:
    """So a log says that it was."""
    sums = {CostTable(without=(name,)).sha256 for name in MECHANISMS}
    sums |= {CostTable(pinned=True).sha256, CostTable().sha256}
    assert len(sums) == len(MECHANISMS) + 2
    assert CostTable(without=("spins",)).spreads() == {**DEFAULT_SPREAD, "spin": 0, "call": 0}
    assert CostTable(without=("wakes",)).spreads() == {**DEFAULT_SPREAD, "wake": 0}


def test_the_first_store_to_a_page_costs_what_the_kernel_takes() -> None:
    """16 of them for a page of 64 KiB, each once; growing costs a call, however much."""
    costs = CostTable({"page.touch": 1000, "store": 1, "other": 0}, without=tuple(MECHANISMS))

    @scenario(ms=1, platform="plan9/amd64", costs=costs)
    async def touches(world: World) -> None:
        async def worker(m: M) -> None:
            for n in (64 * KiB, 1024 * KiB):
                start = m.clock_ns
                addr = await m.sys_alloc(n)
                took.append(m.clock_ns - start)
            for _ in range(2):
                start = m.clock_ns
                for at in range(0, 64 * KiB, 4 * KiB):
                    await m.store(addr + at, 1)
                took.append(m.clock_ns - start)

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    took: list[float] = []
    assert run(touches).outcome.ok
    small, large, first, again = took
    assert large == pytest.approx(small, rel=0.3)
    assert first == 16 * 1001
    assert again == 16

"""Nothing is wider than the terminal, and what is no terminal gets lines as they are."""

from __future__ import annotations

import pytest

from gorun_mem.report.sections import SECTIONS
from gorun_mem.report.width import table_lines
from tests.cli.run_scripts import Command


def _widest(text: str) -> int:
    pasted = ("again ", "log ", "report ")  # never folded: they are to be pasted
    return max((len(line) for line in text.splitlines() if not line.startswith(pasted)), default=0)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    "args",
    [
        ("scenarios",),
        ("scenarios", "--lessons"),
        ("releases", "memlock_storm", "--of", "go1.23..go1.25"),
        ("run", "memlock_storm", "--ms", "8"),
        ("explain",),
    ],
    ids=" ".join,
)
def test_a_verb_fits(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], columns: int
) -> None:
    """At the width that $COLUMNS says."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert 0 < _widest(gorun_mem(*args).out) <= columns


@pytest.mark.parametrize("columns", [80, 120])
def test_every_section_fits(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Of the reports of a contended run, a fragmented one and one that misses a hint."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for run in (("memlock_storm", "--ms", "8"), ("checkerboard",), ("arena_at_break",)):
        gorun_mem("run", *run)
        for name in SECTIONS:
            found = gorun_mem("report", "last", "--section", name)
            assert found.code in {0, 1}
            assert 0 < _widest(found.out) <= columns, (run, name)


def test_no_cell_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is cut has every cell once, the first column's in each part."""
    rows = [[f"c{i}r{row}" + "x" * i for i in range(12)] for row in range(3)]
    for columns in (40, 60, 80, 300):
        monkeypatch.setenv("COLUMNS", str(columns))
        words = " ".join(table_lines(rows, "<" * 12)).split()
        for row in rows:
            assert all(words.count(cell) == 1 for cell in row[1:])
            assert words.count(row[0]) >= 1
    monkeypatch.delenv("COLUMNS")
    assert len(list(table_lines(rows, "<" * 12))) == 3


def test_what_is_no_terminal_is_not_folded(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets one line for each scenario."""
    monkeypatch.delenv("COLUMNS", raising=False)
    found = gorun_mem("scenarios")
    assert all(line[0] != " " for line in found.out.splitlines())

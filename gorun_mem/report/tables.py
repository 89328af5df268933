"""What a report is made of: sections with facts, tables and remarks.

A cell has the text that people read and the value that it is sorted by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gorun_mem.report.units import ns, size

ROWS_MAX: Final = 100
"""Rows of a table; `Table.left_out` counts the rest."""


class TableCell(NamedTuple):
    """One cell.

    Args:
        text: for people.
        key: to sort by.
    """

    text: str
    key: int | float | str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells.

    Args:
        title: what it lists.
        columns: their names; those of figures end in no mark but are aligned by their cells.
        rows: as many cells each.
        left_out: rows beyond `ROWS_MAX`.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    left_out: int = 0

    def is_figure(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return all(not isinstance(row[column].key, str) for row in self.rows)


@dataclass(slots=True)
class Section:
    """A part of the report.

    Args:
        name: as the command line has it.
        title: for people.
        facts: (what, figure).
        tables: the tables.
        remarks: sentences.
    """

    name: str
    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def int_cell(value: int) -> TableCell:
    """A number."""
    return TableCell(f"{value:,}", value)


def ns_cell(value: int | float) -> TableCell:
    """A time."""
    return TableCell(ns(value), value)


def ns_or_more_cell(value: int, exact: bool) -> TableCell:
    """A time, or a lower bound of one: where what it is of has not ended."""
    return ns_cell(value) if exact or not value else TableCell(f">= {ns(value)}", value)


def size_cell(value: int) -> TableCell:
    """A number of bytes."""
    return TableCell(size(value), value)


def text_cell(value: str) -> TableCell:
    """A word; - for none."""
    return TableCell(value or "-", value)


def m_cell(value: int) -> TableCell:
    """An M; - for none."""
    return TableCell(f"M{value}" if value else "-", value)


def addr_cell(value: int) -> TableCell:
    """An address."""
    return TableCell(f"{value:#x}", value)


def ratio_cell(value: float) -> TableCell:
    """A ratio."""
    return TableCell(f"{value:.3f}", value)


def table_of(title: str, columns: str, rows: Sequence[tuple[TableCell, ...]]) -> Table:
    """A table whose columns' names are divided by |."""
    left_out = max(0, len(rows) - ROWS_MAX)
    return Table(title, tuple(columns.split("|")), tuple(rows[:ROWS_MAX]), left_out)

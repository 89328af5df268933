"""What the analysis says of a log, in sections: facts, tables and remarks.

One model for both faces of a report: `render` makes text for a terminal of it, and
`gorun_mem.report.page` puts the same sections into a page. So the two cannot disagree, and neither
computes anything: every figure is an attribute of what `gorun_mem.analysis` found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import click

from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.report.locksections import (
    blame_section,
    contention_section,
    convoys_section,
    holds_section,
    order_section,
    path_section,
)
from gorun_mem.report.memorysections import (
    budget_section,
    fragmentation_section,
    growths_section,
    hints_section,
    memory_section,
)
from gorun_mem.report.tables import Section, Table
from gorun_mem.report.terminal import window_text
from gorun_mem.report.width import folded, table_lines

TERMINAL_ROWS: Final = 24


def sections(found: LogAnalysis, names: Iterable[str], pages: int | None = None) -> list[Section]:
    """The sections of those names, in that order.

    Args:
        found: by the analysis.
        names: some of `SECTIONS`.
        pages: a budget in pages of 64 KiB to answer for; None for the run's own bound.

    Raises:
        KeyError: there is no section of that name.
    """
    made = [budget_section(found, pages) if n == "budget" else SECTIONS[n](found) for n in names]
    if found.window is not None:
        for section in made:
            what = _IN_WINDOW.get(section.name, "all of it is of the window")
            section.remarks.insert(0, f"window {window_text(found.window)}: {what}")
    return made


_PAST: Final = "what it is at the window's end, and counts from the run's beginning"
_IN_WINDOW: Final = {
    "memory": _PAST,
    "growths": f"rows are the window's; the rest is {_PAST}",
    "hints": f"rows are the window's; the rest is {_PAST}",
    "fragmentation": f"failures are the window's; the rest is {_PAST}",
    "budget": "from the run's beginning to the window's end",
}
"""Sections of what has no state without the past."""


def render(all_sections: Iterable[Section]) -> str:
    """Text for a terminal, without a last newline."""
    return "\n\n".join("\n".join(_lines(one)) for one in all_sections)


def _lines(section: Section) -> Iterator[str]:
    yield click.style(section.title, bold=True)
    width = max((len(name) for name, _ in section.facts), default=0)
    for name, value in section.facts:
        yield from folded(f"  {name:<{width}}  {value}", 4)
    for remark in section.remarks:
        yield from folded(f"  {remark}", 2)
    for table in section.tables:
        if table.rows:
            yield ""
            yield from _table_lines(table)


def _table_lines(table: Table) -> Iterator[str]:
    shown = table.rows[:TERMINAL_ROWS]
    lines = [table.columns, *([cell.text for cell in row] for row in shown)]
    sides = "".join(">" if table.is_figure(i) else "<" for i in range(len(table.columns)))
    yield "  " + click.style(table.title, underline=True)
    yield from table_lines(lines, sides)
    hidden = len(table.rows) - len(shown) + table.left_out
    if hidden:
        yield f"  and {hidden:,} more"


SECTIONS: Final[dict[str, Callable[[LogAnalysis], Section]]] = {
    "contention": contention_section,
    "convoys": convoys_section,
    "blame": blame_section,
    "holds": holds_section,
    "path": path_section,
    "order": order_section,
    "memory": memory_section,
    "growths": growths_section,
    "hints": hints_section,
    "fragmentation": fragmentation_section,
    "budget": budget_section,
}
"""Name -> what makes it, in the order of a whole report."""

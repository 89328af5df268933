"""Tables and plots of several series as plain text.

The same numbers always give the same characters: no colour, no width of a terminal, no locale. So
a scenario can put one into its results, and the log that has them is the same bytes every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Final

from gorun_mem.report.width import whole_table

SEVERAL: Final = "*"
"""Marks a place that more than one series goes through."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, all aligned to the right.

    Args:
        head: the columns' names.
        rows: as many cells each.
    """
    return whole_table([head, *rows], ">" * len(head))


def plot(
    xs: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    unit: str,
    height: int = 14,
    columns: int | None = None,
) -> str:
    """Series over the same places, on a logarithmic scale.

    Args:
        xs: names of the places, from left to right.
        series: by name, a positive value for each place; 0 is left out.
        unit: of the values, for the axis.
        height: lines between the least and the greatest value.
        columns: that it may be wide, None for as many as the names need; narrower names stand
            below each other by turns.
    """
    values = [value for line in series.values() for value in line if value > 0]
    if not values:
        return "nothing to plot"
    low, high = _bounds(min(values), max(values))

    def row_of(value: float) -> int:
        return height - round((log10(value) - low) / (high - low) * height)

    ticks = {row_of(tick): f"{tick:g}" for tick in _ticks(low, high)}
    margin = max(len(text) for text in [*ticks.values(), unit])
    column = max(len(x) for x in xs) + 4
    if columns is not None:
        column = max(2, min(column, (columns - margin - 2) // len(xs)))
    grid = [[" "] * (column * len(xs)) for _ in range(height + 1)]
    marks = _marks(series)
    for name, line in series.items():
        for i, value in enumerate(line):
            if value > 0:
                at, cells = i * column + column - 1, grid[row_of(value)]
                cells[at] = marks[name] if cells[at] == " " else SEVERAL
    body = [
        f"{ticks.get(row, ''):>{margin}} |{''.join(cells)}".rstrip()
        for row, cells in enumerate(grid)
    ]
    axis = " " * margin + " +" + "-" * (column * len(xs))
    names = [(" " * (margin + 2) + line).rstrip() for line in _under(xs, column)]
    legend = ", ".join(f"{marks[name]} {name}" for name in series)
    return "\n".join([unit, *body, axis, *names, f"{legend}, {SEVERAL} several"])


def _under(xs: Sequence[str], column: int) -> list[str]:
    """The names of the places, each ending where its place is, in as few lines as that takes."""
    lines: list[str] = []
    for i, x in enumerate(xs):
        end = (i + 1) * column
        x = x[:end]
        for number, line in enumerate(lines):
            if not line or len(line) < end - len(x):
                lines[number] = line.ljust(end - len(x)) + x
                break
        else:
            lines.append(x.rjust(end))
    return lines


def box(values: Sequence[float], low: float, high: float, width: int) -> str:
    """How values are spread, on a line: from the least, over the quartiles, to the greatest.

    Args:
        values: at least one.
        low: what the line's left end stands for.
        high: its right end; the scale is logarithmic where `is_wide` says so.
        width: characters.
    """
    wide = is_wide(low, high)

    def at(value: float) -> int:
        if high <= low:
            return width // 2
        part = log10(value / low) / log10(high / low) if wide else (value - low) / (high - low)
        return round(part * (width - 1))

    ordered = sorted(values)
    least, first, middle, third, most = (
        at(ordered[round(part * (len(ordered) - 1) / 4)]) for part in range(5)
    )
    line = [" "] * width
    line[least : most + 1] = "-" * (most + 1 - least)
    line[first : third + 1] = "=" * (third + 1 - first)
    line[least] = line[most] = "|"
    line[middle] = "#"
    return "".join(line)


def is_wide(low: float, high: float) -> bool:
    """Whether values lie so far apart that only a logarithmic scale shows them all."""
    return low > 0 and high / low >= 20


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two logarithms."""
    powers = range(floor(low), ceil(high) + 1)
    ticks = [n * 10.0**e for e in powers for n in (1, 2, 5)]
    return [tick for tick in ticks if low <= log10(tick) <= high]


def _bounds(least: float, greatest: float) -> tuple[float, float]:
    """Logarithms between which the values lie, with room for one of a single height."""
    low, high = log10(least), log10(greatest)
    return (low, high) if high - low > 0.01 else (low - 0.5, high + 0.5)


def _marks(series: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """One letter for each series: the first of its name that is free."""
    marks: dict[str, str] = {}
    for name in series:
        letters = [*name, *"abcdefghijklmnopqrstuvwxyz"]
        free = (c for c in letters if c.isalnum() and c not in marks.values())
        marks[name] = next(free, "#")
    return marks

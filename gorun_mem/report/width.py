"""Tables and sentences that fit a terminal.

Where the output is no terminal and $COLUMNS says nothing nothing is folded: text in a file or a
pipe is the same everywhere.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import click

LEAST: Final = 40
"""Columns below which nothing is folded further."""


def width() -> int | None:
    """Columns that a line may have; None for as many as it needs."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return max(LEAST, int(given))
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(LEAST, shutil.get_terminal_size().columns)


def folded(line: str, hang: int) -> Iterator[str]:
    """A sentence as lines that fit, those after the first indented by `hang`."""
    columns = width()
    if columns is None or len(click.unstyle(line)) <= columns:
        yield line
        return
    indent = line[: len(line) - len(line.lstrip())]
    yield from textwrap.wrap(
        line.lstrip(),
        columns,
        initial_indent=indent,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def table_lines(rows: Sequence[Sequence[str]], sides: str, indent: str = "  ") -> Iterator[str]:
    """Rows of cells, the head among them, as lines.

    A table that is too wide is cut into several below each other, each with the first column; a
    last cell that is a sentence is folded.

    Args:
        rows: as many cells each.
        sides: for each column < or >.
        indent: before each line.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(sides))]
    for number, places in enumerate(_blocks(widths, len(indent))):
        if number:
            yield ""
        hang = len(indent) + sum(widths[i] + 2 for i in places[:-1])
        for row in rows:
            cells = (f"{row[i]:{sides[i]}{widths[i]}}" for i in places)
            yield from _row(indent + "  ".join(cells), hang)


def _row(line: str, hang: int) -> Iterator[str]:
    """A row as it stands; of one that is too wide the last cell goes on below itself."""
    line, columns = line.rstrip(), width()
    if columns is None or len(line) <= columns:
        yield line
        return
    if columns - hang < LEAST // 2:
        yield from folded(line, 4)
        return
    first, *rest = textwrap.wrap(line[hang:].strip(), columns - hang, break_on_hyphens=False)
    yield line[:hang] + first
    yield from (" " * hang + part for part in rest)


def _blocks(widths: Sequence[int], indent: int) -> list[list[int]]:
    """Which columns stand beside each other."""
    columns = width()
    found: list[list[int]] = [[0]]
    used = indent + widths[0]
    for i in range(1, len(widths)):
        fits = columns is None or used + 2 + min(widths[i], LEAST // 2) <= columns
        is_last = i == len(widths) - 1
        is_over = columns is not None and used + 2 + widths[i] > columns
        if is_over and not (is_last and fits) and found[-1] != [0]:
            found.append([0])
            used = indent + widths[0]
        found[-1].append(i)
        used += 2 + widths[i]
    return found

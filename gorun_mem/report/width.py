"""The one renderer: text and tables that fit a terminal, whatever verb they are of.

A terminal gets lines that fit it; $COLUMNS, where it is set, says how wide that is. Sentences are
never wider than `TEXT_MAX`, for longer lines are hard to read; tables may use all the room, and
what does not fit stands below: columns in blocks with the first column again, rows of a query as
records. What is no terminal gets every line whole where $COLUMNS says nothing, so that what `grep`
finds is one thing said.

A word is never broken: a token, an address or a path that is wider than the terminal stands on a
line of its own, to be pasted. A command that is too long goes on behind a backslash.

Widths are of cells, as the terminal counts them (`rich.cells`, 2 ms). Rejected: rich's own tables.
They squeeze what does not fit until it cannot be read, know no columns that may go below, and take
20 ms to import.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import click

LEAST: Final = 40
"""Columns below which nothing is folded further."""

MOST: Final = 10_000
"""Columns of the widest: tables are filled up to their width."""
TEXT_MAX: Final = 100
"""Columns that a sentence has at most, of a terminal however wide."""

_LABELLED: Final = re.compile(r" *\S+(?: \S+)?  +(?=\S)")
_LABEL_MAX: Final = 26
"""Columns of a label behind which a sentence goes on below itself."""
_NUMBERED: Final = re.compile(r" *(?:\d+\.|-|\*) (?=\S)")
_WORD: Final = re.compile(r"( *)([^ ]*\d (?:ns|us|ms|s|B|[KMGT]iB|%)(?!\w)[^ ]*|[^ ]+)")
"""A figure and its unit are one."""
_SHELL_WORD: Final = re.compile(r"""( *)((?:'[^']*'|"[^"]*"|[^ '"]|['"])+)""")
_COMMAND: Final = re.compile(r"(?:^|  )gorun-mem (?![\w-]+: )")


def width(*, err: bool = False) -> int | None:
    """Columns that a line may have; None for as many as it needs.

    Args:
        err: of stderr, not of stdout.
    """
    given = columns_given(os.environ.get("COLUMNS", ""))
    if given:
        return max(LEAST, given)
    stream = sys.stderr if err else sys.stdout
    if stream is None or not stream.isatty():
        return None
    return max(LEAST, min(MOST, shutil.get_terminal_size().columns))


def columns_given(text: str) -> int:
    """The columns that $COLUMNS says; 0 where they are none, or more than MOST."""
    given = int(text) if text.isdecimal() and len(text) <= len(str(MOST)) else 0
    return given if given <= MOST else 0


def cells(text: str) -> int:
    """Columns that a text takes, its colours not counted."""
    plain = click.unstyle(text) if "\x1b" in text else text
    if plain.isascii():
        return len(plain)
    from rich.cells import cell_len

    return cell_len(plain)


def fit(text: str, columns: int | None = None) -> str:
    """Text of any lines for people, each folded where it is too wide.

    What goes on does so below where the line's own text begins: behind its label ("verdict   ..."),
    its number ("2. ...") or its indentation. A command goes on behind a backslash.

    Args:
        text: as it stands where nothing is too wide.
        columns: None for those of stdout.
    """
    columns = columns or width()
    if columns is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _fitted(line, columns))


def folded(line: str, hang: int, columns: int | None = None) -> Iterator[str]:
    """A sentence as lines that fit, those after the first indented by `hang`."""
    columns = columns or width()
    if columns is None or cells(line) <= min(columns, TEXT_MAX):
        yield line
        return
    indent = len(line) - len(line.lstrip(" "))
    yield from _wrapped(line[indent:], indent, hang, min(columns, TEXT_MAX))


def _fitted(line: str, columns: int) -> Iterator[str]:
    if cells(line) <= columns and (cells(line) <= TEXT_MAX or not _is_sentence(line)):
        yield line
        return
    plain = click.unstyle(line)
    command = _COMMAND.search(plain)
    if command is not None and plain == line:
        yield from _wrapped(line.lstrip(" "), _indent(line), _hang(line) + 2, columns, " \\")
    else:
        yield from folded(line, _hang(plain), columns)


def _is_sentence(line: str) -> bool:
    """Whether a line is more than columns of a table."""
    plain = click.unstyle(line).strip()
    label = _LABELLED.match(plain)
    return "  " not in (plain[label.end() :] if label else plain)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _hang(line: str) -> int:
    """Where the lines go on that a line does not fit into."""
    for begins in (_LABELLED, _NUMBERED):
        found = begins.match(line)
        if found is not None and found.end() <= _LABEL_MAX:
            return found.end()
    return _indent(line) + (4 if _indent(line) < 4 else 2)


def _wrapped(text: str, indent: int, hang: int, columns: int, goes_on: str = "") -> Iterator[str]:
    """Words as lines, broken between them only.

    Args:
        text: with no space in front; runs of spaces inside a line stay as they are.
        indent: spaces before the first line.
        hang: spaces before the others.
        columns: that a line may have.
        goes_on: written at the end of all lines but the last.
    """
    line, used = " " * indent, indent
    is_empty = True
    for space, word in (_SHELL_WORD if goes_on else _WORD).findall(text):
        size = cells(word)
        if not is_empty and used + len(space) + size + len(goes_on) > columns:
            yield line.rstrip(" ") + goes_on
            line, used, space = " " * hang, hang, ""
        line += space + word
        used += len(space) + size
        is_empty = False
    yield line


# Tables.


def table_lines(
    rows: Sequence[Sequence[str]],
    sides: str,
    indent: str = "  ",
    columns: int | None = None,
    *,
    last_folds: bool = True,
) -> Iterator[str]:
    """Rows of cells, the head among them, as lines.

    A table that is too wide is cut into several below each other, each with the first column; a
    last cell that is a sentence is folded.

    Args:
        rows: as many cells each.
        sides: for each column < or >.
        indent: before each line.
        columns: None for those of stdout.
        last_folds: whether the last column may go on below itself; else it is cut off as others.
    """
    columns = columns or width()
    widths = [max(cells(row[i]) for row in rows) for i in range(len(sides))]
    titles = list(_whole_titles(rows[0]))
    firsts = [max(widths[i], cells(titles[i])) for i in range(len(sides))]
    for number, places in enumerate(_blocks(widths, firsts, len(indent), columns, last_folds)):
        sizes = {i: widths[i] for i in places}
        if number:
            yield ""
            sizes[places[1]] = firsts[places[1]]
        hang = len(indent) + sum(sizes[i] + 2 for i in places[:-1])
        for at, row in enumerate(rows):
            head = number and not at
            padded = [
                _padded(titles[i] if head and i == places[1] else row[i], sizes[i], sides[i])
                for i in places
            ]
            yield from _row(indent + "  ".join(padded), hang, columns)


_OF_A_GROUP: Final = frozenset({"p90", "p99", "max", "in all"})
"""Titles that say nothing without the one, such as "wait p50", with which their group begins."""


def _whole_titles(head: Sequence[str]) -> Iterator[str]:
    """The titles as they are to be where what stands before them in the row does not."""
    group = ""
    for title in head:
        name, _, last = title.rpartition(" ")
        if title not in _OF_A_GROUP:
            group = f"{name} " if last == "p50" else ""
        yield f"{group}{title}" if title in _OF_A_GROUP else title


def figures_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of figures, all aligned to the right, that fits."""
    return "\n".join(table_lines([head, *rows], ">" * len(head), "", last_folds=False))


def whole_table(rows: Sequence[Sequence[str]], sides: str, indent: str = "") -> str:
    """The same as one text that no terminal changes."""
    return "\n".join(table_lines(rows, sides, indent, columns=sys.maxsize))


def panels(text: str, indent: int = 2, columns: int | None = None) -> Iterator[str]:
    """Lines that were laid out before, such as a scenario's own table: cut where they must be.

    Args:
        text: lines, all of one picture.
        indent: spaces before each.
        columns: None for those of stdout.
    """
    columns = columns or width()
    lines = text.split("\n")
    longest = max(map(len, lines))
    room = sys.maxsize if columns is None else columns - indent
    start = 0
    while start < longest:
        if start:
            yield ""
        end = start + room
        if end < longest:
            gaps = [i for i in range(start + room // 2, end) if _is_gap(lines, i)]
            end = gaps[-1] if gaps else end
        yield from (" " * indent + line[start:end].rstrip() for line in lines)
        start = end


def _is_gap(lines: Sequence[str], column: int) -> bool:
    """Whether nothing stands there."""
    return all(line[column : column + 1] in ("", " ") for line in lines)


def fits(rows: Sequence[Sequence[str]], indent: int = 2) -> bool:
    """Whether a table needs no second block."""
    columns = width()
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return columns is None or indent + sum(widths) + 2 * (len(widths) - 1) <= columns


def records(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows one below the other, a line for each cell that has something.

    Args:
        rows: the head first.
    """
    names, *rest = rows
    size = max(map(cells, names), default=0)
    for number, row in enumerate(rest, 1):
        yield f"row {number}"
        for name, value in zip(names, row, strict=True):
            if value:
                yield from folded(f"  {_padded(name, size, '<')}  {value}", size + 4)


def _padded(text: str, size: int, side: str) -> str:
    space = " " * (size - cells(text))
    return text + space if side == "<" else space + text


def _row(line: str, hang: int, columns: int | None) -> Iterator[str]:
    """A row as it stands; of one that is too wide the last cell goes on below itself."""
    line = line.rstrip()
    if columns is None or cells(line) <= columns:
        yield line
    elif columns - hang < LEAST // 2 or "\x1b" in line:
        yield from folded(line, 4, columns)
    else:
        first, *rest = _wrapped(line[hang:].strip(), 0, 0, columns - hang)
        yield line[:hang] + first
        yield from (" " * hang + part for part in rest)


def _blocks(
    widths: Sequence[int],
    firsts: Sequence[int],
    indent: int,
    columns: int | None,
    last_folds: bool,
) -> list[list[int]]:
    """Which columns stand beside each other; `firsts`: of one with which a row of them begins."""
    found: list[list[int]] = [[0]]
    used = indent + widths[0]
    for i in range(1, len(widths)):
        fits = columns is None or used + 2 + min(widths[i], LEAST // 2) <= columns
        is_last = last_folds and i == len(widths) - 1
        is_over = columns is not None and used + 2 + widths[i] > columns
        if is_over and not (is_last and fits) and found[-1] != [0]:
            found.append([0])
            used = indent + widths[0] + firsts[i] - widths[i]
        found[-1].append(i)
        used += 2 + widths[i]
    return found

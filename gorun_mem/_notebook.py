"""Tables for notebooks, which show an object by its `_repr_html_`; a leaf that every layer may ask.

Everything that comes in is text and is escaped: names of locks and what errors say are a program's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of HTML.

    Args:
        caption: what it shows.
        head: the columns' names.
        rows: as many cells each: numbers, which stand to the right, or anything else as text.
    """
    lines = ["<table>", f"<caption{_LEFT}>{_escaped(caption)}</caption>"]
    if head:
        cells = "".join(f"<th>{_escaped(name)}</th>" for name in head)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    return "\n".join([*lines, "</tbody>", "</table>"])


def facts(caption: str, pairs: Iterable[tuple[str, object]]) -> str:
    """A table of names and values."""
    return table(caption, (), pairs)


def _cell(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td{_RIGHT if is_number else _LEFT}>{_escaped(_text(value))}</td>"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    from html import escape

    return escape(text).replace("\n", "<br>")

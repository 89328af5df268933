"""What `compare` says to people: a table of sides, with a plot of how their runs are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.sweep.compare import ComparedSides, Contrast, Middle

PLOT_WIDTH: Final = 40
"""Columns of a plot, where there is room."""
PLOT_LEAST: Final = 20
_HEAD: Final = ("", "median", "95 % interval", "change", "p")
_PLOT_HEAD: Final = "least |--==#==--| greatest, quartiles"


def show_compared(found: ComparedSides) -> None:
    """Print the table, and what its signs mean."""
    from gorun_mem.report.width import table_lines, width

    names = max(len(side.side.name) for side in found.sides) + 2
    columns = width()
    plot = PLOT_WIDTH
    if columns is not None:
        plot = max(PLOT_LEAST, min(plot, columns - max(names, *map(len, found.middles)) - 2))
    has_room = plot >= len(_PLOT_HEAD)
    rows: list[tuple[str, ...]] = [(*_HEAD, _PLOT_HEAD if has_room else "")]
    for metric, middles in found.middles.items():
        rows += _rows(found, metric, middles, plot)
    show(headline(found), "", *table_lines(rows, "<>>>><", "", last_folds=False), "")
    if not has_room:
        show(f"plots: {_PLOT_HEAD}")
    show(legend(found))


def _rows(
    found: ComparedSides, metric: str, middles: Sequence[Middle], plot: int
) -> list[tuple[str, ...]]:
    """A metric, and below it a row of each side."""
    from gorun_mem.report.plot import box

    name = click.style(metric, bold=True)
    values = [value for middle in middles for value in middle.values]
    if not values:
        return [(name, "-", "", "", "", "")]
    low, high = min(values), max(values)
    rows: list[tuple[str, ...]] = [(name, "", "", "", "", _scale(metric, low, high, plot))]
    for place, (side, middle) in enumerate(zip(found.sides, middles, strict=True)):
        one = next((c for c in found.contrasts if c.metric == metric and c.place == place), None)
        if middles[0].median is None:
            one = None
        row = (
            f"  {side.side.name}",
            *_cells(metric, middle, one, "~" if found.can_tell else "?"),
            "" if middle.median is None else box(middle.values, low, high, plot),
        )
        is_dim = one is not None and not one.differs
        rows.append(tuple(click.style(cell.rstrip(), dim=True) if is_dim else cell for cell in row))
    return rows


def _cells(metric: str, middle: Middle, one: Contrast | None, none: str) -> list[str]:
    """A row but for the plot; `none` stands for a difference that is none."""
    if middle.median is None:
        return ["no run ended well", "", "", ""]
    from gorun_mem.report.units import figure

    within = middle.within
    around = "" if within is None else " to ".join(figure(metric, value) for value in within)
    change, p = "", ""
    if one is not None:
        change, p = _change_in_words(one, none), f"{one.p_adjusted:.3f}"
        if one.p_adjusted < 0.001:
            p = "<0.001"
    return [figure(metric, middle.median), around, change, p]


def _change_in_words(one: Contrast, none: str) -> str:
    """ "=" where no run differs at all."""
    if one.same:
        return "="
    if not one.differs:
        return none
    if one.change is None:
        return "from 0"
    around = one.within
    text = f"{one.change:+.1%}"
    return text if around is None else f"{text} ({around.low:+.1%} to {around.high:+.1%})"


def _scale(metric: str, low: float, high: float, plot: int) -> str:
    """The ends of the plot's axis, and that it is logarithmic where it is."""
    from gorun_mem.report.plot import is_wide
    from gorun_mem.report.units import figure

    left, right = figure(metric, low), figure(metric, high)
    if low == high:
        return left.center(plot)
    middle = "log scale" if is_wide(low, high) else ""
    return left + middle.center(max(1, plot - len(left) - len(right))) + right


def headline(found: ComparedSides) -> str:
    """What was run, in a sentence."""
    from gorun_mem.report.units import count

    seeds = found.sides[0].seeds
    runs = f"{found.scenario}: {count(len(seeds), 'run')} on each of {len(found.sides)} sides"
    if found.paired:
        return f"{runs}, the same seeds ({seeds[0]} to {seeds[-1]}) and so the same loads"
    every = ", ".join(f"{side.seeds[0]} to {side.seeds[-1]}" for side in found.sides)
    return f"{runs}, each with seeds of its own ({every})"


def legend(found: ComparedSides) -> str:
    """What the signs of the table mean, in lines."""
    from gorun_mem.report.units import count

    none = "~ no difference" if found.can_tell else "? too few runs to tell"
    test = "Wilcoxon's signed ranks of pairs" if found.paired else "Mann and Whitney's rank sums"
    return (
        f'change: of the median over that of "{found.sides[0].side.name}"; {none}, '
        "= the same in every run\n"
        f"p: {test}, adjusted by Holm for {count(len(found.contrasts), 'comparison')}; "
        f"below {found.alpha:g} is a difference\ninterval: bootstrap"
    )

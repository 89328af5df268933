"""A comparison of settings as one HTML file: the table of `compare`, and every value of every run.

The page is made of the document that `compare --json` prints and needs neither network nor script;
a plot is SVG that is laid out here. Names come from outside: the template escapes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from gorun_mem.report.plot import is_wide
from gorun_mem.report.units import figure

WIDTH: Final = 420
DOTS_MAX: Final = 400
"""Runs of a side that are drawn, evenly chosen; the box is of all."""


def page(document: Mapping[str, Any], words: Sequence[str]) -> str:
    """The page's text.

    Args:
        document: as `compare --json` has it.
        words: what is said of the whole, in lines.
    """
    loader = PackageLoader("gorun_mem.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("comparison.html").render(
        title=document["compare"],
        style=loader.get_source(environment, "report.css")[0],
        words=words,
        width=WIDTH,
        metrics=[
            _metric(name, sides, document["can_tell"])
            for name, sides in document["metrics"].items()
        ],
        sides=document["sides"],
    )


def _metric(name: str, sides: Sequence[Mapping[str, Any]], can_tell: bool) -> dict[str, Any]:
    values = [value for side in sides for value in side["values"]]
    low, high = (min(values), max(values)) if values else (0, 0)
    return {
        "name": name,
        "low": figure(name, low),
        "high": figure(name, high),
        "wide": is_wide(low, high),
        "sides": [_side(name, {**side, "can_tell": can_tell}, low, high) for side in sides],
    }


def _side(metric: str, side: Mapping[str, Any], low: float, high: float) -> dict[str, Any]:
    def x(value: float) -> float:
        if high <= low:
            return WIDTH / 2
        wide = is_wide(low, high)
        part = log10(value / low) / log10(high / low) if wide else (value - low) / (high - low)
        return round(8 + part * (WIDTH - 16), 1)

    row: dict[str, Any] = {"name": side["side"], "median": "no run ended well", "drawn": None}
    row |= {"interval": "", "change": "", "p": "", "differs": bool(side.get("differs"))}
    if not side["values"]:
        return row
    ordered = sorted(side["values"])
    quartiles = [x(ordered[round(part * (len(ordered) - 1) / 4)]) for part in range(5)]
    step = max(1, -(-len(ordered) // DOTS_MAX))
    row["drawn"] = {"quartiles": quartiles, "dots": [x(value) for value in ordered[::step]]}
    row["median"] = figure(metric, side["median"])
    if side["interval"] is not None:
        row["interval"] = " to ".join(figure(metric, value) for value in side["interval"])
    if "p_adjusted" in side:
        row["change"] = _change(side)
        row["p"] = f"{side['p_adjusted']:.3g}"
    return row


def _change(side: Mapping[str, Any]) -> str:
    if not side["differs"]:
        return "no difference" if side["can_tell"] else "too few runs to tell"
    if side["change"] is None:
        return "from 0"
    around = side["change_interval"]
    text = f"{side['change']:+.1%}"
    return text if around is None else f"{text} ({around[0]:+.1%} to {around[1]:+.1%})"

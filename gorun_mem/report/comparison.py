"""A comparison of settings as the page shows it: the table of `compare`, and a plot of every run.

It is made of the document that `compare --json` prints; `gorun_mem.web.offline` puts it into a
file. Where a value lies in a plot is laid out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any, Final

from gorun_mem.report.plot import is_wide
from gorun_mem.report.units import figure

WIDTH: Final = 420
DOTS_MAX: Final = 400
"""Runs of a side that are drawn, evenly chosen; the box is of all."""


def document(compared: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """What the page shows, as JSON has it.

    Args:
        compared: as `compare --json` has it.
        words: what is said of the whole, in lines.
    """
    return {
        "kind": "comparison",
        "title": f"{compared['compare']} compared",
        "words": list(words),
        "width": WIDTH,
        "metrics": [
            _metric(name, sides, compared["can_tell"])
            for name, sides in compared["metrics"].items()
        ],
        "sides": [
            [side["name"], f"{side['run']} --seed {side['seeds'][0]}"] for side in compared["sides"]
        ],
    }


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

    row: dict[str, Any] = {
        "name": side["side"],
        "order": side["median"] or 0,
        "median": "no run ended well",
        "drawn": None,
    }
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

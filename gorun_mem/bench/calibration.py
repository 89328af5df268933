"""`bench calibration`: the simulation of contended locks beside a measurement of real ones.

Every load of the measurement is run in the simulator, with the same number of Ms and CPUs, holds,
thinking and that release's lock; `gorun_mem.calibration` says how, and what the measurement that
comes with the package is. What a row has:

    figure   by what factor simulated and measured differ, 1 being exact: the geometric mean over
             all loads of one mutex with more than one M
    peer's   simulated over measured, likewise: above 1 the simulation has more of it

Loads whose threads are bound to 4 CPUs are rows of their own. The worst loads of each figure
follow, and how often the simulation is right about which of two mutexes has the higher throughput,
and which the longer wait (p99), of the pairs that differ by more than 1.3 times as measured.

`--data FILE` takes another measurement in the same form, `--costs NAME` another cost table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from gorun_mem.bench import Row

if TYPE_CHECKING:
    from gorun_mem.calibration.judge import Compared

QUICK_OF: Final = 7
"""A quick run takes one point in so many."""
QUICK_ACQUISITIONS: Final = 4000
WORST: Final = 3


def run(*, quick: bool = False, data: str = "", costs: str = "") -> list[Row]:
    """Measure.

    Args:
        quick: one point in 7, and fewer acquisitions of each; the figures are then rough.
        data: a file of measurements; the one that comes along if empty.
        costs: name or file of a cost table; the default one if empty.

    Raises:
        MeasuredError, CostError: a file cannot be read.
    """
    from gorun_mem.calibration.judge import Compared, distances
    from gorun_mem.calibration.load import ACQUISITIONS, simulate
    from gorun_mem.calibration.measured import SHIPPED, read
    from gorun_mem.step.costs import CostTable

    points = read(Path(data) if data else SHIPPED)
    table = CostTable.find(costs) if costs else CostTable()
    if quick:
        points = points[::QUICK_OF]
    count = QUICK_ACQUISITIONS if quick else ACQUISITIONS
    compared = [
        Compared(point, simulate(point, table, acquisitions=count))
        for point in points
        if point.ms > 1 or point.chan
    ]
    rows = [
        Row(
            name=f"{each.mutex}: {each.figure}, {each.points} loads",
            figure=each.factor,
            unit="times off",
            peer="simulated over measured",
            peer_figure=each.ratio,
            target=f"at most {_bound(each.figure):g} times",
            ok=each.ok,
        )
        for each in distances(compared)
    ]
    return [*rows, *_worst(compared), *_orders(compared)]


def _bound(figure: str) -> float:
    from gorun_mem.calibration.judge import BOUNDS

    return BOUNDS[figure]


def _worst(compared: list[Compared]) -> list[Row]:
    """The loads that are furthest off; of p99 there is a bound."""
    from gorun_mem.calibration.judge import WORST_P99, worst
    from gorun_mem.calibration.measured import FIGURES

    rows = []
    for figure in FIGURES:
        for rank, each in enumerate(worst(compared, figure, WORST)):
            bound = figure == "p99" and rank == 0
            factor = each.factor(figure)
            rows.append(
                Row(
                    name=f"worst {figure}: {each.point}",
                    figure=factor,
                    unit="times off",
                    peer=f"measured {each.point.measured[figure]:.4g}, simulated "
                    f"{each.simulated[figure]:.4g}",
                    peer_figure=each.ratio(figure),
                    target=f"at most {WORST_P99:g} times" if bound else "",
                    ok=factor <= WORST_P99 if bound else None,
                )
            )
    return rows


def _orders(compared: list[Compared]) -> list[Row]:
    from gorun_mem.calibration.judge import orders

    return [
        Row(
            name=f"which of two mutexes has more {each.figure}: right in {each.agree} of "
            f"{each.pairs} pairs",
            figure=each.agree / each.pairs,
            unit="right",
        )
        for each in orders(compared)
        if each.pairs
    ]

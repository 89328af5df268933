"""Simulated beside measured: by what factor they differ, and whether orders agree.

A factor is the larger of simulated/measured and measured/simulated, so 1 is exact; over several
points it is their geometric mean. With one M there is nothing to contend for, so points of one M
are left out, but for channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from typing import Final

from gorun_mem.calibration.measured import FIGURES, Measurement

BOUNDS: Final[Mapping[str, float]] = {
    "throughput": 1.2, "p50": 1.5, "p99": 1.7, "jain": 1.06, "run": 1.3, "channel": 1.3,
}  # fmt: skip
"""At most so far off, each mutex on its own."""
WORST_P99: Final = 8.0
DIFFERS: Final = 1.3
"""By what factor two mutexes differ, as measured, for their order to count."""
ORDERED: Final = ("throughput", "p99")


@dataclass(frozen=True, slots=True)
class Compared:
    """A point, and what its simulation came to."""

    point: Measurement
    simulated: Mapping[str, float]

    def ratio(self, figure: str) -> float:
        """Simulated over measured."""
        return max(self.simulated[figure], 1e-9) / max(self.point.measured[figure], 1e-9)

    def factor(self, figure: str) -> float:
        """How far off, from 1."""
        ratio = self.ratio(figure)
        return max(ratio, 1 / ratio)


@dataclass(frozen=True, slots=True)
class Distance:
    """How far off one figure of one mutex is.

    Args:
        mutex: algorithm and release; and whether threads were bound to CPUs.
        figure: of FIGURES, or "channel".
        factor: the geometric mean.
        ratio: simulated over measured, likewise.
        points: of how many.
    """

    mutex: str
    figure: str
    factor: float
    ratio: float
    points: int

    @property
    def ok(self) -> bool:
        """Whether it is within its bound."""
        return self.factor <= BOUNDS[self.figure]


@dataclass(frozen=True, slots=True)
class Orders:
    """How often the simulation says of two mutexes which one has more of a figure.

    Args:
        figure: of ORDERED.
        agree: in how many pairs it says so rightly.
        pairs: pairs of mutexes under one load that differ, as measured.
        wrong: the others, by load and names.
    """

    figure: str
    agree: int
    pairs: int
    wrong: tuple[str, ...]


def distances(compared: Sequence[Compared]) -> list[Distance]:
    """By mutex and figure; channels last."""
    found: dict[tuple[str, str], list[Compared]] = {}
    for each in compared:
        point = each.point
        name = f"{point.mutex} {point.release}{', bound' if point.pinned else ''}"
        if point.chan:
            found.setdefault((name, "channel"), []).append(each)
        elif point.ms > 1:
            for figure in FIGURES:
                found.setdefault((name, figure), []).append(each)
    order = [*FIGURES, "channel"]
    return [
        _distance(*key, found[key])
        for key in sorted(found, key=lambda k: (k[0], order.index(k[1])))
    ]


def _distance(name: str, figure: str, some: Sequence[Compared]) -> Distance:
    of = "throughput" if figure == "channel" else figure
    return Distance(
        name,
        figure,
        exp(sum(log(each.factor(of)) for each in some) / len(some)),
        exp(sum(log(each.ratio(of)) for each in some) / len(some)),
        len(some),
    )


def worst(compared: Sequence[Compared], figure: str, count: int = 1) -> list[Compared]:
    """The points that are furthest off, the worst first."""
    contended = [each for each in compared if each.point.ms > 1 and not each.point.chan]
    return sorted(contended, key=lambda each: -each.factor(figure))[:count]


def orders(compared: Sequence[Compared]) -> list[Orders]:
    """Of every two different mutexes under one load, which has the more of a figure."""
    return [_orders(figure, list(_pairs(compared))) for figure in ORDERED]


def _pairs(compared: Sequence[Compared]) -> Iterator[tuple[Compared, Compared]]:
    by_load: dict[object, list[Compared]] = {}
    for each in compared:
        if each.point.ms > 1 and not each.point.chan:
            by_load.setdefault(each.point.load, []).append(each)
    for some in by_load.values():
        for one, other in combinations(some, 2):
            if one.point.mutex != other.point.mutex:
                yield one, other


def _orders(figure: str, pairs: Sequence[tuple[Compared, Compared]]) -> Orders:
    agree, differ, wrong = 0, 0, []
    for one, other in pairs:
        measured = one.point.measured[figure] / other.point.measured[figure]
        if max(measured, 1 / measured) <= DIFFERS:
            continue
        differ += 1
        simulated = one.simulated[figure] / other.simulated[figure]
        if (measured > 1) == (simulated > 1):
            agree += 1
        else:
            wrong.append(
                f"{one.point} over {other.point.mutex} {other.point.release}: measured "
                f"{measured:.2f}, simulated {simulated:.2f}"
            )
    return Orders(figure, agree, differ, tuple(wrong))

"""Medians with intervals, and whether two samples differ.

    interval      of a median, or of a function of several, by Efron's percentile bootstrap
    rank_sum      two samples: Mann and Whitney's test, "On a test of whether one of two random
                  variables is stochastically larger than the other" (1947)
    signed_rank   pairs: Wilcoxon's test, "Individual comparisons by ranking methods" (1945)
    holm          p-values of several tests at once, "A simple sequentially rejective multiple test
                  procedure" (1979)

The tests are exact permutation tests on midranks, ties included, up to `EXACT_MAX` values: every
way to deal the values out is counted, by a polynomial whose coefficients stand side by side in one
int. Beyond that they are the normal approximation, corrected for ties and continuity.

Rejected: scipy, which takes a second to import and 100 MB, and whose exact tests know no ties; a
t-test, since waits have tails that no mean survives; a permutation test of medians, which sees less
than ranks do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import comb, erfc, sqrt
from random import Random
from typing import Final, NamedTuple

LEVEL: Final = 0.95
"""How often an interval is to hold the true value."""
DRAWS: Final = 2000
"""Samples that the bootstrap draws, as long as they are short."""
DRAWS_MIN: Final = 400
DRAWN_MAX: Final = 1_000_000
"""Values that it draws, but for DRAWS_MIN samples in any case."""
EXACT_MAX: Final = 100
"""Values, or pairs, up to which the tests count every way."""


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones.

    Raises:
        ValueError: there is none.
    """
    return _middle(sorted(values))


def _middle(ordered: Sequence[float]) -> float:
    if not ordered:
        raise ValueError("no value has no median")
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    below, above = ordered[half - 1], ordered[half]
    return below if below == above else (below + above) / 2


def interval(
    samples: Sequence[Sequence[float]],
    of: Callable[[Sequence[float]], float | None],
    *,
    paired: bool = False,
    name: str = "",
) -> Interval | None:
    """The bootstrap's interval for a function of the samples' medians.

    Args:
        samples: one or more.
        of: takes the medians; None where it has no value, which leaves the draw out.
        paired: values at the same place belong together and are drawn together.
        name: seeds what is drawn, so that the same samples have the same interval.

    Returns:
        None where `of` had no value in one of 20 draws or more.
    """
    random = Random(f"bootstrap {name}")
    found = []
    draws = max(DRAWS_MIN, min(DRAWS, DRAWN_MAX // max(map(len, samples))))
    for _ in range(draws):
        if paired:
            places = random.choices(range(len(samples[0])), k=len(samples[0]))
            drawn = [[sample[place] for place in places] for sample in samples]
        else:
            drawn = [random.choices(sample, k=len(sample)) for sample in samples]
        value = of([_middle(sorted(each)) for each in drawn])
        if value is not None:
            found.append(value)
    if len(found) <= draws * LEVEL:
        return None
    found.sort()
    outside = round((1 - LEVEL) / 2 * len(found))
    return Interval(found[outside], found[-1 - outside])


def rank_sum(a: Sequence[float], b: Sequence[float]) -> float:
    """How probable it is, were both samples of one kind, that their ranks lie so far apart.

    Returns:
        The two-sided p-value; 1 where a sample is empty or all values are alike.
    """
    if not a or not b:
        return 1.0
    ranks = _ranks([*a, *b])
    seen = sum(ranks[: len(a)])
    if len(ranks) <= EXACT_MAX:
        ways = _subset_sums(ranks, len(a))
        return _two_sided(ways, seen)
    n, of_a, of_b = len(ranks), len(a), len(b)
    spread = of_a * of_b / 12 * ((n + 1) - _tied(ranks) / (n * (n - 1)))
    return _normal(seen / 2 - of_a * (n + 1) / 2, spread)


def signed_rank(differences: Sequence[float]) -> float:
    """How probable it is, were either sign as likely, that the signs lie so unevenly.

    Args:
        differences: of each pair; those of 0 say nothing and are left out.

    Returns:
        The two-sided p-value; 1 where no pair differs.
    """
    told = [value for value in differences if value]
    if not told:
        return 1.0
    ranks = _ranks([abs(value) for value in told])
    seen = sum(rank for rank, value in zip(ranks, told, strict=True) if value > 0)
    n = len(ranks)
    if n <= EXACT_MAX:
        return _two_sided(_subset_sums(ranks, None), seen)
    spread = n * (n + 1) * (2 * n + 1) / 24 - _tied(ranks) / 48
    return _normal(seen / 2 - n * (n + 1) / 4, spread)


def least_p(seeds: int, *, paired: bool) -> float:
    """The least p-value that so many values on each side can have."""
    return 2 / (2**seeds if paired else comb(2 * seeds, seeds)) if seeds else 1.0


def holm(ps: Iterable[float]) -> list[float]:
    """Each p-value as it counts among all of them: one below 0.05 is wrong in 1 of 20 tables."""
    given = list(ps)
    adjusted = [0.0] * len(given)
    highest = 0.0
    for done, place in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        highest = max(highest, min(1.0, given[place] * (len(given) - done)))
        adjusted[place] = highest
    return adjusted


def _ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each; equal ones have the mean of theirs, and twice that is whole."""
    ordered = sorted(values)
    counts = Counter(ordered)
    return [2 * bisect_left(ordered, value) + counts[value] + 1 for value in values]


def _tied(ranks: Sequence[int]) -> int:
    """Sum of t^3 - t over the groups of t equal values."""
    return sum(times**3 - times for times in Counter(ranks).values())


def _subset_sums(ranks: Sequence[int], size: int | None) -> list[int]:
    """Of each sum, how many subsets of that size, or of any, have it.

    A polynomial in x, one factor (1 + x^rank) a value, with coefficients of so many bits that they
    never meet, is one int: to multiply by x^rank is to shift.
    """
    width = len(ranks) + 1
    if size is None:
        whole = 1
        for rank in ranks:
            whole += whole << (rank * width)
    else:
        by_size = [1, *[0] * size]
        for seen, rank in enumerate(ranks, 1):
            for taken in range(min(seen, size), 0, -1):
                by_size[taken] += by_size[taken - 1] << (rank * width)
        whole = by_size[size]
    digits = bin(whole)[2:]
    digits = digits.zfill(-(-len(digits) // width) * width)
    found = [int(digits[at : at + width], 2) for at in range(0, len(digits), width)]
    found.reverse()
    return found


def _two_sided(ways: Sequence[int], seen: int) -> float:
    """Twice the smaller of the tails that hold what was seen."""
    tail = min(sum(ways[: seen + 1]), sum(ways[seen:]))
    return min(1.0, 2 * tail / sum(ways))


def _normal(distance: float, variance: float) -> float:
    """Two-sided, corrected for continuity."""
    if variance <= 0:
        return 1.0
    return min(1.0, erfc(max(0.0, abs(distance) - 0.5) / sqrt(2 * variance)))

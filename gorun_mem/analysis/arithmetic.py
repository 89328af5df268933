"""Arithmetic on numbers of a log, which is compiled and may be interrupted.

A damaged log may hold numbers that no machine word does, and the interpreter looks for signals
while it multiplies or divides such. What raises there, as Ctrl-C does, is an exception here and an
abort in mypyc's own arithmetic (see `gorun_mem.runtime.wide`), which therefore gets small numbers
only. Results are the interpreter's, to the bit.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.wide import over, ratio_of, rest_of, times

SMALL: Final = 1 << 30
"""Two numbers below it have a product within mypyc's own."""
EXACT: Final = 1 << 53
"""Whole numbers up to it are floats without rounding."""


def product(one: int, other: int) -> int:
    """`one * other`."""
    if -SMALL < one < SMALL and -SMALL < other < SMALL:
        return one * other
    return times(one, other)


def quotient(n: int, by: int) -> int:
    """`n // by`, by what is above 0."""
    if -SMALL < n < SMALL and by < SMALL:
        return n // by
    return over(n, by)


def rounded_up(n: int, page: int) -> int:
    """The least multiple of `page`, which is above 0, that is at least `n`."""
    if -SMALL < n < SMALL and page < SMALL:
        return -(-n // page) * page
    return times(-over(-n, page), page)


def rest(n: int, page: int) -> int:
    """`n % page`, of a page above 0."""
    if -SMALL < n < SMALL and page < SMALL:
        return n % page
    return rest_of(n, page)


def ratio(part: int, whole: int) -> float:
    """`part / whole`.

    Raises:
        OverflowError: it is beyond floats.
    """
    if -EXACT < part < EXACT and 0 < whole < EXACT:
        return part / whole
    return ratio_of(part, whole)

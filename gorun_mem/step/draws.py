"""Random quantities of the machine, drawn from tables of their quantiles.

A draw is a look into a table, which costs less than a logarithm; and the entries are rounded, for
the last digit of a logarithm or a power differs between C libraries, and a log must not.
"""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import Final

SIZE: Final = 1024
"""Quantiles a table has; a draw is `table[int(random() * SIZE)]`."""
_DIGITS: Final = 6

EXPONENTIAL: Final = tuple(
    round(-log(1 - (i + 0.5) / SIZE), _DIGITS)  # up to 7.6
    for i in range(SIZE)
)
"""Of a time whose mean is 1 and of which nothing is known: how long until something comes."""


@lru_cache(maxsize=16)
def log_logistic(spread: float) -> tuple[float, ...]:
    """Of a time whose median is 1 and of which few are long: (u / (1 - u)) ** spread.

    Near a log-normal of 1.8 times that sigma, with a tail that is a little longer. A table takes
    half a ms to make, many times what a World does, so the latest are kept.

    Args:
        spread: 0 for none; the upper tenth begins at 9 ** spread, the lower ends at 9 ** -spread.
    """
    odds = ((i + 0.5) / (SIZE - i - 0.5) for i in range(SIZE))
    return tuple(round(each**spread, _DIGITS) for each in odds)

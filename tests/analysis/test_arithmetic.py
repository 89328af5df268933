"""What compiled code does with numbers of any size is what the interpreter does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.analysis.arithmetic import product, quotient, ratio, rest, rounded_up

NEAR = [edge + step for edge in (0, 1 << 30, 1 << 53, 1 << 62, 1 << 64) for step in (-1, 0, 1)]
ANY = st.integers() | st.sampled_from(NEAR + [-one for one in NEAR])
ABOVE_0 = st.integers(min_value=1) | st.sampled_from([one for one in NEAR if one > 0])


@given(ANY, ANY, ABOVE_0)
def test_any_numbers(a: int, b: int, page: int) -> None:
    """Whichever way a result is come by."""
    assert product(a, b) == a * b
    assert quotient(a, page) == a // page
    assert rest(a, page) == a % page
    assert rounded_up(a, page) == -(-a // page) * page
    try:
        expected = a / page
    except OverflowError:
        with pytest.raises(OverflowError):
            ratio(a, page)
    else:
        assert ratio(a, page) == expected


def test_nothing_divides() -> None:
    """As of ints."""
    with pytest.raises(ZeroDivisionError):
        ratio(1, 0)

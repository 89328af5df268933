"""RangeMap against the obvious model: a dict with one entry an address."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.runtime.rangemap import Piece, RangeMap

TOP = 40
RANGES = st.tuples(st.integers(0, TOP), st.integers(0, TOP)).map(lambda r: (min(r), max(r)))
STEPS = st.lists(st.tuples(st.sampled_from("ae"), RANGES, st.integers(0, 2)), max_size=30)


def both(
    steps: list[tuple[str, tuple[int, int], int]], coalesce: bool
) -> tuple[RangeMap[int], dict[int, int]]:
    ranges: RangeMap[int] = RangeMap(coalesce=coalesce)
    model: dict[int, int] = {}
    for kind, (lo, hi), value in steps:
        if kind == "a":
            ranges.assign(lo, hi, value)
            model.update(dict.fromkeys(range(lo, hi), value))
        else:
            ranges.erase(lo, hi)
            for addr in range(lo, hi):
                model.pop(addr, None)
    return ranges, model


@given(STEPS, st.booleans())
def test_every_address_has_the_value_assigned_last(steps: Any, coalesce: bool) -> None:
    """After any assigns and erases each address answers as a dict by address would."""
    ranges, model = both(steps, coalesce)
    for addr in range(TOP):
        piece = ranges.at(addr)
        assert (None if piece is None else piece.value) == model.get(addr)


@given(STEPS, st.booleans())
def test_the_invariants_hold(steps: Any, coalesce: bool) -> None:
    """Ranges are non-empty, disjoint, in order, and with coalesce no equal ones touch."""
    ranges, _ = both(steps, coalesce)
    pieces = list(ranges)
    assert len(pieces) == len(ranges)
    assert all(p.lo < p.hi for p in pieces)
    for left, right in itertools.pairwise(pieces):
        assert left.hi <= right.lo
        if coalesce and left.hi == right.lo:
            assert left.value != right.value


@given(STEPS, RANGES, st.booleans())
def test_queries_agree_with_the_model(steps: Any, query: tuple[int, int], coalesce: bool) -> None:
    """overlapping, of_all, gaps and covers say of any range what the model says."""
    ranges, model = both(steps, coalesce)
    lo, hi = query
    found = ranges.overlapping(lo, hi)
    assert found == [p for p in ranges if p.lo < hi and lo < p.hi and lo < hi]
    if lo < hi:
        one = found[0] if len(found) == 1 and found[0].lo <= lo and hi <= found[0].hi else None
        assert ranges.of_all(lo, hi) == (one.value if one is not None else None)
    missing = {addr for addr in range(lo, hi) if addr not in model}
    assert {a for g in ranges.gaps(lo, hi) for a in range(*g)} == missing
    assert ranges.covers(lo, hi) == (not missing)


def test_without_coalesce_each_assignment_stays_a_range() -> None:
    """Two blocks side by side with equal values are two ranges, and one where asked for."""
    apart: RangeMap[str] = RangeMap()
    joined: RangeMap[str] = RangeMap(coalesce=True)
    for ranges in (apart, joined):
        ranges.assign(0, 8, "a")
        ranges.assign(8, 16, "a")
    assert list(apart) == [Piece(0, 8, "a"), Piece(8, 16, "a")]
    assert list(joined) == [Piece(0, 16, "a")]


def test_a_range_that_ends_before_it_starts_is_refused_and_changes_nothing() -> None:
    """A reversed range is the caller's mistake: ValueError, and the map is as it was."""
    ranges: RangeMap[str] = RangeMap()
    ranges.assign(16, 32, "a")
    changes: tuple[Callable[[], object], ...] = (
        lambda: ranges.assign(24, 20, "b"),
        lambda: ranges.erase(24, 20),
    )
    for change in changes:
        with pytest.raises(ValueError, match=r"\[0x18, 0x14\) ends before it starts"):
            change()
    assert list(ranges) == [Piece(16, 32, "a")]


def test_assigning_over_the_middle_cuts_both_sides() -> None:
    """What sticks out on either side of a new range keeps its value."""
    ranges: RangeMap[str] = RangeMap()
    ranges.assign(0, 100, "old")
    ranges.assign(40, 60, "new")
    assert list(ranges) == [Piece(0, 40, "old"), Piece(40, 60, "new"), Piece(60, 100, "old")]


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_ranges(seed: int) -> None:
    """As many as fill several chunks: what is replaced, and what is there afterwards, is what a
    plain list says, whether one range goes or a thousand."""
    drawn = random.Random(seed)
    ranges: RangeMap[int] = RangeMap()
    plain: list[tuple[int, int, int]] = []
    for number in range(4000):
        lo = drawn.randrange(20_000)
        hi = lo + (drawn.randrange(1, 4000) if drawn.random() < 0.003 else drawn.randrange(1, 4))
        hit = [one for one in plain if one[0] < hi and lo < one[1]]
        assert ranges.overlapping(lo, hi) == hit
        if drawn.random() < 0.9:
            assert ranges.assign(lo, hi, number) == hit
            new = [(lo, hi, number)]
        else:
            ranges.erase(lo, hi)
            new = []
        new += [(a, lo, of) for a, _, of in hit if a < lo] + [
            (hi, b, of) for _, b, of in hit if b > hi
        ]
        plain = sorted([*(one for one in plain if one not in hit), *new])
    assert list(ranges) == plain
    assert len(ranges) == len(plain) > 2000

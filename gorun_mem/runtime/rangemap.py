"""A map from address ranges to values.

Go has no such structure at this layer: which state a region is in, and who owns a block,
is known only to the code that calls. This map keeps that knowledge beside the emulated memory, so
that a call which contradicts it is found. Ranges are half-open, disjoint and kept in address order;
assigning over a range cuts what it overlaps. A plain dict by page was rejected: a reservation of
4 GiB would be 65,536 entries, here it is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from sortedcontainers import SortedDict

T = TypeVar("T")


class Piece(NamedTuple, Generic[T]):
    """A range [lo, hi) of addresses in bytes and the value it has."""

    lo: int
    hi: int
    value: T


class RangeMap(Generic[T]):
    """Disjoint half-open ranges in address order, each with a value.

    Args:
        coalesce: neighbours whose values are equal become one range; otherwise each assignment
            stays a range of its own until something overwrites it.

    Invariants:
        1. every stored range has lo < hi;
        2. no two stored ranges share an address;
        3. with `coalesce`, ranges that touch have different values.
    """

    __slots__ = ("_coalesce", "_ends")

    def __init__(self, *, coalesce: bool = False) -> None:
        self._ends: SortedDict[int, tuple[int, T]] = SortedDict()
        self._coalesce = coalesce

    def assign(self, lo: int, hi: int, value: T) -> None:
        """Give every address of [lo, hi) the value; an empty range changes nothing.

        Raises:
            ValueError: hi lies below lo.
        """
        if lo >= hi:
            _check_order(lo, hi)
            return
        ends = self._ends
        if self._coalesce:
            self.erase(lo, hi)
            lo, hi = self._absorb_neighbours(lo, hi, value)
        else:
            known = ends.get(lo)
            if known is not None and known[0] == hi:
                # The usual case, a block that changes hands: the keys stay what they are.
                dict.__setitem__(ends, lo, (hi, value))  # type: ignore[index]  # it is a dict
                return
            self.erase(lo, hi)
        ends[lo] = (hi, value)

    def erase(self, lo: int, hi: int) -> None:
        """Take the value from every address of [lo, hi); what sticks out on either side stays.

        Raises:
            ValueError: hi lies below lo.
        """
        if lo >= hi:
            _check_order(lo, hi)
            return
        ends = self._ends
        for piece in self.overlapping(lo, hi):
            del ends[piece.lo]
            if piece.lo < lo:
                ends[piece.lo] = (lo, piece.value)
            if piece.hi > hi:
                ends[hi] = (piece.hi, piece.value)

    def first_overlap(self, lo: int, hi: int) -> Piece[T] | None:
        """The lowest range that shares an address with [lo, hi), whole, or None."""
        if lo >= hi:
            return None
        below = self.at(lo)
        if below is not None:
            return below
        ends = self._ends
        index = ends.bisect_left(lo)
        if index == len(ends):
            return None
        start, (end, value) = ends.peekitem(index)
        return Piece(start, end, value) if start < hi else None

    def overlapping(self, lo: int, hi: int) -> list[Piece[T]]:
        """The ranges that share an address with [lo, hi), whole and in address order."""
        ends = self._ends
        known = ends.get(lo)
        if known is not None and lo < hi <= known[0]:
            return [Piece(lo, *known)]
        first = self.first_overlap(lo, hi)
        if first is None:
            return []
        found = [first]
        for start in ends.irange(first.lo, hi, inclusive=(False, False)):
            end, value = ends[start]
            found.append(Piece(start, end, value))
        return found

    def at(self, addr: int) -> Piece[T] | None:
        """The range that holds the address, or None."""
        ends = self._ends
        known = ends.get(addr)
        if known is not None:
            return Piece(addr, *known)
        index = ends.bisect_right(addr)
        if index == 0:
            return None
        start, (end, value) = ends.peekitem(index - 1)
        return Piece(start, end, value) if addr < end else None

    def gaps(self, lo: int, hi: int) -> list[tuple[int, int]]:
        """The parts of [lo, hi) that have no value, in address order."""
        found = []
        reached = lo
        for piece in self.overlapping(lo, hi):
            if piece.lo > reached:
                found.append((reached, piece.lo))
            reached = piece.hi
        if reached < hi:
            found.append((reached, hi))
        return found

    def covers(self, lo: int, hi: int) -> bool:
        """Whether every address of [lo, hi) has a value; true of an empty range."""
        return not self.gaps(lo, hi)

    def clear(self) -> None:
        """Take every value."""
        self._ends.clear()

    def entries_at(self, starts: list[int]) -> list[tuple[int, tuple[int, T]]]:
        """(start, (end, value)) of the ranges that begin there: the quickest copy."""
        ends = self._ends
        return [(start, ends[start]) for start in starts]

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Piece[T]]:
        for start, (end, value) in self._ends.items():
            yield Piece(start, end, value)

    def __repr__(self) -> str:
        shown = ", ".join(f"[{p.lo:#x}, {p.hi:#x}): {p.value!r}" for p in list(self)[:8])
        return f"<RangeMap {len(self)} ranges {shown}{', ...' if len(self) > 8 else ''}>"

    def _absorb_neighbours(self, lo: int, hi: int, value: T) -> tuple[int, int]:
        """Remove the equal ranges that touch [lo, hi) and return the bounds of all together."""
        ends = self._ends
        below = self.at(lo - 1)
        if below is not None and below.value == value:
            del ends[below.lo]
            lo = below.lo
        above = ends.get(hi)
        if above is not None and above[1] == value:
            del ends[hi]
            hi = above[0]
        return lo, hi


def _check_order(lo: int, hi: int) -> None:
    if hi < lo:
        raise ValueError(f"a range of addresses [{lo:#x}, {hi:#x}) ends before it starts")

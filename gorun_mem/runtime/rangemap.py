"""A map from address ranges to values.

Go has no such structure at this layer: which state a region is in, and who owns a block,
is known only to the code that calls. This map keeps that knowledge beside the emulated memory, so
that a call which contradicts it is found. Ranges are half-open, disjoint and kept in address order;
assigning over a range cuts what it overlaps. A plain dict by page was rejected: a reservation of
4 GiB would be 65,536 entries, here it is one.

The starts lie in order in chunks, beside a dict by start. An assignment takes out what it replaces
and puts in what is new by one change of one chunk. sortedcontainers' SortedDict, which has no such
change and is not compiled, was a seventh of what a call of a service costs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

LEFT: Final = bisect_left
RIGHT: Final = bisect_right
"""Named again, for compiled code holds a Final and looks up by name what is imported."""
CHUNK_MAX: Final = 512
"""Starts in a chunk before it is split."""
CHUNK_LEFT: Final = 256
"""Starts that a chunk keeps then."""


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
        3. with `coalesce`, ranges that touch have different values;
        4. the chunks, none of them empty, hold the keys of `_ends` in order, and `_firsts` the
           first of each.
    """

    __slots__ = ("_chunks", "_coalesce", "_ends", "_firsts")

    def __init__(self, *, coalesce: bool = False) -> None:
        self._ends: dict[int, tuple[int, T]] = {}
        self._chunks: list[list[int]] = []
        self._firsts: list[int] = []
        self._coalesce = coalesce

    def assign(self, lo: int, hi: int, value: T) -> list[tuple[int, int, T]]:
        """Give every address of [lo, hi) the value; an empty range changes nothing.

        Returns:
            The (start, end, value) that shared an address with it, whole, as they were before.

        Raises:
            ValueError: hi lies below lo.
        """
        if lo >= hi:
            _check_order(lo, hi)
            return []
        ends = self._ends
        if self._coalesce:
            lo, hi = self._with_equal_neighbours(lo, hi, value)
        else:
            known = ends.get(lo)
            if known is not None and known[0] == hi:
                # The usual case, a block that changes hands: the keys stay what they are.
                ends[lo] = (hi, value)
                return [(lo, hi, known[1])]
        replaced = self._cut_out(lo, hi, True)
        ends[lo] = (hi, value)
        return replaced

    def erase(self, lo: int, hi: int) -> None:
        """Take the value from every address of [lo, hi); what sticks out on either side stays.

        Raises:
            ValueError: hi lies below lo.
        """
        if lo >= hi:
            _check_order(lo, hi)
            return
        self._cut_out(lo, hi, False)

    def overlapping(self, lo: int, hi: int) -> list[Piece[T]]:
        """The ranges that share an address with [lo, hi), whole and in address order."""
        ends = self._ends
        known = ends.get(lo)
        if known is not None and lo < hi <= known[0]:
            return [Piece(lo, known[0], known[1])]
        found: list[Piece[T]] = []
        if lo >= hi:
            return found
        chunks = self._chunks
        c = RIGHT(self._firsts, lo) - 1
        i = 0
        if c < 0:
            c = 0
        else:
            i = RIGHT(chunks[c], lo) - 1
            end, value = ends[chunks[c][i]]
            if end <= lo:
                i += 1
        while c < len(chunks):
            chunk = chunks[c]
            until = LEFT(chunk, hi, i)
            for start in chunk[i:until]:
                end, value = ends[start]
                found.append(Piece(start, end, value))
            if until < len(chunk):
                break
            i = 0
            c += 1
        return found

    def at(self, addr: int) -> Piece[T] | None:
        """The range that holds the address, or None."""
        ends = self._ends
        start = addr
        known = ends.get(addr)
        if known is None:
            start = self._before(addr)
            if start < 0:
                return None
            known = ends[start]
            if addr >= known[0]:
                return None
        return Piece(start, known[0], known[1])

    def of_all(self, lo: int, hi: int) -> T | None:
        """The value of the one range that holds all of [lo, hi), None where none does."""
        ends = self._ends
        known = ends.get(lo)
        if known is None:
            start = self._before(lo)
            if start < 0:
                return None
            known = ends[start]
        return known[1] if hi <= known[0] else None

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
        self._chunks.clear()
        self._firsts.clear()

    def copied(self) -> tuple[list[list[int]], dict[int, tuple[int, T]]]:
        """The starts in order, in lists of some hundreds, and (end, value) by start: the quickest
        copy."""
        return [chunk[:] for chunk in self._chunks], self._ends.copy()

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Piece[T]]:
        for chunk in self._chunks:
            for start in chunk:
                end, value = self._ends[start]
                yield Piece(start, end, value)

    def __repr__(self) -> str:
        shown = ", ".join(f"[{p.lo:#x}, {p.hi:#x}): {p.value!r}" for p in list(self)[:8])
        return f"<RangeMap {len(self)} ranges {shown}{', ...' if len(self) > 8 else ''}>"

    def _before(self, addr: int) -> int:
        """The last start that is not above the address; -1 where there is none."""
        c = RIGHT(self._firsts, addr) - 1
        if c < 0:
            return -1
        chunk = self._chunks[c]
        return chunk[RIGHT(chunk, addr) - 1]

    def _cut_out(self, lo: int, hi: int, begins: bool) -> list[tuple[int, int, T]]:
        """Take the value from all of [lo, hi), which is not empty; what was there, whole.

        Args:
            lo: its start.
            hi: its end.
            begins: leave `lo` among the starts, for a range whose end the caller notes.
        """
        ends, chunks = self._ends, self._chunks
        found: list[tuple[int, int, T]] = []
        if not chunks:
            if begins:
                chunks.append([lo])
                self._firsts.append(lo)
            return found
        c = RIGHT(self._firsts, lo) - 1
        i = 0
        if c < 0:
            c = 0
        else:
            i = LEFT(chunks[c], lo)
            if i:
                start = chunks[c][i - 1]
                end, value = ends[start]
                if end > lo:
                    found.append((start, end, value))
                    ends[start] = (lo, value)
        chunk = chunks[c]
        until = LEFT(chunk, hi, i)
        self._take_out(chunk[i:until], found)
        while until == len(chunk) and c + 1 < len(chunks) and self._firsts[c + 1] < hi:
            self._take_front(c + 1, hi, found)
        new = [lo] if begins else []
        if found:
            _, end, value = found[-1]
            if end > hi:
                new.append(hi)
                ends[hi] = (end, value)
        chunk[i:until] = new
        self._chunk_changed(c)
        return found

    def _take_out(self, starts: list[int], found: list[tuple[int, int, T]]) -> None:
        """Take ranges out of the dict and add them to `found`."""
        for start in starts:
            end, value = self._ends.pop(start)
            found.append((start, end, value))

    def _take_front(self, c: int, hi: int, found: list[tuple[int, int, T]]) -> None:
        """Take the ranges below `hi` out of a chunk."""
        chunk = self._chunks[c]
        until = LEFT(chunk, hi)
        self._take_out(chunk[:until], found)
        del chunk[:until]
        self._chunk_changed(c)

    def _chunk_changed(self, c: int) -> None:
        """Keep what is said of the chunks: none is empty or too long, and each one's first."""
        chunks, firsts = self._chunks, self._firsts
        chunk = chunks[c]
        if not chunk:
            del chunks[c]
            del firsts[c]
            return
        firsts[c] = chunk[0]
        if len(chunk) > CHUNK_MAX:
            half = chunk[CHUNK_LEFT:]
            del chunk[CHUNK_LEFT:]
            chunks.insert(c + 1, half)
            firsts.insert(c + 1, half[0])

    def _with_equal_neighbours(self, lo: int, hi: int, value: T) -> tuple[int, int]:
        """The bounds of [lo, hi) with the ranges of the same value that touch it."""
        below, above = self.at(lo - 1), self.at(hi)
        if below is not None and below.value == value:
            lo = below.lo
        if above is not None and above.value == value:
            hi = above.hi
        return lo, hi


def _check_order(lo: int, hi: int) -> None:
    if hi < lo:
        raise ValueError(f"a range of addresses [{lo:#x}, {hi:#x}) ends before it starts")

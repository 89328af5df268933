"""Who owns which range in a service, by client: what a client may touch, and what it has cost.

In Go any M may free or write what another got. In a World that strangers share, a range is its
client's own, unless it was shared (`share V N`) or the service says that all is (`--shared`).

Beside the ledger's own book by address there is one by M here, so that a client that leaves costs
what it owned, however much others own.
"""

from __future__ import annotations

from collections.abc import Iterator

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.ledger import Ledger, Ownership, Ranges
from gorun_mem.runtime.rangemap import RangeMap


class OwnersLedger(Ledger):
    """A ledger that also knows what each M owns.

    Attributes:
        live_count: ranges that are handed out.
    """

    __slots__ = ("_bytes", "_gone", "_shared", "_starts", "live_count")

    def __init__(self) -> None:
        super().__init__()
        self._starts: dict[int, set[int]] = {}
        self._bytes: dict[int, int] = {}
        self._shared: RangeMap[bool] = RangeMap(coalesce=True)
        self._gone: set[int] = set()
        self.live_count = 0

    def handed_out(self, addr: int, n: int, function: str, m: int) -> Ranges:
        """Note that [addr, addr+n) now belongs to M `m`; what was known of it, each range whole."""
        known = super().handed_out(addr, n, function, m)
        if n > 0:
            self._take_away(addr, addr + n, known)
            mine = self._starts.get(m)
            if mine is None:
                mine = self._starts[m] = set()
                self._bytes[m] = 0
            mine.add(addr)
            self._bytes[m] += n
            self.live_count += 1
        return known

    def freed(self, addr: int, n: int, function: str, m: int) -> Ranges:
        """Note that [addr, addr+n), which was owned, was given back; what was known of it."""
        known = super().freed(addr, n, function, m)
        if n > 0:
            self._take_away(addr, addr + n, known)
            if self._shared:
                self._shared.erase(addr, addr + n)
        return known

    def _take_away(self, start: int, end: int, known: Ranges) -> None:
        """[start, end) is nobody's; what sticks out of it on either side is a range of its own.

        Args:
            start: of the range.
            end: of it.
            known: the ranges that share an address with it.
        """
        for low, high, owner in known:
            if not owner.live:
                continue
            mine = self._starts[owner.m]
            mine.discard(low)
            self.live_count -= 1
            part = (high if high < end else end) - (low if low > start else start)
            self._bytes[owner.m] -= part
            if low < start:
                mine.add(low)
                self.live_count += 1
            if high > end:
                mine.add(end)
                self.live_count += 1
            if not mine and owner.m in self._gone:
                self._gone.discard(owner.m)
                del self._starts[owner.m], self._bytes[owner.m]

    # What a client owns.

    def bytes_of(self, m: int) -> int:
        """How much an M owns."""
        return self._bytes.get(m, 0)

    def count_of(self, m: int) -> int:
        """How many ranges an M owns."""
        return len(self._starts.get(m, ()))

    def first_of(self, m: int) -> tuple[int, int]:
        """(start, end) of the lowest range of an M that owns one."""
        start = min(self._starts[m])
        ((low, high, _),) = self._ranges.overlapping(start, start + 1)
        return low, high

    def ranges_of(self, m: int) -> list[tuple[int, int]]:
        """(start, end) of each range of an M, in address order."""
        found = []
        for start in sorted(self._starts.get(m, ())):
            for low, high, _ in self._ranges.overlapping(start, start + 1):
                found.append((low, high))
        return found

    def forget(self, m: int) -> None:
        """An M has gone; what it still owns is anybody's."""
        if self._starts.get(m):
            self._gone.add(m)
        else:
            self._starts.pop(m, None)
            self._bytes.pop(m, None)

    def live_copied(self) -> Iterator[Ranges]:
        """What is handed out at this moment, some hundreds of ranges at a time."""
        chunks, ends = self._ranges.copied()
        return (
            [(low, high, owner) for low in chunk for high, owner in (ends[low],) if owner.live]
            for chunk in chunks
        )

    # What others may touch.

    def is_of(self, m: int, start: int, n: int) -> bool:
        """Whether [start, start+n) is part of one range that M `m` owns, and so may touch."""
        owner = self._ranges.of_all(start, start + n)
        return owner is not None and owner.live and owner.m == m

    def share(self, start: int, end: int, m: int) -> None:
        """Let everybody load, store, fill and free [start, end), which is all of M `m`'s.

        Raises:
            IllegalUse: it is not.
        """
        n, what = end - start, f"share of [{start:#x}, {end:#x}) by M{m}"
        refusal = self.refusal(start, n, what) or self.foreign(start, n, m, what)
        if refusal is not None:
            raise refusal
        self._shared.assign(start, end, True)

    def foreign(self, start: int, n: int, m: int, what: str) -> IllegalUse | None:
        """Why M `m` must not touch [start, start+n): a part is another's and not shared."""
        for low, high, owner in self._ranges.overlapping(start, start + n):
            if owner.m != m and owner.live and owner.m not in self._gone:
                low, high = max(low, start), min(high, start + n)
                if not self._is_shared(low, high):
                    return _not_yours(what, low, high, owner)
        return None

    def _is_shared(self, low: int, high: int) -> bool:
        return any(a <= low and high <= b for a, b, _ in self._shared.overlapping(low, high))


def _not_yours(what: str, low: int, high: int, owner: Ownership) -> IllegalUse:
    return IllegalUse(
        f"{what} refused: [{low:#x}, {high:#x}) is {owner}; only M{owner.m} may touch it, unless "
        "it says share V N, or the service runs with --shared"
    )

"""Who owns which range: what makes an illegal free an error and not a corruption.

Go keeps no such book: a wrong free corrupts the list, and memCheck, where it is compiled in, may
find it later. A layer that is not faithful asks this ledger first and refuses, with nothing
changed, what no correct program does.

Memory is owned byte by byte, as Go's own callers have it: a part of an allocation may be freed, and
so may several that lie side by side.
"""

from __future__ import annotations

from typing import NamedTuple

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.rangemap import RangeMap


class Tenure(NamedTuple):
    """What is known of a range.

    Args:
        live: whether it is handed out; False once it was freed.
        call: the number of the call that made it so, from 1.
        function: that call's Go function.
        m: id of the M that made it.
    """

    live: bool
    call: int
    function: str
    m: int

    def __str__(self) -> str:
        verb = "owned by" if self.live else "freed by"
        return f"{verb} M{self.m} since call {self.call} ({self.function})"


class Ledger:
    """Every range that was ever handed out, with its last change of hands.

    Attributes:
        calls: calls that changed something so far; the number of the last one.
    """

    __slots__ = ("_ranges", "calls", "live_bytes", "live_bytes_max")

    def __init__(self) -> None:
        self._ranges: RangeMap[Tenure] = RangeMap()
        self.calls = 0
        self.live_bytes = 0
        self.live_bytes_max = 0

    def __repr__(self) -> str:
        return f"<Ledger {self.live_bytes} bytes live after {self.calls} calls>"

    def handed_out(self, addr: int, n: int, function: str, m: int) -> None:
        """Note that [addr, addr+n) now belongs to M `m`."""
        self.calls += 1
        if n <= 0:
            return
        self._ranges.assign(addr, addr + n, Tenure(True, self.calls, function, m))
        self.live_bytes += n
        self.live_bytes_max = max(self.live_bytes_max, self.live_bytes)

    def freed(self, addr: int, n: int, function: str, m: int) -> None:
        """Note that [addr, addr+n), which was owned, was given back."""
        self.calls += 1
        if n <= 0:
            return
        self._ranges.assign(addr, addr + n, Tenure(False, self.calls, function, m))
        self.live_bytes -= n

    def tenure(self, addr: int) -> Tenure | None:
        """What is known of the byte at `addr`."""
        for _, _, tenure in self._ranges.overlapping(addr, addr + 1):
            return tenure
        return None

    def live_ranges(self) -> list[tuple[int, int, Tenure]]:
        """(start, end, tenure) of each range that is handed out, in address order."""
        return [r for r in self._ranges.overlapping(0, 1 << 65) if r[2].live]

    def overlapping(self, start: int, end: int) -> list[tuple[int, int, Tenure]]:
        """(start, end, tenure) of each known range that shares a byte with [start, end)."""
        return [(low, high, tenure) for low, high, tenure in self._ranges.overlapping(start, end)]

    def refusal(self, addr: int, n: int, what: str) -> IllegalUse | None:
        """Why [addr, addr+n) must not be freed or touched, or None where it is all owned.

        Args:
            addr: start of the range.
            n: its bytes, as many as the call would change.
            what: the call, for the message: "free of [0x10000, 0x20000)".
        """
        at = addr
        for low, high, tenure in self._ranges.overlapping(addr, addr + n):
            if low > at:
                break
            if not tenure.live:
                start = max(low, addr)
                return IllegalUse(
                    f"{what} refused: [{start:#x}, {min(high, addr + n):#x}) was {tenure}; "
                    "free each range once"
                )
            at = high
        if at >= addr + n:
            return None
        owner = self.tenure(addr)
        rest = f"; the part before is {owner}" if owner is not None and at > addr else ""
        return IllegalUse(
            f"{what} refused: [{max(at, addr):#x}, {self._gap_end(at, addr + n):#x}) "
            f"was never handed out{rest}; free what an allocation returned, or a part of it"
        )

    def _gap_end(self, at: int, end: int) -> int:
        for low, _, _ in self._ranges.overlapping(at, end):
            return max(low, at)
        return end

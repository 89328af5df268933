"""Who owns which range: what makes an illegal free an error and not a corruption.

Go keeps no such book: a wrong free corrupts the list, and memCheck, where it is compiled in, may
find it later. A layer that is not faithful asks this ledger first and refuses, with nothing
changed, what no correct program does.

Memory is owned byte by byte, as Go's own callers have it: a part of an allocation may be freed, and
so may several that lie side by side.

Linear memory has a second owner: the host may grow it for itself. Go's answers know nothing of that
and are not changed here, nor are those to sizes that wrap when they are rounded; what is wrong with
such an answer is kept as a `UnsoundAnswer`, for whoever checks.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.rangemap import RangeMap

HOST: Final = -1
"""In place of an M's id: the host."""
FINDINGS_MAX: Final = 100
"""Findings that are kept; who has made so many wants the first."""


class Ownership(Struct, frozen=True, gc=False):
    """Who has a range, or had it and gave it back.

    The garbage collector does not look at it: of a hundred thousand ranges that took 80 ms a time,
    in which nobody else goes on.

    Args:
        live: whether it is handed out; False once it was freed.
        call: the number of the call that made it so, from 1.
        function: that call's Go function.
        m: id of the M that made it, or HOST.
    """

    live: bool
    call: int
    function: str
    m: int

    def __str__(self) -> str:
        call = f"call {self.call} ({self.function})"
        if self.live or self.m == HOST:
            who = "the host" if self.m == HOST else f"M{self.m}"
            return f"owned by {who}, which got it in {call}"
        return f"freed by M{self.m} in {call}"


Ranges: TypeAlias = "list[tuple[int, int, Ownership]]"
"""(start, end, owner), in address order."""


class UnsoundAnswer(NamedTuple):
    """An answer of Go's that a program cannot live with.

    Args:
        what: a constant text, as of a throw.
        text: owner, call and ranges.
        addr: start of the range that it is about.
        size: its bytes.
    """

    what: str
    text: str
    addr: int
    size: int


class Ledger:
    """Every range that was ever handed out, with its last change of hands.

    Attributes:
        calls: calls that changed something so far; the number of the last one.
        findings: answers that are wrong for their callers, the first `FINDINGS_MAX`.
        has_host: whether the host has memory of its own.
    """

    __slots__ = ("_ranges", "calls", "findings", "has_host", "live_bytes", "live_bytes_max")

    def __init__(self) -> None:
        self._ranges: RangeMap[Ownership] = RangeMap()
        self.calls = 0
        self.findings: list[UnsoundAnswer] = []
        self.has_host = False
        self.live_bytes = 0
        self.live_bytes_max = 0

    def __repr__(self) -> str:
        return f"<Ledger {self.live_bytes} bytes live after {self.calls} calls>"

    def handed_out(self, addr: int, n: int, function: str, m: int) -> Ranges:
        """Note that [addr, addr+n) now belongs to M `m`; what was known of it, each range whole."""
        self.calls = call = self.calls + 1
        if n <= 0:
            return []
        live = self.live_bytes = self.live_bytes + n
        if live > self.live_bytes_max:
            self.live_bytes_max = live
        return self._ranges.assign(addr, addr + n, Ownership(True, call, function, m))

    def freed(self, addr: int, n: int, function: str, m: int) -> Ranges:
        """Note that [addr, addr+n), which was owned, was given back; what was known of it."""
        self.calls = call = self.calls + 1
        if n <= 0:
            return []
        self.live_bytes -= n
        return self._ranges.assign(addr, addr + n, Ownership(False, call, function, m))

    def host_took(self, addr: int, n: int, function: str) -> None:
        """Note that the host grew the memory by [addr, addr+n) for itself."""
        self.calls += 1
        if n > 0:
            self._ranges.assign(addr, addr + n, Ownership(False, self.calls, function, HOST))
            self.has_host = True

    def host_range(self, addr: int, end: int) -> tuple[int, int, Ownership] | None:
        """The first part of [addr, end) that is the host's, None where none is."""
        for low, high, owner in self._ranges.overlapping(addr, end):
            if owner.m == HOST:
                return max(low, addr), min(high, end), owner
        return None

    def find(self, what: str, text: str, addr: int, size: int) -> bool:
        """Keep a finding; False where there are too many."""
        if len(self.findings) >= FINDINGS_MAX:
            return False
        self.findings.append(UnsoundAnswer(what, text, addr, size))
        return True

    def ownership(self, addr: int) -> Ownership | None:
        """What is known of the byte at `addr`."""
        piece = self._ranges.at(addr)
        return piece.value if piece is not None else None

    def live_ranges(self) -> Ranges:
        """(start, end, owner) of each range that is handed out, in address order."""
        return [r for r in self._ranges.overlapping(0, 1 << 65) if r[2].live]

    def first_ranges(self, most: int) -> list[tuple[int, int, int]]:
        """(start, bytes, id of the M) of what is handed out among the first `most` known ranges.

        It costs `most` and no more, however many there are; `range_count` says that.
        """
        first = islice(self._ranges, most)
        return [(low, high - low, owner.m) for low, high, owner in first if owner.live]

    @property
    def range_count(self) -> int:
        """How many ranges are known, handed out or freed."""
        return len(self._ranges)

    def overlapping(self, start: int, end: int) -> Ranges:
        """(start, end, owner) of each known range that shares a byte with [start, end)."""
        return [(low, high, owner) for low, high, owner in self._ranges.overlapping(start, end)]

    def is_one(self, addr: int, n: int) -> bool:
        """Whether [addr, addr+n) is part of one range that is handed out; then it is no refusal."""
        owner = self._ranges.of_all(addr, addr + n)
        return owner is not None and owner.live

    def refusal(self, addr: int, n: int, what: str) -> IllegalUse | None:
        """Why [addr, addr+n) must not be freed or touched, or None where it is all owned.

        Args:
            addr: start of the range.
            n: its bytes, as many as the call would change.
            what: the call, for the message: "free of [0x10000, 0x20000)".
        """
        at = addr
        for low, high, owner in self._ranges.overlapping(addr, addr + n):
            if low > at:
                break
            if owner.m == HOST:
                break
            if not owner.live:
                start = max(low, addr)
                return IllegalUse(
                    f"{what} refused: [{start:#x}, {min(high, addr + n):#x}) was {owner}; "
                    "free each range once"
                )
            at = high
        if at >= addr + n:
            return None
        host = self.host_range(max(at, addr), addr + n)
        if host is not None and host[0] == max(at, addr):
            return IllegalUse(
                f"{what} refused: [{host[0]:#x}, {host[1]:#x}) is {host[2]}; "
                "free and write what an allocation returned"
            )
        first = self.ownership(addr)
        rest = f"; the part before is {first}" if first is not None and at > addr else ""
        return IllegalUse(
            f"{what} refused: [{max(at, addr):#x}, {self._gap_end(at, addr + n):#x}) "
            f"was never handed out{rest}; free what an allocation returned, or a part of it"
        )

    def _gap_end(self, at: int, end: int) -> int:
        for low, _, _ in self._ranges.overlapping(at, end):
            return max(low, at)
        return end

"""How the memory grew, call by call, and what for: the book that `MemoryUse` keeps of a log.

Bounds: `GROWTHS_KEPT` growths, a sum for each function and purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from gorun_mem.analysis.memoryreport import Budget, CallRef, Growth, GrowthCause
from gorun_mem.events.types import MemGrow, MemReturn
from gorun_mem.runtime.behaviour import PLAN9_PAGE
from gorun_mem.runtime.pages import PAGE, pages_of

GROWTHS_KEPT: Final = 1 << 16
_UNCLAIMED_MAX: Final = 1000


class Standing(NamedTuple):
    """How the memory stood before a call.

    Args:
        free: bytes on the free list.
        largest: its largest block.
        slack: bytes between bloc and bloc_max.
        live: live bytes.
    """

    free: int
    largest: int
    slack: int
    live: int


class Growths:
    """Growths in order, refused ones too; each belongs to the call that returns next.

    Args:
        standing: how the memory stands before the call that returns now.

    Attributes:
        kept: the first `GROWTHS_KEPT`.
        seen: how many there were.
        refused: how many of them were refused.
        pending: those whose call has not returned.
        page: Go's physPageSize.
        is_wasm: whether events from before they said bytes count wasm's pages.
    """

    __slots__ = ("_standing", "_sums", "is_wasm", "kept", "page", "pending", "refused", "seen")

    def __init__(self, standing: Callable[[], Standing]) -> None:
        self.kept: list[Growth] = []
        self.seen = self.refused = 0
        self.pending: list[MemGrow] = []
        self.page = PAGE
        self.is_wasm = True
        self._standing = standing
        self._sums: dict[tuple[str, str], list[int]] = {}

    def ask(self, event: MemGrow) -> None:
        """A growth, of a call that has not returned yet."""
        self.pending.append(event)
        if len(self.pending) > _UNCLAIMED_MAX:  # returns are missing: nobody claims these
            self.settle(None)

    def settle(self, event: MemReturn | None) -> None:
        """The pending ones belong to the call that returns; None where no return claims them."""
        for grow in self.pending:
            before, delta, after = self._bytes_of(grow)
            after = after if grow.ok else before + delta
            limited = not grow.ok and after > grow.max_pages * PAGE
            self._note(
                Growth(grow.seq, grow.t_ns, before, after, grow.ok, None, limited=limited), event
            )
        self.pending.clear()

    def note_unsaid(self, event: MemReturn, before: int, after: int) -> None:
        """The memory has grown from `before` to `after`, in a log without mem.grow."""
        self._note(Growth(event.seq, event.t_ns, before, after, True, None), event)

    def _bytes_of(self, grow: MemGrow) -> tuple[int, int, int]:
        """Bytes before, asked for and after."""
        before, delta, after = grow.bytes_before, grow.delta_bytes, grow.bytes_after
        if isinstance(before, int) and isinstance(delta, int) and isinstance(after, int):
            return before, delta, after
        # A log from before events said bytes; what it calls pages are those of the system.
        unit = PAGE if self.is_wasm else PLAN9_PAGE
        return grow.pages_before * unit, grow.delta_pages * unit, grow.pages_after * unit

    def _note(self, growth: Growth, event: MemReturn | None) -> None:
        """Count a growth, and keep it with the call that it belongs to."""
        self.seen += 1
        self.refused += not growth.ok
        call = CallRef.of(event) if event is not None else None
        key = (call.fn, call.purpose) if call is not None else ("", "")
        sums = self._sums.setdefault(key, [0, 0, 0])
        sums[0] += growth.ok
        sums[1] += growth.after - growth.before if growth.ok else 0
        sums[2] += not growth.ok
        if len(self.kept) >= GROWTHS_KEPT:
            return
        if event is not None:
            need = -(-event.n // self.page) * self.page + event.align
            growth = replace(growth, cause=call, need=need, **self._standing()._asdict())
        self.kept.append(growth)

    @property
    def causes(self) -> tuple[GrowthCause, ...]:
        """Growths by what they were for, the most bytes first."""
        found = [GrowthCause(fn, purpose, *sums) for (fn, purpose), sums in self._sums.items()]
        return tuple(sorted(found, key=lambda one: (-one.bytes, -one.refused, one.fn, one.purpose)))

    def budget(self, pages: int, first_top: int, peak_top: int, host_top: int) -> Budget:
        """Whether the run would fit into `pages` pages of 64 KiB.

        Args:
            pages: them.
            first_top: the memory's top at the start, in bytes.
            peak_top: its greatest.
            host_top: its top after the host's last growth, 0 for none.
        """
        limit = pages * PAGE
        asked = [growth for growth in self.kept if growth.may_be_granted]
        needed = pages_of(max([peak_top, *[growth.after for growth in asked]]))
        exact = self.seen <= len(self.kept)
        if first_top > limit:
            return Budget(pages, False, needed, None, "start", exact, None, pages_of(first_top))
        for growth in asked:
            if growth.after > limit:
                return Budget(pages, False, needed, growth, growth.verdict, exact)
        if host_top > limit:
            return Budget(pages, False, needed, None, "host", exact)
        unknown = next((growth for growth in asked if not growth.ok), None)
        return Budget(pages, peak_top <= limit, needed, None, "", exact, unknown)

"""The readers and the writer of Courtois et al., CACM 1971, as one lock of either solution."""

from __future__ import annotations

from gorun_mem.runtime.op import MLike, Op
from gorun_mem.sync import Entry, Gate


class CourtoisLock(Gate):
    """A lock for readers and one writer, by the first or the second of Courtois's solutions.

    Args:
        name: for reports.
        writers_first: whether a writer that is announced keeps new readers out.
    """

    def __init__(self, name: str, writers_first: bool) -> None:
        super().__init__(name)
        self.writers_first = writers_first
        self.readers = self.announced = self.passes = 0
        self.writing = False

    def lets(self, op: Entry) -> bool:
        """A writer to nobody, a reader to readers."""
        return not self.writing and self.lets_kind(op.kind)

    def lets_kind(self, kind: str) -> bool:
        """Whether such an M may go in while nobody writes."""
        return not self.readers if kind == "lock" else not (self.writers_first and self.announced)

    def admits(self) -> frozenset[str]:
        """By kind."""
        kinds = () if self.writing else ("lock", "rlock")
        return frozenset([kind for kind in kinds if self.lets_kind(kind)])

    def goes(self, m: MLike, op: Entry) -> object:
        """Count how many readers went in to others while a writer waited."""
        if op.kind == "lock":
            self.writing = True
            self.announced -= 1
            self.passes = 0
        else:
            self.passes += bool(self.readers and self.announced)
            self.readers += 1
        return True

    def announce(self) -> Op:
        """Say that a writer is there."""

        def effect(m: MLike) -> None:
            self.announced += 1

        return self.change("announce", effect)

    def leave(self) -> Op:
        """Go out."""

        def effect(m: MLike) -> None:
            self.readers -= not self.writing
            self.writing = False

        return self.change("leave", effect)

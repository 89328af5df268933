"""A lock for one writer or several readers; sync.RWMutex."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.op import MLike, Op, Orders
from gorun_mem.sync.gate import Entry, Gate, Holding

_READ: Final = "rw.read"
_WRITE: Final = "rw.write"
_CLAIM: Final = "rw.claim"
_CLAIMS: Final = frozenset({_CLAIM})
_WRITES: Final = frozenset({_WRITE})
_NONE: Final[frozenset[str]] = frozenset()


@mypyc_attr(allow_interpreted_subclasses=True)
class RWLock(Gate):
    """A lock for one writer or several readers, with Go's preference for writers.

    A writer claims the lock, which keeps out readers that come later and other writers, and goes
    in when the readers that were there have left. When it leaves, the readers that it has kept out
    go in, whatever writer claims the lock next. So a reader that goes in again while a writer
    waits, waits for a writer that waits for it: as in Go, a deadlock.

    Args:
        name: for reports; the object of its operations.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        readers: who is reading, by M's number how often and since when.
        writer: the M that has claimed the lock.
        is_writing: it is in.
    """

    __slots__ = ("_acquires_all", "_acquires_writer", "_releases_reader", "_releases_writer",
                 "_since_ns", "is_writing", "readers", "writer")  # fmt: skip

    def __init__(self, name: str, *, line: str = "") -> None:
        super().__init__(name, line)
        self.readers: dict[int, list[tuple[str, int]]] = {}
        self.writer: MLike | None = None
        self.is_writing = False
        self._since_ns = 0
        # What a reader has seen, writers are to see, and other readers need not.
        by_writer, by_reader = self.name, f"{self.name} readers"
        self._acquires_writer: Orders = ((by_writer,), ())
        self._acquires_all: Orders = ((by_writer, by_reader), ())
        self._releases_reader: Orders = ((), (by_reader,))
        self._releases_writer: Orders = ((), (by_writer,))

    def __repr__(self) -> str:
        if self.writer is not None:
            doing = "writing" if self.is_writing else "waiting to write"
            state = f"M{self.writer.id} {doing} since {self._since_ns} ns"
        else:
            state = "free" if not self.readers else ""
        reading = ", ".join(f"M{m}" for m in self.readers)
        state += f"{', ' if state and reading else ''}{f'read by {reading}' if reading else ''}"
        return f"<RWLock {self.obj} {state}{self.words()}>"

    # For those who use it.

    def acquire_read(self, timeout_ns: int | None = None) -> Op:
        """Go in to read; RLock.

        Args:
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        return self.visit(_READ, timeout_ns, self._acquires_writer)

    def try_acquire_read(self) -> Op:
        """Go in to read if no writer has claimed the lock; whether it went in: TryRLock."""

        def effect(m: MLike) -> bool:
            if self.visits(m):
                return True
            self.failed += 1
            return False

        return self.change("rw.try_read", effect, self._acquires_writer)

    def release_read(self) -> Op:
        """Go out; RUnlock, which another M may do.

        Raises:
            Throw: nobody reads, in Go's words.
        """

        def effect(m: MLike) -> None:
            if not self.readers:
                raise Throw(
                    "sync: RUnlock of unlocked RWMutex", lock=self.name, m=m.id, site=m.name
                )
            self._leave(m.id if m.id in self.readers else next(iter(self.readers)))

        return self.change("rw.release_read", effect, self._releases_reader)

    async def acquire_write(self, timeout_ns: int | None = None) -> bool:
        """Claim the lock, then go in to write; Lock.

        Args:
            timeout_ns: how long to wait at most, for both together; None: for ever.

        Returns:
            True; False where the time is up: then the claim is given up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        claim = self.entry(_CLAIM, timeout_ns=timeout_ns, orders=self._acquires_writer)
        if not await claim:
            return False
        try:
            taken = await self.entry(_WRITE, timeout_ns=claim.left_ns(), orders=self._acquires_all)
        except GeneratorExit:  # the run is over
            raise
        except BaseException:  # it is cancelled between the two
            self._unclaim()
            self.refresh()
            raise
        if taken:
            return True
        await self.change("rw.give_up", lambda m: self._unclaim(), self._releases_writer)
        return False

    def try_acquire_write(self) -> Op:
        """Go in to write if the lock is free; whether it was: TryLock."""

        def effect(m: MLike) -> bool:
            if self.writer is not None or self.readers:
                self.failed += 1
                return False
            self.writer = m
            self.is_writing = True
            self._since_ns = m.sched.now_ns
            return True

        return self.change("rw.try_write", effect, self._acquires_all)

    def release_write(self) -> Op:
        """Go out; Unlock, which another M may do.

        Raises:
            Throw: nobody writes, in Go's words.
        """

        def effect(m: MLike) -> None:
            if not self.is_writing:
                raise Throw("sync: Unlock of unlocked RWMutex", lock=self.name, m=m.id, site=m.name)
            self._unclaim()

        return self.change("rw.release_write", effect, self._releases_writer)

    def reading(self) -> Holding:
        """Read in the block of an `async with`."""
        return Holding(self.acquire_read, self.release_read)

    def writing(self) -> Holding:
        """Write in the block of an `async with`."""
        return Holding(self.acquire_write, self.release_write)

    # What the gate asks.

    def lets(self, op: Entry) -> bool:
        """One writer claims it, and goes in when nobody reads."""
        if op.kind == _WRITE:
            return not self.readers
        return self.writer is None

    def goes(self, m: MLike, op: Entry) -> object:
        """It is in, or has claimed it."""
        self._since_ns = m.sched.now_ns
        if op.kind == _CLAIM:
            self.writer = m
        else:
            self.is_writing = True
        return True

    def visits(self, m: MLike) -> bool:
        """A reader goes in while no writer has claimed it."""
        if self.writer is not None:
            return False
        self._read(m)
        return True

    def admits(self) -> frozenset[str] | None:
        """By kind: a writer goes in only where it has claimed it."""
        if self.writer is None:
            return _CLAIMS
        return _WRITES if not self.readers and not self.is_writing else _NONE

    def held_by(self) -> tuple[tuple[int, str, int], ...]:
        """The writer, or the readers."""
        if self.writer is not None:
            return ((self.writer.id, self.writer.name, self._since_ns),)
        return self._reading()

    def keeps_out(self, op: Entry) -> tuple[tuple[int, str, int], ...]:
        """A writer that has claimed it waits for the readers."""
        return self._reading() if op.kind == _WRITE else self.held_by()

    def _reading(self) -> tuple[tuple[int, str, int], ...]:
        return tuple([(m, site, ns) for m, times in self.readers.items() for site, ns in times])

    def snapshot(self) -> tuple[object, ...]:
        """Who reads, who has claimed it, whether it is in."""
        readers = tuple(sorted([(m, len(times)) for m, times in self.readers.items()]))
        return (readers, self.writer.id if self.writer is not None else -1, self.is_writing)

    # Inside.

    def _read(self, m: MLike) -> None:
        self.readers.setdefault(m.id, []).append((m.name, m.sched.now_ns))

    def _leave(self, m_id: int) -> None:
        times = self.readers[m_id]
        times.pop()
        if not times:
            del self.readers[m_id]

    def _unclaim(self) -> None:
        """The writer is gone: the readers that it has kept out are in."""
        self.writer = None
        self.is_writing = False
        for m in self.call_in():
            self._read(m)

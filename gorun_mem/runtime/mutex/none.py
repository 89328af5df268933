"""No mutex: lock and unlock are points where another M may go, and exclude nobody.

For seeing what memlock is there for. Calls are recorded like those of a lock, so the log shows who
was inside at the same time; nobody ever waits. The kinds of access are not those of a lock: they
order nothing, and a race detector must not take them for synchronisation.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp, state
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.mutex.statistics import Holder
from gorun_mem.runtime.op import MLike
from gorun_mem.runtime.sink import Waited


@mypyc_attr(allow_interpreted_subclasses=True)
class NoLock(LockOp):
    """Go in."""

    __slots__ = ()
    FIRST = "enter"

    def miscounted(self, m: MLike) -> None:
        """Nobody looks at the count."""

    @state("none.lock")
    def enter(self, m: MLike) -> object:
        """Note who went in."""
        self.mutex.acquired(m, self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class NoUnlock(UnlockOp):
    """Go out."""

    __slots__ = ()
    FIRST = "leave"

    def miscounted(self, m: MLike) -> None:
        """Nobody looks at the count."""

    @state("none.unlock")
    def leave(self, m: MLike) -> object:
        """Note who went out."""
        self.mutex.released(m, self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class NoMutex(StateMutex):
    """A mutex that never excludes; several Ms may hold it at once, and that is what it notes."""

    __slots__ = ("inside",)
    algorithm = "none"
    excludes = False
    lock_op = NoLock
    unlock_op = NoUnlock

    def prepare(self, settings: LockSettings) -> None:
        """Nobody is inside; ranks are not checked, for no lock is held."""
        self.inside: dict[int, list[Holder]] = {}
        """By M, the latest entry last."""
        self.ranks = None

    @property
    def holders(self) -> tuple[Holder, ...]:
        """All who are inside, the longest there first."""
        inside = [holder for entries in self.inside.values() for holder in entries]
        return tuple(sorted(inside, key=lambda h: (h.since_ns, h.m)))

    def acquired(self, m: MLike, op: LockOp) -> None:
        """`m` is inside, whoever else is."""
        site = op.site or m.name
        m.locks += self.locks_delta
        self.inside.setdefault(m.id, []).append(Holder(m.id, site, m.sched.now_ns))
        if self.sink is not None:
            others = len(self.inside) - 1
            self.sink.lock_acquire(
                self.name, site, Waited(False, 0, 0, 0), 0, others, self.prev_owner_m
            )

    def released(self, m: MLike, op: UnlockOp, next_m: int = 0) -> None:
        """`m` is not inside any more."""
        site = op.site
        entries = self.inside.get(m.id)
        hold_ns = 0
        if entries:
            holder = entries.pop()
            if not entries:
                del self.inside[m.id]
            hold_ns = m.sched.now_ns - holder.since_ns
            site = site or holder.site
            self.book.release(m.id, holder.site, hold_ns)
        self.prev_owner_m = m.id
        if self.sink is not None:
            self.sink.lock_release(self.name, site, hold_ns, Waited(False, 0, 0, 0), 0, (), 0)

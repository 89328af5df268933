"""No mutex: lock and unlock are points where another M may go, and exclude nobody.

For seeing what memlock is there for. Calls are recorded like those of a lock, so the log shows who
was inside at the same time; nobody ever waits. The kinds of access are not those of a lock: they
order nothing, and a race detector must not take them for synchronisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import Holder, LockOp, Mutex, UnlockOp
from gorun_mem.runtime.mutex.machine import state
from gorun_mem.runtime.mutex.statistics import Open
from gorun_mem.runtime.op import MLike
from gorun_mem.runtime.sink import Waited

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex.rank import RankChecks
    from gorun_mem.runtime.sink import Sink


@mypyc_attr(allow_interpreted_subclasses=True)
class NoLock(LockOp):
    """Go in."""

    __slots__ = ()
    FIRST = "enter"

    @state("none.lock")
    def enter(self, m: MLike) -> object:
        """Note who went in."""
        self.mutex._entered(m, self.site)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class NoUnlock(UnlockOp):
    """Go out."""

    __slots__ = ()
    FIRST = "leave"

    @state("none.unlock")
    def leave(self, m: MLike) -> object:
        """Note who went out."""
        self.mutex._left(m, self.site)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class NoMutex(Mutex):
    """A mutex that never excludes; several Ms may hold it at once."""

    __slots__ = ("_inside",)
    algorithm = "none"
    lock_op = NoLock
    unlock_op = NoUnlock

    def __init__(
        self,
        name: str = "memlock",
        rank: str = "LEAF",
        sink: Sink | None = None,
        *,
        locks_delta: int = 1,
        ranks: RankChecks | None = None,
    ) -> None:
        super().__init__(name, rank, sink, locks_delta=locks_delta, ranks=ranks)
        self._inside: dict[int, list[Holder]] = {}  # by M, the latest entry last

    @property
    def holder(self) -> Holder | None:
        """One of those inside, the longest there; None where nobody is."""
        holders = self.holders
        return holders[0] if holders else None

    @property
    def holders(self) -> tuple[Holder, ...]:
        """All who are inside, the longest there first."""
        inside = [holder for entries in self._inside.values() for holder in entries]
        return tuple(sorted(inside, key=lambda h: (h.since_ns, h.m)))

    def _entered(self, m: MLike, site: str) -> None:
        site = site or m.name
        m.locks += self.locks_delta
        self._inside.setdefault(m.id, []).append(Holder(m.id, site, m.sched.now_ns))
        if self.sink is not None:
            others = len(self._inside) - 1
            self.sink.lock_acquire(
                self.name,
                site,
                Waited(False, 0, 0, 0),
                0,
                others,
                self.prev_owner_m,
            )

    def _left(self, m: MLike, site: str) -> None:
        m.locks -= self.locks_delta
        entries = self._inside.get(m.id)
        hold_ns = 0
        if entries:
            holder = entries.pop()
            if not entries:
                del self._inside[m.id]
            hold_ns = m.sched.now_ns - holder.since_ns
            site = site or holder.site
            self._tally.fresh_holds.append((m.id, holder.site, hold_ns))
        self.prev_owner_m = m.id
        if self.sink is not None:
            self.sink.lock_release(self.name, site, hold_ns, Waited(False, 0, 0, 0), 0, (), 0)

    def _running(self) -> list[tuple[int, str]]:
        return [(holder.m, holder.site) for holder in self.holders]

    def _open_holds(self, now_ns: int) -> list[Open]:
        return [(one.m, one.site, max(0, now_ns - one.since_ns)) for one in self.holders]

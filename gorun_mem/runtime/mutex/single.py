"""What the mutexes of platforms with one M do: lock_js.go and lock_wasip1.go.

With one thread and no preemption a lock is a flag, and finding it taken means that the thread waits
for itself: Go throws. Both files hold the same code; what tells them apart is the notes (note.py).
With several Ms, a what-if that wasm does not have, a contended lock throws all the same.

Flag and count are plain accesses in Go, one step here: nothing could come between them.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp, state
from gorun_mem.runtime.op import MLike


@mypyc_attr(allow_interpreted_subclasses=True)
class SingleLock(LockOp):
    """lock2 of lock_js.go and lock_wasip1.go."""

    __slots__ = ()
    FIRST = "acquire"
    LOCK_COUNT = "lock count"

    def miscounted(self, m: MLike) -> None:
        """A bad count throws, but not where the lock is taken, which is looked at before."""
        if not self.mutex.key:
            super().miscounted(m)

    @state("acquire")
    def acquire(self, m: MLike) -> object:
        """Set the flag."""
        mutex: StateMutex = self.mutex
        if mutex.key:
            raise mutex.throw(m, self, "self deadlock")
        mutex.key = 1
        mutex.acquired(m, self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class SingleUnlock(UnlockOp):
    """unlock2 of lock_js.go and lock_wasip1.go."""

    __slots__ = ()
    FIRST = "release"
    LOCK_COUNT = "lock count"

    @state("release")
    def release(self, m: MLike) -> object:
        """Clear the flag; a bad count throws before that."""
        mutex: StateMutex = self.mutex
        if not mutex.key:
            raise mutex.throw(m, self, "unlock of unlocked lock")
        if m.locks < mutex.locks_delta:
            self.miscounted(m)
        mutex.key = 0
        mutex.released(m, self)
        return None

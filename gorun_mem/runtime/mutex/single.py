"""The mutexes of platforms with one M: lock_js.go and lock_wasip1.go.

With one thread and no preemption a lock is a flag, and finding it taken means that the thread waits
for itself: Go throws. Both files hold the same code; what tells them apart is the notes (note.py).
With several Ms, a what-if that wasm does not have, a contended lock throws all the same.

Flag and count are plain accesses in Go, one step here: nothing could come between them.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import LockOp, Mutex, UnlockOp
from gorun_mem.runtime.mutex.machine import state
from gorun_mem.runtime.op import MLike

LOCK_COUNT = "lock count"


@mypyc_attr(allow_interpreted_subclasses=True)
class SingleLock(LockOp):
    """lock2 of lock_js.go and lock_wasip1.go."""

    __slots__ = ()
    FIRST = "acquire"

    @state("acquire")
    def acquire(self, m: MLike) -> object:
        """Set the flag."""
        mutex = self.mutex
        if mutex.ranks is not None:
            mutex.ranks.before_lock(m, mutex, self)
        if mutex.key:
            raise mutex._throw(m, self, "self deadlock")
        if m.locks < 0:
            raise mutex._throw(m, self, LOCK_COUNT)
        m.locks += mutex.locks_delta
        mutex.key = 1
        mutex._acquired(m, self)
        mutex._lock_ops.append(self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class SingleUnlock(UnlockOp):
    """unlock2 of lock_js.go and lock_wasip1.go."""

    __slots__ = ()
    FIRST = "release"

    @state("release")
    def release(self, m: MLike) -> object:
        """Clear the flag; a bad count throws before that."""
        mutex = self.mutex
        if mutex.ranks is not None:
            mutex.ranks.before_unlock(m, mutex, self)
        if not mutex.key:
            raise mutex._throw(m, self, "unlock of unlocked lock")
        m.locks -= mutex.locks_delta
        if m.locks < 0:
            raise mutex._throw(m, self, LOCK_COUNT)
        mutex.key = 0
        mutex._released(m, self)
        mutex._unlock_ops.append(self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class JsMutex(Mutex):
    """The mutex of js/wasm, all releases (`locks` counts in 16s from 1.27)."""

    __slots__ = ()
    algorithm = "js"
    lock_op = SingleLock
    unlock_op = SingleUnlock


@mypyc_attr(allow_interpreted_subclasses=True)
class Wasip1Mutex(Mutex):
    """The mutex of wasip1/wasm, from 1.21 on (`locks` counts in 16s from 1.27)."""

    __slots__ = ()
    algorithm = "wasip1"
    lock_op = SingleLock
    unlock_op = SingleUnlock

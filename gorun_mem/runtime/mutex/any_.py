"""A mutex that leaves the order to the scheduler; no Go release has it.

An M whose lock is pending may go next iff the lock is free: there is no queue, no spinning and no
step for having to wait, so a critical section costs two steps and any waiting M may be the next.
Two Ms with S critical sections each have exactly C(2S, S) runs, which is what an exhaustive search
of schedules is measured by. `queue` keeps an order of its own and so has other runs.

It stands for any lock that excludes, loses no wakeup and is stuck by nothing of its own, which is
what `gorun-mem verify` finds out: a program over such a lock ends in no way in which it cannot end
over this one (its Ms take the lock in some order, and here in every order). Not the other way
round: a lock with an order of its own has ends fewer. What is not kept is time, and how often an M
is overtaken.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp, state
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import MLike

ANY: Final = "any"
ACQUIRE: Final = frozenset({"acquire"})
NOTHING: Final[frozenset[str]] = frozenset()


@mypyc_attr(allow_interpreted_subclasses=True)
class ChoiceLock(LockOp):
    """Take the lock whenever the scheduler lets this M go."""

    __slots__ = ()
    FIRST = "acquire"
    abandonable = False  # the mutex knows who wants it, and would go on waiting for that M

    def admits(self) -> frozenset[str]:
        """Others that take the lock, while it is free."""
        return NOTHING if self.mutex.key else ACQUIRE

    def begin(self, m: MLike) -> bool:
        """Enabled iff the lock is free."""
        mutex: ChoiceMutex = self.mutex
        mutex.pending[m.id] = (m, self)
        if not mutex.key:
            return True
        mutex.waits(m, self)
        return False

    @state("acquire")
    def acquire(self, m: MLike) -> object:
        """Take the lock; the others that want it may not go for now."""
        mutex: ChoiceMutex = self.mutex
        assert not mutex.key
        mutex.key = m.id + 1
        del mutex.pending[m.id]
        mutex.acquired(m, self)
        for other, op in mutex.pending.values():
            if other.id not in mutex.book.waiting:
                mutex.waits(other, op)
            m.sched.disable(other)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class ChoiceUnlock(UnlockOp):
    """Give the lock back to whoever goes next."""

    __slots__ = ()
    FIRST = "release"

    def admits(self) -> frozenset[str]:
        """Those that take the lock, while it is free."""
        return NOTHING if self.mutex.key else ACQUIRE

    @state("release")
    def release(self, m: MLike) -> object:
        """Free the lock; all that want it may go."""
        mutex: ChoiceMutex = self.mutex
        if not mutex.key:
            raise mutex.throw(m, self, "unlock of unlocked lock")
        mutex.key = 0
        mutex.released(m, self)
        for other, _ in mutex.pending.values():
            m.sched.unpark(other)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class ChoiceMutex(StateMutex):
    """A mutex whose next owner the scheduler chooses; `key` is one above the owner's number."""

    __slots__ = ("pending",)
    algorithm = ANY
    lock_op = ChoiceLock
    unlock_op = ChoiceUnlock

    def prepare(self, settings: LockSettings) -> None:
        """Nobody wants it."""
        self.pending: dict[int, tuple[MLike, ChoiceLock]] = {}
        """Who wants the lock, in the order they asked."""

    def snapshot(self) -> tuple[object, ...]:
        """The owner and who wants the lock."""
        return (self.key, *[m for m, _ in self.pending.values()])

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        self.key, *ms = snapshot  # type: ignore[assignment]
        wanting: list[MLike] = ms  # type: ignore[assignment]
        self.pending = {m.id: (m, ChoiceLock(self)) for m in wanting}

    def in_words(self, key: int) -> str:
        """Whose it is."""
        return f"M{key - 1}'s" if key else "free"

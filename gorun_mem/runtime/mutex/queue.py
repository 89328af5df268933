"""A plain first-in first-out mutex; no Go release has it.

An M that asks while the lock is taken goes to the end of a queue and sleeps; a release hands the
lock to the head, which owns it from then on, so nobody who comes later gets it first. It is the
yardstick for what Go's mutexes give up in fairness to gain in throughput, and the cheapest to
explore: one step to ask, one to give back, one to go on after a wait.

The order is that of the steps that ask. Unlocking it unlocked throws what the other mutexes throw.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp, state
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import PARKED, MLike


@mypyc_attr(allow_interpreted_subclasses=True)
class QueueLock(LockOp):
    """Ask for the lock, and wait for one's turn."""

    __slots__ = ()
    FIRST = "acquire"

    @state("acquire")
    def acquire(self, m: MLike) -> object:
        """Take the lock or join the queue."""
        mutex: QueueMutex = self.mutex
        if not mutex.key:
            mutex.key = m.id + 1
            mutex.acquired(m, self)
            return None
        mutex.waits(m, self)
        mutex.queue.append(m)
        self.sleeps += 1
        self.goto(m, "own")
        return PARKED

    @state("acquire")
    def own(self, m: MLike) -> object:
        """Go on as the owner that the release before has made of this M."""
        mutex: QueueMutex = self.mutex
        assert mutex.key == m.id + 1
        mutex.acquired(m, self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class QueueUnlock(UnlockOp):
    """Give the lock to the head of the queue."""

    __slots__ = ()
    FIRST = "release"

    @state("release")
    def release(self, m: MLike) -> object:
        """Hand the lock over, or leave it free."""
        mutex: QueueMutex = self.mutex
        if not mutex.key:
            raise mutex.throw(m, self, "unlock of unlocked lock")
        if not mutex.queue:
            mutex.key = 0
            mutex.released(m, self)
            return None
        successor = mutex.queue.pop(0)
        mutex.key = successor.id + 1
        mutex.released(m, self, successor.id)
        mutex.woke(successor.id, self)
        m.sched.unpark(successor)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class QueueMutex(StateMutex):
    """A FIFO mutex with direct handoff; `key` is one above the number of the owning M."""

    __slots__ = ("queue",)
    algorithm = "queue"
    lock_op = QueueLock
    unlock_op = QueueUnlock

    def prepare(self, settings: LockSettings) -> None:
        """Nobody waits."""
        self.queue: list[MLike] = []

    def in_words(self, key: int) -> str:
        """Whose it is."""
        return f"M{key - 1}'s" if key else "free"

    def snapshot(self) -> tuple[object, ...]:
        """The owner and the Ms in the queue."""
        return (self.key, *self.queue)

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        self.key, *self.queue = snapshot  # type: ignore[assignment]

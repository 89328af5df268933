"""Starvation: how often others get a lock while an M waits for it.

A bypass is an acquisition of a lock by an M while another waits that came before. A lock that hands
over in order has none; one that whoever comes may take has as many as the program has acquisitions,
for under a fair schedule too an M may be late each time: it starves. What waits:

    an M whose pending operation takes a lock, and cannot go or has tried before
    an M in a runtime mutex's lock, from the access by which it found the lock taken
    an M whose compare-and-swap or exchange of a word has failed, until one comes off: a lock of the
    program's own, such as test-and-set
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.mutex.machine import LockOp
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

SWAPS: Final = frozenset({"atomic.cas", "atomic.xchg"})


class Bypasses:
    """Counts bypasses; kind "starvation" where an M suffers more than a bound.

    Args:
        bound: bypasses that an M may suffer in one wait; None: only count.

    Attributes:
        most: by lock or word, the most that one M has suffered in any run so far.
    """

    name = "bypasses"

    def __init__(self, bound: int | None = None) -> None:
        self.bound = bound
        self.most: dict[str, int] = {}

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._engine: Any = world.engine
        self._came: dict[str, dict[int, int]] = {}
        self._suffered: dict[str, dict[int, int]] = {}
        self._arrivals = 0
        self._finding: Finding | None = None

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """See whether a lock was taken, and past whom."""
        if kind in SWAPS and not isinstance(op, LockOp):
            self._swapped(task, obj, result)
        elif isinstance(op, LockOp):
            if result is not MORE and result is not PARKED and op.mutex.excludes:
                self._mutex_taken(task, op.mutex)
        elif kind_of(kind).lock == "takes" and result not in (MORE, PARKED, False):
            for other in self._engine.tasks:
                op_of = other.op
                if (
                    other is not task
                    and other.state is State.PARKED
                    and op_of is not None
                    and op_of.obj == obj
                    and kind_of(op_of.kind).lock == "takes"
                ):
                    self._comes(obj, other.id)
            self._taken(task, obj)

    def end(self, world: World) -> Sequence[Finding]:
        """The first M that suffered more than the bound."""
        return () if self._finding is None else (self._finding,)

    def _swapped(self, task: Task, obj: str, result: object) -> None:
        if result is False:
            self._comes(obj, task.id)
        elif result is True:
            self._taken(task, obj)

    def _mutex_taken(self, task: Task, mutex: Any) -> None:
        """The lock's own book knows who came before."""
        for m in mutex.book.waiting:
            self._note(mutex.name, m, task.id, mutex.book.bypassed(m))

    def _comes(self, lock: str, m: int) -> None:
        """`m` waits, from now on if it did not before."""
        came = self._came.setdefault(lock, {})
        if m not in came:
            self._arrivals += 1
            came[m] = self._arrivals

    def _taken(self, task: Task, lock: str) -> None:
        """`task` has the lock: who came before it and waits has been passed."""
        came = self._came.setdefault(lock, {})
        suffered = self._suffered.setdefault(lock, {})
        before = came.pop(task.id, self._arrivals + 1)
        suffered.pop(task.id, None)
        self.most.setdefault(lock, 0)
        for m, number in came.items():
            if number < before:
                suffered[m] = suffered.get(m, 0) + 1
                self._note(lock, m, task.id, suffered[m])

    def _note(self, lock: str, m: int, by: int, count: int) -> None:
        self.most[lock] = max(self.most.get(lock, 0), count)
        if self.bound is not None and count > self.bound and self._finding is None:
            text = (
                f"starvation: others that came later got {lock} {count} times while M{m} waited "
                f"for it, and the bound is {self.bound}"
            )
            self._finding = Finding(
                "starvation",
                lock,
                "",
                text,
                (m, by),
                self._engine.steps,
                f"{self.name}:{self.bound}",
            )

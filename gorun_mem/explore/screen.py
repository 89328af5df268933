"""The look at every run of a search that costs little, and says which runs to look at closely.

Detectors name a failure: where, since when, who else. Most runs have none, so most runs are only
screened, and one in which something may be wrong is run again, by its tape, with the detectors
looking on. A screen may suspect a run for nothing, which costs that run twice; it must never pass
one over in which a detector that is `screened` would find something. What it looks for:

    data races       a plain access by a second M, one of the two a change, with no lock held in
                     common. Two accesses under one lock are ordered by it, and most programs need
                     no more (lock sets, as in Eraser). Where a run was suspected and no race found,
                     the program orders its accesses otherwise: the screen keeps vector clocks then.
    order and ranks  of locks: a lock taken under others, in a way that no look has cleared so far
    leaked locks     a lock that is held at the end by an M that has ended

Failures that end the run need no screen, and wakeups, deadlocks and livelocks are those.

Source: S. Savage et al., "Eraser: A Dynamic Data Race Detector for Multithreaded Programs", SOSP
1997.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.explore.detectors.races import LAYER, MEMORY, Races
from gorun_mem.machine.ops import Access
from gorun_mem.runtime.kinds import named
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

Locks = tuple[str, ...]
"""Names of locks that an M holds, in the order taken."""
Nesting = tuple[int, Locks, str]
"""An M took a lock while it held others."""

NESTINGS_MAX: Final = 100_000
"""Sets of nestings that are kept as cleared; with more, all are forgotten."""

_PLAIN: Final = named(lambda kind: kind.order == "plain")
_TAKES: Final = named(lambda kind: kind.lock == "takes")
_GIVES: Final = named(lambda kind: kind.lock == "gives")
_READS: Final = named(lambda kind: kind.reads)
_CALL: Final = "none.lock"
_JOIN: Final = "join"
SCREENED: Final = _PLAIN | _TAKES | _GIVES | {_CALL, _JOIN}
"""Kinds of step that are something to a screen, beside those by which a runtime lock is taken."""

_NOBODY: Final = -1
_SEVERAL: Final = -2
_NONE: Final[Locks] = ()


class _Word:
    """A word of user memory that was touched.

    Attributes:
        m: who touched it last.
        calls: how often anything had changed hands then.
    """

    __slots__ = ("calls", "m")

    def __init__(self, m: int, calls: int) -> None:
        self.m = m
        self.calls = calls


@mypyc_attr(allow_interpreted_subclasses=True)
class Screen:
    """Looks at one run after another of one program.

    Attributes:
        clocked: it keeps vector clocks, for lock sets were not enough.
    """

    def __init__(self) -> None:
        self.clocked = False
        self._cleared: set[frozenset[Nesting]] = set()
        self._lock_ops: dict[type, int] = {}
        self._clocks: Any = None
        self._doubt = False

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._world: Any = world
        self._engine: Any = world.engine
        self._whole_calls = world.config.granularity == "sync"
        self._doubt = False
        self._before = 1
        self._held: dict[int, Locks] = {}
        self._nestings: set[Nesting] = set()
        self._first: dict[str, int] = {}
        self._changed: set[str] = set()
        self._common: dict[str, Locks] = {}
        self._words: dict[int, _Word] = {}
        if self.clocked:
            self._clocks = Races(places=False)
            self._clocks.begin(world)

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """An access was made; see `Detector.step`."""
        if self.clocked:
            self._clocks.step(task, op, kind, obj, reads, result)
        if result is None or result is True:
            what = self._lock_ops.get(type(op), _NOBODY)
            if what:
                self._is_lock_op(task, op, what)
        if kind not in SCREENED:
            return
        if kind in _PLAIN:
            if not (self.clocked or self._doubt):
                self._access(task, op, kind, obj)
        elif kind in _TAKES:
            if not (result is MORE or result is PARKED or result is False) and not isinstance(
                op, LockOp
            ):
                self._takes(task.id, obj, None)
        elif kind in _GIVES:
            if result is not MORE and result is not PARKED and not isinstance(op, UnlockOp):
                self._gives(task.id, obj)
        elif kind == _CALL and self._whole_calls and not self.clocked:
            mutex: Any = getattr(op, "mutex", None)
            if mutex is not None and mutex.name == "memlock":
                for part in LAYER:
                    self._touch(task.id, part, True)
        elif kind == _JOIN and not task.id and result is not PARKED:
            joined = [m for m in self._engine.tasks if getattr(m, "join", None) is op]
            self._before += sum(m.state is State.DONE for m in joined)

    def suspects(self) -> bool:
        """Whether a detector might find something in the run, which has ended."""
        if self._doubt or (self.clocked and self._clocks.end(self._world)):
            return True
        if self._nestings and frozenset(self._nestings) not in self._cleared:
            return True
        return bool(self._held) and self._leaks()

    def clear(self) -> None:
        """The run was looked at closely, and nothing was found in it."""
        if self._doubt:
            self.clocked = True
        if self._nestings:
            if len(self._cleared) >= NESTINGS_MAX:
                self._cleared.clear()
            self._cleared.add(frozenset(self._nestings))

    # Locks.

    def _is_lock_op(self, task: Task, op: Any, what: int) -> None:
        """An operation that comes to nothing is through: it may be a lock's."""
        if what == _NOBODY:
            what = 1 if isinstance(op, LockOp) else 2 if isinstance(op, UnlockOp) else 0
            self._lock_ops[type(op)] = what
        if not what or not op.mutex.excludes:
            return
        if what == 1:
            self._takes(task.id, op.mutex.name, op.mutex)
        else:
            self._gives(task.id, op.mutex.name)

    def _takes(self, m: int, lock: str, mutex: Any) -> None:
        held = self._held
        before = held.get(m, _NONE)
        if before:
            self._nestings.add((m, before, lock))
        if len(held) > bool(before) and self._is_shared(lock, mutex):
            self._doubt = True  # it orders nothing
        held[m] = (*before, lock)

    def _is_shared(self, lock: str, mutex: Any) -> bool:
        """Whether somebody has a lock that an M has just taken.

        An M whose unlock is under way has a runtime lock no more as soon as another may take it.
        """
        has = [m for m, locks in self._held.items() if lock in locks]
        if mutex is None or not has:
            return bool(has)
        return any(task.id in has and mutex in task.go.held for task in self._engine.tasks)

    def _gives(self, m: int, lock: str) -> None:
        held = self._held
        for owner in (m, *[other for other in held if other != m]):
            locks = held.get(owner, _NONE)
            for at in range(len(locks) - 1, -1, -1):
                if locks[at] == lock:
                    if len(locks) == 1:
                        del held[owner]
                    else:
                        held[owner] = locks[:at] + locks[at + 1 :]
                    return

    def _leaks(self) -> bool:
        """Whether somebody that has ended holds a lock."""
        if self._world.failure is None and 0 in self._held:
            return True
        return any(
            task.state is State.DONE and task.id in self._held for task in self._engine.tasks
        )

    # Accesses.

    def _access(self, task: Task, op: Op, kind: str, obj: str) -> None:
        """A plain access."""
        m = task.id
        if not m and self._before == len(self._engine.tasks):
            return  # nobody else has begun, or all have ended and were waited for
        if obj.startswith(MEMORY) and self._whole_calls and isinstance(op, Access):
            self._touch_memory(m, int(obj[len(MEMORY) :], 16))
        else:
            self._touch(m, obj, kind not in _READS)

    def _touch(self, m: int, obj: str, writes: bool) -> None:
        held = self._held.get(m, _NONE)
        first = self._first.get(obj, _NOBODY)
        if first == _NOBODY:
            self._first[obj] = m
            self._common[obj] = held
            if writes:
                self._changed.add(obj)
            return
        common = self._common[obj]
        if common != held:
            common = self._common[obj] = _both(common, held)
        if writes:
            self._changed.add(obj)
        if first != m:
            if first != _SEVERAL:
                self._first[obj] = _SEVERAL
            if not common and obj in self._changed:
                self._doubt = True

    def _touch_memory(self, m: int, addr: int) -> None:
        """Words that change hands belong to one M after the other, with a call between."""
        runtime = self._world.runtime
        size = runtime.platform.word_size
        ledger = runtime.os.ledger
        calls = ledger.calls if ledger is not None else 0
        for at in range(addr & -size, addr + size, size):
            word = self._words.get(at)
            if word is None:
                self._words[at] = _Word(m, calls)
                continue
            if word.m != m:
                owner = ledger.ownership(at) if ledger is not None else None
                if owner is None or owner.call <= word.calls:
                    self._doubt = True
                word.m = m
            word.calls = calls


def _both(some: Locks, others: Iterable[str]) -> Locks:
    """The locks that are in both."""
    return tuple([lock for lock in some if lock in others])

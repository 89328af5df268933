"""The notes of futex platforms: lock_futex.go, the same in every release.

The word is 0, or 1 once woken, and the kernel knows the sleepers.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.behaviour import NEWEST_BEHAVIOUR, Behaviour
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.mutex.machine import state
from gorun_mem.runtime.mutex.note import DOUBLE_WAKEUP, WOKEN, Note, NoteOp
from gorun_mem.runtime.op import PARKED, MLike


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexNoteWakeup(NoteOp):
    """notewakeup of lock_futex.go."""

    __slots__ = ()
    FIRST = "mark"

    @state("atomic.xchg")
    def mark(self, m: MLike) -> object:
        """Mark the note as woken."""
        note: FutexNote = self.mutex
        before, note.key = note.key, WOKEN
        if before:
            raise Throw(DOUBLE_WAKEUP, f"{DOUBLE_WAKEUP} ({before})", note=note.name, m=m.id)
        return self.goto(m, "wake")

    @state("futexwakeup")
    def wake(self, m: MLike) -> object:
        """Wake whoever sleeps on the note."""
        self.mutex.word.wakeup(m, 1)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexNoteSleep(NoteOp):
    """notesleep, and notetsleep with a negative time, of lock_futex.go."""

    __slots__ = ("deadline_ns", "has_result", "ns")
    FIRST = "look"
    REGISTERS = ("deadline_ns", "ns")

    ns: int
    """How long to sleep at most; negative: for ever."""
    has_result: bool
    """This is notetsleep."""
    deadline_ns: int
    """When to give up."""

    def woken(self) -> object:
        """What the call returns once the wakeup is there."""
        return True if self.has_result else None

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Has the wakeup come?"""
        if self.mutex.key:
            return self.woken()
        self.deadline_ns = m.sched.now_ns + self.ns
        return self.goto(m, "sleep")

    @state("futexsleep")
    def sleep(self, m: MLike) -> object:
        """Sleep while the word is 0, for what is left of the time."""
        note: FutexNote = self.mutex
        m.go.blocked = True
        if not note.word.sleep(m, note.key, 0):
            return self.goto(m, "look_again")
        self.goto(m, "wake_up")
        if self.ns >= 0:
            m.sched.sleep_until(m, m.sched.now_ns + self.ns)
        return PARKED

    @state("futexsleep")
    def wake_up(self, m: MLike) -> object:
        """Come back from the kernel, and read the word."""
        self.mutex.word.leave(m)
        return self.look_again(m)

    @state("atomic.load")
    def look_again(self, m: MLike) -> object:
        """Awake: was it the wakeup, the time, or nothing?"""
        note: FutexNote = self.mutex
        m.go.blocked = False
        now = m.sched.now_ns
        if self.ns < 0:
            return self.woken() if note.key else self.goto(m, "sleep")
        if note.key or now >= self.deadline_ns:
            return self.goto(m, "look_last")
        self.ns = self.deadline_ns - now
        return self.goto(m, "sleep")

    @state("atomic.load")
    def look_last(self, m: MLike) -> object:
        """The result: a wakeup may have come since."""
        return self.mutex.key != 0


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexNote(Note):
    """The note of futex platforms, every release."""

    __slots__ = ("word",)
    flavour = "futex"

    def __init__(self, name: str = "note", behaviour: Behaviour = NEWEST_BEHAVIOUR) -> None:
        super().__init__(name, behaviour)
        self.word = FutexQueue()

    def wakeup(self) -> NoteOp:
        """Go's notewakeup."""
        return FutexNoteWakeup(self)

    def _sleep(self, ns: int, has_result: bool) -> NoteOp:
        op = FutexNoteSleep(self)
        op.ns = ns
        op.has_result = has_result
        return op

    def sleep(self) -> NoteOp:
        """Go's notesleep."""
        return self._sleep(-1, False)

    def tsleep(self, ns: int) -> NoteOp:
        """Go's notetsleep."""
        return self._sleep(ns, True)

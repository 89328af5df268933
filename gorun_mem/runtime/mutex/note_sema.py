"""The notes of semaphore platforms, Plan 9 among them: lock_sema.go, the same in every release.

The word is 0, the address of the M that sleeps, or 1 once woken.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.behaviour import NEWEST_BEHAVIOUR, Behaviour
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.m import m_address, m_number
from gorun_mem.runtime.mutex.machine import SEMA, WAKEE, state
from gorun_mem.runtime.mutex.note import DOUBLE_WAKEUP, WOKEN, Note, NoteOp
from gorun_mem.runtime.mutex.semaphore import sema_acquire, sema_timeout_ns, sema_wakeup
from gorun_mem.runtime.op import PARKED, MLike


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaNoteWakeup(NoteOp):
    """notewakeup of lock_sema.go."""

    __slots__ = ("v", "wakem")
    FIRST = "look"
    REGISTERS = ("v", "wakem")

    v: int
    wakem: int

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Read who sleeps."""
        self.v = self.wakem = self.mutex.key
        return self.goto(m, "mark")

    @state("atomic.cas")
    def mark(self, m: MLike) -> object:
        """Mark the note as woken."""
        note: SemaNote = self.mutex
        if note.key != self.v:
            return self.goto(m, "look")
        note.key = WOKEN
        if self.v == 0:
            return None
        if self.v == WOKEN:
            raise Throw(DOUBLE_WAKEUP, note=note.name, m=m.id)
        return self.goto(m, "wake")

    @state("semawakeup", WAKEE)
    def wake(self, m: MLike) -> object:
        """Wake the M that sleeps on the note."""
        sema_wakeup(m, self.mutex.ms[m_number(self.wakem)])
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaNoteSleep(NoteOp):
    """notesleep, and notetsleep with a negative time, of lock_sema.go."""

    __slots__ = ("ns",)
    FIRST = "register"
    TEXT = "notesleep - waitm out of sync"

    ns: int
    """How long to sleep at most; negative: for ever."""

    def timed(self) -> bool:
        """Whether this is notetsleep, which has a result."""
        return False

    @state("atomic.cas")
    def register(self, m: MLike) -> object:
        """Say who sleeps, unless the wakeup has come."""
        note: SemaNote = self.mutex
        if note.key != 0:
            return self.goto(m, "look_twice")
        note.key = m_address(m.id)
        note.ms[m.id] = m
        m.go.blocked = True
        return self.goto(m, self.asleep())

    def asleep(self) -> str:
        """The state in which it sleeps."""
        return "sleep"

    @state("atomic.load")
    def look_twice(self, m: MLike) -> object:
        """Somebody was first: was it the wakeup?"""
        note: SemaNote = self.mutex
        if note.key != WOKEN:
            raise Throw(self.TEXT, note=note.name, m=m.id)
        return self.woken()

    def woken(self) -> object:
        """What the call returns once the wakeup is there."""
        return True if self.timed() else None

    @state("semasleep", SEMA)
    def sleep(self, m: MLike) -> object:
        """Sleep until woken."""
        if not sema_acquire(m):
            return PARKED
        m.go.blocked = False
        return self.woken()


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaNoteTsleep(SemaNoteSleep):
    """notetsleep of lock_sema.go."""

    __slots__ = ("deadline_ns",)
    REGISTERS = ("deadline_ns", "ns")
    TEXT = "notetsleep - waitm out of sync"

    deadline_ns: int
    """When to give up."""

    def timed(self) -> bool:
        """It returns whether the wakeup came."""
        return True

    @state("atomic.cas")
    def register(self, m: MLike) -> object:
        """Say who sleeps, and until when."""
        self.deadline_ns = m.sched.now_ns + self.ns
        return super().register(m)

    def asleep(self) -> str:
        """The state in which it sleeps, which depends on whether there is a limit."""
        return "sleep" if self.ns < 0 else "sleep_for"

    @state("semasleep", SEMA)
    def sleep_for(self, m: MLike) -> object:
        """Sleep for what is left of the time."""
        if sema_acquire(m):
            m.go.blocked = False
            return True
        timeout_ns = sema_timeout_ns(self.ns, self.mutex.behaviour.semasleep_wraps)
        m.sched.sleep_until(m, m.sched.now_ns + timeout_ns)
        self.goto(m, "wake_up")
        return PARKED

    @state("semasleep", SEMA)
    def wake_up(self, m: MLike) -> object:
        """Find out whether it was the wakeup or the time."""
        go = m.go
        if sema_acquire(m):
            go.blocked = False
            return True
        go.asleep = go.blocked = False
        self.ns = self.deadline_ns - m.sched.now_ns
        if self.ns > 0:
            go.blocked = True
            return self.goto(m, "sleep_for")
        return self.goto(m, "look")

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Before giving up: is this M still the one to be woken?"""
        key = self.mutex.key
        if key == m_address(m.id):
            return self.goto(m, "unregister")
        if key != WOKEN:
            text = "runtime: unexpected waitm - semaphore out of sync"
            raise Throw(text, note=self.mutex.name, m=m.id)
        m.go.blocked = True  # the wakeup is under way: take it, or the next sleep would
        return self.goto(m, "sleep")

    @state("atomic.cas")
    def unregister(self, m: MLike) -> object:
        """Give up, unless the wakeup comes now."""
        note: SemaNote = self.mutex
        if note.key != m_address(m.id):
            return self.goto(m, "look")
        note.key = 0
        return False


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaNote(Note):
    """The note of Plan 9, every release."""

    __slots__ = ("ms",)
    flavour = "sema"

    def __init__(self, name: str = "note", behaviour: Behaviour = NEWEST_BEHAVIOUR) -> None:
        super().__init__(name, behaviour)
        self.ms: dict[int, MLike] = {}

    def wakeup(self) -> NoteOp:
        """Go's notewakeup."""
        return SemaNoteWakeup(self)

    def sleep(self) -> NoteOp:
        """Go's notesleep."""
        return SemaNoteSleep(self)

    def tsleep(self, ns: int) -> NoteOp:
        """Go's notetsleep."""
        op = SemaNoteTsleep(self)
        op.ns = ns
        return op

"""One-time notifications: noteclear, notewakeup, notesleep and notetsleep.

A note is cleared, then one M may sleep on it and one may wake it, once; a wakeup that comes first
makes the sleep return at once. Waking twice without a clear between is a throw.

Four files have them. lock_sema.go (Plan 9, every release): the word is 0, the sleeping M, or 1 once
woken. lock_futex.go: the word is 0 or 1 and the kernel knows the sleepers. lock_js.go and
lock_wasip1.go: nobody may sleep on the system stack there, so sleeping throws. On js a wakeup makes
the goroutine ready that sleeps on the note without a look whether there is one, and so one that
comes first dies of a nil g.

Left out: notetsleepg, which parks a goroutine and is the one way to sleep on a note of js; the
tests for g0, and cgo_yield.
"""

from __future__ import annotations

import difflib
from typing import Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.behaviour import NEWEST, Behaviour, release
from gorun_mem.runtime.errors import Fault, Throw
from gorun_mem.runtime.m import m_address, m_number
from gorun_mem.runtime.mutex.futex_word import FutexWord
from gorun_mem.runtime.mutex.machine import SEMA, WAKEE, MutexOp, state
from gorun_mem.runtime.mutex.semaphore import sema_acquire, sema_timeout_ns, sema_wakeup
from gorun_mem.runtime.op import PARKED, MLike

_NEWEST: Final = release(NEWEST).behaviour
WOKEN: Final = 1
DOUBLE_WAKEUP: Final = "notewakeup - double wakeup"


@mypyc_attr(allow_interpreted_subclasses=True)
class NoteOp(MutexOp):
    """An operation on a note, which stands in the place of the mutex."""

    __slots__ = ()
    abandonable = False  # the note would go on pointing to an M that no longer sleeps on it


@mypyc_attr(allow_interpreted_subclasses=True)
class NoteClear(NoteOp):
    """noteclear."""

    __slots__ = ()
    FIRST = "clear"

    @state("atomic.store")
    def clear(self, m: MLike) -> object:
        """Forget the wakeup."""
        self.mutex.key = 0
        return None


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
class NoSleepWakeup(NoteOp):
    """notewakeup of lock_js.go and lock_wasip1.go."""

    __slots__ = ()
    FIRST = "mark"

    @state("atomic.store")
    def mark(self, m: MLike) -> object:
        """Mark the note as woken."""
        note: NoSleepNote = self.mutex
        if note.key:
            printed = [f"{DOUBLE_WAKEUP} ({note.key})"] if note.flavour == "wasip1" else []
            raise Throw(DOUBLE_WAKEUP, *printed, note=note.name, m=m.id)
        note.key = WOKEN
        if note.flavour == "js":
            raise Fault(0, f"goready of a nil g: nobody sleeps on note {note.name}")
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class NoSleep(NoteOp):
    """notesleep and notetsleep of lock_js.go and lock_wasip1.go."""

    __slots__ = ("call",)
    FIRST = "refuse"

    call: str

    @state("atomic.load")
    def refuse(self, m: MLike) -> object:
        """There is no other thread that could wake this one."""
        platform = "js" if self.mutex.flavour == "js" else "wasi"
        raise Throw(f"{self.call} not supported by {platform}", note=self.mutex.name, m=m.id)


@mypyc_attr(allow_interpreted_subclasses=True)
class Note:
    """A note; the base of the flavours.

    Args:
        name: its name in the log.
        behaviour: of the Go release; the newest's where not given.
    """

    __slots__ = ("behaviour", "key", "key_obj", "name")
    flavour = ""

    def __init__(self, name: str = "note", behaviour: Behaviour = _NEWEST) -> None:
        self.name = name
        self.behaviour = behaviour
        self.key = 0
        self.key_obj = f"{name}.key"

    def clear(self) -> NoteOp:
        """Go's noteclear."""
        return NoteClear(self)

    def wakeup(self) -> NoteOp:
        """Go's notewakeup."""
        raise NotImplementedError

    def sleep(self) -> NoteOp:
        """Go's notesleep."""
        raise NotImplementedError

    def tsleep(self, ns: int) -> NoteOp:
        """Go's notetsleep: sleep at most `ns`, for ever if negative; whether woken."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.flavour} note {self.name}: {self.key:#x}>"


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaNote(Note):
    """The note of Plan 9, every release."""

    __slots__ = ("ms",)
    flavour = "sema"

    def __init__(self, name: str = "note", behaviour: Behaviour = _NEWEST) -> None:
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


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexNote(Note):
    """The note of futex platforms, every release."""

    __slots__ = ("word",)
    flavour = "futex"

    def __init__(self, name: str = "note", behaviour: Behaviour = _NEWEST) -> None:
        super().__init__(name, behaviour)
        self.word = FutexWord()

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


@mypyc_attr(allow_interpreted_subclasses=True)
class NoSleepNote(Note):
    """The note of one-M platforms."""

    __slots__ = ("flavour",)

    def __init__(
        self, name: str = "note", behaviour: Behaviour = _NEWEST, flavour: str = "js"
    ) -> None:
        super().__init__(name, behaviour)
        self.flavour = flavour

    def wakeup(self) -> NoteOp:
        """Go's notewakeup."""
        return NoSleepWakeup(self)

    def _refuse(self, call: str) -> NoteOp:
        op = NoSleep(self)
        op.call = call
        return op

    def sleep(self) -> NoteOp:
        """Go's notesleep: a throw."""
        return self._refuse("notesleep")

    def tsleep(self, ns: int) -> NoteOp:
        """Go's notetsleep: a throw."""
        return self._refuse("notetsleep")


NOTES: Final = ("js", "wasip1", "sema", "futex")
"""The flavours that `make_note` knows."""


def make_note(flavour: str, name: str = "note", behaviour: Behaviour = _NEWEST) -> Note:
    """A cleared note.

    Args:
        flavour: one of NOTES; Plan 9 has "sema".
        name: its name in the log.
        behaviour: of the Go release; the newest's where not given.

    Raises:
        ValueError: there is no such flavour.
    """
    if flavour in ("js", "wasip1"):
        return NoSleepNote(name, behaviour, flavour)
    classes: dict[str, Any] = {"sema": SemaNote, "futex": FutexNote}
    if flavour not in classes:
        near = difflib.get_close_matches(flavour, NOTES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"no note flavour {flavour!r}: {hint}there are {', '.join(NOTES)}")
    note: Note = classes[flavour](name, behaviour)
    return note

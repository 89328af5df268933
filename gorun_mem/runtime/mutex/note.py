"""One-time notifications: noteclear, notewakeup, notesleep and notetsleep.

A note is cleared, then one M may sleep on it and one may wake it, once; a wakeup that comes first
makes the sleep return at once. Waking twice without a clear between is a throw.

Four files have them: lock_sema.go (note_sema.py), lock_futex.go (note_futex.py), and lock_js.go and
lock_wasip1.go, which are here: nobody may sleep on the system stack there, so sleeping throws. On
js a wakeup makes the goroutine ready that sleeps on the note without a look whether there is one,
and so one that comes first dies of a nil g.

Left out: notetsleepg, which parks a goroutine and is the one way to sleep on a note of js; the
tests for g0, and cgo_yield.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.behaviour import NEWEST_BEHAVIOUR, Behaviour
from gorun_mem.runtime.errors import Fault, Throw
from gorun_mem.runtime.mutex.machine import MutexOp, state
from gorun_mem.runtime.op import MLike

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

    def __init__(self, name: str = "note", behaviour: Behaviour = NEWEST_BEHAVIOUR) -> None:
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
class NoSleepNote(Note):
    """The note of one-M platforms."""

    __slots__ = ()

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


@mypyc_attr(allow_interpreted_subclasses=True)
class JsNote(NoSleepNote):
    """The note of lock_js.go."""

    __slots__ = ()
    flavour = "js"


@mypyc_attr(allow_interpreted_subclasses=True)
class Wasip1Note(NoSleepNote):
    """The note of lock_wasip1.go."""

    __slots__ = ()
    flavour = "wasip1"

"""Notes, and the semaphores and futex words under them, as what is verified.

One M sleeps on a note and another wakes it, once a round, as Go's rules have it: cleared before,
one sleeper, one wakeup. Each way of sleeping is tried; with `timeouts`, one that has a limit too.
Time is nobody's: a limit may be over at any moment from when it is set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gorun_mem.explore.states.model import Model, Violation
from gorun_mem.explore.states.parts import Common, Outcomes, Own, can_end_alone, refused
from gorun_mem.runtime.errors import EmulatedFailure, Fault, Throw
from gorun_mem.runtime.m import m_address, m_number
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.mutex.note import DOUBLE_WAKEUP, WOKEN, Note

MS_NS: Final = 1_000_000
LIMIT_NS: Final = 3 * MS_NS
"""How long a timed sleep lasts."""
LIMITS: Final = {"tsleep": LIMIT_NS, "tsleep 0": 0}
"""The calls that have a limit; a semaphore rounds 0 up to 1 ms."""


class NoteModel(Model):
    """An M that sleeps on a note, and one that wakes it.

    Args:
        note: the note.
        timeouts: the sleep may have a limit.
        spurious: a sleep on a futex may end for no reason.
        cpus: what the Ms think they run on.
    """

    rest_phase = "rest"

    def __init__(self, note: Note, *, timeouts: bool, spurious: bool, cpus: int) -> None:
        super().__init__(f"{note.flavour} note", 2, cpus)
        self.subject = note
        self.queue: Any = getattr(note, "word", None)
        if self.queue is not None:
            self.queue.spurious = spurious
        self.timeouts = timeouts
        self.interrupts = spurious
        self.monitor = ("idle", -1)
        self._second_sleeps = False  # while `misuse` asks, as is the next
        self._only: tuple[str, ...] = ()
        self._table: Any = getattr(note, "ms", None)

    # The words

    def words(self) -> tuple[Any, ...]:
        """The key, and who is on the kernel's list."""
        sleepers = self.queue.sleepers if self.queue is not None else ()
        return (self.subject.key, tuple(sleepers))

    def restore(self, words: tuple[Any, ...]) -> None:
        """Set them; an M's address leads to it."""
        self.subject.key = words[0]
        if self.queue is not None:
            self.queue.sleepers[:] = words[1]
        if self._table is not None:
            self._table.update({m.id: m for m in self.ms})

    def in_words(self, shared: Common) -> str:
        """The key, for people."""
        key, sleepers = shared.words
        text = "woken" if key == WOKEN else f"M{m_number(key)} sleeps" if key else "0"
        if sleepers:
            text += " | sleepers: " + ", ".join(f"M{one.at + 1}" for one in sleepers)
        return text

    # The programs

    def first_phase(self, place: int) -> str:
        """At rest."""
        return self.rest_phase

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """The sleeper clears and sleeps; the other wakes it, once it has cleared."""
        if self._only:
            return self._only
        if place == 1 and not self._second_sleeps:
            return ("wakeup",) if self.monitor[0] == "cleared" else ()
        if phase == self.rest_phase:
            return ("clear",)
        if phase == "again":
            return ("sleep", "tsleep for ever")
        return ("sleep", "tsleep for ever", *LIMITS) if self.timeouts else ("sleep",)

    def op(self, call: str) -> MutexOp:
        """The real operation."""
        note: Note = self.subject
        if call in LIMITS:
            return note.tsleep(LIMITS[call])
        if call == "tsleep for ever":
            return note.tsleep(-1)
        made: Callable[[], MutexOp] = getattr(note, call)
        return made()

    # What is watched

    def begins(self, place: int, call: str) -> None:
        """Note that a wakeup was called, or when a sleep began.

        An address leads to the M only once it has said so itself.
        """
        stage, since_ns = self.monitor
        if self._table is not None and call != "wakeup":
            self._table.pop(place + 1, None)
        if call == "wakeup":
            stage = "called"
        elif call in LIMITS:
            since_ns = int(self.sched.clock_ns)
        self.monitor = (stage, since_ns)

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """A sleep says truly whether the wakeup has come.

        Raises:
            Violation: it does not.
        """
        number, key = place + 1, self.subject.key
        stage, since_ns = self.monitor
        if call == "clear":
            self.monitor = ("cleared", -1)
            if key:
                raise Violation("noteclear returned, and the note is not cleared")
            return "sleep", False
        if call == "wakeup":
            return self.rest_phase, True
        self._back(number, call)
        self.monitor = (stage, -1)
        if (result is None) is not (call == "sleep") or result not in (None, True, False):
            raise Violation(f"M{number}'s {call} returned {result!r}")
        if result is not False:
            if stage != "called":
                raise Violation(f"M{number}'s {call} returned as woken, and nobody has woken it")
            if key != WOKEN:
                raise Violation(f"M{number}'s {call} returned as woken, and the note is not")
            return self.rest_phase, True
        if call not in LIMITS:
            raise Violation(f"M{number}'s {call} says that its time is up, and it has no limit")
        if key == WOKEN:
            raise Violation(f"M{number}'s {call} says that its time is up, and the note is woken")
        if self.sched.clock_ns < since_ns + LIMITS[call]:
            raise Violation(f"M{number}'s {call} says that its time is up before it is")
        return "again", False

    def _back(self, number: int, call: str) -> None:
        """Whoever returns from a sleep sleeps nowhere any more.

        Raises:
            Violation: the kernel, the semaphore or Go's own word has it as asleep.
        """
        m = self.ms[number - 1]
        if self.queue is not None and m in self.queue.sleepers:
            raise Violation(f"M{number}'s {call} returned, and the kernel's list still has it")
        if m.go.asleep or m.go.blocked:
            raise Violation(f"M{number}'s {call} returned, and it still counts as asleep")
        if m.go.waitsema:
            raise Violation(f"M{number}'s {call} returned, and left a wakeup in its semaphore")

    def stepped(self, place: int, call: str) -> None:
        """Whoever sleeps says so, and is found by its address.

        Raises:
            Violation: not so.
        """
        m = self.ms[place]
        named = self.subject.key == m_address(m.id)
        if self._table is not None and named and m.id not in self._table:
            raise Violation(f"M{m.id} wants to be woken, and no address leads to it")
        if not m.parked:
            return
        stage, since_ns = self.monitor
        if not m.go.blocked:
            raise Violation(f"M{m.id} sleeps, and m.blocked does not say so")
        if m.go.waitsema:
            raise Violation(f"M{m.id} sleeps, and a wakeup is in its semaphore")
        if call in LIMITS:
            limit = LIMITS[call]
            late = max(limit, MS_NS) if self.queue is None else limit
            if stage != "called" and not since_ns + limit <= m.timer <= since_ns + late:
                raise Violation(f"M{m.id} sleeps, and not up to its limit")
        elif m.timer >= 0:
            raise Violation(f"M{m.id} sleeps up to a limit, and has none")

    def wrong_end(self, start: Common, end: Common, owns: Sequence[Own]) -> str:
        """The note is woken, and nobody sleeps on it."""
        key, sleepers = end.words
        if key != WOKEN or sleepers:
            return f"the note does not end as woken: {self.in_words(end)}"
        return super().wrong_end(end, end, owns)

    def misuse(self, outcomes: Outcomes, shared: Common) -> str:
        """A second wakeup, and a second M that sleeps on a semaphore's note, must be refused."""
        own = Own(self.rest_phase, 0)
        cleared = shared._replace(monitor=("cleared", -1))
        if shared.words[0] == WOKEN:
            if not refused(outcomes, 1, cleared, own, (DOUBLE_WAKEUP,)):
                return "a second wakeup of a note is not refused"
            return ""
        if self.timeouts:
            for call in LIMITS:
                self._only = (call,)
                alone = can_end_alone(outcomes, 0, cleared, Own("sleep", 0))
                self._only = ()
                if not alone:
                    return f"a {call} that nobody wakes does not end"
        if self.queue is not None:
            return ""  # the kernel lets several sleep
        self._second_sleeps = True
        try:
            asleep = outcomes(1, cleared, Own("sleep", 0))[0]
            for move in outcomes(0, asleep.shared or cleared, Own("sleep", 0)):
                if move.shared is None or move.own is None or not refused(
                    outcomes, 0, move.shared, move.own, ("waitm out of sync",)
                ):  # fmt: skip
                    return "a second M that sleeps on a note is not refused"
        finally:
            self._second_sleeps = False
        return ""


class NoSleepModel(Model):
    """The one M of a wasm platform and its note: who sleeps throws, and on js who wakes dies.

    Args:
        note: the note.
        cpus: what the M thinks it runs on.
    """

    rest_phase = "cleared"

    def __init__(self, note: Note, *, cpus: int) -> None:
        super().__init__(f"{note.flavour} note", 1, cpus)
        self.subject = note

    def words(self) -> tuple[Any, ...]:
        """The key."""
        return (self.subject.key,)

    def restore(self, words: tuple[Any, ...]) -> None:
        """Set it."""
        (self.subject.key,) = words

    def in_words(self, shared: Common) -> str:
        """The key, for people."""
        return "woken" if shared.words[0] else "0"

    def first_phase(self, place: int) -> str:
        """A new note is cleared."""
        return self.rest_phase

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """Anything."""
        return ("wakeup", "clear", "sleep", "tsleep")

    def op(self, call: str) -> MutexOp:
        """The real operation."""
        note: Note = self.subject
        if call == "tsleep":
            return note.tsleep(LIMIT_NS)
        made: Callable[[], MutexOp] = getattr(note, call)
        return made()

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """Only a first wakeup on wasip1, and a clear, return.

        Raises:
            Violation: another call does, or the note says something else.
        """
        key = self.subject.key
        if call == "clear" and not key:
            return self.rest_phase, True
        if call == "wakeup" and key == WOKEN and self.was == 0 and self.subject.flavour != "js":
            return "woken", True
        raise Violation(f"{call} of a note that was {self.was} returned, and it is {key}")

    def begins(self, place: int, call: str) -> None:
        """Remember what the note was."""
        self.was = self.subject.key

    def died(self, place: int, call: str, failure: EmulatedFailure) -> tuple[str, bool] | None:
        """What must die, dies of the right thing."""
        key, flavour = self.subject.key, self.subject.flavour
        if call in ("sleep", "tsleep"):
            named = f"note{call} not supported by {'js' if flavour == 'js' else 'wasi'}"
            right = isinstance(failure, Throw) and failure.message == named
        elif self.was:
            right = isinstance(failure, Throw) and failure.message == DOUBLE_WAKEUP
        else:
            right = isinstance(failure, Fault) and flavour == "js" and key == WOKEN
        return (("woken" if key else self.rest_phase), True) if right else None

    def wrong_end(self, start: Common, end: Common, owns: Sequence[Own]) -> str:
        """Nothing can be."""
        return ""

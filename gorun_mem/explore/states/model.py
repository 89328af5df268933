"""What is verified: a few Ms, each with a little program, that meet in one thing.

A model says what each M may call next, and watches: its `Violation`s are what a search looks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gorun_mem.explore.states.parts import Common, Outcomes, Own
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.mutex.spinbit import LOTS
from gorun_mem.runtime.op import MLike, Scheduler

VALUES_MAX: Final = 64
"""Of a choice among more values than that, the first two and the last stand for all."""


class Violation(Exception):
    """What must never be has come about."""


class StatesM(MLike):
    """An M whose whole state a search sets and reads."""

    def __init__(self, id: int, sched: StatesScheduler) -> None:
        super().__init__(id, sched)
        self.parked = False
        self.timer = -1


class StatesScheduler(Scheduler):
    """Answers operations, and draws as a search says.

    Args:
        cpus: what Ms think they run on; 1 turns spinning off.

    Attributes:
        draws: what the next choices are to be; 0 where there are no more.
        drawn: (number of values, value) of the choices of this step.
        unparked: numbers of the Ms made runnable in this step.
        lots: how many of the choices are lots that Go draws at random.
    """

    def __init__(self, cpus: int) -> None:
        super().__init__(cpus)
        self.draws: list[int] = []
        self.drawn: list[tuple[int, int]] = []
        self.unparked: list[int] = []
        self.lots = 0

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable."""
        assert isinstance(m, StatesM)
        m.parked, m.timer = False, -1
        self.unparked.append(m.id)

    def disable(self, m: MLike) -> None:
        """Take a runnable M out of those that may go."""
        assert isinstance(m, StatesM)
        m.parked = True

    def charge(self, kind: str, units: int) -> None:
        """Time is no part of a state."""

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """Note until when `m` sleeps; `Stepper` lets that time come."""
        assert isinstance(m, StatesM)
        m.timer = t_ns

    def choice(self, m: MLike, n: int, label: str) -> int:
        """What the search says; each value in turn."""
        if n < 2:
            return 0
        if label in LOTS:
            n = 2
            self.lots += 1
        at = len(self.drawn)
        value = self.draws[at] if at < len(self.draws) else 0
        self.drawn.append((n, value))
        return value

    def values(self, n: int) -> Sequence[int]:
        """The values that a choice among `n` may have."""
        return range(n) if n <= VALUES_MAX else (0, 1, n - 1)


class Model:
    """The base of what is verified.

    Args:
        name: what is verified, for people.
        ms: how many Ms.
        cpus: what they think they run on.

    Attributes:
        monitor: what the model remembers of the past, hashable; part of a state.
        told: what the lock's code told in this step.
        phase: where in its program the M is that makes it.
        endless: rounds are not counted: the Ms go on for ever.
        rest_phase: where an M is in its program that wants nothing.
        interrupts: a sleep with a limit may end for no reason.
        buffers: memory is TSO: each M has a store buffer.
        full: a buffer was to hold more than LATE_MAX stores.
    """

    subject: Any
    endless = False
    rest_phase = ""
    interrupts = False
    buffers = False
    full = False

    def __init__(self, name: str, ms: int, cpus: int) -> None:
        self.name = name
        self.sched = StatesScheduler(cpus)
        self.ms = [StatesM(i + 1, self.sched) for i in range(ms)]
        self.monitor: tuple[Any, ...] = ()
        self.told: list[str] = []
        self.phase = ""
        self.key_before = 0

    def smaller(self) -> Model | None:
        """The same with fewer Ms, to learn from; None where there is no such thing."""
        return None

    # The words

    def words(self) -> tuple[Any, ...]:
        """The subject's words."""
        return tuple(self.subject.snapshot())

    def restore(self, words: tuple[Any, ...]) -> None:
        """Set them."""
        self.subject.restore(words)
        self.key_before = self.subject.key

    def any_op(self) -> MutexOp:
        """What stands for an operation that a lock keeps for its statistics."""
        raise NotImplementedError

    # The programs

    def first_phase(self, place: int) -> str:
        """Where the program of the M at `place` begins."""
        raise NotImplementedError

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """What it may call next: the names of `op`; nothing while it has to wait."""
        raise NotImplementedError

    def op(self, call: str) -> MutexOp:
        """A new operation."""
        raise NotImplementedError

    # What it watches

    def begins(self, place: int, call: str) -> None:
        """The M at `place` makes the first access of `call`."""

    def stepped(self, place: int, call: str) -> None:
        """The M at `place` has made an access.

        Raises:
            Violation: something is wrong.
        """

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """`call` is through; the M's next phase, and whether that ends a round.

        Raises:
            Violation: it should not have returned, or not that.
        """
        raise NotImplementedError

    def died(self, place: int, call: str, failure: EmulatedFailure) -> tuple[str, bool] | None:
        """As `returned`, where the M is meant to die of `call` so; None where it is not."""
        return None

    def may_wait_for_ever(self, place: int) -> bool:
        """Whether the M at `place` need not get through."""
        return False

    def owned(self, m: MLike, before: int, after: int) -> None:
        """Hold the bits that `m` believes are its own against the word.

        Raises:
            Violation: a bit was given to it, or taken from it, in its belief alone or in the word
                alone.
        """

    def clean(self) -> None:
        """Forget what is no part of a state."""

    def wrong_end(self, start: Common, end: Common, owns: Sequence[Own]) -> str:
        """What is wrong with a state that nothing follows and in which all are through."""
        for number, (m, own) in enumerate(zip(end.ms, owns, strict=True), 1):
            if own.locks:
                return f"M{number}'s count of locks ends as {own.locks}"
            if m.waitsema:
                return f"M{number} has {m.waitsema} wakeup that it never took"
            if m.asleep or m.blocked or m.timer >= 0:
                return f"M{number} is through, and still counts as asleep"
        if end.words != start.words:
            return f"the lock does not come to rest: {self.in_words(end)}"
        return ""

    def misuse(self, outcomes: Outcomes, shared: Common) -> str:
        """What is wrong with how a call is answered that nobody should make in this state.

        Args:
            outcomes: makes steps.
            shared: a state in which all are in their `rest_phase`.
        """
        return ""

    def in_words(self, shared: Common) -> str:
        """The words, for people."""
        return str(self.subject.in_words(shared.words[0]))

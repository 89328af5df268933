"""Walks: Ms that call a lock or a note by chance, and what is seen after each step.

What makes the steps is a `Side`: this package's lock, or Go's own code (`go_locks`). The chance is
the seed's, and what is seen is the same exactly where both do the same, step by step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any, Final, Protocol

from gorun_mem.explore.states.model import StatesM, StatesScheduler
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.errors import EmulatedFailure, Throw
from gorun_mem.runtime.m import m_number
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, MutexOp
from gorun_mem.runtime.mutex.note import Note
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.mutex.spinbit import LOW_LATENCY
from gorun_mem.runtime.op import MORE, PARKED, MLike

STEPS: Final = 250
"""Of a walk."""
CHAIN_MAX: Final = 9
"""Ms of a chain that are looked at."""
FLAGS: Final = 0x3FF
"""What of a word is no address of an M."""
MORE_TO_DO, ASLEEP = "more", "asleep"
"""What a step says that does not end a call."""
DIES: Final = "dies"
"""What one says that ends a lock's walk; how an M is left is nobody's concern then."""


@dataclass(frozen=True)
class Shape:
    """What walks are made of.

    Args:
        lock: the module of runtime/mutex.
        go: the release whose code is followed.
        ms: how many Ms.
        cpus: how many CPUs they think there are.
        rate: 1 in how many releases is sampled for the mutex profile; 0 for none.
        low_latency: the lock is `sched.lock`.
        spurious: sleeps on a futex may end for no reason.
        walks: how many.
    """

    lock: str
    go: str
    ms: int = 3
    cpus: int = 4
    rate: int = 0
    low_latency: bool = False
    spurious: bool = False
    walks: int = 32

    @property
    def name(self) -> str:
        """Stands for it in the recordings."""
        more = [f"rate{self.rate}"] * (self.rate > 0)
        more += ["low_latency"] * self.low_latency + ["spurious"] * self.spurious
        return " ".join([self.lock, self.go, f"{self.ms}x{self.cpus}", *more])

    @property
    def has_chain(self) -> bool:
        """The Ms that sleep are chained, and their addresses in its word."""
        return self.lock in ("sema", "spinbit")

    @property
    def asks_first(self) -> bool:
        """To ask for it is a turn of its own."""
        return self.lock == "any_"

    @property
    def is_note(self) -> bool:
        """It is a note, not a lock."""
        return self.lock.startswith("note")


SHAPES: Final = (
    Shape("sema", "1.21.13", 3, 1), Shape("sema", "1.23.9", 3), Shape("sema", "1.23.9", 4, 1),
    Shape("futex", "1.21.13", 3, 1), Shape("futex", "1.23.9", 3),
    Shape("futex", "1.23.9", 4, 1, spurious=True),
    Shape("spinbit", "1.24.11", 3, 1), Shape("spinbit", "1.24.11", 3),
    Shape("spinbit", "1.24.11", 3, low_latency=True), Shape("spinbit", "1.26.6", 3, 1),
    Shape("spinbit", "1.25.5", 3, rate=2, walks=64),
    Shape("spinbit", "1.27.3", 4, 1, rate=2, walks=64), Shape("spinbit", "1.27.3", 4, 1, rate=1),
    Shape("spinbit", "1.27.3", 3, rate=2, low_latency=True),
    Shape("single", "1.23.9", 1, 1, walks=64), Shape("single", "1.27.3", 1, 1, walks=64),
    Shape("note_sema", "1.23.9", 2), Shape("note_sema", "1.25.5", 3),
    Shape("note_futex", "1.23.9", 2, walks=48),
    Shape("note_futex", "1.27.3", 3, spurious=True, walks=48),
    Shape("note", "1.23.9", 1, 1), Shape("note", "1.27.3", 1, 1),
)  # fmt: skip
"""What is recorded of Go's code."""
OWN_SHAPES: Final = (
    Shape("queue", "1.27.3"), Shape("queue", "1.23.9", 4), Shape("any_", "1.27.3"),
    Shape("any_", "1.23.9", 4),
)  # fmt: skip
"""What is compared with `plain_locks`: locks that no Go has."""


class Side(Protocol):
    """What makes the steps of Ms."""

    clock_ns: int

    def begin(self, place: int, call: str) -> None:
        """The M at `place` calls "lock", "unlock", "clear", "wakeup", "sleep" or "tsleep NS"."""

    def step(self, place: int, lot: int) -> tuple[str, str]:
        """It makes an access, and draws `lot` if it draws: the access, and MORE_TO_DO, ASLEEP, or
        what the call ends with."""

    def asleep(self, place: int) -> int | None:
        """Up to when it sleeps, -1 for ever; None where it is awake."""

    def rouse(self, place: int) -> None:
        """Its time is up, or the kernel ends its sleep for no reason."""

    def miscount(self, place: int) -> None:
        """Its count of locks is wrong from now on."""

    def end(self, place: int) -> None:
        """It has ended; another of its number begins."""

    def word(self) -> int:
        """The word."""

    def look(self) -> str:
        """What is seen besides: who was woken, who sleeps and how they are chained, and the Ms."""


@dataclass
class _Walker:
    """Draws what is called, and by whom."""

    side: Side
    shape: Shape
    random: Random

    def __post_init__(self) -> None:
        self.calls = [""] * self.shape.ms
        self.held = [False] * self.shape.ms
        self.last = 0
        self.sticks = self.random.choice((0.0, 0.5, 0.9))
        self.wrong = self.random.choice((0.0, 0.0, 0.02))

    def _next(self) -> tuple[int, str] | None:
        """Whose turn it is, and whether to step or to rouse it; None where all sleep for ever."""
        found: list[tuple[int, str]] = []
        for place in range(self.shape.ms):
            until = self.side.asleep(place)
            if until is None:
                found.append((place, "step"))
            elif until >= 0:
                found.append((place, "its time is up"))
                found.append((place, "no reason"))
        if (self.last, "step") in found and self.random.random() < self.sticks:
            return (self.last, "step")
        return self.random.choice(found) if found else None

    def _call(self, place: int) -> str:
        if self.shape.is_note:
            some = ["wakeup", "tsleep 0", "tsleep 3000000"]
            others = [self.side.asleep(at) for at in range(self.shape.ms) if at != place]
            if not others or any(until != -1 for until in others):
                some += ["sleep", "tsleep -1"]
            quiet = not any(self.calls)
            return self.random.choice(["clear", "clear", *some] if quiet else some)
        wrong = self.random.random() < self.wrong
        if wrong and self.random.random() < 0.6:
            self.side.miscount(place)
        wrong = wrong and self.random.random() < 0.6
        if not wrong and not self.held[place] and self.random.random() < 0.02:
            self.side.end(place)
        return "unlock" if self.held[place] is not wrong else "lock"

    def turn(self) -> str:
        """One step; what is seen of it, "" where none can be made."""
        side, random = self.side, self.random
        ticks = random.choice((0, 1, 40))
        side.clock_ns += ticks * 50_000 if self.shape.is_note else ticks
        turn = self._next()
        if turn is None:
            return ""
        self.last, what = place, _ = turn
        if what != "step":
            until = side.asleep(place)
            if what == "its time is up" and until is not None:
                side.clock_ns = max(side.clock_ns, until)
            side.rouse(place)
            return f"M{place + 1}: {what} | {side.look()}"
        if not self.calls[place]:
            self.calls[place] = self._call(place)
            side.begin(place, self.calls[place])
            if self.shape.asks_first and self.calls[place] == "lock":
                return f"M{place + 1} asks | {side.look()}"
        call = self.calls[place]
        access, said = side.step(place, random.randrange(2))
        if said not in (MORE_TO_DO, ASLEEP):
            self.calls[place] = ""
            self.held[place] = call == "lock"
        if said.startswith(DIES):
            return f"M{place + 1} {call}: {said} | {side.word():#x}"
        return f"M{place + 1} {call}: {access}: {said} | {side.word():#x} {side.look()}"


def seen_of_m(
    until: int | None, locks: int, wakeups: int, blocked: bool, next: int, idle: bool
) -> tuple[object, ...]:
    """What is seen of an M: between two accesses of its call Go's code may be further.

    Args:
        until: up to when it sleeps; None where it is awake.
        locks: its count.
        wakeups: in its semaphore.
        blocked: it says that it sleeps on a note.
        next: the M after it on a list.
        idle: it is in no call.
    """
    asleep = until is not None
    return (until, locks, wakeups, blocked and (idle or asleep), next if idle or asleep else 0)


def walk(side: Side, shape: Shape, seed: int) -> list[str]:
    """What is seen after each step of a walk, up to the first M that dies."""
    walker = _Walker(side, shape, Random(f"{shape.name} {seed}"))
    seen: list[str] = []
    while len(seen) < STEPS and (line := walker.turn()):
        seen.append(line)
        if f": {DIES}" in line and not shape.is_note:
            break
    return seen


def digest(seen: list[str]) -> str:
    """A walk in a few letters."""
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:8]


# This package's locks


class _LotScheduler(StatesScheduler):
    """Draws what the walk says, and notes what a walk over a stack costs."""

    lot = 0
    hops = 0

    def charge(self, kind: str, units: int) -> None:
        """So many Ms were gone by."""
        self.hops += units

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape.cpus)
        self.among = {"futex.spurious": 2, "spinbit.tail_wake": 16, "spinbit.sample": shape.rate}

    def choice(self, m: MLike, n: int, label: str) -> int:
        """The lot.

        Raises:
            AssertionError: it is among another number than Go's.
        """
        assert n == self.among[label], f"{label}: 1 of {n}"
        return self.lot if n > 1 else 0


Make = Callable[[Shape, ModuleType | None], StateMutex | Note]


class OurSide:
    """A lock or a note of this package.

    Args:
        shape: of the walk.
        subject: the lock or note.
    """

    subject: Any

    def __init__(self, shape: Shape, subject: StateMutex | Note) -> None:
        self.shape = shape
        whatever: Any = subject
        self.subject = whatever
        self.sched = _LotScheduler(shape)
        self.ms = [StatesM(number + 1, self.sched) for number in range(shape.ms)]
        self.ops: list[MutexOp | None] = [None] * shape.ms
        self.woken: list[int] = []
        """Who was told of as woken in the latest step."""
        if not shape.is_note:
            self.subject.told = self.woken

    @property
    def clock_ns(self) -> int:
        """Virtual time."""
        return int(self.sched.clock_ns)

    @clock_ns.setter
    def clock_ns(self, now: int) -> None:
        self.sched.clock_ns = now

    def begin(self, place: int, call: str) -> None:
        """Make the operation."""
        name, _, limit = call.partition(" ")
        made = getattr(self.subject, name)
        op = self.ops[place] = made(int(limit)) if limit else made()
        self.ms[place].parked = op.asks_first and not op.begin(self.ms[place])

    def step(self, place: int, lot: int) -> tuple[str, str]:
        """Make an access, and the walk over the stack that follows, for none but its M sees it.

        Coming back from futexsleep is one with the look that follows.
        """
        m, op = self.ms[place], self.ops[place]
        assert op is not None
        self.sched.lot = lot
        self.sched.hops = 0
        self.woken.clear()
        access = "atomic.load" if (op.kind, op.pc) == ("futexsleep", "wake_up") else op.kind
        try:
            result = op.step(m)
            while result is MORE and op.kind == "stack.walk":
                result = op.step(m)
        except EmulatedFailure as failure:
            self.ops[place] = None
            printed = "".join(getattr(failure, "printed", ()))
            said = failure.message if isinstance(failure, Throw) else "a fault"
            return access, f"{DIES}: {said} ({printed})"
        if result is MORE:
            return access, MORE_TO_DO
        if result is PARKED:
            m.parked = True
            return access, ASLEEP
        self.ops[place] = None
        counts = (0, 0)
        if isinstance(op, LockOp) and self.subject.waited is op:
            counts = (op.spins, op.sleeps)
        return access, f"ends: {result} {counts}"

    def asleep(self, place: int) -> int | None:
        """Up to when it sleeps."""
        return self.ms[place].timer if self.ms[place].parked else None

    def rouse(self, place: int) -> None:
        """Wake it."""
        self.sched.unpark(self.ms[place])

    def miscount(self, place: int) -> None:
        """Take a lock too many off."""
        self.ms[place].locks -= 100

    def end(self, place: int) -> None:
        """No address leads to it."""
        self.subject.forget(place + 1)

    def word(self) -> int:
        """The word."""
        return int(self.subject.key)

    def look(self) -> str:
        """Chain, sleepers, Ms and profile."""
        subject, rate = self.subject, self.shape.rate
        chain: list[tuple[int, int]] = []
        number = m_number(subject.key & ~FLAGS) if self.shape.has_chain else 0
        while number and len(chain) < CHAIN_MAX:
            go = self.ms[number - 1].go
            chain.append((number, go.start_ticks if rate else 0))
            number = m_number(go.nextwaitm)
        sleepers = self._sleepers()
        profile = list(getattr(subject, "profile", {}).values())
        samples = sum([count for count, _ in profile]), sum([ns for _, ns in profile])
        known = sorted(subject.ms) if self.shape.has_chain else []
        ms = [
            seen_of_m(
                m.timer if m.parked else None, m.locks, m.go.waitsema, m.go.blocked,
                m.go.nextwaitm, op is None,
            )
            for m, op in zip(self.ms, self.ops, strict=True)
        ]  # fmt: skip
        return f"{self.woken} {self.sched.hops} {chain} {sleepers} {known} {ms} {samples}"

    def _sleepers(self) -> list[int]:
        """Who is on the list of the lock or the kernel."""
        subject = self.subject
        if self.shape.lock == "any_":
            return list(subject.pending)
        listed = subject.queue if self.shape.lock == "queue" else getattr(subject, "word", None)
        return [m.id for m in getattr(listed, "sleepers", listed or ())]


def ours(shape: Shape, make: Make, module: ModuleType | None = None) -> OurSide:
    """A side of a lock, made by `make`, whose module may be another than the package's."""
    return OurSide(shape, make(shape, module))


def settings_of(shape: Shape) -> LockSettings:
    """The settings of a lock."""
    behaviour = release(f"go{shape.go}").behaviour
    return LockSettings(behaviour=behaviour, profile_rate=shape.rate, spurious=shape.spurious)


def lock_name(shape: Shape) -> str:
    """The name of a lock."""
    return LOW_LATENCY if shape.low_latency else "memlock"

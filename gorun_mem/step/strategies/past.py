"""The run that a search is on: its steps, what happens before what, and which steps race.

Happens-before is by vector clocks: an M's own steps, dependent steps, waking, starting and joining
an M; and where memory is TSO, what `next_of` is told. Two steps of different Ms race where they
depend on one another and neither comes before the other by what lies between: then the later could
have been made in the place of the earlier.

An operation that waits is not held against the step that let it go, which it could not precede,
but against those before it: an M that waits for a lock races with the one that has taken it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from heapq import merge
from typing import Final

from gorun_mem.step.strategies.wakeup import (
    MEMLOCK,
    USER,
    Clock,
    OrderedStep,
    dependent,
    is_own,
    join,
    other_object,
)

YIELDS_MAX: Final = 2
"""How often an M yields running before another has to go."""


class Past:
    """The steps of a run, from which the last can be taken back.

    Attributes:
        events: the steps.
        clocks: what lies before the next step of each M, by M.
    """

    __slots__ = ("_by_m", "_by_obj", "clocks", "events")

    def __init__(self) -> None:
        self.events: list[OrderedStep] = []
        self.clocks: dict[int, Clock] = {0: {}}
        self._by_m: dict[int, list[int]] = {}
        self._by_obj: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        return f"<Past {self.events}>"

    def next_of(self, m: int, kind: str, obj: str, reads: bool, after: int = 0) -> OrderedStep:
        """The next step of `m`, not made yet.

        Args:
            m: whose; `kind`, `obj` and `reads` are what it is.
            after: the number of an event that it comes after, whoever made that; 0: none.
        """
        event = OrderedStep(m, len(self._by_m.get(m, ())) + 1, kind, obj, reads, self.clocks[m])
        if after:
            event.after = after
            event.before = event.clock = dict(event.before)
            join(event.before, self.events[after].clock)
        return event

    def make(self, event: OrderedStep, asks: bool, joined: Iterable[int] = ()) -> None:
        """Let `event` be the last of the run; see which steps it races with.

        Args:
            event: of `next_of`.
            asks: it is an operation that waits.
            joined: Ms that it comes after all steps of.
        """
        if asks:
            event.races = self.races(event, True)
        clock = dict(event.before)
        if event.obj:
            races = self._after(event, clock)
            if not asks:
                event.races = races
        for m in joined:
            join(clock, self.clocks[m])
        number, m, obj = len(self.events), event.m, event.obj
        clock[m] = event.seq
        event.clock = self.clocks[m] = clock
        self.events.append(event)
        self._by_m.setdefault(m, []).append(number)
        if obj:
            self._by_obj.setdefault(obj, []).append(number)
            if obj.startswith(USER):
                self._by_obj.setdefault(USER, []).append(number)

    def forget(self, events: int) -> None:
        """Take back all events from number `events` on."""
        while len(self.events) > events:
            event = self.events.pop()
            self._by_m[event.m].pop()
            if event.obj:
                self._by_obj[event.obj].pop()
                if event.obj.startswith(USER):
                    self._by_obj[USER].pop()
            for m, clock in reversed(event.woken):
                if clock is None:
                    del self.clocks[m]
                else:
                    self.clocks[m] = clock
            self.clocks[event.m] = event.own

    def wake(self, m: int) -> None:
        """The next step of `m`, which may be its first, comes after the last step."""
        last = self.events[-1]
        before = self.clocks.get(m)
        last.woken.append((m, before))
        clock = self.clocks[m] = dict(last.clock)
        if before is not None:
            join(clock, before)

    def overtake(self, m: int, kind: str, obj: str, reads: bool) -> None:
        """The last step has made another of the next one of `m`, which comes after it now, and
        which could have been made before as what it was; `kind`, `obj` and `reads` are that."""
        self.events[-1].overtook.append(self.next_of(m, kind, obj, reads))
        self.wake(m)

    def before_all(self, number: int) -> Clock:
        """How many steps of each M lie before all events from `number` on."""
        found: Clock | None = None
        for event in self.events[number:]:
            clock = event.clock
            if found is None:
                found = dict(clock)
            else:
                found = {m: min(seq, clock[m]) for m, seq in found.items() if m in clock}
        return found or {}

    def without(self, number: int) -> list[OrderedStep]:
        """The events after number `number` that do not happen after it."""
        first = self.events[number]
        m, seq = first.m, first.seq
        return [event for event in self.events[number + 1 :] if event.clock.get(m, 0) < seq]

    def instead(self, number: int, event: OrderedStep) -> list[OrderedStep]:
        """What is to be run in the place of event `number`, for `event` to come before that."""
        sequence = self.without(number)
        sequence.append(_made_after(event, sequence))
        return sequence

    def after_all(self, event: OrderedStep) -> OrderedStep:
        """`event` as if it were made after all of the run."""
        return _made_after(event, self.events)

    def _numbers_on(self, obj: str, reads: bool) -> Iterable[int]:
        """Numbers of the events on `obj`, and on what depends on that though it is another object;
        the latest first."""
        by_obj = self._by_obj
        numbers: Iterable[int] = reversed(by_obj.get(obj, []))
        other = other_object(obj, reads)
        if other and by_obj.get(other):
            numbers = merge(numbers, reversed(by_obj[other]), reverse=True)
        return numbers

    def _after(self, event: OrderedStep, clock: Clock) -> list[int]:
        """Let `clock` be after every step that `event` depends on; those that it races with."""
        races: list[int] = []
        obj, reads = event.obj, event.reads
        for number in self._numbers_on(obj, reads):
            other = self.events[number]
            if not dependent(obj, reads, other.obj, other.reads) or is_own(event.m, other.m):
                continue
            if clock.get(other.m, 0) < other.seq:
                races.append(number)
                join(clock, other.clock)
            if _follows_all(other, obj):
                break
        return races

    def races(self, event: OrderedStep, asks: bool) -> list[int]:
        """The steps in whose place `event` could have gone, which may be pending.

        Args:
            event: not yet put into the run.
            asks: it is an operation that waits, so there are places where it could not. A step that
                let it go does not race with it, and does not hide those before it.
        """
        clock = dict(event.before)
        if not asks:
            return self._after(event, clock)
        races: list[int] = []
        obj, reads = event.obj, event.reads
        for number in self._numbers_on(obj, reads):
            other = self.events[number]
            if not dependent(obj, reads, other.obj, other.reads) or is_own(event.m, other.m):
                continue
            if clock.get(other.m, 0) < other.seq:
                could = self._could(event, number)
                if could is not False:
                    races.append(number)
                if could:
                    join(clock, other.clock)
            elif _follows_all(other, obj):
                break
        return races

    def _could(self, event: OrderedStep, number: int) -> bool | None:
        """Whether `event` could have gone in the place of event `number`; None: nobody says so."""
        pending = bisect_left(self._by_m.get(event.m, []), number) + 1 == event.seq
        if pending and event.after <= number:  # and not held back by its M's store buffer
            return event.m in self.events[number].enabled
        admits = self.events[number].admits
        return None if admits is None else event.kind in admits

    def rests(self, number: int, sequence: list[OrderedStep]) -> bool:
        """Whether an M that yields would have to let others go before the last of `sequence`, made
        in the place of event `number`, and no other step could be made there."""
        m = sequence[-1].m
        own: list[OrderedStep] = []
        others: list[OrderedStep] = []
        for event in (*self.events[1:number], *sequence):
            (own if event.m == m else others).append(event)
        yields = 0
        for step in own:
            gap = step.seq - 1  # before `step`; another's step may be made there if it is not
            late: OrderedStep | None = None  # after it, and not before one of the M's earlier ones
            for event in others:
                if event.clock.get(m, 0) <= gap:
                    late = event
                    if step.clock.get(event.m, 0) >= event.seq:
                        break  # it must be
            if late is not None and (yields >= YIELDS_MAX or step.clock.get(late.m, 0) >= late.seq):
                clock = step.clock
                others = [e for e in others if e is not late and clock.get(e.m, 0) < e.seq]
                yields = 0
            if yields >= YIELDS_MAX:
                return True
            if step.kind == "yield":
                yields += 1
        return False


def _made_after(event: OrderedStep, others: list[OrderedStep]) -> OrderedStep:
    """Another `event` that is after those of `others` that it depends on."""
    made = OrderedStep(event.m, event.seq, event.kind, event.obj, event.reads, event.before)
    clock = made.clock = dict(event.before)
    for other in others:
        if dependent(event.obj, event.reads, other.obj, other.reads) and not is_own(
            event.m, other.m
        ):
            join(clock, other.clock)
    clock[event.m] = event.seq
    return made


def _follows_all(event: OrderedStep, obj: str) -> bool:
    """Whether `event`, on which a step on `obj` depends, is after all before it that this depends
    on.

    What a store buffer writes is not: its own M's loads are not ordered with it.
    """
    return not event.reads and event.m >= 0 and (event.obj == obj or event.obj == MEMLOCK)

"""What a state is taken apart into, and what a step leads to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

FIRE: Final = -1
"""In place of a call: the M's time is up, and it is made runnable."""
PASS: Final = -2
"""In place of a call: so much time passes that it is up, though the M has not noticed yet."""
INTERRUPT: Final = -3
"""In place of a call: the kernel ends a sleep that has a limit, for no reason."""
FLUSH: Final = 1 << 20
"""In place of a call: the oldest store of the M's buffer reaches memory."""
LATE_MAX: Final = 8
"""Stores that an M's buffer may hold; beyond them a verification says nothing."""


class Own(NamedTuple):
    """What an M has for itself.

    Args:
        phase: where it is in its program.
        locks: Go's count of the locks that it holds.
        call: the call it is in; "" between calls.
        pc: the state of that call's operation.
        registers: (name, value) of those that are live.
        late: (field, Place of the M whose it is, else None, value) of the stores in its buffer.
    """

    phase: str
    locks: int
    call: str = ""
    pc: str = ""
    registers: tuple[tuple[str, Any], ...] = ()
    late: tuple[tuple[str, Any, Any], ...] = ()


class MShare(NamedTuple):
    """What Ms share of one M."""

    parked: bool
    timer: int
    nextwaitm: int
    start_ticks: int
    waitsema: int
    asleep: bool
    blocked: bool


class Common(NamedTuple):
    """What Ms share.

    Args:
        words: of the lock.
        monitor: what the model keeps: who holds it, or what was promised.
        clock_ns: virtual time.
        ms: of each M.
    """

    words: tuple[Any, ...]
    monitor: tuple[Any, ...]
    clock_ns: int
    ms: tuple[MShare, ...]


@dataclass(slots=True)
class Move:
    """What one step may lead to.

    Args:
        branch: which step it was: the call's number among those the M may make (FIRE, PASS for what
            time does), then the values drawn.
        text: the access, for people.
        shared: after it; None where the step went wrong.
        own: after it.
        done: a round of the M's program is through.
        told: what the lock's code told with it, such as "acquired".
        wrong: what went wrong, for people.
        lot: it hangs on a lot that Go draws at random.
    """

    branch: tuple[int, ...]
    text: str
    shared: Common | None
    own: Own | None
    done: bool = False
    told: tuple[str, ...] = ()
    wrong: str = ""
    lot: bool = False

    @property
    def complaint(self) -> str:
        """What went wrong, without numbers: the same however Ms are numbered."""
        return without_numbers(self.wrong)


def without_numbers(text: str) -> str:
    """A complaint that is the same however Ms are numbered and however many they are."""
    return re.sub(r"\d+", "N", text)


Outcomes = Callable[[int, Common, Own], list[Move]]
"""Makes the steps of the M at a place."""


def refused(
    outcomes: Outcomes, place: int, shared: Common, own: Own, texts: tuple[str, ...]
) -> bool:
    """Whether a call dies of one of `texts` on every way through it that comes to an end.

    Args:
        outcomes: makes steps.
        place: of the M that calls.
        shared: the state that it calls in.
        own: its own, before the call or under way.
        texts: of which one is in what is said of its death.
    """
    todo = [(shared, own)]
    seen = set(todo)
    while todo:
        for move in outcomes(place, *todo.pop()):
            if move.shared is None or move.own is None:
                if not any(text in move.wrong for text in texts):
                    return False
            elif not move.own.call:
                return False
            elif (move.shared, move.own) not in seen:
                seen.add((move.shared, move.own))
                todo.append((move.shared, move.own))
    return True


def can_end_alone(outcomes: Outcomes, place: int, shared: Common, own: Own) -> bool:
    """Whether a call can come to its end from wherever it comes to, while nobody else does a step.

    Args:
        outcomes: makes steps.
        place: of the M that calls.
        shared: the state that it calls in.
        own: its own, before the call.
    """
    start = (shared, own)
    before: dict[tuple[Common, Own], list[tuple[Common, Own]]] = {start: []}
    todo = [start]
    ends: list[tuple[Common, Own]] = []
    while todo:
        here = todo.pop()
        for move in outcomes(place, *here):
            if move.shared is None or move.own is None:
                return False
            there = (move.shared, move.own)
            if there not in before:
                before[there] = []
                (todo if move.own.call else ends).append(there)
            before[there].append(here)
    good = set(ends)
    while ends:
        for earlier in before[ends.pop()]:
            if earlier not in good:
                good.add(earlier)
                ends.append(earlier)
    return good == before.keys()

"""One M as the engine sees it: a pending operation and a clock.

Ids depend on who is first to start an M; what names it in every run is its origin: as the how
manieth M of whose. "0" is the scenario itself, "0.2" the second M that this started, "0.2.1" the
first that that one did. What an M draws goes by it, and so does what a search has learned of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import Enum
from random import Random
from typing import Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.op import MLike, Scheduler

_ORIGIN_CHARS_MAX: Final = 64
BUFFERS: Final = 1 << 16
"""Where memory is TSO, what M i has stored reaches memory by steps of BUFFERS + i."""


def owner_of(id: int) -> int:
    """Whose steps those of `id` are, of which a store buffer is its M's."""
    return id - BUFFERS if id >= BUFFERS else id


def who(id: int) -> str:
    """Who makes the steps of `id`, for people."""
    return f"M{id - BUFFERS}'s buffer" if id >= BUFFERS else f"M{id}"


def line_of(origin: str) -> Iterator[str]:
    """The origins of who started whom, from the scenario down to `origin` itself.

    Of one that stands for a long row of Ms, which is shortened, from there on.
    """
    at = origin.find(".")
    while at >= 0:
        yield origin[:at]
        at = origin.find(".", at + 1)
    yield origin


class State(Enum):
    """Where an M stands.

    An M is in the engine's list of runnable Ms iff it is RUNNABLE.
    """

    RUNNABLE = "runnable"
    """Its pending operation may be stepped."""
    PARKED = "parked"
    """Its pending operation waits for another M or for a time."""
    RUNNING = "running"
    """Its coroutine runs, or is about to be resumed with `result`."""
    AWAY = "away"
    """It awaits something that is not ours."""
    DONE = "done"
    """It has ended."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Task(MLike):
    """The engine's part of an M, which is also what operations and mutexes see of it.

    Args:
        sched: who schedules it.
        id: number from 1; 0 is the scenario itself.
        name: for people.

    Attributes:
        op: the pending operation, or None. Not typed as `Op`, for compiled code would then look for
            `kind` and the like in the instance, where a class may have them for all its instances.
        result: what the coroutine is to be resumed with.
        clock_ns: its own virtual time, used by the timing strategy.
        cpu: the CPU that it runs on or ran on last, likewise.
        has_line: the cache line that its next access needs has come over, likewise.
        keeps: the line that was asked of it last and is here until `keeps_until_ns`, likewise.
        slice_end_ns: when its time slice ends, likewise.
        interrupt_ns: when its CPU is away next, likewise.
        stop_ns: the earlier of the two.
        starter: id of the M that started it; 0 for the scenario itself.
        since: since when it has been parked or runnable, in ns as the clock has it.
        started: how many Ms it has started.
        draws: what it draws its data from, once it has.
    """

    __slots__ = (
        "_above",
        "_number",
        "_origin",
        "clock_ns",
        "cpu",
        "draws",
        "has_line",
        "interrupt_ns",
        "keeps",
        "keeps_until_ns",
        "op",
        "priority",
        "result",
        "since",
        "slice_end_ns",
        "slot",
        "started",
        "starter",
        "state",
        "steps",
        "stop_ns",
        "timer",
    )

    def __init__(self, sched: Scheduler, id: int, name: str) -> None:
        super().__init__(id, sched, name)
        self.op: Any = None
        self.result: object = None
        self.state = State.RUNNING
        self.slot = -1
        self.starter = 0
        self.clock_ns = 0.0
        self.cpu = 0
        self.has_line = False
        self.keeps = ""
        self.keeps_until_ns = 0.0
        self.since = 0.0
        self.slice_end_ns = 0.0
        self.interrupt_ns = 0.0
        self.stop_ns = 0.0
        self.priority = 0.0
        self.steps = 0
        self.timer = 0
        self._above = ""
        self._number = id
        self._origin = ""
        self.started = 0
        self.draws: Random | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, whatever the schedule; made when it is asked for."""
        origin = self._origin
        if not origin:
            above = self._above
            origin = f"{above}.{self._number}" if above else str(self._number)
            if len(origin) > _ORIGIN_CHARS_MAX:  # Ms that start Ms in a long row
                origin = hashlib.sha256(origin.encode()).hexdigest()[:32]
            self._origin = origin
        return origin

    @origin.setter
    def origin(self, origin: str) -> None:
        self._origin = origin

    def starts(self, child: Task) -> None:
        """`child` is the next M that it starts."""
        self.started += 1
        child.starter = self.id
        child._above = self.origin
        child._number = self.started
        child._origin = ""

    def succeeds(self, before: Task) -> None:
        """It goes on with what `before` drew and started."""
        self.origin, self.started, self.draws = before.origin, before.started, before.draws

    @property
    def since_ns(self) -> int:
        """Since when it has been parked or runnable."""
        return int(self.since)

    def __repr__(self) -> str:
        doing = f" {self.op!r}" if self.op is not None else ""
        return f"<M{self.id} {self.name} {self.state.value}{doing}>"

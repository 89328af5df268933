"""What an M can be about to do.

An M's program is a coroutine that awaits operations and nothing else of ours. An operation says
what it is about to touch (`kind`, `obj`) before it touches it; whoever drives the coroutine (the
engine in `sched/`, or `solo` below for a lone M) decides when `step` is called. This module knows
neither trio nor the engine: it is the seam between the emulated runtime and its drivers.

An operation of several accesses, such as a mutex that spins and then sleeps, stays the pending
operation of its M until it is through: each `step` makes one access, updates `kind` and `obj` to
name the next one and returns `MORE`. The coroutine is resumed only at the end, so an access costs
one call and no coroutine switch.

    coroutine                  driver                       operation
    await lock  --- op ------> pending, M may be passed over
                               op.step(m) ----------------> one access, MORE
                               op.step(m) ----------------> one access, PARKED (M is not runnable)
                               another M's step calls m.sched.unpark(m)
                               op.step(m) ----------------> one access, result
                <-- result ---
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from enum import Enum
from typing import Any, Final, Protocol, TypeVar

from gorun_mem.runtime.errors import Deadlock, IllegalUse
from gorun_mem.runtime.m import MState

T = TypeVar("T")


class Mark(Enum):
    """What a `step` returns when the operation is not through."""

    MORE = "more"
    """One access is made and another follows."""
    PARKED = "parked"
    """The M sleeps; the operation goes on with another `step` after `Scheduler.unpark`."""


MORE: Final = Mark.MORE
PARKED: Final = Mark.PARKED


class Scheduler(Protocol):
    """What an operation may ask of its driver."""

    @property
    def now_ns(self) -> int:
        """Virtual time in ns, as the M that is running sees it."""

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable again; one that is runnable already stays so."""

    def disable(self, m: MLike) -> None:
        """Take a runnable M, which has not been stepped, out of those that may go next."""

    def charge(self, kind: str, units: int) -> None:
        """Add the cost of work done inside the running step: bytes cleared, pages grown."""

    @property
    def cpus(self) -> int:
        """How many Ms run at once; Go's ncpu, which decides whether a lock spins at all."""

    def choice(self, m: MLike, n: int, label: str) -> int:
        """One of 0 to n-1, recorded with the schedule; Go's cheaprandn.

        Args:
            m: who asks.
            n: how many there are to choose from, at least 1.
            label: what is chosen, such as "spinbit.tail_wake".
        """

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """Unpark `m` at virtual time `t_ns` unless somebody has before.

        Called inside the step of `m` that returns PARKED; an earlier `unpark` cancels it.
        """


class MLike(Protocol):
    """An M as operations and mutexes see it; Go's `m` of runtime2.go."""

    id: int
    """Number from 1; 0 is the scenario itself."""
    locks: int
    """Runtime locks held, as Go counts them in `gp.m.locks`."""
    go: MState
    """What else Go's `m` holds for the mutexes: `nextwaitm`, the semaphore, locks held."""

    @property
    def sched(self) -> Scheduler:
        """Who drives it."""


class Op:
    """One operation of one M; the base of all.

    `kind` and `obj` name the access that the next `step` makes. `reads_only` tells exploration that
    two such accesses to the same object commute.
    """

    __slots__ = ("kind", "obj")

    kind: str
    obj: str
    run: Any
    """`step` as a function of the operation and the M, which spares whoever makes millions of steps
    a call where an operation puts the function for its next access here."""
    reads_only = False
    abandonable = True
    """Whether an M that waits in it, with no runtime lock held or waited for, may be cancelled."""

    asks_first = False
    """Whether `begin` may answer False; follows from a class having its own."""

    def __init_subclass__(cls) -> None:
        """Set `run` where `step` is given, unless operations of the class set it themselves."""
        members = vars(cls)
        if "begin" in members:
            cls.asks_first = True
        if "step" in members and "run" not in members:
            cls.run = staticmethod(cls.step)

    def begin(self, m: MLike) -> bool:
        """Whether the operation is enabled, asked when it becomes the M's pending one.

        An operation that answers False has registered `m` with what it waits for, which calls
        `m.sched.unpark(m)` later.
        """
        return True

    def step(self, m: MLike) -> object:
        """Make one access; return the operation's result, or a `Mark`."""
        raise NotImplementedError

    def __await__(self) -> Generator[Op, Any, Any]:
        try:
            return (yield self)
        except (TypeError, RuntimeError) as refusal:  # of an event loop that knows no operations
            raise IllegalUse(
                f"an M's operation {self!r} was awaited by a task that is no M; start Ms with "
                "world.open_ms() and await what they do in their own coroutine, outside of any "
                "nursery of trio's"
            ) from refusal

    def __repr__(self) -> str:
        return f"<{self.kind} {self.obj}>"


class SoloM:
    """The only M of a runtime that has no scheduler: operation scripts and recordings."""

    __slots__ = ("go", "id", "locks", "now_ns", "sched", "wake_ns")

    cpus = 1

    def __init__(self, id: int = 1) -> None:
        self.id = id
        self.locks = 0
        self.go = MState()
        self.now_ns = 0
        """Virtual time: moves only when the M sleeps for a time."""
        self.wake_ns = -1
        """When the sleeping M wakes by itself; -1: never."""
        self.sched = self
        """A lone M is its own scheduler."""

    def unpark(self, m: MLike) -> None:
        """Nobody else could be parked."""

    def disable(self, m: MLike) -> None:
        """Nobody else could be runnable."""

    def charge(self, kind: str, units: int) -> None:
        """Work costs a lone M nothing."""

    def choice(self, m: MLike, n: int, label: str) -> int:
        """A lone M draws no lots."""
        return 0

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """The M sleeps until `t_ns`, for nobody could wake it before."""
        self.wake_ns = t_ns


def solo(coro: Coroutine[Op, Any, T], m: SoloM) -> T:
    """Drive `coro` to its end as the only M.

    Raises:
        Deadlock: an operation waits for another M.
    """
    try:
        op = coro.send(None)
        while True:
            if op.asks_first and not op.begin(m):
                raise Deadlock(f"M{m.id} waits to {op.kind} {op.obj} and there is no other M")
            result = op.run(op, m)
            while result is MORE or result is PARKED:
                if result is PARKED:
                    _sleep(m, op)
                result = op.run(op, m)
            op = coro.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _sleep(m: SoloM, op: Op) -> None:
    """Let the time pass until the lone M wakes by itself."""
    if m.wake_ns < 0:
        raise Deadlock(f"M{m.id} sleeps in {op.kind} {op.obj} and there is no other M")
    m.now_ns = max(m.now_ns, m.wake_ns)
    m.wake_ns = -1

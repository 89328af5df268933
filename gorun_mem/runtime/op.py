"""What an M can be about to do.

An M's program is a coroutine that awaits operations and nothing else of ours. An operation says
what it is about to touch (`kind`, `obj`) before it touches it; whoever drives the coroutine (the
loop in `step/`) decides when `step` is called. This module knows
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

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any, ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.m import MState

FORGOTTEN: Final[list[Callable[[object], object]]] = []
"""Who is told of an operation that is dropped though nobody has awaited it; empty: nobody."""
LOOKED_AT: Final[list[Callable[[object], object]]] = []
"""Who is told of an object of which the program asks what was counted; empty: nobody."""
INSIDE: Final[list[tuple[MLike, object]]] = []
"""The coroutines that run inside of an operation, as a lock's may, each with whose it is."""
OFF_CPU: Final = "off CPU"
"""Why the log parks, and unparks, an M that holds locks and has to wait for a CPU."""


Orders = tuple[tuple[str, ...], tuple[str, ...]]
"""The names from which a step acquires what was published under them, and those to which it
publishes, as happens-before has it."""


class Mark(Enum):
    """What a `step` returns when the operation is not through."""

    MORE = "more"
    """One access is made and another follows."""
    PARKED = "parked"
    """The M sleeps; the operation goes on with another `step` after `Scheduler.unpark`."""


MORE: Final = Mark.MORE
PARKED: Final = Mark.PARKED


@mypyc_attr(allow_interpreted_subclasses=True)
class Scheduler:
    """What an operation may ask of its driver.

    Attributes:
        clock_ns: virtual time in ns, as the M that is running sees it; costs add up in fractions.
        cpus: how many Ms run at once; Go's ncpu, which decides whether a lock spins at all.
        spurious: a sleep on a word may end by itself, at the schedule's choice.
    """

    __slots__ = ("clock_ns", "cpus", "spurious")

    def __init__(self, cpus: int = 1) -> None:
        self.clock_ns = 0.0
        self.cpus = cpus
        self.spurious = False

    @property
    def now_ns(self) -> int:
        """Virtual time in whole ns."""
        return int(self.clock_ns)

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable again; one that is runnable already stays so."""
        raise NotImplementedError

    def disable(self, m: MLike) -> None:
        """Take a runnable M, which has not been stepped, out of those that may go next."""
        raise NotImplementedError

    def charge(self, kind: str, units: int) -> None:
        """Add the cost of work done inside the running step: bytes cleared, pages grown."""
        raise NotImplementedError

    def choice(self, m: MLike, n: int, label: str) -> int:
        """One of 0 to n-1, recorded with the schedule; Go's cheaprandn.

        Args:
            m: who asks.
            n: how many there are to choose from, at least 1.
            label: what is chosen, such as "spinbit.tail_wake".
        """
        raise NotImplementedError

    def data(self, m: MLike, n: int, label: str) -> int:
        """One of 0 to n-1 for the program of `m`, whose own it is: no lock's lot changes it."""
        return self.choice(m, n, label)

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """Unpark `m` at virtual time `t_ns` unless somebody has before.

        Called inside the step of `m` that returns PARKED; an earlier `unpark` cancels it.
        """
        raise NotImplementedError

    def ends_early(self, m: MLike) -> bool:
        """Whether a wait of `m` that has a time, and is about to begin, may end at any moment."""
        return False


class Late:
    """A store that is not in memory yet.

    Args:
        place: what is stored to, to be found again by its own M's loads: equal where it is the same
            place; of a runtime lock (name of the field, number of the M whose it is, 0: the lock).
        obj: its name.
        value: what is stored.
        write: puts a value into memory.

    Attributes:
        made_at: the number of the step by which its M has made it.
    """

    __slots__ = ("made_at", "obj", "place", "value", "write")

    def __init__(self, place: object, obj: str, value: Any, write: Callable[[Any], object]) -> None:
        self.place = place
        self.obj = obj
        self.value = value
        self.write = write
        self.made_at = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class StoreBuffer:
    """The stores of one M that are not in memory yet, the oldest first, as on x86.

    Whoever drives the M lets the oldest reach memory when its time has come. An operation that
    stores calls `put`, one that loads looks here first, at its M's own stores.

    Attributes:
        late: the stores.
        made: how many were put in so far.
        ends: the M has come to its end, but for what is here.
    """

    __slots__ = ("ends", "late", "made")

    def __init__(self) -> None:
        self.late: list[Late] = []
        self.made = 0
        self.ends = False

    def put(self, store: Late) -> None:
        """One store more."""
        self.made += 1
        self.late.append(store)

    def newest_is(self, obj: str) -> bool:
        """Whether the latest store is one to what is called `obj`."""
        return bool(self.late) and self.late[-1].obj == obj

    def newest(self, place: object) -> Late | None:
        """The M's latest store to `place` that is not in memory; None: memory has what it sees."""
        for store in reversed(self.late):
            if store.place == place:
                return store
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class MLike:
    """An M as operations and mutexes see it; Go's `m` of runtime2.go.

    Args:
        id: number from 1; 0 is the scenario itself.
        sched: who drives it.
        name: what it is for; the site of locks that are taken without one.

    Attributes:
        locks: runtime locks held, as Go counts them in `gp.m.locks`.
        go: what else Go's `m` holds for the mutexes: `nextwaitm`, the semaphore, locks held.
        buffer: its store buffer (`StoreBuffer`), where memory is TSO; None where a store is in
            memory at once.
    """

    __slots__ = ("buffer", "go", "id", "locks", "name", "sched")

    def __init__(self, id: int, sched: Scheduler, name: str = "") -> None:
        self.id = id
        self.name = name or f"M{id}"
        self.locks = 0
        self.go = MState()
        self.sched = sched
        self.buffer: StoreBuffer | None = None


@mypyc_attr(allow_interpreted_subclasses=True)
class Op:
    """One operation of one M; the base of all.

    `kind` and `obj` name the access that the next `step` makes. `reads_only` tells exploration that
    two such accesses to the same object commute.
    """

    __slots__ = ("awaited", "kind", "obj")

    awaited: bool
    """Somebody has taken charge of it; not set before. Who yields an operation without `await`, or
    makes the steps of one inside another, sets it there."""
    kind: str
    obj: str
    reads_only: bool = False
    abandonable: bool = True
    """Whether an M that waits in it, with no runtime lock held or waited for, may be cancelled."""
    stands_by: bool = False
    """Who waits in it waits for others to end, and says nothing of why they do not."""
    buffers: bool = False
    """Its stores of a kind that is `late` go into its M's store buffer, where it has one. One that
    does not say so writes memory at once, and is a fence."""
    asks_first: ClassVar[bool] = False
    """Whether `begin` may answer False; follows from a class having its own."""
    gives_up: bool = False
    """It does not wait: where it may not go in, its step comes to nothing."""
    orders: Orders | None = None
    """What the latest step is ordered with, where its kind and object do not say it all."""

    def __init_subclass__(cls) -> None:
        """See whether `begin` is given."""
        if "begin" in vars(cls):
            cls.asks_first = True

    def begin(self, m: MLike) -> bool:
        """Whether the operation is enabled, asked when it becomes the M's pending one.

        An operation that answers False has registered `m` with what it waits for, which calls
        `m.sched.unpark(m)` later.
        """
        return True

    def admits(self) -> frozenset[str] | None:
        """Kinds of operation on `obj` that may go now, of those whose `begin` may answer False.

        None: not said, at the cost of schedules that an exhaustive search begins in vain.
        """
        return None

    def step(self, m: MLike) -> object:
        """Make one access; return the operation's result, or a `Mark`."""
        raise NotImplementedError

    def acting(self) -> Op:
        """Whose access the next step is: its own, or that of an operation which it is made of."""
        return self

    def withdrawn(self, m: MLike) -> None:
        """`m`, whose pending operation it was, is cancelled: whoever knows `m` forgets it."""

    def blocked_by(self) -> tuple[tuple[int, str, int], ...]:
        """Who keeps the M that waits in it from going on: number, site, since when in ns."""
        return ()

    def __await__(self) -> Generator[Op, Any, Any]:
        self.awaited = True
        try:
            return (yield self)
        except (TypeError, RuntimeError) as refusal:  # of an event loop that knows no operations
            raise IllegalUse(
                f"an M's operation {self!r} was awaited by a task that is no M; start Ms with "
                "world.open_ms() and await what they do in their own coroutine, outside of any "
                "nursery of trio's"
            ) from refusal

    def __del__(self) -> None:
        try:
            if self.awaited:
                return
        except AttributeError:
            pass
        for tell in FORGOTTEN:
            tell(self)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.obj}>"

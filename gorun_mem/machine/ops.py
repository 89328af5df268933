"""The operations of an M that are not the runtime's: start, join, sleep, load, store, choose.

As every operation, each says what it touches before it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gorun_mem.runtime.op import MORE, PARKED, MLike, Op
from gorun_mem.step.task import Task


class Start(Op):
    """The first operation of every M, so that when it begins is the schedule's choice."""

    __slots__ = ()
    kind = "start"
    obj = "m"
    reads_only = True

    def step(self, m: MLike) -> object:
        """Nothing but to be chosen."""
        return None


START: Final = Start()
"""It holds nothing, so one serves every M."""


class Pause(Op):
    """Let others go first; Go's osyield."""

    __slots__ = ("_yielded",)
    obj = "cpu"
    reads_only = True

    def __init__(self) -> None:
        self.kind = "yield"
        self._yielded = False

    def step(self, m: MLike) -> object:
        """Give up the CPU, then go on."""
        if self._yielded:
            return None
        self._yielded = True
        return MORE


class Compute(Op):
    """Use the CPU for a time; what follows happens after it."""

    __slots__ = ("_done", "_ns")
    kind = "compute"
    obj = "cpu"
    reads_only = True

    def __init__(self, ns: int) -> None:
        self._ns = ns
        self._done = False

    def step(self, m: MLike) -> object:
        """Charge the time to the M; go on when it has passed."""
        if self._done:
            return None
        self._done = True
        m.sched.charge("compute", self._ns)
        return MORE


class Sleep(Op):
    """Sleep for a virtual time; Go's usleep."""

    __slots__ = ("_asleep", "_ns")
    kind = "sleep"
    obj = "timer"
    reads_only = True

    def __init__(self, ns: int) -> None:
        self._ns = ns
        self._asleep = False

    def step(self, m: MLike) -> object:
        """Set the timer; wake."""
        if self._asleep:
            return None
        self._asleep = True
        m.sched.sleep_until(m, m.sched.now_ns + self._ns)
        return PARKED


class Choice(Op):
    """Draw one of several values, recorded with the schedule."""

    __slots__ = ("_n",)
    kind = "choice"
    reads_only = True

    def __init__(self, n: int, label: str) -> None:
        self._n = n
        self.obj = label

    def step(self, m: MLike) -> object:
        """The number drawn."""
        return m.sched.data(m, self._n, self.obj)


class Access(Op):
    """A load or store of the emulated memory.

    Args:
        kind: "load" or "store".
        addr: address in bytes.
        effect: makes it, or puts it into its M's store buffer; its value is the operation's result.
    """

    __slots__ = ("_effect", "reads_only")
    buffers = True

    def __init__(self, kind: str, addr: int, effect: Callable[[], object]) -> None:
        self.kind = kind
        self.obj = f"mem:{addr:#x}"
        self.reads_only = kind == "load"
        self._effect = effect

    def step(self, m: MLike) -> object:
        """Make the access."""
        return self._effect()


class HostGrow(Op):
    """The host grows wasm memory for itself, between two of the program's steps.

    Args:
        obj: what the growth is ordered with: the lock around the memory, or the memory.
        effect: makes it; its value is the operation's result.
    """

    __slots__ = ("_effect",)
    kind = "host.grow"

    def __init__(self, obj: str, effect: Callable[[], object]) -> None:
        self.obj = obj
        self._effect = effect

    def step(self, m: MLike) -> object:
        """Grow."""
        return self._effect()


class Join(Op):
    """Wait until every M of a nursery has ended.

    Attributes:
        left: Ms that have not ended.
        abandonable: the M that waits may be cancelled; not any more where its Ms have been.
    """

    __slots__ = ("_waiter", "abandonable", "left")
    kind = "join"
    obj = "ms"
    reads_only = True
    stands_by = True

    def __init__(self) -> None:
        self.left = 0
        self.awaited = True  # by its nursery, unless an error ends that before
        self.abandonable = True
        self._waiter: MLike | None = None

    def begin(self, m: MLike) -> bool:
        """Enabled when nobody is left."""
        if self.left:
            self._waiter = m
            return False
        return True

    def step(self, m: MLike) -> object:
        """Go on, unless one was started meanwhile."""
        return PARKED if self.left else None

    def ended(self) -> None:
        """One of the Ms has ended."""
        self.left -= 1
        waiter = self._waiter
        # One that was cancelled may sleep elsewhere by now.
        if not self.left and isinstance(waiter, Task) and waiter.op is self:
            waiter.sched.unpark(waiter)

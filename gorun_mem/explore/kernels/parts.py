"""What the kernels are made of beside `explore.program`: atomic words, a wait list, other locks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gorun_mem.explore.program import Cell, Lock
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import PARKED, MLike, Op

PAGE: Final = 1 << 12
"""Bytes of a page of Plan 9, where the kernels run."""
FREE_LIST: Final = "memFreelist"
"""The object of every step that goes at the free list past memlock."""


class _Step(Op):
    """One access with an effect."""

    __slots__ = ("_effect", "reads_only")

    def __init__(self, kind: str, obj: str, reads: bool, effect: Callable[[MLike], object]) -> None:
        self.kind = kind
        self.obj = obj
        self.reads_only = reads
        self._effect = effect

    def step(self, m: MLike) -> object:
        """Make it."""
        return self._effect(m)


class Word(Cell):
    """A variable of which every access is atomic."""

    __slots__ = ()

    def load(self) -> Op:
        """Its value."""
        return _Step("atomic.load", self.name, True, lambda m: self.value)

    def store(self, value: Any) -> Op:
        """Let it hold `value`."""

        def effect(m: MLike) -> None:
            self.value = value

        return _Step("atomic.store", self.name, False, effect)


class _Sleep(Op):
    """Sleep until the ticket was called."""

    __slots__ = ("_list", "_ticket")
    abandonable = False

    def __init__(self, waiters: WaitList, ticket: int) -> None:
        self.kind = "sleep on"
        self.obj = waiters.name
        self._list = waiters
        self._ticket = ticket

    def step(self, m: MLike) -> object:
        """Go on if it was; sleep else."""
        if self._ticket in self._list.waiting:
            self._list.sleeping[self._ticket] = m
            return PARKED
        return None

    def holds(self) -> bool:
        """Whether what is waited for is so, for the detector of lost wakeups."""
        return self._list.condition()


class WaitList:
    """Go's notifyList, under sync.Cond: tickets that are taken, slept on and called.

    A ticket is taken while the lock is held and slept on after it was given back, so that a call in
    between is not lost.

    Args:
        name: for reports; the object of its operations.
        condition: what is waited for.
    """

    __slots__ = ("condition", "name", "next_ticket", "sleeping", "waiting")

    def __init__(self, name: str, condition: Callable[[], bool] = lambda: False) -> None:
        self.name = name
        self.condition = condition
        self.next_ticket = 0
        self.waiting: list[int] = []
        self.sleeping: dict[int, MLike] = {}

    def add(self) -> Op:
        """Take a ticket; notifyListAdd."""

        def effect(m: MLike) -> int:
            self.next_ticket += 1
            self.waiting.append(self.next_ticket)
            return self.next_ticket

        return _Step("add to", self.name, False, effect)

    def sleep(self, ticket: int) -> Op:
        """Sleep until `ticket` is called; notifyListWait."""
        return _Sleep(self, ticket)

    def wake(self, count: int) -> Op:
        """Call the next `count` tickets; notifyListNotifyOne and notifyListNotifyAll."""

        def effect(m: MLike) -> None:
            called, self.waiting = self.waiting[:count], self.waiting[count:]
            for ticket in called:
                sleeper = self.sleeping.pop(ticket, None)
                if sleeper is not None:
                    sleeper.sched.unpark(sleeper)

        return _Step("wake", self.name, False, effect)


class _Enter(Op):
    """Wait to be let in by a `SharedLock`."""

    __slots__ = ("_lock", "_writes")
    abandonable = False

    def admits(self) -> frozenset[str]:
        """What the lock lets in now."""
        return self._lock.admits

    def __init__(self, lock: SharedLock, writes: bool) -> None:
        self.kind = "lock" if writes else "rlock"
        self.obj = lock.name
        self._lock = lock
        self._writes = writes

    def begin(self, m: MLike) -> bool:
        """Enabled iff the lock lets `m` in."""
        self._lock.wanted[m.id] = (m, self._writes)
        return self._lock.lets_in(self._writes)

    def step(self, m: MLike) -> object:
        """Go in."""
        lock = self._lock
        del lock.wanted[m.id]
        if self._writes:
            lock.writing = True
            lock.announced -= 1
            lock.passes = 0
        else:
            lock.passes += bool(lock.readers and lock.announced)
            lock.readers += 1
        lock.refresh()
        return None


class _Change(_Step):
    """What a `SharedLock` is changed by, but for going in."""

    __slots__ = ("_lock",)

    def __init__(self, kind: str, lock: SharedLock, effect: Callable[[MLike], object]) -> None:
        super().__init__(kind, lock.name, False, effect)
        self._lock = lock

    def admits(self) -> frozenset[str]:
        """What the lock lets in now."""
        return self._lock.admits


class SharedLock:
    """A lock for one writer or several readers.

    A writer announces itself, and then waits to be let in: two steps, as in sync.RWMutex.

    Args:
        name: for reports; the object of its operations.
        writers_first: whether a writer that is announced keeps new readers out.

    Attributes:
        passes: how many readers went in to others while a writer waited.
    """

    __slots__ = ("announced", "name", "passes", "readers", "wanted", "writers_first", "writing")

    def __init__(self, name: str, writers_first: bool) -> None:
        self.name = name
        self.writers_first = writers_first
        self.readers = 0
        self.writing = False
        self.announced = 0
        self.passes = 0
        self.wanted: dict[int, tuple[MLike, bool]] = {}

    @property
    def admits(self) -> frozenset[str]:
        """What may go in now."""
        kinds = (("lock", True), ("rlock", False))
        return frozenset([kind for kind, writes in kinds if self.lets_in(writes)])

    def read(self) -> Op:
        """Go in to read."""
        return _Enter(self, False)

    def announce(self) -> Op:
        """Say that a writer is there."""

        def effect(m: MLike) -> None:
            self.announced += 1
            self.refresh()

        return _Change("announce", self, effect)

    def write(self) -> Op:
        """Go in to write; after `announce`."""
        return _Enter(self, True)

    def leave(self) -> Op:
        """Go out."""

        def effect(m: MLike) -> None:
            if self.writing:
                self.writing = False
            else:
                self.readers -= 1
            self.refresh()

        return _Change("leave", self, effect)

    def lets_in(self, writes: bool) -> bool:
        """Whether a writer, or a reader, may go in now."""
        if self.writing:
            return False
        return not self.readers if writes else not (self.writers_first and self.announced)

    def refresh(self) -> None:
        """Let those go that may, and those not that may not."""
        for m, writes in self.wanted.values():
            if self.lets_in(writes):
                m.sched.unpark(m)
            else:
                m.sched.disable(m)


class holding:
    """Hold a lock in the block of an `async with`.

    Args:
        lock: which.
        really: False does nothing, for the program whose bug is that it takes no lock.
    """

    __slots__ = ("_lock", "_really")

    def __init__(self, lock: Lock, really: bool = True) -> None:
        self._lock = lock
        self._really = really

    async def __aenter__(self) -> None:
        if self._really:
            await self._lock.acquire()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if self._really and error is None:
            await self._lock.release()


def free_block(world: World, pages: int, used: int = 0) -> int:
    """Put a block of `pages` on the free list, with `used` pages handed out behind it.

    For the start of a kernel: nothing of it is a step.

    Returns:
        The block's address.
    """
    os: Any = world.runtime.os
    start: int = os.brk.sbrk((pages + used) * PAGE)
    os.ledger.handed_out(start, (pages + used) * PAGE, "setup", 0)
    os.freelist.mem_free(start, pages * PAGE)
    os.ledger.freed(start, pages * PAGE, "setup", 0)
    return start


def load_header(world: World, addr: int) -> Op:
    """Read the size in a free block's header as a step of its own."""
    memory = world.runtime.memory
    at = addr + world.runtime.platform.word_size
    return _Step("atomic.load", FREE_LIST, True, lambda m: memory.load_word(at))


def store_header(world: World, addr: int, size: int) -> Op:
    """Write the size in a free block's header as a step of its own."""
    memory = world.runtime.memory
    at = addr + world.runtime.platform.word_size
    return _Step("atomic.store", FREE_LIST, False, lambda m: memory.store_word(at, size))


def step_of(kind: str, obj: str, effect: Callable[[], object]) -> Op:
    """Any code of the kernel's as one step that changes `obj`."""
    return _Step(kind, obj, False, lambda m: effect())

"""M: one of Go's machines, as a scenario uses it.

An M is what a scenario's coroutine is given. Its methods are operations of the emulated runtime on
behalf of that M; each may have to wait for memlock, so each is awaited. It carries Go's `locks`
count and what the runtime's mutexes keep per M (see `gorun_mem.step.task`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from gorun_mem.machine.ops import Access, Choice, Compute, Pause, Sleep
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.ledger import HOST
from gorun_mem.runtime.linear_memory import FRAME
from gorun_mem.runtime.op import Late, Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gorun_mem.machine.ops import Join
    from gorun_mem.runtime.boot import Runtime
    from gorun_mem.runtime.mutex import StateMutex

T = TypeVar("T")

DEFAULT_STAT = "other_sys"
"""The sysMemStat that Go charges memory to which belongs to nothing else."""


class Surroundings(Protocol):
    """What an M asks of the World it lives in."""

    @property
    def runtime(self) -> Runtime:
        """Memory, OS layer, mem.go and the heap."""

    @property
    def memlock(self) -> StateMutex:
        """The mutex around the OS layer."""

    def mutex(self, name: str) -> StateMutex:
        """The runtime mutex called `name`."""


class M(Task):
    """One M of a World, which makes it (`Nursery.start_soon`).

    Attributes:
        world: the World it lives in.
        id: number from 1; 0 is the scenario itself.
        locks: runtime locks held, as Go counts them.
        program: what it runs; not set on M 0, nor are the rest.
        args: what that takes beside the M.
        join: who waits for its end.
        raised: what a task of trio's own ended in, which its nursery has; not set on others.
    """

    __slots__ = ("args", "join", "program", "raised", "world")

    world: Surroundings
    program: Callable[..., Coroutine[Any, Any, Any]]
    args: tuple[Any, ...]
    join: Join
    raised: BaseException

    # The OS layer.

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS: `n` bytes of zeroed memory, or 0."""
        return await self.world.runtime.os.sys_alloc_os(n, purpose)

    async def sys_free_os(self, addr: int, n: int, purpose: str = "") -> None:
        """sysFreeOS: give back [addr, addr+n).

        Raises:
            IllegalUse: the range was not handed out, or was freed before.
        """
        await self.world.runtime.os.sys_free_os(addr, n, purpose)

    async def sys_reserve_os(self, addr: int, n: int, purpose: str = "") -> int:
        """sysReserveOS: `n` bytes, at `addr` unless that is 0; 0 when they cannot be had."""
        return await self.world.runtime.os.sys_reserve_os(addr, n, purpose)

    async def sys_reserve_aligned_sbrk(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAlignedSbrk, from go1.24: (address, size), or (0, 0)."""
        return await self.world.runtime.os.sys_reserve_aligned_sbrk(size, align, purpose)

    # mem.go.

    async def sys_alloc(self, n: int, stat: str = DEFAULT_STAT, purpose: str = "") -> int:
        """sysAlloc: `n` bytes, Ready for use and counted in `stat`; 0 when there are none."""
        mem = self.world.runtime.mem
        return await mem.sys_alloc(n, mem.stats[stat], purpose)

    async def sys_free(
        self, addr: int, n: int, stat: str = DEFAULT_STAT, purpose: str = ""
    ) -> None:
        """sysFree: give back [addr, addr+n) from any state.

        Raises:
            IllegalUse: the range was not handed out, or was freed before.
        """
        mem = self.world.runtime.mem
        await mem.sys_free(addr, n, mem.stats[stat], purpose)

    async def sys_reserve(self, addr: int, n: int, purpose: str = "") -> int:
        """sysReserve: Reserved address space, at `addr` unless that is 0."""
        return await self.world.runtime.mem.sys_reserve(addr, n, purpose)

    async def sys_reserve_aligned(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAligned: Reserved address space at a multiple of `align`."""
        return await self.world.runtime.mem.sys_reserve_aligned(0, size, align, purpose)

    def sys_map(self, addr: int, n: int, stat: str = DEFAULT_STAT) -> None:
        """sysMap: Reserved to Prepared."""
        mem = self.world.runtime.mem
        mem.sys_map(addr, n, mem.stats[stat])

    def sys_used(self, addr: int, n: int) -> None:
        """sysUsed: Prepared to Ready."""
        self.world.runtime.mem.sys_used(addr, n, n)

    def sys_unused(self, addr: int, n: int) -> None:
        """sysUnused: Ready to Prepared."""
        self.world.runtime.mem.sys_unused(addr, n)

    def sys_fault(self, addr: int, n: int) -> None:
        """sysFault: Ready or Prepared to Reserved."""
        self.world.runtime.mem.sys_fault(addr, n)

    # The heap.

    async def mheap_sys_alloc(self, n: int, *, user: bool = False) -> tuple[int, int]:
        """mheap.sysAlloc: heap arenas for `n` bytes, as (address, size).

        Raises:
            OutOfMemory: there are none, which whoever calls it in Go dies of.
        """
        mheap = self.world.runtime.mheap
        addr, size = await mheap.sys_alloc(n, user=user, p=self.id)
        if not addr:
            raise mheap.out_of_memory(n)
        return addr, size

    async def mallocinit(self) -> None:
        """mallocinit: what boot reserves before the heap grows, and the first arena hints.

        Once in a World, before the first `mheap_sys_alloc`.
        """
        from gorun_mem.runtime.mallocinit import mallocinit

        await mallocinit(self.world.runtime.mheap, self.world.runtime.data_end)

    # Memory.

    async def load(self, addr: int) -> int:
        """The word at `addr`.

        Raises:
            IllegalUse: the word was never handed out or has been freed; the message has its
                history.
            Fault: it lies outside the memory.
        """
        value: int = await Access("load", addr, lambda: self._load(addr))
        return value

    async def store(self, addr: int, value: int) -> None:
        """Write a word at `addr`.

        Raises:
            IllegalUse: the word was never handed out or has been freed; the message has its
                history.
            Fault: it lies outside the memory.
        """
        await Access("store", addr, lambda: self._store(addr, value))

    def _load(self, addr: int) -> int:
        self._check(addr, "load")
        value = self.world.runtime.memory.load_word(addr)
        return value if self.buffer is None else self._own_view(addr, value)

    def _own_view(self, addr: int, value: int) -> int:
        """The word at `addr`, which is `value` in memory, as the M sees it: the bytes that it has
        stored and that are in its store buffer still are its own."""
        assert self.buffer is not None
        size = self.world.runtime.platform.word_size
        word = bytearray(value.to_bytes(size, "little"))
        for late in self.buffer.late:
            if isinstance(late.place, int):
                stored = (late.value & (1 << 8 * size) - 1).to_bytes(size, "little")
                for at in range(max(addr, late.place), min(addr, late.place) + size):
                    word[at - addr] = stored[at - late.place]
        return int.from_bytes(word, "little")

    def _store(self, addr: int, value: int) -> None:
        self._check(addr, "store")
        if self.buffer is None:
            self._write(addr, value)
        else:
            self.world.runtime.memory.load_word(addr)  # faults where the store would
            self.buffer.put(Late(addr, f"mem:{addr:#x}", value, partial(self._write, addr)))

    def _write(self, addr: int, value: int) -> None:
        memory = self.world.runtime.memory
        before = memory.committed_bytes
        memory.store_word(addr, value)
        if memory.committed_bytes > before:  # the kernel gives the page now
            self.sched.charge("page.touch", 1)

    def _check(self, addr: int, verb: str) -> None:
        ledger = self.world.runtime.os.ledger
        if ledger is None:
            return
        word = self.world.runtime.platform.word_size
        if ledger.is_one(addr, word):
            return
        refusal = ledger.refusal(addr, word, f"{verb} at {addr:#x} by M{self.id}")
        if refusal is None:
            return
        owner = ledger.ownership(addr)
        if owner is not None and not owner.live and owner.m != HOST:
            raise IllegalUse(f"{verb} at {addr:#x} by M{self.id}: use after free; it was {owner}")
        raise IllegalUse(f"{verb} at {addr:#x} by M{self.id}: a stray access; {refusal}")

    # Locks, time and chance.

    async def lock(self, mutex: StateMutex, site: str = "") -> None:
        """Take a runtime mutex of the World's (see `World.mutex`).

        Args:
            mutex: which.
            site: who takes it, as reports are to call the place; what this M is for if "".
        """
        await mutex.lock(site or self.name)

    async def try_lock(self, mutex: StateMutex, site: str = "") -> bool:
        """Take a runtime mutex if that goes without waiting; whether it was taken.

        Args:
            mutex: which; its class must have a try_lock.
            site: who takes it; what this M is for if "".

        Raises:
            IllegalUse: the mutex cannot be tried.
        """
        taken: bool = await mutex.try_lock(site or self.name)
        return taken

    async def unlock(self, mutex: StateMutex, site: str = "") -> None:
        """Give a runtime mutex back.

        Args:
            mutex: which.
            site: who gives it back; who took it if "".
        """
        if not site:
            site = mutex.owner_site if mutex.owner is self else self.name
        await mutex.unlock(site)

    async def pause(self) -> None:
        """Let others go first; osyield."""
        await Pause()

    async def compute(self, ns: int) -> None:
        """Use the CPU for `ns` of virtual time.

        Raises:
            IllegalUse: `ns` is negative.
        """
        if ns < 0:
            self._refuse("compute", ns, 0)
        await Compute(ns)

    async def sleep(self, ns: int) -> None:
        """Sleep for `ns` of virtual time.

        Raises:
            IllegalUse: `ns` is negative.
        """
        if ns < 0:
            self._refuse("sleep", ns, 0)
        await Sleep(ns)

    async def choose(self, *values: T) -> T:
        """One of `values`, drawn as `choice` does, as a step of its own.

        Raises:
            IllegalUse: there are none.
        """
        if not values:
            self._refuse("choose among", 0, 1)
        index: int = await Choice(len(values), "choose")
        return values[index]

    def choice(self, *values: T) -> T:
        """One of `values`, from this M's own stream of the run's seed; in a search, the schedule's.

        Raises:
            IllegalUse: there are none.
        """
        if not values:
            self._refuse("choose among", 0, 1)
        return values[self.sched.data(self, len(values), "choice")]

    def randrange(self, n: int) -> int:
        """A number from 0 to n-1, drawn as `choice` does.

        Raises:
            IllegalUse: there are none.
        """
        if n < 1:
            self._refuse("choose among", n, 1)
        return self.sched.data(self, n, "randrange")

    def _refuse(self, what: str, value: int, least: int) -> NoReturn:
        raise IllegalUse(f"M{self.id} is to {what} {value}: must be at least {least}")

    async def perform(self, op: Op) -> Any:
        """Await any operation, such as one of your own."""
        return await op


class AccessM(M):
    """An M of a World in which every access of the allocator is a step.

    There an object is a page, for the allocator clears whole ones; so it is for the M's own loads
    and stores.
    """

    __slots__ = ()

    async def load(self, addr: int) -> int:
        """The word at `addr`; see `M.load`."""
        value: int = await Access("load", addr & -FRAME, lambda: self._load(addr))
        return value

    async def store(self, addr: int, value: int) -> None:
        """Write a word at `addr`; see `M.store`."""
        await Access("store", addr & -FRAME, lambda: self._store(addr, value))

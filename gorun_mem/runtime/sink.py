"""Where the emulated runtime reports what happens.

The runtime calls one method for each kind of event and knows nothing of logs: `events/` implements
this protocol. A part of the runtime holds `sink: Sink | None` and asks `if sink is not None` before
it computes what only the log needs, so a run without a log pays one test. The machine reports
through the same protocol what becomes of its Ms.

Addresses and sizes are ints in bytes; 0 is nil. The meaning of each field is in the event log's
schema (`gorun_mem.events.types`), whose names are these.
"""

from __future__ import annotations

from msgspec import Struct

from gorun_mem.runtime.call import Call, LayerState


class Waited(Struct, frozen=True, gc=False):
    """What an M went through to get a lock.

    Args:
        contended: whether it had to wait.
        wait_ns: virtual ns from asking to having.
        spins: spin rounds.
        sleeps: times it slept.
    """

    contended: bool
    wait_ns: int
    spins: int
    sleeps: int


class Sink:
    """A method for each event that is often reported, named as it is with an underscore for the
    dot, and `report` for every other; these do nothing.

    Its arguments are the event's fields, in their order, after the M for an event that is about
    one; `gorun_mem.events.methods` holds the two against each other. A call of the OS layer is one
    argument, and so is what an M went through to get a lock. A lock's site is its caller's and
    comes second.
    """

    __slots__ = ()

    def report(self, event: str, /, *fields: object) -> None:
        """An event by its name, with what its method would be given."""

    def mem_call(self, call: Call, /) -> None:
        """A call entered the OS layer."""

    def mem_return(self, call: Call, state: LayerState, /) -> None:
        """The same call returned, still under memlock; it leaves the layer in that state."""

    def freelist_take(
        self, addr: int, size: int, block_addr: int, block_size: int, exact: bool, index: int, /
    ) -> None:
        """A block, or the tail of one, left the free list."""

    def freelist_put(
        self,
        addr: int,
        size: int,
        merged_prev: bool,
        merged_next: bool,
        result_addr: int,
        result_size: int,
        cause: str,
        /,
    ) -> None:
        """A range went to the free list and the block it ended in."""

    def brk_move(self, bloc_before: int, bloc_after: int, bloc_max: int, cause: str, /) -> None:
        """The runtime's break moved."""

    def mem_grow(
        self,
        asked: int,
        before: int,
        after: int,
        ok: bool,
        limit: int,
        ordinal: int,
        /,
    ) -> None:
        """The memory was asked to grow by `asked` bytes; sizes are in bytes."""

    def host_grow(self, asked: int, before: int, after: int, ok: bool, limit: int, /) -> None:
        """The host grew wasm memory for itself, a mem.grow too; no Go code ran."""

    def mem_check(self, ok: bool, violation: str, addr: int, /) -> None:
        """The free list was checked."""

    def arena_reserve(
        self, addr: int, size: int, via: str, hint_addr: int, skipped_bytes: int, /
    ) -> None:
        """A heap arena was reserved."""

    def arena_hint_miss(self, hint_addr: int, down: bool, bloc: int, gap_bytes: int, /) -> None:
        """An arena hint was tried, missed and dropped."""

    def arena_hint_new(self, addr: int, down: bool, /) -> None:
        """An arena hint was made."""

    def lock_wait(
        self,
        lock: str,
        site: str,
        owner_m: int,
        owner_op: int,
        queue_depth: int,
        waiters: tuple[int, ...],
        held_locks: tuple[str, ...],
        /,
    ) -> None:
        """The M found the lock taken."""

    def lock_acquire(
        self,
        lock: str,
        site: str,
        waited: Waited,
        bypassed: int,
        queue_depth: int,
        prev_owner_m: int,
        /,
    ) -> None:
        """The M has the lock."""

    def lock_release(
        self,
        lock: str,
        site: str,
        hold_ns: int,
        waited: Waited,
        blocked_ns: int,
        waiters: tuple[int, ...],
        next_m: int,
        /,
    ) -> None:
        """The M gave the lock back."""

    def lock_throw(
        self, lock: str, site: str, error_type: str, owner_m: int, owner_site: str, /
    ) -> None:
        """The lock threw."""

    # The machine.

    def m_start(self, m: int, by_m: int = 0, reason: str = "", /) -> None:
        """M `m` began."""

    def m_park(self, m: int, reason: str = "", by_m: int = 0, /) -> None:
        """M `m` sleeps until another wakes it."""

    def m_unpark(self, m: int, by_m: int = 0, reason: str = "", /) -> None:
        """M `m` was made runnable by `by_m`."""

    def m_exit(self, m: int, reason: str = "", by_m: int = 0, /) -> None:
        """M `m` ended."""

    def store_late(self, obj: str, value: str, waiting: int, /) -> None:
        """A store went into the M's store buffer."""

    def store_flush(self, obj: str, value: str, waiting: int, /) -> None:
        """The oldest store of the M's store buffer reached memory."""

    def freelist_snapshot(self, blocks: tuple[tuple[int, int], ...], reason: str, /) -> None:
        """The whole free list, address and size of each block, in its order."""

    def race_found(self, what: str, where: str, who: tuple[str, ...], /) -> None:
        """Two accesses that nothing orders."""

    def deadlock_found(self, what: str, where: str, who: tuple[str, ...], /) -> None:
        """No M can go on."""

"""The events of a run, one type each: the vocabulary of the log.

Go has nothing like it: its runtime says what it does through `GODEBUG` lines and the mutex profile.
The names follow Go's functions where there is one (`mem.call` is a call of sysAllocOS and its
like, `brk.move` is `bloc` moving in sbrk of mem_sbrk.go).

What all of them have is in `gorun_mem.events.base`, a run's first and last in
`gorun_mem.events.run_events`.

What a type says besides its fields decides all that is done with its events: their levels, whether
a canonical log has them, which sum of `run.end` they add to. `gorun_mem.events.methods` makes the
recorder's methods of it, `gorun_mem.events.schema` the schema. What happens is reported by
`Sink.report`, or by a method of its own in `gorun_mem.runtime.sink`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, Union

from msgspec import UNSET, UnsetType

from gorun_mem.events.base import ENVELOPE as ENVELOPE
from gorun_mem.events.base import SCHEMA as SCHEMA
from gorun_mem.events.base import Level as Level
from gorun_mem.events.base import LogEvent as LogEvent
from gorun_mem.events.base import Option as Option
from gorun_mem.events.base import address, declared, doc
from gorun_mem.events.base import event as event
from gorun_mem.events.run_events import Outcome as Outcome
from gorun_mem.events.run_events import RunEnd as RunEnd
from gorun_mem.events.run_events import RunStart as RunStart
from gorun_mem.events.run_events import run_id as run_id

MemPath: TypeAlias = Literal[
    "hint",
    "hint_miss",
    "freelist",
    "sbrk",
    "aligned_freelist",
    "aligned_sbrk",
    "end_of_memory",
    "memfree",
    "nil",
    "fail",
]
PutCause: TypeAlias = Literal["mid_free", "align_head", "align_tail", "align_skip", "rest"]
SnapshotReason: TypeAlias = Literal["keyframe", "failure", "end"]
ReserveVia: TypeAlias = Literal["hint", "aligned"]


@event
class MStart(LogEvent, frozen=True, gc=False, tag="m.start"):
    """An M began."""

    of_an_m = True
    in_a_call = False

    by_m: Annotated[int, doc("M that started it, 0 for the scenario")]
    reason: Annotated[str | UnsetType, doc("what it is for")] = UNSET


@event
class MPark(LogEvent, frozen=True, gc=False, tag="m.park"):
    """An M sleeps until another wakes it; or one that holds locks has to wait for a CPU."""

    of_an_m = True

    reason: Annotated[str | UnsetType, doc("what it waits for")] = UNSET
    by_m: Annotated[int | UnsetType, doc("M that holds what it waits for")] = UNSET


@event
class MUnpark(LogEvent, frozen=True, gc=False, tag="m.unpark"):
    """A sleeping M was made runnable; `m` is the one that was woken."""

    of_an_m = True

    by_m: Annotated[int, doc("M that woke it, 0 for a timer")]
    reason: Annotated[str | UnsetType, doc("what it waited for")] = UNSET


@event
class MExit(LogEvent, frozen=True, gc=False, tag="m.exit"):
    """An M ended."""

    of_an_m = True
    in_a_call = False

    reason: Annotated[str | UnsetType, doc("how it ended, if not by returning")] = UNSET
    by_m: Annotated[int | UnsetType, doc("M that ended it")] = UNSET


@event
class LockWait(LogEvent, frozen=True, gc=False, tag="lock.wait"):
    """The M found the lock taken."""

    site_given = True

    lock: Annotated[str, doc("the lock's name")]
    owner_m: Annotated[int, doc("M that holds it")]
    queue_depth: Annotated[int, doc("Ms that waited before this one came")]
    waiters: Annotated[tuple[int, ...], doc("those Ms")]
    held_locks: Annotated[tuple[str, ...], doc("locks that the M holds meanwhile")]
    owner_op: Annotated[int | UnsetType, doc("sys* call that holds it")] = UNSET


@event
class LockAcquire(LogEvent, frozen=True, gc=False, tag="lock.acquire"):
    """The M has the lock."""

    site_given = True

    lock: Annotated[str, doc("the lock's name")]
    contended: Annotated[bool, doc("whether it had to wait")]
    wait_ns: Annotated[int, doc("virtual ns from asking to having")]
    spins: Annotated[int, doc("spin rounds")]
    sleeps: Annotated[int, doc("times it slept")]
    bypassed: Annotated[int, doc("acquisitions by Ms that came later")]
    queue_depth: Annotated[int, doc("Ms still waiting")]
    prev_owner_m: Annotated[int, doc("M that held it last, 0 for none")]


@event
class LockRelease(LogEvent, frozen=True, gc=False, tag="lock.release"):
    """The M gave the lock back; repeats what the acquisition cost, for the summaries."""

    site_given = True
    canonical = True

    lock: Annotated[str, doc("the lock's name")]
    hold_ns: Annotated[int, doc("virtual ns from having to giving back")]
    wait_ns: Annotated[int, doc("virtual ns from asking to having")]
    contended: Annotated[bool, doc("whether it had to wait")]
    spins: Annotated[int, doc("spin rounds before it had the lock")]
    sleeps: Annotated[int, doc("times it slept before it had the lock")]
    blocked_ns: Annotated[int, doc("virtual ns that others waited while it held the lock")]
    waiters: Annotated[tuple[int, ...], doc("Ms that wait at this moment")]
    next_m: Annotated[int, doc("M that is woken or handed the lock, 0 for none")]


@event
class LockThrow(LogEvent, frozen=True, gc=False, tag="lock.throw"):
    """The lock ended the program."""

    site_given = True
    levels = ("error",)

    lock: Annotated[str, doc("the lock's name")]
    error_type: Annotated[str, doc("Go's throw text, such as self deadlock")]
    owner_m: Annotated[int, doc("M that holds it")]
    owner_site: Annotated[str | UnsetType, doc("Go function that took it")] = UNSET


@event
class MemCall(LogEvent, frozen=True, gc=False, tag="mem.call"):
    """A call entered the OS layer."""

    fn: Annotated[str, doc("Go function without package, such as sysAllocOS")]
    v: Annotated[int, address("address given, 0 for nil")]
    n: Annotated[int, doc("size given, in bytes")]
    align: Annotated[int, doc("alignment asked for, 0 where the call has none")]
    purpose: Annotated[str | UnsetType, doc("who asks, in the caller's words")] = UNSET


@event
class MemReturn(LogEvent, frozen=True, gc=False, tag="mem.return"):
    """The same call returned; the state is that after it, still under memlock."""

    levels = ("debug", "warning")
    canonical = True

    fn: Annotated[str, doc("Go function without package, such as sysAllocOS")]
    v: Annotated[int, address("address given, 0 for nil")]
    n: Annotated[int, doc("size given, in bytes")]
    align: Annotated[int, doc("alignment asked for, 0 where the call has none")]
    p: Annotated[int, address("address answered, 0 for nil")]
    size: Annotated[int, doc("bytes answered")]
    ok: Annotated[bool, doc("whether the caller got what it asked for")]
    path: Annotated[MemPath, doc("how the answer came about")]
    dur_ns: Annotated[int, doc("virtual ns from call to return, waiting included")]
    search_steps: Annotated[int, doc("free-list headers looked at")]
    cleared_bytes: Annotated[int, doc("bytes set to zero")]
    pages: Annotated[int, doc("pages of 64 KiB up to the top of memory")]
    bloc: Annotated[int, address("the break; reserveEnd on wasm up to 1.20")]
    bloc_max: Annotated[int, address("end of what the break may reach without growing")]
    free_bytes: Annotated[int, doc("bytes on the free list")]
    free_blocks: Annotated[int, doc("blocks on the free list")]
    free_largest: Annotated[int, doc("largest of them, in bytes")]
    purpose: Annotated[str | UnsetType, doc("who asks, in the caller's words")] = UNSET


@event
class FreelistTake(LogEvent, frozen=True, gc=False, tag="freelist.take"):
    """A block, or the tail of one, left the free list."""

    addr: Annotated[int, address("what was taken")]
    size: Annotated[int, doc("its bytes")]
    block_addr: Annotated[int, address("the block it came from")]
    block_size: Annotated[int, doc("that block's bytes before")]
    exact: Annotated[bool, doc("the whole block went")]
    index: Annotated[int, doc("the block's place in the list, from 0")]


@event
class FreelistPut(LogEvent, frozen=True, gc=False, tag="freelist.put"):
    """A range went to the free list."""

    addr: Annotated[int, address("what was put")]
    size: Annotated[int, doc("its bytes")]
    merged_prev: Annotated[bool, doc("joined the block before it")]
    merged_next: Annotated[bool, doc("joined the block after it")]
    result_addr: Annotated[int, address("the block it ended in")]
    result_size: Annotated[int, doc("that block's bytes")]
    cause: Annotated[
        PutCause, doc("a free, a trim of an aligned reservation, or the rest of a policy's block")
    ]


@event
class FreelistSnapshot(LogEvent, frozen=True, gc=False, tag="freelist.snapshot"):
    """The whole free list, in its order."""

    blocks: Annotated[tuple[tuple[int, int], ...], doc("address and size of each block")]
    reason: SnapshotReason


@event
class BrkMove(LogEvent, frozen=True, gc=False, tag="brk.move"):
    """The runtime's break moved."""

    bloc_before: Annotated[int, address("the break before")]
    bloc_after: Annotated[int, address("the break after")]
    bloc_max: Annotated[int, address("end of what the break may reach without growing")]
    cause: Annotated[str, doc("what moved it")]


HOST_SITE: Final = "host"
"""In place of a Go function: the host."""


@event
class MemGrow(LogEvent, frozen=True, gc=False, tag="mem.grow"):
    """The memory was asked to grow; an error where that was refused.

    Its site is `host` where the host grew it for itself, without any Go code.
    """

    levels = ("info", "error")
    adds_to = "grows"

    delta_pages: Annotated[int, doc("pages of 64 KiB asked for")]
    pages_before: Annotated[int, doc("pages of 64 KiB before")]
    pages_after: Annotated[int, doc("pages of 64 KiB after")]
    ok: bool
    max_pages: Annotated[int, doc("pages of 64 KiB that the memory may have")]
    ordinal: Annotated[int, doc("which growth of the run this is, from 1; 0 for the host's")]
    delta_bytes: Annotated[int | UnsetType, doc("bytes asked for")] = UNSET
    bytes_before: Annotated[int | UnsetType, doc("bytes before")] = UNSET
    bytes_after: Annotated[int | UnsetType, doc("bytes after")] = UNSET


@event
class MemCheck(LogEvent, frozen=True, gc=False, tag="mem.check"):
    """The free list was checked, as Go's memCheck does under memDebug."""

    levels = ("debug", "error")

    ok: bool
    violation: Annotated[str | UnsetType, doc("Go's throw text")] = UNSET
    addr: Annotated[int | UnsetType, address("the header at fault")] = UNSET


@event
class ArenaReserve(LogEvent, frozen=True, gc=False, tag="arena.reserve"):
    """mheap.sysAlloc reserved a heap arena."""

    levels = ("info",)

    addr: Annotated[int, address("where it starts")]
    size: Annotated[int, doc("its bytes")]
    via: Annotated[ReserveVia, doc("by a hint, or aligned after all hints failed")]
    hint_addr: Annotated[int, address("the hint that was hit, 0 for none")]
    skipped_bytes: Annotated[int, doc("bytes left unused to align it")]


@event
class ArenaHintMiss(LogEvent, frozen=True, gc=False, tag="arena.hint_miss"):
    """An arena hint was tried, missed and dropped."""

    levels = ("warning",)
    adds_to = "hint_misses"

    hint_addr: Annotated[int, address("where the arena should have gone")]
    down: Annotated[bool, doc("a hint that grows downwards")]
    bloc: Annotated[int, address("where the break was instead")]
    gap_bytes: Annotated[int, doc("how far the hint and the break are apart")]


@event
class ArenaHintNew(LogEvent, frozen=True, gc=False, tag="arena.hint_new"):
    """An arena hint was made."""

    addr: Annotated[int, address("the hint")]
    down: Annotated[bool, doc("a hint that grows downwards")]


@event
class StoreLate(LogEvent, frozen=True, gc=False, tag="store.late"):
    """A store went into its M's store buffer: the other Ms do not see it yet. Memory is TSO."""

    obj: Annotated[str, doc("what was stored to")]
    value: Annotated[str, doc("what was stored")]
    waiting: Annotated[int, doc("stores in the buffer now, this one included")]


@event
class StoreFlush(LogEvent, frozen=True, gc=False, tag="store.flush"):
    """The oldest store of an M's store buffer reached memory. Memory is TSO."""

    obj: Annotated[str, doc("what was stored to")]
    value: Annotated[str, doc("what was stored")]
    waiting: Annotated[int, doc("stores in the buffer now, after this one")]


@event
class RaceFound(LogEvent, frozen=True, gc=False, tag="race.found"):
    """Two accesses, at least one a write, that nothing orders."""

    levels = ("error",)

    what: Annotated[str, doc("what is wrong")]
    where: Annotated[str, doc("the object, and the places in the program")]
    who: Annotated[tuple[str, ...], doc("the Ms and what each did")]


@event
class DeadlockEvent(LogEvent, frozen=True, gc=False, tag="deadlock.found"):
    """No M can go on."""

    levels = ("error",)
    in_a_call = False

    what: Annotated[str, doc("what is wrong")]
    where: Annotated[str, doc("the locks that close the circle")]
    who: Annotated[tuple[str, ...], doc("each M, what it waits for, since when, who holds it")]


EVENT_TYPES: Final[tuple[type[LogEvent], ...]] = tuple(declared)
"""Every event there is, in the order in which they are declared."""

if TYPE_CHECKING:
    AnyEvent: TypeAlias = LogEvent
else:
    AnyEvent = Union[EVENT_TYPES]  # noqa: UP007 - a union of as many as there are

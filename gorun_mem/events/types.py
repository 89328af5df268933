"""The events of a run, one type each: the vocabulary of the log.

Go has nothing like it: its runtime says what it does through `GODEBUG` lines and the mutex profile.
The names follow Go's functions where there is one (`mem.call` is a call of sysAllocOS and its
like, `brk.move` is `bloc` moving in sbrk of mem_sbrk.go).

Every line carries the envelope (`Event`): the event's dotted name, its level, its place in the
order, the virtual time and the M. Fields that do not apply are left out of the line; they read as
`UNSET`. Addresses and sizes are ints in bytes, 0 is nil, M 0 is the scenario itself or nobody.

Rejected: leaving out every field that has its default (`omit_defaults`), because a reader of
Parquet or jq could then not tell "no" from "not said"; a free `extra` mapping, because what is not
in the table is not part of the format; the envelope's last fields by keyword, because a call that
passes both a tuple and keywords costs twice one that passes a tuple.

What a type says besides its fields decides all that is done with its events: their levels, whether
a canonical log has them, which sum of `run.end` they add to. `gorun_mem.events.methods` makes the
recorder's methods of it, `gorun_mem.events.schema` the schema.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

SCHEMA: Final = "gorun_mem/1"
"""The format's name and version, as `run.start` says it."""

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Outcome: TypeAlias = Literal[
    "ok",
    "failed",
    "throw",
    "fault",
    "out_of_memory",
    "deadlock",
    "no_progress",
    "cancelled",
    "interrupted",
    "internal",
]
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
PutCause: TypeAlias = Literal["mid_free", "align_head", "align_tail", "align_skip"]
SnapshotReason: TypeAlias = Literal["keyframe", "failure", "end"]
ReserveVia: TypeAlias = Literal["hint", "aligned"]
Option: TypeAlias = str | int | float | bool | None


def doc(text: str) -> Meta:
    """What a field means, for the schema."""
    return Meta(description=text)


def address(text: str) -> Meta:
    """What an address field means; consoles print such a field in hexadecimal."""
    return Meta(description=text, extra_json_schema={"x-address": True})


ENVELOPE_END: Final[dict[str, Any]] = {
    "op": Annotated[int | UnsetType, doc("id of the sys* call that this happened in")],
    "site": Annotated[str | UnsetType, doc("Go function, such as runtime.sysAllocOS")],
    "g": Annotated[int | UnsetType, doc("goroutine id")],
    "timestamp": Annotated[str | UnsetType, doc("wall clock, ISO 8601 in UTC")],
}
"""The part of the envelope that is written only where it applies."""


class Event(Struct, frozen=True, gc=False, tag_field="event"):
    """What every event says.

    A subclass adds its own fields, those that may not apply last; `@event` puts `op`, `site`, `g`
    and `timestamp` after them.
    """

    levels: ClassVar[tuple[Level, ...]] = ("debug",)
    """The levels this event can have; of two, the second where its `ok` is False."""
    canonical: ClassVar[bool] = False
    """Whether a canonical log has it; it has every error."""
    of_an_m: ClassVar[bool] = False
    """Whether `m` is the M that it is about, and not the one that runs."""
    in_a_call: ClassVar[bool] = True
    """Whether it belongs to the sys* call that its M is in."""
    site_given: ClassVar[bool] = False
    """Whether its `site` is said by who reports it, and not the call's."""
    adds_to: ClassVar[str] = ""
    """The sum of `run.end` that counts it."""

    level: Level
    seq: Annotated[int, doc("place in the log from 1, without gaps: the linearisation order")]
    t_ns: Annotated[int, doc("virtual time in ns")]
    m: Annotated[int, doc("M that did it, 0 for none")]

    if TYPE_CHECKING:

        @property
        def op(self) -> int | UnsetType: ...  # noqa: D102  ENVELOPE_END says it
        @property
        def site(self) -> str | UnsetType: ...  # noqa: D102
        @property
        def g(self) -> int | UnsetType: ...  # noqa: D102
        @property
        def timestamp(self) -> str | UnsetType: ...  # noqa: D102

    @property
    def name(self) -> str:
        """The dotted name, such as `lock.acquire`."""
        return str(self.__struct_config__.tag)


_SAID: Final = {"__doc__", *Event.__annotations__} - {*Event.__struct_fields__}
"""What a type says besides its fields."""

E = TypeVar("E", bound=Event)


def event(kind: type[E]) -> type[E]:
    """End the fields of an event with those of the envelope that may not apply.

    In a line they come last. A base class's fields would come first, or by keyword only; a
    metaclass that adds them makes every event a third slower to build.
    """
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        if field.name not in Event.__struct_fields__:
            default = () if field.required else (field.default,)
            fields.append((field.name, kind.__annotations__[field.name], *default))
    fields += [(name, type_, UNSET) for name, type_ in ENVELOPE_END.items()]
    said = {name: value for name, value in vars(kind).items() if name in _SAID}
    made = msgspec.defstruct(
        kind.__name__, fields, bases=(Event,), module=kind.__module__, namespace=said, frozen=True,
        gc=False, tag_field="event", tag=kind.__struct_config__.tag,
    )  # fmt: skip
    return cast(type[E], made)


ENVELOPE: Final = frozenset({*Event.__struct_fields__, *ENVELOPE_END})
"""The fields that every event has besides its own."""


@event
class RunStart(Event, frozen=True, gc=False, tag="run.start"):
    """The first line: everything that decides how the run goes."""

    levels = ("info",)
    canonical = True

    schema: Annotated[str, doc("gorun_mem/1")]
    run_id: Annotated[str, doc("hash of the fields that follow")]
    release: Annotated[str, doc("Go release")]
    platform: Annotated[str, doc("js/wasm, wasip1/wasm, plan9/amd64 or plan9/386")]
    mutex: Annotated[str, doc("which runtime mutex memlock is")]
    what_if: Annotated[bool, doc("no Go release runs so: several Ms on wasm, another mutex")]
    phys_page_size: Annotated[int, doc("Go's physPageSize in bytes")]
    heap_arena_bytes: Annotated[int, doc("Go's heapArenaBytes")]
    data_end: Annotated[int, address("end of the program's data, where the break starts")]
    initial_pages: Annotated[int, doc("pages of 64 KiB at the start")]
    max_pages: Annotated[int, doc("pages of 64 KiB that the memory may have")]
    ms: Annotated[int, doc("number of Ms")]
    cpus: Annotated[int, doc("Ms that run at once")]
    strategy: Annotated[str, doc("who goes next")]
    granularity: Annotated[str, doc("sync or access: where Ms can be switched")]
    seed: Annotated[int, doc("seed of all that the run draws")]
    scenario: Annotated[str, doc("name or path")]
    options: Annotated[dict[str, Option], doc("the scenario's options by name")]
    scenario_sha256: Annotated[str | UnsetType, doc("of the scenario's source")] = UNSET
    cost_table_sha256: Annotated[str | UnsetType, doc("of the cost table")] = UNSET
    trace_sha256: Annotated[str | UnsetType, doc("of the recording that was replayed")] = UNSET
    mem_debug: Annotated[bool | UnsetType, doc("Go's memDebug, said where it is on")] = UNSET
    faithful: Annotated[bool | UnsetType, doc("illegal frees are done, not refused")] = UNSET
    wrong_order: Annotated[bool | UnsetType, doc("osinit had initBloc first")] = UNSET
    steps_max: Annotated[int | UnsetType, doc("bound on steps, said where it is not usual")] = UNSET
    schedule: Annotated[
        str | UnsetType, doc("token of the schedule that strategy replay follows")
    ] = UNSET
    log_level: Annotated[
        Literal["info"] | UnsetType, doc("said where calls and releases are left out")
    ] = UNSET


@event
class RunEnd(Event, frozen=True, gc=False, tag="run.end"):
    """The last line: how it ended. A log without it was cut."""

    levels = ("info", "error")
    canonical = True

    outcome: Outcome
    final_pages: Annotated[int, doc("pages of 64 KiB at the end")]
    peak_live_bytes: Annotated[int, doc("most bytes handed out and not given back at a time")]
    grows: Annotated[int, doc("growths asked for")]
    hint_misses: Annotated[int, doc("arena hints dropped after a try")]
    lock_wait_ns: Annotated[int, doc("virtual ns waited for runtime locks, all Ms")]
    steps: Annotated[int, doc("steps of the engine")]
    events: Annotated[int, doc("lines of this log, this one included")]
    uncontrolled: Annotated[bool, doc("an M awaited trio itself: not reproducible by token")]
    error_type: Annotated[str | UnsetType, doc("what kind of failure")] = UNSET
    token: Annotated[str | UnsetType, doc("names the schedule; replay-schedule takes it")] = UNSET
    stuck: Annotated[
        tuple[str, ...] | UnsetType,
        doc("who held a lock or waited for one when it ended before its time"),
    ] = UNSET
    error: Annotated[str | UnsetType, doc("what ended it, in Go's words where Go has some")] = UNSET
    failed_m: Annotated[int | UnsetType, doc("M whose step or program failed")] = UNSET
    uncontrolled_at: Annotated[
        tuple[str, ...] | UnsetType, doc("where an M awaited trio itself, as file:line")
    ] = UNSET
    results: Annotated[dict[str, Option] | UnsetType, doc("what the scenario found")] = UNSET


@event
class MStart(Event, frozen=True, gc=False, tag="m.start"):
    """An M began."""

    of_an_m = True
    in_a_call = False

    by_m: Annotated[int, doc("M that started it, 0 for the scenario")]
    reason: Annotated[str | UnsetType, doc("what it is for")] = UNSET


@event
class MPark(Event, frozen=True, gc=False, tag="m.park"):
    """An M sleeps until another wakes it; or one that holds locks has to wait for a CPU."""

    of_an_m = True

    reason: Annotated[str | UnsetType, doc("what it waits for")] = UNSET
    by_m: Annotated[int | UnsetType, doc("M that holds what it waits for")] = UNSET


@event
class MUnpark(Event, frozen=True, gc=False, tag="m.unpark"):
    """A sleeping M was made runnable; `m` is the one that was woken."""

    of_an_m = True

    by_m: Annotated[int, doc("M that woke it, 0 for a timer")]
    reason: Annotated[str | UnsetType, doc("what it waited for")] = UNSET


@event
class MExit(Event, frozen=True, gc=False, tag="m.exit"):
    """An M ended."""

    of_an_m = True
    in_a_call = False

    reason: Annotated[str | UnsetType, doc("how it ended, if not by returning")] = UNSET
    by_m: Annotated[int | UnsetType, doc("M that ended it")] = UNSET


@event
class LockWait(Event, frozen=True, gc=False, tag="lock.wait"):
    """The M found the lock taken."""

    site_given = True

    lock: Annotated[str, doc("the lock's name")]
    owner_m: Annotated[int, doc("M that holds it")]
    queue_depth: Annotated[int, doc("Ms that waited before this one came")]
    waiters: Annotated[tuple[int, ...], doc("those Ms")]
    held_locks: Annotated[tuple[str, ...], doc("locks that the M holds meanwhile")]
    owner_op: Annotated[int | UnsetType, doc("sys* call that holds it")] = UNSET


@event
class LockAcquire(Event, frozen=True, gc=False, tag="lock.acquire"):
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
class LockRelease(Event, frozen=True, gc=False, tag="lock.release"):
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
class LockThrow(Event, frozen=True, gc=False, tag="lock.throw"):
    """The lock ended the program."""

    site_given = True
    levels = ("error",)

    lock: Annotated[str, doc("the lock's name")]
    error_type: Annotated[str, doc("Go's throw text, such as self deadlock")]
    owner_m: Annotated[int, doc("M that holds it")]
    owner_site: Annotated[str | UnsetType, doc("Go function that took it")] = UNSET


@event
class MemCall(Event, frozen=True, gc=False, tag="mem.call"):
    """A call entered the OS layer."""

    fn: Annotated[str, doc("Go function without package, such as sysAllocOS")]
    v: Annotated[int, address("address given, 0 for nil")]
    n: Annotated[int, doc("size given, in bytes")]
    align: Annotated[int, doc("alignment asked for, 0 where the call has none")]
    purpose: Annotated[str | UnsetType, doc("who asks, in the caller's words")] = UNSET


@event
class MemReturn(Event, frozen=True, gc=False, tag="mem.return"):
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
class FreelistTake(Event, frozen=True, gc=False, tag="freelist.take"):
    """A block, or the tail of one, left the free list."""

    addr: Annotated[int, address("what was taken")]
    size: Annotated[int, doc("its bytes")]
    block_addr: Annotated[int, address("the block it came from")]
    block_size: Annotated[int, doc("that block's bytes before")]
    exact: Annotated[bool, doc("the whole block went")]
    index: Annotated[int, doc("the block's place in the list, from 0")]


@event
class FreelistPut(Event, frozen=True, gc=False, tag="freelist.put"):
    """A range went to the free list."""

    addr: Annotated[int, address("what was put")]
    size: Annotated[int, doc("its bytes")]
    merged_prev: Annotated[bool, doc("joined the block before it")]
    merged_next: Annotated[bool, doc("joined the block after it")]
    result_addr: Annotated[int, address("the block it ended in")]
    result_size: Annotated[int, doc("that block's bytes")]
    cause: Annotated[PutCause, doc("a free, or a trim of an aligned reservation")]


@event
class FreelistSnapshot(Event, frozen=True, gc=False, tag="freelist.snapshot"):
    """The whole free list, in its order."""

    blocks: Annotated[tuple[tuple[int, int], ...], doc("address and size of each block")]
    reason: SnapshotReason


@event
class BrkMove(Event, frozen=True, gc=False, tag="brk.move"):
    """The runtime's break moved."""

    bloc_before: Annotated[int, address("the break before")]
    bloc_after: Annotated[int, address("the break after")]
    bloc_max: Annotated[int, address("end of what the break may reach without growing")]
    cause: Annotated[str, doc("what moved it")]


HOST_SITE: Final = "host"
"""In place of a Go function: the host."""


@event
class MemGrow(Event, frozen=True, gc=False, tag="mem.grow"):
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
class MemCheck(Event, frozen=True, gc=False, tag="mem.check"):
    """The free list was checked, as Go's memCheck does under memDebug."""

    levels = ("debug", "error")

    ok: bool
    violation: Annotated[str | UnsetType, doc("Go's throw text")] = UNSET
    addr: Annotated[int | UnsetType, address("the header at fault")] = UNSET


@event
class ArenaReserve(Event, frozen=True, gc=False, tag="arena.reserve"):
    """mheap.sysAlloc reserved a heap arena."""

    levels = ("info",)

    addr: Annotated[int, address("where it starts")]
    size: Annotated[int, doc("its bytes")]
    via: Annotated[ReserveVia, doc("by a hint, or aligned after all hints failed")]
    hint_addr: Annotated[int, address("the hint that was hit, 0 for none")]
    skipped_bytes: Annotated[int, doc("bytes left unused to align it")]


@event
class ArenaHintMiss(Event, frozen=True, gc=False, tag="arena.hint_miss"):
    """An arena hint was tried, missed and dropped."""

    levels = ("warning",)
    adds_to = "hint_misses"

    hint_addr: Annotated[int, address("where the arena should have gone")]
    down: Annotated[bool, doc("a hint that grows downwards")]
    bloc: Annotated[int, address("where the break was instead")]
    gap_bytes: Annotated[int, doc("how far the hint and the break are apart")]


@event
class ArenaHintNew(Event, frozen=True, gc=False, tag="arena.hint_new"):
    """An arena hint was made."""

    addr: Annotated[int, address("the hint")]
    down: Annotated[bool, doc("a hint that grows downwards")]


@event
class RaceFound(Event, frozen=True, gc=False, tag="race.found"):
    """Two accesses, at least one a write, that nothing orders."""

    levels = ("error",)

    what: Annotated[str, doc("what is wrong")]
    where: Annotated[str, doc("the object, and the places in the program")]
    who: Annotated[tuple[str, ...], doc("the Ms and what each did")]


@event
class DeadlockFound(Event, frozen=True, gc=False, tag="deadlock.found"):
    """No M can go on."""

    levels = ("error",)
    in_a_call = False

    what: Annotated[str, doc("what is wrong")]
    where: Annotated[str, doc("the locks that close the circle")]
    who: Annotated[tuple[str, ...], doc("each M, what it waits for, since when, who holds it")]


AnyEvent: TypeAlias = (
    RunStart
    | RunEnd
    | MStart
    | MPark
    | MUnpark
    | MExit
    | LockWait
    | LockAcquire
    | LockRelease
    | LockThrow
    | MemCall
    | MemReturn
    | FreelistTake
    | FreelistPut
    | FreelistSnapshot
    | BrkMove
    | MemGrow
    | MemCheck
    | ArenaReserve
    | ArenaHintMiss
    | ArenaHintNew
    | RaceFound
    | DeadlockFound
)
"""Every event; what `event` says picks the type."""

EVENT_TYPES: Final[tuple[type[Event], ...]] = AnyEvent.__args__
"""The same, to loop over."""

_OUTSIDE_RUN_ID: Final = (*ENVELOPE, "schema", "run_id", "log_level")


def run_id(start: RunStart) -> str:
    """The id of a run: 16 hex digits of the SHA-256 of what decides how it goes.

    Args:
        start: its envelope and its own `run_id` are not looked at.
    """
    fields = {
        name: value
        for name in start.__struct_fields__
        if name not in _OUTSIDE_RUN_ID and (value := getattr(start, name)) is not UNSET
    }
    canonical = msgspec.json.encode(fields, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:16]

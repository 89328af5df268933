"""The first and the last line of a log: how a run was set up, and how it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Required, TypeAlias, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from gorun_mem.events.base import ENVELOPE, LogEvent, Option, address, doc, event

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


@event
class RunStart(LogEvent, frozen=True, gc=False, tag="run.start"):
    """The first line: everything that decides how the run goes."""

    levels = ("info",)
    canonical = True

    schema: Annotated[str, doc("gorun_mem/1")]
    run_id: Annotated[str, doc("hash of the fields that follow")]
    release: Annotated[str, doc("Go release")]
    platform: Annotated[str, doc("js/wasm, wasip1/wasm, plan9/amd64 or plan9/386")]
    mutex: Annotated[str, doc("which runtime mutex memlock is")]
    what_if: Annotated[
        bool, doc("no Go release runs so: several Ms on wasm, another mutex, a policy")
    ]
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
    policy: Annotated[str | UnsetType, doc("the allocator's, where it is not Go's own")] = UNSET
    scenario_sha256: Annotated[str | UnsetType, doc("of the scenario's source")] = UNSET
    cost_table_sha256: Annotated[str | UnsetType, doc("of the cost table")] = UNSET
    trace_sha256: Annotated[str | UnsetType, doc("of the recording that was replayed")] = UNSET
    mem_debug: Annotated[bool | UnsetType, doc("Go's memDebug, said where it is on")] = UNSET
    faithful: Annotated[bool | UnsetType, doc("illegal frees are done, not refused")] = UNSET
    wrong_order: Annotated[bool | UnsetType, doc("osinit had initBloc first")] = UNSET
    memory: Annotated[
        Literal["tso"] | UnsetType, doc("said where stores may be late, as on x86")
    ] = UNSET
    steps_max: Annotated[int | UnsetType, doc("bound on steps, said where it is not usual")] = UNSET
    schedule: Annotated[
        str | UnsetType, doc("token of the schedule that strategy replay follows")
    ] = UNSET
    log_level: Annotated[
        Literal["info"] | UnsetType, doc("said where calls and releases are left out")
    ] = UNSET


@event
class RunEnd(LogEvent, frozen=True, gc=False, tag="run.end"):
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


class RunFacts(TypedDict, total=False):
    """How a run was set up: the fields of `RunStart` as who starts it has them.

    What does not apply is left out, or is "", 0 or False.
    """

    release: Required[str]
    platform: Required[str]
    mutex: Required[str]
    what_if: Required[bool]
    phys_page_size: Required[int]
    heap_arena_bytes: Required[int]
    data_end: Required[int]
    initial_pages: Required[int]
    max_pages: Required[int]
    ms: Required[int]
    cpus: Required[int]
    strategy: Required[str]
    granularity: Required[str]
    seed: Required[int]
    scenario: Required[str]
    options: Mapping[str, Option]
    policy: str
    scenario_sha256: str
    cost_table_sha256: str
    trace_sha256: str
    mem_debug: bool
    faithful: bool
    wrong_order: bool
    memory: str
    steps_max: int
    schedule: str


class EndFacts(TypedDict, total=False):
    """How a run ended: the fields of `RunEnd` that are not sums, likewise."""

    final_pages: Required[int]
    steps: Required[int]
    error_type: str
    token: str
    uncontrolled: bool
    stuck: tuple[str, ...]
    error: str
    failed_m: int
    uncontrolled_at: tuple[str, ...]
    results: Mapping[str, Option]


def fields_of(kind: type[RunStart | RunEnd], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as an event has them: text that JSON can carry, and nothing that does not apply."""
    may_be_absent = {one.name for one in msgspec.structs.fields(kind) if not one.required}
    return {
        name: _plain(value) for name, value in facts.items() if value or name not in may_be_absent
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_text(one) for one in value)
    if isinstance(value, Mapping):
        return {_text(name): _option(one) for name, one in value.items()}
    return _option(value)


def _text(value: str) -> str:
    """Text that JSON can carry: bytes of a file name that are not UTF-8 are spelled out."""
    return value.encode("utf-8", "backslashreplace").decode()


def _option(value: object) -> Option:
    """An option's value as JSON has it: a path is text."""
    if value is None or isinstance(value, int | float):
        return value
    return _text(str(value))

"""Makes typed events of what the runtime and the machine report, and gives them their envelope.

`Recorder` implements `gorun_mem.runtime.sink.Sink`. Whoever drives the Ms sets `m` before each step
and `now` once. The recorder numbers the lines, gives each sys* call an id (`op`), knows which call
each M is in, and keeps the few sums that `run.end` states.

An event that the log's level leaves out costs a call that does nothing: the recorder takes a
subclass of its class in which those methods are empty (60 to 80 ns) or only keep the books (a
call's id, the sums), so that ids and sums are the same at every level.

Levels: `debug` is everything; `info` is everything of level info and above; `canonical` is run.*,
mem.return, lock.release and all errors, which is what the summary reports need.

Rejected: a test of the level in each method (every written event pays too); making no-ops instance
attributes (the bookkeeping ones would be reference cycles, one per run of an exploration).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, Protocol, TypeAlias, cast

import msgspec
from msgspec import UNSET, UnsetType

from gorun_mem.events.types import (
    HOST_SITE,
    SCHEMA,
    ArenaHintMiss,
    ArenaHintNew,
    ArenaReserve,
    BrkMove,
    DeadlockFound,
    Event,
    FreelistPut,
    FreelistSnapshot,
    FreelistTake,
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    MemCall,
    MemCheck,
    MemGrow,
    MemReturn,
    MExit,
    MPark,
    MStart,
    MUnpark,
    Option,
    Outcome,
    RaceFound,
    RunEnd,
    RunStart,
    SnapshotReason,
    run_id,
)
from gorun_mem.runtime.releases import WASM_PAGE

LogLevel: TypeAlias = Literal["debug", "info", "canonical"]
LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "canonical")
Subscriber: TypeAlias = Callable[[Event], None]


class Logger(Protocol):
    """What takes the events; `gorun_mem.events.log.EventLogger` is one."""

    def emit(self, event: Event) -> None:
        """Take one event."""

    def flush(self) -> None:
        """Bring what was taken to where a reader finds it."""

    def close(self) -> None:
        """Flush and end."""


_OpenOp: TypeAlias = "tuple[int | UnsetType, str | UnsetType, int, _OpenOp | None]"
"""A sys* call that has not returned: op, site, t_ns at its start, the call that it is nested in."""

_NO_OP: Final[_OpenOp] = (UNSET, UNSET, 0, None)


def passes(event: Event, level: LogLevel) -> bool:
    """Whether a log of that level has the event."""
    if level == "debug":
        return True
    if level == "info":
        return event.level != "debug"
    return event.level == "error" or isinstance(event, RunStart | RunEnd | MemReturn | LockRelease)


def _nowhere(event: Event) -> None:
    """Where events go when nobody takes them."""


def _standing_still() -> int:
    return 0


class Recorder:
    """The event log of one run, as the runtime and the machine see it.

    The methods are named as the events, with an underscore for the dot; what their arguments mean
    is in `gorun_mem.events.types`. An argument that does not apply is 0 or "".

    Args:
        logger: what writes the events (`json_logger`, `console_logger`, `open_log` of
            `gorun_mem.events.log`); None for nobody.
        level: which events are written.

    Attributes:
        m: id of the M that runs; 0 is the scenario. Set by the driver before each step.
        now: called for the virtual time in ns of that M. Set by the driver.
        seq: lines written so far.
        grows, hint_misses, lock_wait_ns, peak_live_bytes: the sums of `run.end`, at any level.
    """

    __slots__ = (
        "_base",
        "_closed",
        "_emit",
        "_live_bytes",
        "_logger",
        "_op",
        "_open",
        "_subscribers",
        "grows",
        "hint_misses",
        "level",
        "lock_wait_ns",
        "m",
        "now",
        "peak_live_bytes",
        "seq",
    )

    def __init__(self, logger: Logger | None = None, *, level: LogLevel = "debug") -> None:
        if level not in LOG_LEVELS:
            raise ValueError(f"no log level {level!r}: one of {', '.join(LOG_LEVELS)}")
        self.m = 0
        self.now: Callable[[], int] = _standing_still
        self.seq = 0
        self.level: LogLevel = level
        self.grows = self.hint_misses = self.lock_wait_ns = self.peak_live_bytes = 0
        self._live_bytes = 0
        self._op = 0
        self._open: dict[int, _OpenOp] = {}
        self._closed: dict[int, tuple[int | UnsetType, str | UnsetType]] = {}
        self._logger = logger
        self._subscribers: tuple[tuple[Subscriber, LogLevel], ...] = ()
        self._base = type(self)
        self._connect()
        for capture in _captures:
            self.subscribe(capture)

    # Who takes the events.

    def subscribe(self, subscriber: Subscriber, level: LogLevel = "debug") -> Callable[[], None]:
        """Hand each event, typed, to `subscriber` too, after it was written.

        An event that only subscribers see has the `seq` of the line that is written next.

        Args:
            subscriber: called in the middle of the run; must not touch the run.
            level: which events it wants, whatever the log's level.

        Returns:
            What ends the subscription.
        """
        entry = (subscriber, level)
        self._subscribers = (*self._subscribers, entry)
        self._connect()

        def unsubscribe() -> None:
            self._subscribers = tuple(one for one in self._subscribers if one is not entry)
            self._connect()

        return unsubscribe

    def _connect(self) -> None:
        """Choose the class and the way of the events by who takes them."""
        levels = {level for _, level in self._subscribers}
        if self._logger is not None:
            levels.add(self.level)
        common = levels.pop() if len(levels) == 1 else "debug" if levels else self.level
        self.__class__ = _at_level(self._base, common)
        write: Subscriber = self._logger.emit if self._logger is not None else _nowhere
        if not self._subscribers:
            self._emit: Subscriber = write
        elif levels:
            self._emit = self._tee_by_level
        else:
            self._emit = _tee(write, tuple(taker for taker, _ in self._subscribers))

    def _tee_by_level(self, event: Event) -> None:
        """Hand an event to those whose level has it."""
        if passes(event, self.level):
            if self._logger is not None:
                self._logger.emit(event)
        else:
            self.seq -= 1
        for subscriber, level in self._subscribers:
            if passes(event, level):
                subscriber(event)

    def flush(self) -> None:
        """Bring the lines written so far to where a reader finds them.

        Raises:
            LogError: they could not be written.
        """
        if self._logger is not None:
            self._logger.flush()

    def tick(self) -> None:
        """What a host calls now and then; the same as `flush`."""
        self.flush()

    def close(self) -> None:
        """Flush and end the log.

        Raises:
            LogError: not all lines are in it, and nobody was told so before.
        """
        if self._logger is not None:
            self._logger.close()

    def emit(self, event: Event) -> None:
        """Write an event that was made elsewhere; its `seq` is replaced."""
        self.seq = seq = self.seq + 1
        self._emit(msgspec.structs.replace(event, seq=seq))

    def __repr__(self) -> str:
        return f"<Recorder {self.level} seq={self.seq} op={self._op}>"

    # The run.

    def run_start(
        self,
        *,
        release: str,
        platform: str,
        mutex: str,
        what_if: bool,
        phys_page_size: int,
        heap_arena_bytes: int,
        data_end: int,
        initial_pages: int,
        max_pages: int,
        ms: int,
        cpus: int,
        strategy: str,
        granularity: str,
        seed: int,
        scenario: str,
        scenario_sha256: str = "",
        options: Mapping[str, Option] | None = None,
        cost_table_sha256: str = "",
        trace_sha256: str = "",
        mem_debug: bool = False,
        faithful: bool = False,
        wrong_order: bool = False,
        steps_max: int = 0,
    ) -> None:
        """The run begins: must be the first event."""
        self.seq = seq = self.seq + 1
        start = RunStart(
            "info", seq, self.now(), self.m, SCHEMA, "", release, platform, mutex, what_if,
            phys_page_size, heap_arena_bytes, data_end, initial_pages, max_pages, ms, cpus,
            strategy, granularity, seed, _text(scenario),
            {_text(name): _option(value) for name, value in sorted((options or {}).items())},
            scenario_sha256 or UNSET, cost_table_sha256 or UNSET, trace_sha256 or UNSET,
            mem_debug or UNSET, faithful or UNSET, wrong_order or UNSET, steps_max or UNSET,
            "info" if self.level == "info" else UNSET,
        )  # fmt: skip
        self._emit(msgspec.structs.replace(start, run_id=run_id(start)))

    def run_end(
        self,
        outcome: Outcome,
        *,
        final_pages: int,
        steps: int,
        error_type: str = "",
        token: str = "",
        uncontrolled: bool = False,
        stuck: tuple[str, ...] = (),
        error: str = "",
        failed_m: int = 0,
        uncontrolled_at: tuple[str, ...] = (),
        results: Mapping[str, Option] | None = None,
    ) -> None:
        """The run is over: must be the last event."""
        self.seq = seq = self.seq + 1
        self._emit(
            RunEnd(
                "info" if outcome == "ok" else "error", seq, self.now(), self.m, outcome,
                final_pages, self.peak_live_bytes, self.grows, self.hint_misses, self.lock_wait_ns,
                steps, seq, uncontrolled, error_type or UNSET, token or UNSET, stuck or UNSET,
                _text(error) or UNSET, failed_m or UNSET,
                tuple(_text(place) for place in uncontrolled_at) or UNSET,
                {_text(name): _option(value) for name, value in (results or {}).items()} or UNSET,
            )
        )  # fmt: skip

    def m_start(self, m: int, by_m: int = 0, reason: str = "") -> None:
        """M `m` began."""
        self.seq = seq = self.seq + 1
        self._emit(MStart("debug", seq, self.now(), m, by_m, reason or UNSET))

    def m_park(self, m: int, reason: str = "", by_m: int = 0) -> None:
        """M `m` sleeps until another wakes it."""
        self.seq = seq = self.seq + 1
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            MPark(
                "debug", seq, self.now(), m, reason or UNSET, by_m or UNSET, op=op, site=site
            )
        )  # fmt: skip

    def m_unpark(self, m: int, by_m: int = 0, reason: str = "") -> None:
        """M `m` was made runnable by `by_m`."""
        self.seq = seq = self.seq + 1
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(MUnpark("debug", seq, self.now(), m, by_m, reason or UNSET, op=op, site=site))

    def m_exit(self, m: int, reason: str = "", by_m: int = 0) -> None:
        """M `m` ended."""
        self.seq = seq = self.seq + 1
        self._emit(MExit("debug", seq, self.now(), m, reason or UNSET, by_m or UNSET))

    def forget(self, m: int) -> None:
        """M `m` has ended and its number is not used again: drop what is known of its calls."""
        self._open.pop(m, None)
        self._closed.pop(m, None)

    def race_found(self, what: str, where: str, who: tuple[str, ...]) -> None:
        """Two accesses that nothing orders."""
        self.seq = seq = self.seq + 1
        op, site, _, _ = self._open.get(self.m, _NO_OP)
        self._emit(
            RaceFound("error", seq, self.now(), self.m, what, where, tuple(who), op=op, site=site)
        )

    def deadlock_found(self, what: str, where: str, who: tuple[str, ...]) -> None:
        """No M can go on."""
        self.seq = seq = self.seq + 1
        self._emit(DeadlockFound("error", seq, self.now(), self.m, what, where, tuple(who)))

    # The OS layer.

    def mem_call(self, fn: str, v: int, n: int, align: int, purpose: str) -> None:
        """A call entered the OS layer; what its M does from here on belongs to it."""
        self.seq = seq = self.seq + 1
        self._op = op = self._op + 1
        m = self.m
        t_ns = self.now()
        site = "runtime." + fn
        calls = self._open
        calls[m] = (op, site, t_ns, calls.get(m))
        self._emit(
            MemCall("debug", seq, t_ns, m, fn, v, n, align, purpose or UNSET, op=op, site=site)
        )

    def mem_return(
        self,
        fn: str,
        v: int,
        n: int,
        align: int,
        purpose: str,
        p: int,
        size: int,
        ok: bool,
        path: str,
        search_steps: int,
        cleared_bytes: int,
        pages: int,
        bloc: int,
        bloc_max: int,
        free_bytes: int,
        free_blocks: int,
        free_largest: int,
    ) -> None:
        """The same call returned, still under memlock."""
        self.seq = seq = self.seq + 1
        now = self.now()
        op, site, t_ns = self._returned(fn, n, ok and _is_there(n, pages, bloc_max), now)
        self._emit(
            MemReturn(
                "debug" if ok else "warning", seq, now, self.m, fn, v, n, align, p, size, ok,
                path,  # type: ignore[arg-type]  # str in the protocol
                now - t_ns, search_steps, cleared_bytes, pages, bloc, bloc_max, free_bytes,
                free_blocks, free_largest, purpose or UNSET, op=op, site=site,
            )
        )  # fmt: skip

    def _returned(
        self, fn: str, n: int, counts: bool, now: int
    ) -> tuple[int | UnsetType, str | UnsetType, int]:
        """Close the M's innermost call of `fn`: its op, its site and when it began.

        `counts` says whether its bytes do: it had what it asked for, and there is so much memory.
        """
        m = self.m
        site = "runtime." + fn
        call = self._open.pop(m, None)
        while call is not None and call[1] != site:
            call = call[3]  # a call that a throw left open
        if call is None:
            return UNSET, site, now
        op, _, t_ns, outer = call
        self._closed[m] = (op, site)
        if outer is not None:
            self._open[m] = outer
        elif counts:
            # Only outermost calls hand out: a nested one's bytes are part of its caller's.
            live = self._live_bytes + (-n if fn == "sysFreeOS" else n)
            self._live_bytes = live
            if live > self.peak_live_bytes:
                self.peak_live_bytes = live
        return op, site, t_ns

    def freelist_take(
        self, addr: int, size: int, block_addr: int, block_size: int, exact: bool, index: int
    ) -> None:
        """A block, or the tail of one, left the free list."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            FreelistTake(
                "debug", seq, self.now(), m, addr, size, block_addr, block_size, exact, index,
                op=op, site=site,
            )
        )  # fmt: skip

    def freelist_put(
        self,
        addr: int,
        size: int,
        merged_prev: bool,
        merged_next: bool,
        result_addr: int,
        result_size: int,
        cause: str,
    ) -> None:
        """A range went to the free list and the block it ended in."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            FreelistPut(
                "debug", seq, self.now(), m, addr, size, merged_prev, merged_next, result_addr,
                result_size,
                cause,  # type: ignore[arg-type]  # str in the protocol
                op=op, site=site,
            )
        )  # fmt: skip

    def freelist_snapshot(
        self, blocks: list[tuple[int, int]] | tuple[tuple[int, int], ...], reason: SnapshotReason
    ) -> None:
        """The whole free list, address and size of each block, in its order."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            FreelistSnapshot(
                "debug", seq, self.now(), m, tuple(blocks), reason, op=op, site=site
            )
        )  # fmt: skip

    def brk_move(self, bloc_before: int, bloc_after: int, bloc_max: int, cause: str) -> None:
        """The runtime's break moved."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            BrkMove(
                "debug", seq, self.now(), m, bloc_before, bloc_after, bloc_max, cause,
                op=op, site=site,
            )
        )  # fmt: skip

    def mem_grow(
        self,
        delta_pages: int,
        pages_before: int,
        pages_after: int,
        ok: bool,
        max_pages: int,
        ordinal: int,
    ) -> None:
        """The memory was asked to grow."""
        self.seq = seq = self.seq + 1
        self.grows += 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            MemGrow(
                "info" if ok else "error", seq, self.now(), m, delta_pages, pages_before,
                pages_after, ok, max_pages, ordinal, op=op, site=site,
            )
        )  # fmt: skip

    def host_grow(
        self, delta_pages: int, pages_before: int, pages_after: int, ok: bool, max_pages: int
    ) -> None:
        """The host grew the memory for itself: a mem.grow whose site is the host."""
        self.seq = seq = self.seq + 1
        self._emit(
            MemGrow(
                "info", seq, self.now(), self.m, delta_pages, pages_before, pages_after, ok,
                max_pages, 0, site=HOST_SITE,
            )
        )  # fmt: skip

    def mem_check(self, ok: bool, violation: str, addr: int) -> None:
        """The free list was checked."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            MemCheck(
                "debug" if ok else "error", seq, self.now(), m, ok,
                UNSET if ok else violation, UNSET if ok else addr, op=op, site=site,
            )
        )  # fmt: skip

    def arena_reserve(
        self, addr: int, size: int, via: str, hint_addr: int, skipped_bytes: int
    ) -> None:
        """A heap arena was reserved."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            ArenaReserve(
                "info", seq, self.now(), m, addr, size,
                via,  # type: ignore[arg-type]  # str in the protocol
                hint_addr, skipped_bytes, op=op, site=site,
            )
        )  # fmt: skip

    def arena_hint_miss(self, hint_addr: int, down: bool, bloc: int, gap_bytes: int) -> None:
        """An arena hint was tried, missed and dropped."""
        self.seq = seq = self.seq + 1
        self.hint_misses += 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(
            ArenaHintMiss(
                "warning", seq, self.now(), m, hint_addr, down, bloc, gap_bytes, op=op, site=site
            )
        )

    def arena_hint_new(self, addr: int, down: bool) -> None:
        """An arena hint was made."""
        self.seq = seq = self.seq + 1
        m = self.m
        op, site, _, _ = self._open.get(m, _NO_OP)
        self._emit(ArenaHintNew("debug", seq, self.now(), m, addr, down, op=op, site=site))

    # The runtime locks.

    def lock_wait(
        self,
        lock: str,
        site: str,
        owner_m: int,
        owner_op: int,
        queue_depth: int,
        waiters: tuple[int, ...],
        held_locks: tuple[str, ...],
    ) -> None:
        """The M found the lock taken."""
        self.seq = seq = self.seq + 1
        m = self.m
        owner = owner_op or self._open.get(owner_m, _NO_OP)[0] or UNSET
        if owner is UNSET and owner_m in self._closed:
            owner = self._closed[owner_m][0]  # it has returned and is about to unlock
        self._emit(
            LockWait(
                "debug", seq, self.now(), m, lock, owner_m, queue_depth, waiters, held_locks, owner,
                op=self._open.get(m, _NO_OP)[0], site=site or UNSET,
            )
        )  # fmt: skip

    def lock_acquire(
        self,
        lock: str,
        site: str,
        contended: bool,
        wait_ns: int,
        spins: int,
        sleeps: int,
        bypassed: int,
        queue_depth: int,
        prev_owner_m: int,
    ) -> None:
        """The M has the lock."""
        self.seq = seq = self.seq + 1
        m = self.m
        self._emit(
            LockAcquire(
                "debug", seq, self.now(), m, lock, contended, wait_ns, spins, sleeps, bypassed,
                queue_depth, prev_owner_m, op=self._open.get(m, _NO_OP)[0], site=site or UNSET,
            )
        )  # fmt: skip

    def lock_release(
        self,
        lock: str,
        site: str,
        hold_ns: int,
        wait_ns: int,
        contended: bool,
        spins: int,
        sleeps: int,
        blocked_ns: int,
        waiters: tuple[int, ...],
        next_m: int,
    ) -> None:
        """The M gave the lock back."""
        self.seq = seq = self.seq + 1
        self.lock_wait_ns += wait_ns
        m = self.m
        self._emit(
            LockRelease(
                "debug", seq, self.now(), m, lock, hold_ns, wait_ns, contended, spins, sleeps,
                blocked_ns, waiters, next_m, op=self._op_of_release(m, site), site=site or UNSET,
            )
        )  # fmt: skip

    def _op_of_release(self, m: int, site: str) -> int | UnsetType:
        """The call that took the lock, which may have said its mem.return already."""
        call = self._open.get(m, _NO_OP)
        if call[1] != site:
            op, closed_site = self._closed.get(m, (UNSET, UNSET))
            if closed_site == site:
                return op
        return call[0]

    def lock_throw(
        self, lock: str, site: str, error_type: str, owner_m: int, owner_site: str
    ) -> None:
        """The lock threw."""
        self.seq = seq = self.seq + 1
        m = self.m
        self._emit(
            LockThrow(
                "error", seq, self.now(), m, lock, error_type, owner_m, owner_site or UNSET,
                op=self._open.get(m, _NO_OP)[0], site=site or UNSET,
            )
        )  # fmt: skip


def _tee(write: Subscriber, subscribers: tuple[Subscriber, ...]) -> Subscriber:
    """Hand an event to all; with nobody but one subscriber, the subscriber itself."""
    if write is _nowhere and len(subscribers) == 1:
        return subscribers[0]

    def tee(event: Event) -> None:
        write(event)
        for subscriber in subscribers:
            subscriber(event)

    return tee


def _is_there(n: int, pages: int, bloc_max: int) -> bool:
    """Whether the memory has `n` bytes at all; a size that wrapped on its way is larger."""
    top = pages * WASM_PAGE or bloc_max
    return n <= top or not top


def _text(value: str) -> str:
    """Text that JSON can carry: bytes of a file name that are not UTF-8 are spelled out."""
    return value.encode("utf-8", "backslashreplace").decode()


def _option(value: object) -> Option:
    """An option's value as JSON has it: a path is text."""
    if value is None or isinstance(value, int | float):
        return value
    return _text(str(value))


# What the levels leave out.

_NOT_IN_INFO: Final = (
    "m_start", "m_park", "m_unpark", "m_exit", "freelist_take", "freelist_put",
    "freelist_snapshot", "brk_move", "arena_hint_new", "lock_wait", "lock_acquire",
)  # fmt: skip
_NOT_IN_CANONICAL: Final = (*_NOT_IN_INFO, "arena_reserve", "host_grow")


def _mem_call_unwritten(self: Recorder, fn: str, v: int, n: int, align: int, purpose: str) -> None:
    """Open the call's id."""
    self._op = op = self._op + 1
    m = self.m
    calls = self._open
    calls[m] = (op, "runtime." + fn, self.now(), calls.get(m))


def _mem_return_if_failed(
    self: Recorder, fn: str, v: int, n: int, align: int, purpose: str, p: int, size: int, ok: bool,
    path: str, search_steps: int, cleared_bytes: int, pages: int, bloc: int, bloc_max: int,
    free_bytes: int, free_blocks: int, free_largest: int,
) -> None:  # fmt: skip
    """Write a failure; otherwise only close the call."""
    if ok:
        self._returned(fn, n, _is_there(n, pages, bloc_max), 0)
    else:
        self._base.mem_return(
            self, fn, v, n, align, purpose, p, size, ok, path, search_steps, cleared_bytes, pages,
            bloc, bloc_max, free_bytes, free_blocks, free_largest,
        )  # fmt: skip


def _lock_release_unwritten(
    self: Recorder, lock: str, site: str, hold_ns: int, wait_ns: int, contended: bool,
    spins: int, sleeps: int, blocked_ns: int, waiters: tuple[int, ...], next_m: int,
) -> None:  # fmt: skip
    """Keep the sum."""
    self.lock_wait_ns += wait_ns


def _arena_hint_miss_unwritten(
    self: Recorder, hint_addr: int, down: bool, bloc: int, gap_bytes: int
) -> None:
    """Keep the sum."""
    self.hint_misses += 1


def _mem_grow_if_refused(
    self: Recorder,
    delta_pages: int,
    pages_before: int,
    pages_after: int,
    ok: bool,
    max_pages: int,
    ordinal: int,
) -> None:
    """Write a refusal; otherwise keep the sum."""
    if ok:
        self.grows += 1
    else:
        self._base.mem_grow(self, delta_pages, pages_before, pages_after, ok, max_pages, ordinal)


def _mem_check_if_violated(self: Recorder, ok: bool, violation: str, addr: int) -> None:
    """Write a violation."""
    if not ok:
        self._base.mem_check(self, ok, violation, addr)


_IN_PART: Final[dict[LogLevel, dict[str, Callable[..., None]]]] = {
    "info": {
        "mem_call": _mem_call_unwritten,
        "mem_return": _mem_return_if_failed,
        "lock_release": _lock_release_unwritten,
        "mem_check": _mem_check_if_violated,
    },
    "canonical": {
        "mem_call": _mem_call_unwritten,
        "arena_hint_miss": _arena_hint_miss_unwritten,
        "mem_grow": _mem_grow_if_refused,
        "mem_check": _mem_check_if_violated,
    },
}


_classes: dict[tuple[type[Recorder], LogLevel], type[Recorder]] = {}


def _at_level(base: type[Recorder], level: LogLevel) -> type[Recorder]:
    """The class of a recorder whose level it is."""
    if level == "debug":
        return base
    if (base, level) not in _classes:
        _classes[base, level] = _make_class(base, level)
    return _classes[base, level]


def _make_class(base: type[Recorder], level: LogLevel) -> type[Recorder]:
    """`base` with the methods of unwritten events replaced."""
    unwritten = _NOT_IN_INFO if level == "info" else _NOT_IN_CANONICAL
    namespace: dict[str, Any] = {name: _unwritten(getattr(base, name)) for name in unwritten}
    namespace |= _IN_PART[level]
    namespace |= {"__slots__": (), "__module__": base.__module__, "__doc__": base.__doc__}
    return cast(type[Recorder], type(base.__name__, (base,), namespace))


def _unwritten(method: Any) -> Callable[..., None]:
    """A function that takes what `method` takes and does nothing.

    Its parameters are spelled out, because `*args, **kwargs` makes a tuple and a dict a call.
    """
    code = method.__code__
    parameters = ", ".join(code.co_varnames[: code.co_argcount])
    nothing: Callable[..., None] = eval(f"lambda {parameters}: None")
    nothing.__defaults__ = method.__defaults__
    return nothing


# Capturing, for tests.

_captures: list[Subscriber] = []


class CapturedEvents(list[Event]):
    """The events of a test, in order.

    Attributes:
        recorder: a recorder to drive by hand; its events are captured too.
    """

    recorder: Recorder

    def named(self, *names: str) -> list[Any]:
        """Those with these dotted names."""
        return [event for event in self if event.name in names]

    def names(self) -> list[str]:
        """The dotted names in order."""
        return [event.name for event in self]


@contextmanager
def capture_events(recorder: Recorder | None = None) -> Iterator[CapturedEvents]:
    """Collect the typed events of a recorder, or of every recorder that is made in the block.

    Args:
        recorder: the one to listen to; None for all that are made meanwhile.
    """
    events = CapturedEvents()
    if recorder is not None:
        events.recorder = recorder
        unsubscribe = recorder.subscribe(events.append)
        try:
            yield events
        finally:
            unsubscribe()
        return
    capture = events.append
    _captures.append(capture)
    try:
        events.recorder = Recorder()
        yield events
    finally:
        _captures.remove(capture)

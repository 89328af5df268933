"""The methods of the events that have a few lines of their own; the others' are made in `methods`.

They open or close a sys* call, their site is the lock's caller and not the call's, or they count in
pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec import UNSET

from gorun_mem.events.base import LogEvent
from gorun_mem.events.books import NO_CALL, Books
from gorun_mem.events.types import (
    HOST_SITE,
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    MemCall,
    MemGrow,
    MemReturn,
)
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.pages import pages_of
from gorun_mem.runtime.sink import Waited

Emit: TypeAlias = Callable[[LogEvent], None]
Method: TypeAlias = Callable[..., object]
Maker: TypeAlias = Callable[[Any, Books, Emit], Method]
"""Makes the method of an event type: given the type, whose books, and where the events go."""


def _mem_call(kind: type[MemCall], recorder: Books, emit: Emit) -> Method:
    calls = recorder.calls
    (level,) = kind.levels
    make: Any = kind

    def write(call: Call) -> None:
        recorder.seq = seq = recorder.seq + 1
        recorder.op = op = recorder.op + 1
        m = recorder.m
        t_ns = recorder.now()
        fn = call.fn
        site = "runtime." + fn
        calls[m] = (op, site, t_ns, calls.get(m))
        emit(
            make(
                level, seq, t_ns, m, fn, call.v, call.n, call.align, call.purpose or UNSET, op,
                site,
            )
        )  # fmt: skip

    return write


def _open_call(recorder: Books) -> Method:
    calls = recorder.calls

    def count(call: Call) -> None:
        recorder.op = op = recorder.op + 1
        m = recorder.m
        calls[m] = (op, "runtime." + call.fn, recorder.now(), calls.get(m))

    return count


def _mem_return(kind: type[MemReturn], recorder: Books, emit: Emit) -> Method:
    close_call = recorder.close_call
    good, bad = kind.levels
    make: Any = kind

    def write(call: Call, state: LayerState) -> None:
        recorder.seq = seq = recorder.seq + 1
        now = recorder.now()
        op, site, t_ns = close_call(call, state, now)
        ok = call.ok
        emit(
            make(
                good if ok else bad, seq, now, recorder.m, call.fn, call.v, call.n, call.align,
                call.p, call.size, ok, call.path, now - t_ns, call.search_steps,
                call.cleared_bytes, state.pages, state.bloc, state.bloc_max, state.free_bytes,
                state.free_blocks, state.free_largest, call.purpose or UNSET, op, site,
            )
        )  # fmt: skip

    return write


def _close_call(recorder: Books) -> Method:
    close_call = recorder.close_call

    def close(call: Call, state: LayerState) -> None:
        close_call(call, state, 0)

    return close


def _mem_grow(kind: type[MemGrow], recorder: Books, emit: Emit) -> Method:
    """A size that is no whole number of pages takes one more."""
    good, bad = kind.levels
    call_of = recorder.calls.get
    make: Any = kind

    def write(asked: int, before: int, after: int, ok: bool, limit: int, ordinal: int) -> None:
        recorder.seq = seq = recorder.seq + 1
        recorder.grows += 1
        m = recorder.m
        op, site, _, _ = call_of(m, NO_CALL)
        pages = pages_of(before)
        emit(
            make(
                good if ok else bad, seq, recorder.now(), m, pages_of(before + asked) - pages,
                pages, pages_of(after), ok, pages_of(limit), ordinal, asked, before, after, op,
                site,
            )
        )  # fmt: skip

    return write


def host_grow(level: str, recorder: Books, emit: Emit) -> Method:
    """A second way to tell of a mem.grow: the host's, which is in no call and no sum."""
    make: Any = MemGrow

    def write(asked: int, before: int, after: int, ok: bool, limit: int) -> None:
        recorder.seq = seq = recorder.seq + 1
        pages = pages_of(before)
        emit(
            make(
                "info", seq, recorder.now(), recorder.m, pages_of(before + asked) - pages, pages,
                pages_of(after), ok, pages_of(limit), 0, asked, before, after, UNSET, HOST_SITE,
            )
        )  # fmt: skip

    return _unheard if level == "canonical" else write


def _lock_wait(kind: type[LockWait], recorder: Books, emit: Emit) -> Method:
    calls, closed = recorder.calls, recorder.closed
    (level,) = kind.levels
    make: Any = kind

    def write(
        lock: str,
        site: str,
        owner_m: int,
        owner_op: int,
        queue_depth: int,
        waiters: tuple[int, ...],
        held_locks: tuple[str, ...],
    ) -> None:
        recorder.seq = seq = recorder.seq + 1
        m = recorder.m
        owner = owner_op or calls.get(owner_m, NO_CALL)[0] or UNSET
        if owner is UNSET and owner_m in closed:
            owner = closed[owner_m][0]  # it has returned and is about to unlock
        op = calls.get(m, NO_CALL)[0]
        emit(
            make(
                level, seq, recorder.now(), m, lock, owner_m, queue_depth, waiters, held_locks,
                owner, op, site or UNSET,
            )
        )  # fmt: skip

    return write


def _lock_acquire(kind: type[LockAcquire], recorder: Books, emit: Emit) -> Method:
    call_of = recorder.calls.get
    (level,) = kind.levels
    make: Any = kind

    def write(
        lock: str, site: str, waited: Waited, bypassed: int, queue_depth: int, prev_owner_m: int
    ) -> None:
        recorder.seq = seq = recorder.seq + 1
        m = recorder.m
        emit(
            make(
                level, seq, recorder.now(), m, lock, waited.contended, waited.wait_ns,
                waited.spins, waited.sleeps, bypassed, queue_depth, prev_owner_m,
                call_of(m, NO_CALL)[0], site or UNSET,
            )
        )  # fmt: skip

    return write


def _lock_release(kind: type[LockRelease], recorder: Books, emit: Emit) -> Method:
    op_of = recorder.op_of_release
    (level,) = kind.levels
    make: Any = kind

    def write(
        lock: str,
        site: str,
        hold_ns: int,
        waited: Waited,
        blocked_ns: int,
        waiters: tuple[int, ...],
        next_m: int,
    ) -> None:
        recorder.seq = seq = recorder.seq + 1
        wait_ns = waited.wait_ns
        recorder.lock_wait_ns += wait_ns
        m = recorder.m
        emit(
            make(
                level, seq, recorder.now(), m, lock, hold_ns, wait_ns, waited.contended,
                waited.spins, waited.sleeps, blocked_ns, waiters, next_m, op_of(m, site),
                site or UNSET,
            )
        )  # fmt: skip

    return write


def _sum_waits(recorder: Books) -> Method:
    def count(lock: str, site: str, hold_ns: int, waited: Waited, *more: Any) -> None:
        recorder.lock_wait_ns += waited.wait_ns

    return count


def _lock_throw(kind: type[LockThrow], recorder: Books, emit: Emit) -> Method:
    call_of = recorder.calls.get
    (level,) = kind.levels
    make: Any = kind

    def write(lock: str, site: str, error_type: str, owner_m: int, owner_site: str) -> None:
        recorder.seq = seq = recorder.seq + 1
        m = recorder.m
        op = call_of(m, NO_CALL)[0]
        emit(
            make(
                level, seq, recorder.now(), m, lock, error_type, owner_m, owner_site or UNSET, op,
                site or UNSET,
            )
        )  # fmt: skip

    return write


def _unheard(asked: int, before: int, after: int, ok: bool, limit: int) -> None:
    """A growth by the host where nobody hears of it."""


HAND_MADE: Final[dict[type[LogEvent], Maker]] = {
    MemCall: _mem_call,
    MemReturn: _mem_return,
    MemGrow: _mem_grow,
    LockWait: _lock_wait,
    LockAcquire: _lock_acquire,
    LockRelease: _lock_release,
    LockThrow: _lock_throw,
}
"""Event type -> what makes its method."""
BOOKS_ONLY: Final[dict[type[LogEvent], Callable[[Books], Method]]] = {
    MemCall: _open_call,
    MemReturn: _close_call,
    LockRelease: _sum_waits,
}
"""Event type -> what makes the method that keeps the books and writes nothing."""

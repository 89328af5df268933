"""A run that emits every event there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gorun_mem.events import MemorySink, Recorder, capture_events
from gorun_mem.events.log import json_logger
from gorun_mem.events.methods import LogLevel
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.sink import Waited


def emit_everything(recorder: Recorder) -> None:
    """One of each event, some in both of their forms, with virtual time that moves on."""
    clock = iter(range(0, 10**9, 10))
    recorder.now = lambda: next(clock)
    recorder.run_start(
        release="go1.24.3", platform="js/wasm", mutex="queue", what_if=True, phys_page_size=65536,
        heap_arena_bytes=4 << 20, data_end=1 << 20, initial_pages=-1, max_pages=65536, ms=2,
        cpus=4, strategy="random", granularity="sync", seed=7, scenario="storm",
        options={"rounds": 3, "name": "a\udcffb", "share": 0.5, "on": True, "none": None},
        cost_table_sha256="c" * 64,
    )  # fmt: skip
    recorder.m_start(1)
    recorder.m_start(2, 1, "worker")
    recorder.m = 1
    recorder.mem_call(Call("sysAllocOS", 0, 65536, 0, "heap arena"))
    recorder.lock_acquire("memlock", "runtime.sysAllocOS", Waited(False, 0, 0, 0), 0, 0, 0)
    recorder.m = 2
    recorder.mem_call(Call("sysFreeOS", 1 << 21, 4096))
    recorder.lock_wait("memlock", "runtime.sysFreeOS", 1, 0, 0, (), ("heap",))
    recorder.m_park(2, "memlock", 1)
    recorder.m = 1
    recorder.freelist_take(1 << 21, 65536, 1 << 21, 131072, False, 0)
    recorder.brk_move(1 << 20, 1 << 21, 1 << 22, "sbrk")
    recorder.mem_grow(65536, 32 << 16, 33 << 16, True, 65536 << 16, 1)
    recorder.mem_check(True, "", 0)
    recorder.mem_return(
        Call("sysAllocOS", 0, 65536, 0, "heap arena", 1 << 21, 65536, True, "freelist", 1, 16),
        LayerState(33, 1 << 21, 1 << 22, 65536, 1, 65536),
    )  # fmt: skip
    recorder.lock_release(
        "memlock",
        "runtime.sysAllocOS",
        90,
        Waited(False, 0, 0, 0),
        40,
        (2,),
        2,
    )
    recorder.m_unpark(2, 1, "memlock")
    recorder.m = 2
    recorder.lock_acquire("memlock", "runtime.sysFreeOS", Waited(True, 40, 4, 1), 0, 0, 1)
    recorder.freelist_put(1 << 21, 4096, True, False, 1 << 21, 69632, "mid_free")
    recorder.mem_check(False, "mem: unordered list", 4096)
    recorder.mem_return(
        Call("sysFreeOS", 1 << 21, 4096, 0, "", 0, 4096, True, "memfree", 1, 4096),
        LayerState(33, 1 << 21, 1 << 22, 69632, 1, 69632),
    )  # fmt: skip
    recorder.lock_release("memlock", "runtime.sysFreeOS", 30, Waited(True, 40, 4, 1), 0, (), 0)
    recorder.mem_grow(9 << 16, 33 << 16, 33 << 16, False, 33 << 16, 2)
    recorder.mem_call(Call("sysReserveOS", 1 << 30, 4 << 20))
    recorder.mem_return(
        Call("sysReserveOS", 1 << 30, 4 << 20, 0, "", 0, 0, False, "hint_miss", 0, 0),
        LayerState(33, 1 << 21, 1 << 22, 69632, 1, 69632),
    )  # fmt: skip
    recorder.arena_hint_miss(1 << 30, False, 1 << 21, 5)
    recorder.arena_reserve(1 << 22, 4 << 20, "aligned", 0, 4096)
    recorder.arena_hint_new(1 << 23, True)
    recorder.freelist_snapshot(((1 << 21, 69632), (1 << 25, 4096)), "keyframe")
    recorder.lock_throw("memlock", "runtime.sysFreeOS", "self deadlock", 2, "runtime.sysFreeOS")
    recorder.store_late("word 0x200000", "1", 1)
    recorder.store_flush("word 0x200000", "1", 0)
    recorder.race_found("write and read", "word 0x200000", ("M1 store", "M2 load"))
    recorder.deadlock_found("no M can go on", "memlock", ("M1 waits for memlock",))
    recorder.m_exit(1)
    recorder.m_exit(2, "throw")
    recorder.m = 0
    recorder.run_end(
        "throw", final_pages=33, steps=40, error_type="self deadlock", token="t1",
        uncontrolled=True, stuck=("M1 waits",), error="fatal error: self deadlock", failed_m=2,
        uncontrolled_at=("storm.py:3",), results={"pages before": 3, "which": "b", "ok": True},
    )  # fmt: skip


def write_log(level: LogLevel = "debug", *, wall_clock: bool = False) -> bytes:
    """The log of that run."""
    sink = MemorySink()
    emit_everything(Recorder(json_logger(sink, wall_clock=wall_clock), level=level))
    return sink.data


@pytest.fixture
def everything() -> list[object]:
    """The typed events of that run."""
    with capture_events() as events:
        emit_everything(events.recorder)
    return list(events)


@pytest.fixture(scope="session")
def log() -> bytes:
    """The bytes of that run's log."""
    return write_log()


@pytest.fixture
def make_log() -> Callable[..., bytes]:
    """`write_log`."""
    return write_log


@pytest.fixture
def drive() -> Callable[[Recorder], None]:
    """`emit_everything`."""
    return emit_everything

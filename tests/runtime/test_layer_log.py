"""What the OS layer tells the log and charges the clock."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem.runtime.call import LayerState
from tests.runtime.test_layer import P9, PAGE, Told, on_plan9, on_wasm

# The log and the clock.


def test_every_call_is_told_with_its_path(start: Any) -> None:
    """Each way through the layer is told by its name, with answer, success, bytes cleared, break
    and free list as they stand after it."""
    calls = on_plan9(start, "go1.27")
    calls.os.sink = told = Told()
    p = calls.alloc(6 * P9)
    calls.free(p, P9)
    calls.alloc(P9)
    calls.free(p + 5 * P9, P9)
    calls.reserve(calls.os.bloc, P9)
    calls.reserve(8, P9)
    calls.aligned(P9, 16 * P9)
    calls.aligned(P9, 2 * P9)
    calls.alloc(90 * P9)
    returns = told.of("mem_return")
    got = [(call.fn, call.p, call.ok, call.path, call.cleared_bytes) for call, _ in returns]
    assert got == [
        ("sysAllocOS", P9, True, "sbrk", 0),
        ("sysFreeOS", 0, True, "memfree", P9),
        ("sysAllocOS", P9, True, "freelist", 0),
        ("sysFreeOS", 0, True, "end_of_memory", P9),
        ("sysReserveOS", 6 * P9, True, "hint", 0),
        ("sysReserveOS", 0, False, "hint_miss", 0),
        ("sysReserveAlignedSbrk", 16 * P9, True, "aligned_sbrk", 9 * P9),
        ("sysReserveAlignedSbrk", 14 * P9, True, "aligned_freelist", 2 * P9),
        ("sysAllocOS", 0, False, "fail", 0),
    ]
    free = calls.os.freelist
    assert returns[-1][1] == LayerState(
        2, calls.os.bloc, calls.os.bloc_max, free.total_bytes, free.count, free.largest
    )
    assert PAGE < calls.os.bloc_max <= 2 * PAGE
    assert len(told.of("mem_call")) == len(got)


def test_free_list_is_told(start: Any) -> None:
    """Takes are told with the block, whether it was exact and its place in the list; puts with
    the merges, the resulting block and the cause: the same with the index and without."""
    stories = []
    for use_index in (True, False):
        calls = on_plan9(start, use_index=use_index)
        p = calls.alloc(9 * P9)
        calls.os.sink = told = Told()
        calls.free(p, P9)
        calls.free(p + 4 * P9, 3 * P9)
        calls.free(p + 2 * P9, P9)
        calls.free(p + P9, P9)
        calls.alloc(2 * P9)
        calls.alloc(P9)
        calls.alloc(2 * P9)
        calls.aligned(P9, 16 * P9)
        stories.append(told.told)
        steps = [c.search_steps for c, _ in told.of("mem_return") if c.fn == "sysAllocOS"]
    assert stories[0] == stories[1]
    puts = [a for what, a in stories[0] if what == "freelist_put"]
    assert puts == [
        (p, P9, False, False, p, P9, "mid_free"),
        (p + 4 * P9, 3 * P9, False, False, p + 4 * P9, 3 * P9, "mid_free"),
        (p + 2 * P9, P9, False, False, p + 2 * P9, P9, "mid_free"),
        (p + P9, P9, True, True, p, 3 * P9, "mid_free"),
        (10 * P9, 6 * P9, False, False, 10 * P9, 6 * P9, "align_skip"),
    ]
    takes = [a for what, a in stories[0] if what == "freelist_take"]
    assert takes == [
        (p + P9, 2 * P9, p, 3 * P9, False, 0),
        (p, P9, p, P9, True, 0),
        (p + 5 * P9, 2 * P9, p + 4 * P9, 3 * P9, False, 0),
    ]
    assert steps == [1, 1, 1]


def test_search_steps_count_headers(start: Any) -> None:
    """search_steps is how many headers Go would have looked at: up to the fit, or all of them."""
    for use_index in (True, False):
        calls = on_plan9(start, use_index=use_index)
        p = calls.alloc(9 * P9)
        for i in (0, 2, 4):
            calls.free(p + i * P9, P9)
        calls.free(p + 6 * P9, 2 * P9)
        calls.os.sink = told = Told()
        calls.alloc(2 * P9)
        calls.alloc(3 * P9)
        assert [call.search_steps for call, _ in told.of("mem_return")] == [4, 3]
        assert told.of("freelist_take")[0][-1] == 3


def test_work_is_charged(start: Any) -> None:
    """Bytes cleared and pages grown are charged to whoever runs, once, and nothing else is."""
    charged: list[tuple[str, int]] = []
    calls = on_wasm(start)
    calls.os.charge = lambda kind, units: charged.append((kind, units))
    p = calls.alloc(5 * PAGE)
    calls.alloc(PAGE)
    calls.free(p, PAGE)
    calls.free(p + 2 * PAGE, 2 * PAGE)
    calls.alloc(PAGE)
    calls.os.charge = None
    calls.alloc(PAGE)
    assert charged == [("grow", 2), ("grow", 1), ("clear", PAGE), ("clear", 2 * PAGE)]
    old = on_wasm(start, "go1.19")
    old.os.charge = lambda kind, units: charged.append((kind, units))
    old.alloc(5 * PAGE)
    assert charged[4:] == [("grow", 2)]


@pytest.mark.parametrize("name", ["go1.22", "go1.27"])
def test_late_watchers_get_the_next_calls_work_only(start: Any, name: str) -> None:
    """Whoever starts to watch after some calls is told of the next call's work, not of theirs."""
    for faithful in (True, False):
        calls = on_wasm(start, name, faithful=faithful)
        at = [calls.alloc(2 * PAGE) for _ in range(4)]
        calls.free(at[0], 2 * PAGE)
        calls.alloc(9 * PAGE)  # refused or not, it looked at the list
        charged: list[Any] = []
        calls.os.charge = lambda *what, to=charged: to.append(what)
        calls.free(at[2], PAGE)
        assert charged == [("clear", PAGE)]
        calls.os.charge = None
        calls.free(at[2] + PAGE, PAGE)
        calls.alloc(9 * PAGE)
        calls.os.sink = told = Told()
        calls.free(at[1], PAGE)
        ((call, _),) = told.of("mem_return")
        assert (call.search_steps, call.cleared_bytes) == (0, PAGE)


def test_reserve_end_is_told(start: Any) -> None:
    """The old layer tells its calls, growths and moves too."""
    calls = on_wasm(start, "go1.19")
    calls.os.sink = told = Told()
    p = calls.alloc(5 * PAGE)
    calls.free(p, PAGE)
    calls.reserve(PAGE, PAGE)
    calls.alloc(90 * PAGE)
    assert [(call.fn, call.p, call.ok, call.path) for call, _ in told.of("mem_return")] == [
        ("sysAllocOS", PAGE, True, "sbrk"),
        ("sysFreeOS", 0, True, "memfree"),
        ("sysReserveOS", 0, False, "hint_miss"),
        ("sysAllocOS", 0, False, "fail"),
    ]
    assert told.of("mem_grow") == [
        (2 * PAGE, 4 * PAGE, 6 * PAGE, True, 20 * PAGE, 1),
        (90 * PAGE, 6 * PAGE, 6 * PAGE, False, 20 * PAGE, 2),
    ]
    assert [a[:2] for a in told.of("brk_move")] == [(PAGE, 6 * PAGE), (6 * PAGE, 96 * PAGE)]


def test_repr_names_release_and_break(start: Any) -> None:
    """The repr says which release on which platform, and where the break is."""
    assert "go1.27 js/wasm" in repr(on_wasm(start).os)
    assert "bloc=0x10000" in repr(on_wasm(start).os)
    assert repr(on_wasm(start, "go1.19").os) == "<ReserveEndLayer go1.19 reserve_end=0x0>"

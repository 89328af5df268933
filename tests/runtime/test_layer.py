"""The OS layer's calls, generation by generation, and what the log is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem.runtime.behaviour import KNOWN
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import Fault, IllegalUse, Throw

PAGE = 65536
P9 = 4096
NEW = ["go1.24", "go1.25", "go1.26", "go1.27"]
OLD = ["dac514ea", "go1.21", "go1.22", "go1.23"]


def on_plan9(start: Any, name: str = "go1.27", **options: Any) -> Any:
    """Bloc is page 1, memory ends there."""
    return start(name, "plan9/amd64", end=P9, brk_max=40 * P9, **options)


def on_wasm(start: Any, name: str = "go1.27", **options: Any) -> Any:
    """Bloc is page 1, memory has 4 pages and may have 20."""
    return start(name, "js/wasm", end=PAGE, initial_pages=4, max_pages=20, **options)


class Told:
    """A sink that keeps everything it is told, by name."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.told.append((name, args))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [args for what, args in self.told if what == name]


# Up to 1.20 on wasm.


@pytest.mark.parametrize("name", ["go1.19", "go1.20"])
def test_reserve_end(start: Any, name: str) -> None:
    """Memory is a bump of reserveEnd in pages; growth is only past the end of memory; any hint is
    refused; a free does nothing and its memory is never handed out again."""
    calls = on_wasm(start, name)
    assert calls.alloc(2 * PAGE - 5) == PAGE
    assert calls.os.memory.grows == 0
    assert calls.reserve(0, PAGE) == 3 * PAGE
    assert calls.os.bloc == 4 * PAGE
    assert calls.reserve(4 * PAGE, PAGE) == 0
    assert calls.os.bloc == 4 * PAGE
    calls.os.memory.fill(PAGE, 8, 1)
    calls.free(PAGE, 2 * PAGE)
    assert calls.os.memory.count_nonzero(PAGE, PAGE) == 8
    assert calls.alloc(3 * PAGE) == 4 * PAGE
    assert (calls.os.pages, calls.os.memory.grows, calls.os.memory.data_view_resets) == (7, 1, 1)
    assert (calls.os.bloc_max, calls.os.freelist) == (7 * PAGE, None)


def test_reserve_end_stays_raised_after_a_refusal(start: Any) -> None:
    """reserveEnd rises before growth is asked and stays: after one refusal every later call fails,
    however little it asks."""
    calls = on_wasm(start, "go1.19")
    assert calls.alloc(30 * PAGE) == 0
    assert (calls.os.bloc, calls.os.pages) == (31 * PAGE, 4)
    assert calls.alloc(1) == 0
    assert (calls.os.bloc, calls.os.memory.fails) == (32 * PAGE, 2)


def test_reserve_end_wraps_like_an_int32(start: Any) -> None:
    """2**47 bytes are 2**31 pages, a negative int32: nothing is grown and the call succeeds."""
    calls = on_wasm(start, "go1.19")
    assert calls.alloc(1 << 47) == PAGE
    assert (calls.os.memory.grows, calls.os.bloc) == (0, PAGE + (1 << 47))


# mem_sbrk.go.


@pytest.mark.parametrize("name", OLD)
def test_old_wasm_never_frees_at_the_end(start: Any, name: str) -> None:
    """From 1.21 to 1.23 bloc stays where it began: the block at the end of memory goes to the list
    like any other, a hint at bloc gets another address, and alloc(0) the end of memory."""
    calls = on_wasm(start, name)
    assert calls.alloc(0) == 4 * PAGE
    p = calls.alloc(PAGE)
    assert p == 4 * PAGE
    calls.free(p, PAGE)
    assert calls.os.freelist.blocks() == [(4 * PAGE, PAGE)]
    assert calls.reserve(PAGE, PAGE) == 5 * PAGE
    assert calls.alloc(PAGE) == 4 * PAGE
    assert (calls.os.bloc, calls.os.bloc_max, calls.os.pages) == (PAGE, PAGE, 6)


@pytest.mark.parametrize("name", NEW)
def test_new_wasm_lowers_bloc_at_the_end(start: Any, name: str) -> None:
    """From 1.24 a free at the end clears the range and lowers bloc; blocMax stays, and the memory
    is handed out again without growth."""
    calls = on_wasm(start, name)
    p = calls.alloc(5 * PAGE)
    calls.os.memory.fill(p, 5 * PAGE, 7)
    calls.free(p + 3 * PAGE, 2 * PAGE)
    assert (calls.os.bloc, calls.os.bloc_max) == (4 * PAGE, 6 * PAGE)
    assert calls.os.memory.first_nonzero(4 * PAGE, 2 * PAGE) is None
    assert calls.os.memory.count_nonzero(p, 3 * PAGE) == 3 * PAGE
    assert calls.alloc(2 * PAGE) == 4 * PAGE
    assert calls.os.memory.grows == 1


def test_unrounded_end_goes_to_the_list(start: Any) -> None:
    """v + n is compared with bloc as it is: the last block freed with an unrounded size goes to the
    list, beside bloc, and a later allocation at bloc is not merged with it."""
    for calls, page in ((on_wasm(start), PAGE), (on_plan9(start), P9)):
        p = calls.alloc(100)
        calls.free(p, 100)
        assert calls.os.bloc == 2 * page
        assert calls.os.freelist.blocks() == [(page, page)]


def test_lowering_bloc_absorbs_no_free_block(start: Any) -> None:
    """A free block that ends at bloc after bloc was lowered stays in the list."""
    calls = on_plan9(start)
    a, b = calls.alloc(P9), calls.alloc(P9)
    calls.free(a, P9)
    calls.free(b, P9)
    assert calls.os.bloc == 2 * P9
    assert calls.os.freelist.blocks() == [(P9, P9)]


def test_allocation_prefers_the_list(start: Any) -> None:
    """What fits a free block is taken from the list, what does not from the break; a reservation
    with a hint does neither."""
    calls = on_plan9(start)
    a = calls.alloc(2 * P9)
    calls.alloc(P9)
    calls.free(a, 2 * P9)
    bloc = calls.os.bloc
    assert calls.reserve(a, P9) == 0
    assert calls.os.freelist.count == 1
    assert calls.reserve(0, 3 * P9) == bloc
    assert calls.alloc(P9) == a + P9
    assert calls.reserve(0, P9) == a
    assert calls.reserve(calls.os.bloc, P9) == bloc + 3 * P9


@pytest.mark.parametrize(("name", "fails"), [("go1.26", True), ("go1.27", False)])
def test_nil_free(start: Any, name: str, fails: bool) -> None:
    """free(nil, n): up to 1.26 clears [0, n) and faults on the header, from 1.27 does nothing and
    does not take memlock."""
    for faithful in (True, False):
        calls = on_plan9(start, name, faithful=faithful)
        calls.os.memory.fill(8, 100, 1)
        if fails and faithful:
            with pytest.raises(Fault, match="fault 0"):
                calls.free(0, P9 // 2)
            assert calls.os.memory.count_nonzero(1, P9 - 1) == 0
            continue
        if fails:
            with pytest.raises(IllegalUse, match=r"nil faults in every release before go1\.27"):
                calls.free(0, P9 // 2)
        else:
            calls.free(0, P9 // 2)
            assert calls.os.memlock.statistics().acquisitions == 0
        assert calls.os.memory.count_nonzero(1, P9 - 1) == 100


def test_nil_free_is_told(start: Any) -> None:
    """From 1.27 the log has a nil free as a call that took the path nil, without work or lock."""
    calls = on_plan9(start)
    charged: list[Any] = []
    calls.os.charge = lambda *what: charged.append(what)
    calls.os.sink = told = Told()
    calls.free(0, 3 * P9)
    assert [name for name, _ in told.told] == ["mem_call", "mem_return"]
    wanted = Call("sysFreeOS", 0, 3 * P9, size=3 * P9, ok=True, path="nil", number=1)
    assert told.of("mem_return") == [(wanted, calls.os.state())]
    assert charged == []


# sysReserveAlignedSbrk.


@pytest.mark.parametrize("name", NEW)
def test_aligned_from_the_break(start: Any, name: str) -> None:
    """Without a free block the break is rounded up, and what is skipped goes to the list."""
    calls = on_plan9(start, name)
    assert calls.aligned(2 * P9, 4 * P9) == (4 * P9, 2 * P9)
    assert (calls.os.bloc, calls.os.freelist.blocks()) == (6 * P9, [(P9, 3 * P9)])
    assert calls.aligned(P9, 2 * P9) == (2 * P9, P9)  # from those three pages, both ends trimmed
    assert calls.os.freelist.blocks() == [(P9, P9), (3 * P9, P9)]
    calls.alloc(10 * P9)
    before = calls.os.bloc
    assert calls.aligned(90 * P9, P9) == (0, 0)
    assert calls.os.bloc == before


def test_aligned_from_the_list_trims_both_ends(start: Any) -> None:
    """A block of size + align is taken from the list and both ends go back to it; also an end that
    lies at bloc, for memFree does not look."""
    calls = on_plan9(start)
    p = calls.alloc(9 * P9)  # pages 1 to 9; bloc is page 10
    calls.free(p, 9 * P9 - 1)  # unrounded: to the list
    assert calls.os.freelist.blocks() == [(P9, 9 * P9)]
    assert calls.aligned(2 * P9, 4 * P9) == (4 * P9, 2 * P9)
    assert calls.os.freelist.blocks() == [(P9, 3 * P9), (6 * P9, 4 * P9)]
    assert (calls.os.bloc, calls.os.memory.grows) == (10 * P9, 1)


def test_aligned_that_fits_at_once(start: Any) -> None:
    """Aligned already, only the tail goes back; with nothing skipped the list stays empty."""
    calls = on_plan9(start)
    assert calls.aligned(P9, P9) == (P9, P9)
    assert calls.os.freelist.blocks() == []
    p = calls.alloc(4 * P9)
    calls.alloc(P9)
    calls.free(p, 4 * P9)
    assert p == 2 * P9
    assert calls.aligned(P9, 2 * P9) == (4 * P9, P9)
    assert calls.os.freelist.blocks() == [(2 * P9, 2 * P9), (5 * P9, P9)]


@pytest.mark.parametrize("name", [*OLD, "go1.19"])
def test_no_aligned_call_before_124(start: Any, name: str) -> None:
    """Up to 1.23 there is no sysReserveAlignedSbrk."""
    for platform in ("js/wasm", "plan9/386"):
        with pytest.raises(NotImplementedError, match="has no sysReserveAlignedSbrk"):
            start(name, platform).aligned(PAGE, PAGE)


@pytest.mark.parametrize(("name", "leaks"), [("go1.24.0", True), ("go1.24.4", True),
                                             ("go1.24.5", False), ("go1.27", False)])  # fmt: skip
def test_leaked_memlock(start: Any, name: str, leaks: bool) -> None:
    """1.24.0 to 1.24.4 keep memlock after an aligned reservation from the list, and the next call
    throws "self deadlock"; a reservation from the break gives it back, as 1.24.5 always does."""
    calls = on_wasm(start, name)
    calls.aligned(PAGE, 4 * PAGE)  # from the break: skips 3 pages
    assert calls.os.memlock.holder is None
    assert calls.aligned(PAGE, PAGE) == (2 * PAGE, PAGE)
    assert (calls.os.memlock.holder is not None) is leaks
    if leaks:
        with pytest.raises(Throw, match="self deadlock"):
            calls.alloc(1)
    else:
        assert calls.alloc(1)


# memCheck, the lock, the hooks.


def test_mem_debug_checks_after_each_change(start: Any) -> None:
    """With memDebug a spoilt free block is thrown by the next alloc, free, reserve or aligned;
    without, none of them says a word."""
    for debug in (True, False):
        for call in ("alloc", "free", "reserve", "aligned"):
            calls = on_plan9(start, mem_debug=debug)
            at = [calls.alloc(P9) for _ in range(10)]
            for i in (0, 2, 6):
                calls.free(at[i], P9)
            calls.os.memory.fill(at[0] + 100, 1, 1)
            args = {"alloc": (3 * P9,), "free": (at[4], P9), "reserve": (0, 3 * P9),
                    "aligned": (P9, 16 * P9)}[call]  # fmt: skip
            if debug:
                with pytest.raises(Throw, match="uninitialised memory"):
                    getattr(calls, call)(*args)
            else:
                getattr(calls, call)(*args)


def test_aligned_from_the_list_is_checked(start: Any) -> None:
    """The path through the free list ends with memCheck too, and a hint that is met does not."""
    calls = on_plan9(start, mem_debug=True)
    p = calls.alloc(9 * P9)
    calls.free(p, P9)
    calls.free(p + 2 * P9, 6 * P9)
    calls.os.memory.fill(p + 100, 1, 1)
    assert calls.reserve(calls.os.bloc, P9)
    with pytest.raises(Throw, match="uninitialised memory"):
        calls.aligned(P9, 2 * P9)


def test_memlock_is_taken_once_a_call(start: Any) -> None:
    """Each call takes memlock once under its own name and gives it back, in every generation."""
    for calls in (on_wasm(start, "go1.19"), on_wasm(start, "go1.22"), on_plan9(start)):
        p = calls.alloc(PAGE)
        calls.free(p, PAGE)
        calls.reserve(0, PAGE)
        stats = calls.os.memlock.statistics()
        assert {site: s.acquisitions for site, s in stats.by_site.items()} == {
            "runtime.sysAllocOS": 1, "runtime.sysFreeOS": 1, "runtime.sysReserveOS": 1,
        }  # fmt: skip
        assert calls.os.memlock.holder is None


def test_hooks_do_nothing(start: Any) -> None:
    """The hooks change nothing; the two that came with 1.21 are refused before."""
    for name in KNOWN:
        os = start(name, "plan9/amd64").os
        before = (os.bloc, os.memory.grows, os.memory.committed_bytes)
        for hook in ("unused", "used", "huge_page", "map", "fault"):
            getattr(os, f"sys_{hook}_os")(P9, P9)
        for hook in ("no_huge_page", "huge_page_collapse"):
            if name in ("go1.19", "go1.20", "dac514ea"):
                with pytest.raises(IllegalUse, match=r"came with go1\.21"):
                    getattr(os, f"sys_{hook}_os")(P9, P9)
            else:
                getattr(os, f"sys_{hook}_os")(P9, P9)
        assert (os.bloc, os.memory.grows, os.memory.committed_bytes) == before

"""mheap.sysAlloc, persistentalloc, linearAlloc and what mallocinit reserves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gorun_mem.runtime.behaviour import KiB, MiB, release
from gorun_mem.runtime.boot import BootOptions, Runtime, boot
from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.mallocinit import (
    init_hints,
)
from gorun_mem.runtime.mem import Mem
from gorun_mem.runtime.mheap import MHeap
from gorun_mem.runtime.mutex import make
from gorun_mem.runtime.op import Op
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.runtime.persistent import PersistentAlloc
from gorun_mem.step.solo import SoloM, solo

PAGE = 64 * KiB
ARENA = 4 * MiB


def start(name: str, platform: str = "js/wasm", **options: Any) -> Runtime:
    known = release(name)
    return boot(known, known.platform(platform), BootOptions(**options), memlock=make("js", known))


def do(coro: Coroutine[Any, Any, Any]) -> Any:
    return solo(coro, SoloM())


class Notes:
    """A sink that notes arena events, and the OS calls with their answers."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def note(*values: Any) -> None:
            if name.startswith("arena_"):
                self.events.append((name, *values))
            elif name == "mem_return":
                call = values[0]
                self.events.append((call.fn, call.v, call.n, call.p))

        return note

    def take(self) -> list[tuple[Any, ...]]:
        events, self.events = self.events, []
        return events


class Scripted(OSLayer):
    """An OS layer that answers from a list, oldest first, and notes what it was asked."""

    def __init__(self, name: str, platform: str, *answers: int) -> None:
        known = release(name)
        plain = start(name, platform).os
        super().__init__(known, known.platform(platform), plain.memory, plain.memlock)
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []

    bloc = 0
    bloc_max = 0

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        self.asked.append(("alloc", n, purpose))
        return self.answers.pop(0)

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        self.asked.append(("free", v, n))

    async def sys_reserve_os(self, v: int, n: int, purpose: str = "") -> int:
        self.asked.append(("reserve", v, n))
        return self.answers.pop(0)

    async def sys_reserve_aligned_sbrk(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        self.asked.append(("reserve_aligned", size, align))
        p = self.answers.pop(0)
        return p, size if p else 0


class FreshChunks(PersistentAlloc):
    """persistentalloc that always has room: what a test of hints does not want to see."""

    async def alloc(self, size: int, align: int, sys_stat: Any, p: int = 0) -> int:
        return 0x100


def scripted(name: str, platform: str, *answers: int, small: bool = True) -> tuple[MHeap, Scripted]:
    os = Scripted(name, platform, *answers)
    mem = Mem(os)
    return MHeap(mem, persistent=FreshChunks(mem) if small else None), os


# Hints.


def test_first_arena_then_the_up_hint() -> None:
    """1.24: no hint at boot; the first arena is aligned and leaves two hints, and the second is
    asked for right above the first and given."""
    runtime = start("go1.24", end=1418656)
    heap: Any = runtime.mheap
    notes = Notes()
    runtime.os.sink = notes  # type: ignore[assignment]
    assert do(heap.sys_alloc(1)) == (ARENA, ARENA)
    events = notes.take()
    assert events[0] == ("sysReserveAlignedSbrk", 0, ARENA, ARENA)
    assert events[1] == ("arena_reserve", ARENA, ARENA, "aligned", 0, ARENA - 1441792)
    assert ("arena_hint_new", ARENA, True) in events
    assert ("arena_hint_new", 2 * ARENA, False) in events
    assert [(h.addr, h.down) for h in heap.hints()] == [(2 * ARENA, False), (ARENA, True)]
    assert do(heap.sys_alloc(ARENA)) == (2 * ARENA, ARENA)
    assert notes.take() == [
        ("sysReserveOS", 2 * ARENA, ARENA, 2 * ARENA),
        ("arena_reserve", 2 * ARENA, ARENA, "hint", 2 * ARENA, 0),
    ]
    assert heap.statistics().hint_hits == 1


def test_metadata_between_two_arenas_makes_the_hint_miss() -> None:
    """Whatever moved bloc since: the up hint misses by that much and is dropped for good."""
    runtime = start("go1.27")
    heap: Any = runtime.mheap
    notes = Notes()
    v, size = do(heap.sys_alloc(1))
    do(runtime.mem.sys_alloc(MiB, runtime.mem.stats.other_sys))
    runtime.os.sink = notes  # type: ignore[assignment]
    bloc = runtime.os.bloc
    assert bloc > v + size
    do(heap.sys_alloc(1))
    misses = [e for e in notes.take() if e[0] == "arena_hint_miss"]
    assert misses == [
        ("arena_hint_miss", v + size, False, bloc, bloc - v - size),
        ("arena_hint_miss", v - size, True, bloc, bloc - v + size),
    ]
    assert heap.statistics().hint_misses == 2


@pytest.mark.parametrize(("name", "dropped", "user"), [("go1.19", 128, 0), ("go1.21", 64, 64)])
def test_hints_beyond_the_address_space_are_dropped_without_a_call(
    name: str, dropped: int, user: int
) -> None:
    """To 1.23 wasm's first hints lie above 4 GiB: none reaches the OS layer, nor the log."""
    runtime = start(name)
    heap: Any = runtime.mheap
    notes = Notes()
    do(init_hints(heap, runtime.data_end))
    assert [h.addr for h in heap.hints()][:2] == [0xC0 << 32, 0x1C0 << 32]
    assert len(heap.user_arena_hints) == user
    runtime.os.sink = notes  # type: ignore[assignment]
    do(heap.sys_alloc(1))
    assert heap.statistics().hint_drops == dropped
    assert notes.take()[0][:3] == ("sysReserveOS", 0, 2 * ARENA)


def test_plan9_amd64_asks_for_each_hint() -> None:
    """Below 48 bits every hint is asked for; each gets nil and is dropped, the lowest first."""
    heap, os = scripted("go1.23", "plan9/amd64", *[0] * 64, 0x1000_0000, 0x100000)
    do(init_hints(heap, 0))
    assert do(heap.sys_alloc(1)) == (0x1000_0000, 128 * MiB)
    assert os.asked[:2] == [
        ("reserve", 0xC0 << 32, 64 * MiB),
        ("reserve", 0x1C0 << 32, 64 * MiB),
    ]
    assert os.asked[63][1] == 0x3FC0 << 32
    assert heap.statistics().hint_misses == 64


def test_a_miss_is_given_back_before_the_next_hint() -> None:
    """A reservation at another address than asked is freed whole and its hint dropped."""
    heap, os = scripted("go1.23", "plan9/amd64", 0x5000_0000, 0x7000_0000, 0x100000)
    do(heap.push_hint(0x7000_0000))
    do(heap.push_hint(0x4000_0000))
    assert do(heap.sys_alloc(1)) == (0x7000_0000, 64 * MiB)
    assert os.asked[:3] == [
        ("reserve", 0x4000_0000, 64 * MiB),
        ("free", 0x5000_0000, 64 * MiB),
        ("reserve", 0x7000_0000, 64 * MiB),
    ]
    assert [h.addr for h in heap.hints()] == [0x7400_0000]


def test_a_down_hint_moves_down() -> None:
    """A hit below leaves the hint at the start of the new arena."""
    heap, _ = scripted("go1.24", "js/wasm", 12 * MiB, PAGE)
    do(heap.push_hint(16 * MiB, down=True))
    assert do(heap.sys_alloc(1)) == (12 * MiB, ARENA)
    assert [(h.addr, h.down) for h in heap.hints()] == [(12 * MiB, True)]


def test_a_down_hint_that_wraps_is_dropped_without_a_call() -> None:
    """addr - n below 0 wraps to the top of the address space: p + n < p, nothing is asked."""
    heap, os = scripted("go1.24", "js/wasm", 8 * MiB, PAGE)
    do(heap.push_hint(ARENA, down=True))
    do(heap.sys_alloc(2 * ARENA))
    assert os.asked[0] == ("reserve_aligned", 2 * ARENA, ARENA)
    assert heap.statistics().hint_drops == 1


def test_a_hint_of_nil_is_served_anywhere_and_given_back() -> None:
    """A down hint whose arena would start at 0 asks sysReserve for nil: what comes is no hit."""
    heap, os = scripted("go1.24", "js/wasm", 20 * MiB, 24 * MiB, PAGE)
    do(heap.push_hint(ARENA, down=True))
    assert do(heap.sys_alloc(1)) == (24 * MiB, ARENA)
    assert os.asked[:3] == [
        ("reserve", 0, ARENA),
        ("free", 20 * MiB, ARENA),
        ("reserve_aligned", ARENA, ARENA),
    ]


def test_a_hint_of_nil_that_fails_counts_as_a_hit() -> None:
    """1.24: where nothing can be had nil equals the address asked for: v = 0 with a size."""
    heap, _ = scripted("go1.24", "js/wasm", 0, PAGE)
    do(heap.push_hint(ARENA, down=True))
    assert do(heap.sys_alloc(1)) == (0, ARENA)
    assert list(heap.arenas) == [0]


def test_no_memory_is_nil_without_new_hints() -> None:
    """When the aligned reservation fails the answer is (0, 0) and nothing is made."""
    heap, _ = scripted("go1.27", "js/wasm", 0)
    assert do(heap.sys_alloc(1)) == (0, 0)
    assert heap.statistics().hints == heap.statistics().arenas == 0


# User arenas.


def test_user_arenas_use_their_hints_and_feed_the_heaps() -> None:
    """New hints go to the heap's list even when a user arena was asked for."""
    runtime = start("go1.24")
    do(runtime.mheap.sys_alloc(1, user=True))
    assert len(runtime.mheap.arena_hints) == 2
    assert runtime.mheap.user_arena_hints == []


@pytest.mark.parametrize(("name", "listed"), [("go1.24", 0), ("go1.25", 1)])
def test_user_arenas_have_a_list_from_1_25(name: str, listed: int) -> None:
    """To 1.24 a user arena is in no list; from 1.25 in its own, which costs another array."""
    runtime = start(name)
    heap: Any = runtime.mheap
    notes = Notes()
    do(heap.sys_alloc(1))
    runtime.os.sink = notes  # type: ignore[assignment]
    do(heap.sys_alloc(1, user=True))
    assert len(heap.heap_arenas.indexes) == 1
    assert len(heap.user_arenas.indexes) == listed
    arrays = [e for e in notes.take() if e[0] == "sysAllocOS" and e[2] == PAGE]
    assert len(arrays) == listed


def test_1_19_has_no_user_arenas() -> None:
    """Asking for one is refused and says which release has them."""
    with pytest.raises(IllegalUse, match=r"they came with go1\.20"):
        do(start("go1.19").mheap.sys_alloc(1, user=True))


# Addresses that cannot be used.


@pytest.mark.parametrize(
    ("platform", "v", "bad"),
    [
        ("js/wasm", 1 << 32, "base outside usable address space"),
        ("js/wasm", (1 << 32) - 2 * MiB, "end outside usable address space"),
        ("js/wasm", (1 << 64) - 2 * MiB, "region exceeds uintptr range"),
        ("plan9/amd64", 0xFFFF_8000_0000_0000 - 64 * MiB, "base outside usable address space"),
    ],
)
def test_an_address_outside_the_heap_throws(platform: str, v: int, bad: str) -> None:
    """mheap.sysAlloc throws and prints what the OS gave and what is bad about it."""
    heap, _ = scripted("go1.24", platform, v)
    with pytest.raises(Throw, match="memory reservation exceeds address space limit") as thrown:
        do(heap.sys_alloc(1))
    size = 4 * MiB if platform == "js/wasm" else 64 * MiB
    end = (v + size) & (1 << 64) - 1
    assert thrown.value.printed == (
        f"runtime: memory allocated by OS [{v:#x}, {end:#x}) not in usable address space: {bad}",
    )


def test_the_upper_half_of_amd64_is_usable() -> None:
    """arenaBaseOffset makes the sign-extended half of the address space arenas like any other."""
    heap, _ = scripted("go1.24", "plan9/amd64", 0xFFFF_8000_0000_0000, PAGE)
    assert do(heap.sys_alloc(1))[0] == 0xFFFF_8000_0000_0000
    assert list(heap.arenas) == [0]


def test_a_misaligned_arena_throws() -> None:
    """An address within bounds that is no multiple of an arena is caught after the bounds."""
    heap, _ = scripted("go1.24", "js/wasm", ARENA + PAGE)
    with pytest.raises(Throw, match="misrounded allocation in sysAlloc"):
        do(heap.sys_alloc(1))


# Metadata.


@pytest.mark.parametrize(
    ("name", "platform", "l2"),
    [
        ("go1.25", "js/wasm", 8192),
        ("go1.26", "js/wasm", 65536),
        ("go1.27", "plan9/amd64", 32 * MiB),
        ("go1.27", "plan9/386", 4096),
    ],
)
def test_the_l2_map_is_made_once(name: str, platform: str, l2: int) -> None:
    """A pointer for each arena there can be, asked of sysAllocOS before the first arena only."""
    heap, os = scripted(name, platform, 64 * MiB, 0x100000)
    do(heap.sys_alloc(1))
    assert ("alloc", l2, "heap index") in os.asked
    os.answers.append(64 * MiB + heap.arena_bytes)
    do(heap.sys_alloc(1))
    assert sum(asked[0] == "alloc" for asked in os.asked) == 1


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((0,), "out of memory allocating heap arena map"),
        ((PAGE, 0), "out of memory allocating heap arena metadata"),
        ((PAGE, PAGE, 0), "out of memory allocating allArenas"),
    ],
)
def test_no_memory_for_metadata_throws(answers: tuple[int, ...], message: str) -> None:
    """1.21, whose heapArena goes to sysAlloc: each of the three allocations has its own throw."""
    chunk, hint = 16 * PAGE, 8 * MiB
    heap, _ = scripted("go1.21", "js/wasm", chunk, hint, *answers, small=False)
    do(heap.push_hint(hint))
    with pytest.raises(Throw, match=message):
        do(heap.sys_alloc(1))


def test_an_arena_is_made_once() -> None:
    """The same address twice, which no OS gives: throws."""
    heap, _ = scripted("go1.24", "js/wasm", ARENA, PAGE, ARENA)
    do(heap.sys_alloc(1))
    heap.arena_hints.clear()
    with pytest.raises(Throw, match="arena already initialized"):
        do(heap.sys_alloc(1))


def test_the_arena_list_doubles() -> None:
    """On Plan 9 a page holds 512 arenas; the 513th asks for two pages."""
    heap, _ = scripted("go1.27", "plan9/386")
    sizes: list[int] = []

    class Sizes(FreshChunks):
        async def alloc(self, size: int, align: int, sys_stat: Any, p: int = 0) -> int:
            sizes.append(size)
            return 0x100

    heap.persistent = Sizes(heap.mem)
    for index in range(2 * 1024 + 1):
        do(heap._register(index, False, 0))
    assert sizes == [4096, 8192, 16384]
    assert heap.heap_arenas.capacity == 4096


@pytest.mark.parametrize(
    ("name", "direct"), [("go1.19", True), ("go1.21", True), ("go1.22", False)]
)
def test_big_heap_arenas_are_allocated_directly(name: str, direct: bool) -> None:
    """A heapArena of 64 KiB and more is a sysAlloc of its own; from 1.22 it fits into a chunk."""
    runtime = start(name)
    n = runtime.mheap.arena_metadata_bytes
    runtime.os.sink = notes = Notes()  # type: ignore[assignment]
    do(runtime.mheap.sys_alloc(1))
    calls = [e for e in notes.take() if e[0] == "sysAllocOS" and e[2] == n]
    assert bool(calls) is direct
    assert runtime.mem.statistics().gc_misc_sys >= n


def test_mheap_lock_is_held_throughout() -> None:
    """With a heap lock every OS call of a sysAlloc happens between its lock and unlock."""
    runtime = start("go1.27")
    lock = make("sema", "go1.27", lock_name="heap")
    heap = MHeap(runtime.mem, heap_lock=lock)
    seen: list[str] = []

    def watch(coro: Coroutine[Op, Any, Any]) -> None:
        m = SoloM()
        result: object = None
        try:
            while True:
                op = coro.send(result)
                op.begin(m)
                seen.append(f"{type(op).__name__} {op.obj}")
                result = op.step(m)
                while getattr(result, "value", "") == "more":
                    result = op.step(m)
        except StopIteration:
            pass

    watch(heap.sys_alloc(1))
    assert "heap" in seen[0]
    assert "heap" in seen[-1]
    assert len(seen) > 4
    assert not any("heap" in name for name in seen[1:-1])

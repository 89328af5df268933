"""What mheap's own memory comes from (malloc.go, mfixalloc.go), and how it boots (mallocinit)."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem.runtime.behaviour import KiB, MiB, release
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.mallocinit import (
    check_phys_page_size,
    init_hints,
    mallocinit,
    page_summary_sizes,
)
from gorun_mem.runtime.mfixalloc import FixAlloc
from gorun_mem.runtime.mutex import make
from gorun_mem.runtime.persistent import LinearAlloc, PersistentAlloc
from tests.runtime.test_mheap import ARENA, PAGE, Notes, do, scripted, start

# persistentalloc and its like.


def test_persistentalloc_carves_a_chunk() -> None:
    """The first word of a chunk links to the one before; pieces follow, aligned, until the chunk
    is full; what is left of it is lost."""
    mem = start("go1.27").mem
    persistent = PersistentAlloc(mem)
    stat = mem.stats.gc_misc_sys
    first = do(persistent.alloc(5, 0, stat))
    second = do(persistent.alloc(100, 64, stat))
    base = persistent.chunks[0]
    assert (first, second) == (base + 8, base + 64)
    for _ in range(5):
        do(persistent.alloc(63 * KiB, 8, stat))
    assert len(persistent.chunks) == 2
    assert mem.os.memory.load_word(persistent.chunks[1]) == base
    assert persistent.contains(base + 5)
    assert not persistent.contains(base - 1)
    figures = mem.statistics()
    assert figures.gc_misc_sys == 105 + 5 * 63 * KiB
    assert figures.other_sys == 2 * 256 * KiB - figures.gc_misc_sys


def test_persistentalloc_from_64_kib_is_sys_alloc() -> None:
    """65,535 bytes come from a chunk of 256 KiB, 65,536 from the OS as they are."""
    mem = start("go1.27").mem
    notes = Notes()
    mem.os.sink = notes  # type: ignore[assignment]
    persistent = PersistentAlloc(mem)
    do(persistent.alloc(PAGE - 1, 8, mem.stats.other_sys))
    do(persistent.alloc(PAGE, 8, mem.stats.other_sys))
    assert [e[2] for e in notes.take()] == [256 * KiB, PAGE]


def test_each_p_has_a_chunk_of_its_own() -> None:
    """P 1 and who has no P do not share: two chunks for two bytes."""
    mem = start("go1.27").mem
    persistent = PersistentAlloc(mem, make("js", "go1.27", lock_name="globalAlloc"))
    for p in (0, 1, 0, 1):
        do(persistent.alloc(1, 1, mem.stats.other_sys, p))
    assert len(persistent.chunks) == 2


@pytest.mark.parametrize(
    ("size", "align", "message"),
    [
        (0, 8, "persistentalloc: size == 0"),
        (8, 24, "persistentalloc: align is not a power of 2"),
        (8, 16384, "persistentalloc: align is too large"),
        (8, 8, "runtime: cannot allocate memory"),
    ],
)
def test_persistentalloc_throws(size: int, align: int, message: str) -> None:
    """Bad arguments and no memory each have their throw; the lock is given back."""
    runtime = start("go1.27", initial_pages=24, max_pages=24)
    lock = make("js", "go1.27", lock_name="globalAlloc")
    persistent = PersistentAlloc(runtime.mem, lock)
    with pytest.raises(Throw, match=message):
        do(persistent.alloc(size, align, runtime.mem.stats.other_sys))

    async def take_lock() -> None:
        await lock.lock("test")

    do(take_lock())


def test_linear_alloc_maps_page_by_page() -> None:
    """On 386 what is handed out is mapped and used by whole pages, and nothing past the end."""
    mem = start("go1.22", "plan9/386").mem
    base = do(mem.sys_reserve(0, 16 * KiB))
    linear = LinearAlloc(mem, 4096)
    stat = mem.stats.gc_misc_sys
    assert linear.alloc(8, 4, stat) == 0
    linear.init(base, 16 * KiB, True)
    assert linear.alloc(2248, 4, stat) == base
    assert stat.value == mem.mapped_ready == 4096
    assert linear.alloc(2248, 4, stat) == base + 2248
    assert stat.value == mem.mapped_ready == 8192
    assert linear.alloc(16 * KiB, 4, stat) == 0
    linear.init(0xFFFF_F000, 0x1000, False)
    assert linear.end == 0xFFFF_FFFF


def test_fixalloc_reuses_before_it_asks() -> None:
    """16 KiB hold 682 hints; the 683rd needs another piece unless one was freed."""
    mem = start("go1.27").mem
    persistent = PersistentAlloc(mem)
    hints = FixAlloc(24, mem.stats.other_sys, persistent)
    asked: list[int] = []
    real = persistent.alloc

    class Count:
        async def alloc(self, size: int, align: int, stat: Any, p: int = 0) -> int:
            asked.append(size)
            return await real(size, align, stat, p)

    hints._persistent = Count()  # type: ignore[assignment]
    for _ in range(682):
        do(hints.alloc())
    hints.free()
    do(hints.alloc())
    assert asked == [682 * 24]
    do(hints.alloc())
    assert asked == [682 * 24] * 2


# mallocinit.


@pytest.mark.parametrize(
    ("size", "message", "printed"),
    [
        (0, "failed to get system page size", ()),
        (
            2048,
            "bad system page size",
            ("system page size (2048) is smaller than minimum page size (4096)",),
        ),
        (
            1 << 20,
            "bad system page size",
            ("system page size (1048576) is larger than maximum page size (524288)",),
        ),
        (12288, "bad system page size", ("system page size (12288) must be a power of 2",)),
    ],
)
def test_bad_page_sizes_throw(size: int, message: str, printed: tuple[str, ...]) -> None:
    """mallocinit refuses a page size with Go's line; 4096 and 65536 pass."""
    with pytest.raises(Throw, match=message) as thrown:
        check_phys_page_size(size)
    assert thrown.value.printed == printed
    check_phys_page_size(4096)
    check_phys_page_size(65536)


@pytest.mark.parametrize(
    ("name", "platform", "sizes"),
    [
        ("go1.25", "js/wasm", (65536,)),
        ("go1.26", "js/wasm", (131072,)),
        ("go1.26", "plan9/386", (12288,)),
        ("go1.26", "plan9/amd64", (128 * KiB, MiB, 8 * MiB, 64 * MiB, 512 * MiB)),
    ],
)
def test_page_summaries(name: str, platform: str, sizes: tuple[int, ...]) -> None:
    """What pageAlloc.sysInit reserves; the wasm sizes are those of the recordings."""
    known = release(name)
    found = page_summary_sizes(known.heap_sizes(known.platform(platform)), known.platform(platform))
    assert found == sizes


@pytest.mark.parametrize(("name", "summary"), [("go1.24", 65536), ("go1.27", 131072)])
def test_boot_on_wasm_is_a_chunk_and_a_summary(name: str, summary: int) -> None:
    """The first two calls of every recording: persistentalloc's chunk, then the summaries."""
    runtime = start(name)
    notes = Notes()
    runtime.os.sink = notes  # type: ignore[assignment]
    do(mallocinit(runtime.mheap, runtime.data_end))
    assert [e[:3] for e in notes.take()] == [
        ("sysAllocOS", 0, 256 * KiB),
        ("sysReserveOS", 0, summary),
    ]


def test_boot_on_386_reserves_metadata_and_tries_three_sizes() -> None:
    """1.23 on plan9/386: metadata for 1,024 arenas is had; 512, 256 and 128 MiB above the program
    are asked for at a hint that is not the break, so none is had; one hint for each list stays."""
    runtime = start("go1.23", "plan9/386")
    notes = Notes()
    runtime.os.sink = notes  # type: ignore[assignment]
    end = runtime.data_end
    do(mallocinit(runtime.mheap, end))
    reserves = [e for e in notes.take() if e[0] == "sysReserveOS"]
    hint = -(-(end + 256 * KiB) // ARENA) * ARENA
    assert reserves[1][2] == 2248 * 1024
    assert reserves[2:] == [("sysReserveOS", hint, n * MiB + ARENA, 0) for n in (512, 256, 128)]
    assert [h.addr for h in runtime.mheap.hints()] == [hint]
    assert [h.addr for h in runtime.mheap.hints(user=True)] == [hint]
    assert runtime.mheap.heap_arena_alloc.end == reserves[1][3] + 2248 * 1024


def test_the_386_reservation_serves_the_heap_first() -> None:
    """Where the big reservation was had, the heap takes its arenas from it before any hint."""
    heap, os = scripted("go1.23", "plan9/386", 0, 8 * MiB, 0x100000)
    do(init_hints(heap, 1 * MiB))
    assert os.asked[1] == ("reserve", ARENA, 516 * MiB)
    asked = len(os.asked)
    assert do(heap.sys_alloc(1)) == (8 * MiB, ARENA)
    assert os.asked[asked:] == [("alloc", 4096, "heap index")]
    assert [h.addr for h in heap.hints()] == [8 * MiB + 516 * MiB]


def test_no_memory_for_the_summaries_throws() -> None:
    """A memory with room for the chunk and no more."""
    runtime = start("go1.27", initial_pages=26, max_pages=26, end=22 * PAGE)
    with pytest.raises(Throw, match="failed to reserve page summary memory"):
        do(mallocinit(runtime.mheap, 22 * PAGE))


def test_every_release_and_platform_boots_and_grows() -> None:
    """mallocinit and three arenas in every world there is; arenas are aligned and distinct."""
    for name in ("go1.19", "go1.20", "dac514ea", "go1.21", "go1.23", "go1.24", "go1.26", "go1.27"):
        for platform in ("js/wasm", "plan9/amd64", "plan9/386"):
            runtime = start(name, platform)
            do(mallocinit(runtime.mheap, runtime.data_end))
            got = [do(runtime.mheap.sys_alloc(1)) for _ in range(3)]
            assert len({v for v, _ in got}) == 3, (name, platform)
            assert all(v and v % runtime.mheap.arena_bytes == 0 for v, _ in got)

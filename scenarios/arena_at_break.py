"""Heap arenas are reserved at the break, and metadata that takes the break makes them miss.

mheap.sysAlloc remembers where the next arena could begin: right behind the last one, the up hint.
sysReserveOS honours a hint only if it is the break itself. So when anything was allocated from the
break since, here `metadata` bytes after each arena, the hint misses and is dropped. The arena then
goes to the next aligned address, and what lies between is skipped and goes to the free list.

In the log, look for `arena.hint_miss` with its `gap_bytes`, for `freelist.put` with cause
`align_skip`, and for `arena.reserve` via `aligned`. With `--set metadata=0` each hint hits: after
the start, whose own metadata makes the second arena miss, there is none of these three.

Metadata that fits into what was skipped before does not take the break: try `--set metadata=65536`,
where one miss pays for seven hits, or `--release go1.25`, whose arenas are eight times as large.
With more Ms each has metadata of its own, and a miss or two with `metadata=0` too.
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import KiB, M, MiB, Range, World, scenario


@scenario(ms=1, platform="js/wasm")
async def arena_at_break(
    world: World,
    *,
    arenas: Annotated[int, "arenas that each M reserves", Range(1, 400)] = 8,
    metadata: Annotated[int, "bytes allocated after each arena", Range(0, 64 * MiB)] = 320 * KiB,
) -> None:
    """Metadata allocated between two arenas makes the arena hint miss. Look for arena.hint_miss."""

    async def start(m: M) -> None:
        await m.mallocinit()
        for _ in range(2):  # the first makes the arena map, which lies where the second would begin
            await m.mheap_sys_alloc(1)

    async def grow_heap(m: M) -> None:
        for _ in range(arenas):
            await m.mheap_sys_alloc(1)
            if metadata:
                await m.sys_alloc(metadata, "gc_misc_sys")

    async with world.open_ms() as boot:
        boot.start_soon(start)
    before = world.runtime.mheap.statistics()
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(grow_heap)
    world.check()
    after = world.runtime.mheap.statistics()
    world.result("hint hits", after.hint_hits - before.hint_hits)
    world.result("hint misses", after.hint_misses - before.hint_misses)
    world.result("skipped bytes", after.skipped_bytes - before.skipped_bytes)
    world.result("pages", world.snapshot().pages)


if __name__ == "__main__":
    arena_at_break.main()

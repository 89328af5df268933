"""What was freed in the middle of memory serves later allocations, and memory does not grow.

A row of five blocks; the second and the fourth are freed, and neither lies at the break, so both go
to the free list. Then three allocations: one of a whole block, which fits the first hole exactly;
one of a quarter, cut from the *tail* of the second hole; and one of what is left of that.

In the log, look for `freelist.put` with cause `mid_free`, for `freelist.take` with `exact` true,
false, true, and for `mem.return` with path `freelist`: after the row there is no `mem.grow`. With
`--release go1.20 --platform js/wasm` sysFreeOS does nothing, and all three grow the memory.
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import KiB, M, MiB, Range, World, scenario


@scenario(ms=1)
async def freelist_fallback(
    world: World,
    *,
    block: Annotated[int, "bytes of a block", Range(256 * KiB, 64 * MiB)] = 256 * KiB,
    rounds: Annotated[int, "how often each M does it", Range(1, 10_000)] = 1,
) -> None:
    """What is freed in the middle serves later allocations. Look for freelist.take."""
    reused = 0
    page = world.settings.platform.page_size
    whole = block // page * page
    quarter = whole // 4 // page * page

    async def worker(m: M) -> None:
        nonlocal reused
        for _ in range(rounds):
            row = [await m.sys_alloc(whole) for _ in range(5)]
            holes = row[1], row[3]
            for hole in holes:
                await m.sys_free(hole, whole)
            for size in (whole, quarter, whole - quarter):
                addr = await m.sys_alloc(size)
                reused += any(hole <= addr < hole + whole for hole in holes)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()
    world.result("allocations after the frees", 3 * rounds * world.ms)
    world.result("of these served from the holes", reused)
    world.result("pages", world.snapshot().pages)


if __name__ == "__main__":
    freelist_fallback.main()

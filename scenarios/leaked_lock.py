"""go1.24.0 to 1.24.4 lose memlock: an aligned reservation from the free list returns with it held.

sysReserveAlignedSbrk first looks for a block of size + align on the free list. In these releases
that way out has no unlock (golang/go#74346); go1.24.5 has one. Whoever comes to memlock next waits
for ever: the run ends in a deadlock, whose report says who holds memlock, in which function and
since when. That M has returned from there long ago; it waits for itself as the others do for it.

In the log, look for the `mem.return` with path `aligned_freelist`, which no `lock.release` follows,
and for `deadlock.found`. With `--release go1.24.5` the same run is clean. With `--ms 1 --platform
js/wasm` nobody can wait, and the next lock throws "self deadlock".
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import KiB, M, MiB, Range, World, scenario


@scenario(ms=2, release="go1.24.3", platform="plan9/amd64")
async def leaked_lock(
    world: World,
    *,
    size: Annotated[int, "bytes that are reserved", Range(64 * KiB, 16 * MiB)] = 64 * KiB,
) -> None:
    """In go1.24.3 an aligned reservation from the free list keeps memlock: deadlock."""
    align = 64 * KiB

    async def make_holes(m: M) -> None:
        row = [await m.sys_alloc(size + align) for _ in range(2 * world.ms)]
        for addr in row[::2]:
            await m.sys_free(addr, size + align)

    async def worker(m: M) -> None:
        await m.sys_reserve_aligned(size, align)
        await m.sys_alloc(size)

    async with world.open_ms() as ms:
        ms.start_soon(make_holes)
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


if __name__ == "__main__":
    leaked_lock.main()

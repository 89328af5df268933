"""Half of the memory is free and none of it is any use: every other block is, and no two merge.

The free list merges neighbours only, and between two holes lies a block that is in use. So each
hole stays as small as one block, and a request for two finds nothing though half of the row is
free: the memory grows.

In the log, look for the last `mem.grow` and the `mem.return` beside it: `free_bytes` is far more
than `n`, `free_largest` is less. `search_steps` tells how many headers Go's first fit looked at in
vain. With `--set pattern=half` as many blocks are freed side by side; they merge into one hole and
the same request is served from it, without growth.
"""

from __future__ import annotations

from typing import Annotated, Literal

from gorun_mem import KiB, M, MiB, Range, World, scenario


@scenario(ms=1)
async def checkerboard(
    world: World,
    *,
    blocks: Annotated[int, "blocks in each M's row", Range(4, 20_000)] = 64,
    block: Annotated[int, "bytes of a block", Range(64 * KiB, 16 * MiB)] = 64 * KiB,
    pattern: Annotated[Literal["checkerboard", "half"], "which blocks are freed"] = "checkerboard",
) -> None:
    """Every other block is freed, yet a request for two grows the memory. Look for mem.grow."""
    request = 2 * block
    holes = slice(1, None, 2) if pattern == "checkerboard" else slice(1, 1 + blocks // 2)

    async def lay_row(m: M) -> None:
        row = [await m.sys_alloc(block) for _ in range(blocks)]
        await m.sys_alloc(block)  # keeps the last hole away from the break
        for addr in row[holes]:
            await m.sys_free(addr, block)

    async def ask(m: M) -> None:
        await m.sys_alloc(request)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(lay_row)
    before = world.snapshot()
    async with world.open_ms() as ms:
        ms.start_soon(ask)
    world.check()
    after = world.snapshot()
    world.result("free bytes", before.free_bytes)
    world.result("largest hole", before.free_largest)
    world.result("request", request)
    world.result("bloc moved up by", after.bloc - before.bloc)
    world.result("pages grown", after.pages - before.pages)


if __name__ == "__main__":
    checkerboard.main()

"""Frees at the end of memory lower the break; every other free stays on the list beside it.

sysFreeOS compares the end of what is freed with bloc, the runtime's break. Three acts show what
follows from that:

    lifo        the last block is freed first: each free ends at bloc and lowers it, so bloc comes
                back to where it began. blocMax stays, for no system takes memory back.
    shuffled    only a block that is last *when it is freed* lowers bloc. The others go to the list
                and stay there, also once nothing lies between them and bloc any more.
    unrounded   the size is compared as it is, not rounded to pages. A block of 8192 or 98304 bytes
                never ends at bloc where pages are 64 KiB, and goes to the list. Go has such frees.
                (On Plan 9, whose pages are 4 KiB, these two are whole pages and lower bloc.)

In the log, look for `mem.return` of sysFreeOS with path `end_of_memory` or `memfree`, for
`brk.move` with cause `free`, and at the end of each act compare `bloc`, `bloc_max` and
`free_bytes`. Each act begins with an empty list. They are about one M and go1.24 or later: other Ms
take the break in between, and from 1.21 to 1.23 wasm's bloc never moves, so nothing is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from gorun_mem import KiB, M, Range, World, scenario

Act = Literal["lifo", "shuffled", "unrounded"]


@scenario(ms=1)
async def end_of_memory(
    world: World,
    *,
    act: Annotated[Literal["all", "lifo", "shuffled", "unrounded"], "which to play"] = "all",
    blocks: Annotated[int, "blocks in each act", Range(2, 10_000)] = 16,
) -> None:
    """LIFO frees lower bloc, shuffled and unrounded ones leave blocks beside it."""
    acts: Sequence[Act] = ("lifo", "shuffled", "unrounded") if act == "all" else (act,)

    async def use_up_the_list(m: M) -> None:
        for _, size in world.snapshot().free:
            await m.sys_alloc(size)

    async def play(m: M, act: Act) -> None:
        sizes = (8192, 98304) if act == "unrounded" else (64 * KiB, 128 * KiB)
        row = []
        for i in range(blocks):
            size = sizes[i % 2]
            row.append((await m.sys_alloc(size), size))
        if act == "shuffled":
            row = [row.pop(m.randrange(len(row))) for _ in range(blocks)]
        for addr, size in reversed(row):
            await m.sys_free(addr, size)

    for name in acts:
        async with world.open_ms() as ms:
            ms.start_soon(use_up_the_list)
        before = world.snapshot()
        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(play, name)
        world.check()
        after = world.snapshot()
        world.result(f"{name}: bloc moved up by", after.bloc - before.bloc)
        world.result(f"{name}: blocMax moved up by", after.bloc_max - before.bloc_max)
        world.result(f"{name}: left on the list", after.free_bytes)


if __name__ == "__main__":
    end_of_memory.main()

"""Memory is at its limit: growth is refused, allocations answer nil, and a free helps at once.

Every M allocates until it gets nil. Nothing is broken then: sbrk has changed nothing, and what is
on the free list is still to be had. So each M frees a block and asks again.

In the log, look for `mem.grow` with `ok` false, an error; for `mem.return` with `p` 0 and path
`fail`; then for `freelist.take` where the answer after the free came from. Up to 1.20 wasm does
worse (`--release go1.20`): a free gives nothing back, and reserveEnd has moved in spite of the
refusal, so whoever asks again gets nil again.
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import KiB, M, MiB, Range, World, scenario


@scenario(ms=1)
async def out_of_memory(
    world: World,
    *,
    room: Annotated[int, "pages of 64 KiB by which memory may grow", Range(1, 10_000)] = 64,
    block: Annotated[int, "bytes of a block", Range(64 * KiB, 16 * MiB)] = 256 * KiB,
) -> None:
    """Growth is refused at a page limit; nil, then recovery from the free list after a free."""
    blocks: list[int] = []
    nil_answers = 0
    recovered = 0

    async def fill(m: M) -> None:
        nonlocal nil_answers
        while addr := await m.sys_alloc_os(block):
            blocks.append(addr)
        nil_answers += 1

    async def recover(m: M) -> None:
        nonlocal recovered
        if blocks:
            await m.sys_free_os(blocks.pop(0), block)
            recovered += await m.sys_alloc_os(block) != 0

    world.runtime.memory.limit(world.snapshot().pages + room)
    for act in (fill, recover):
        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(act)
    world.check()
    world.result("blocks", len(blocks) + recovered)
    world.result("nil answers", nil_answers)
    world.result("recovered after a free", recovered)
    world.result("growths refused", world.snapshot().grows_refused)
    world.result("pages", world.snapshot().pages)


if __name__ == "__main__":
    out_of_memory.main()

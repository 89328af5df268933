"""Every M allocates, writes and frees under one memlock.

This is what memlock is there for: blocks of mixed sizes come and go while other Ms are at it. In
the log, look for `lock.acquire` with `contended` true and what it cost (`spins`, `sleeps`,
`wait_ns`), and for `bypassed`: how many got the lock meanwhile who came later.

With `--set work_ns=0` nobody leaves the lock alone for long. Go's mutex is not fair, and whoever
has just given it back is faster than the M it woke: few acquisitions wait, but those very long.

The default is four Ms on plan9/amd64, where Go really has several; `--platform js/wasm` with more
than one is a what-if. `--mutex sema`, `spinbit` or `queue` put the same storm on another lock.
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import KiB, M, Range, World, scenario


@scenario(ms=4)
async def memlock_storm(
    world: World,
    *,
    rounds: Annotated[int, "blocks that each M allocates and frees", Range(1, 1_000_000)] = 50,
    held: Annotated[int, "blocks that an M keeps at a time", Range(1, 1000)] = 3,
    work_ns: Annotated[int, "what an M does between two blocks, in ns", Range(0, 10**9)] = 5000,
) -> None:
    """Every M allocates, writes and frees under one memlock. Look for contended lock.acquire."""

    async def worker(m: M) -> None:
        blocks: list[tuple[int, int]] = []
        for _ in range(rounds):
            size = m.choice(64, 128, 192) * KiB  # this M's own draw; in a search, the schedule's
            addr = await m.sys_alloc(size)
            await m.store(addr, m.id)
            await m.compute(work_ns)
            blocks.append((addr, size))
            if len(blocks) == held:
                await give_back(m, *blocks.pop(m.randrange(held)))
        for addr, size in blocks:
            await give_back(m, addr, size)

    async def give_back(m: M, addr: int, size: int) -> None:
        found = await m.load(addr)
        assert found == m.id, "another M has written into this block"
        await m.sys_free(addr, size)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()
    lock = world.statistics().lock("memlock")
    world.result("acquisitions", lock.acquisitions)
    world.result("contended", lock.contended)
    world.result("longest wait ns", lock.wait_ns.max)
    world.result("overtaken at most", lock.bypasses_max)


if __name__ == "__main__":
    memlock_storm.main()

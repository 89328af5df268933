"""The mutex of Plan 9 up to go1.23 wakes whoever went to sleep last; who sleeps longest sleeps on.

lock_sema.go keeps the Ms that sleep on a stack. While there is always another one to push, those at
the bottom are never reached: a few Ms pass the lock among themselves and the rest gets none, for as
long as the load lasts. Nothing is lost in throughput, so no benchmark shows it; the longest wait
does.

`queue`, which hands the lock over in the order of coming, is the twin without it: nobody is ever
bypassed. The spinbit mutex of go1.24 has a stack too, but every 16th release wakes the M at its
bottom and lets it spin; so a wait ends, after some hundred bypasses with twelve Ms, however long
the load is.

The run itself is of the mutex that the settings say, `sema` by default; the other two run aside, in
Worlds of their own and unlogged, for several runs in one log could not be told apart. In the log,
look at `bypassed` of the `lock.acquire` events towards the end, at `waiters` of `lock.release`,
whose first ones stay the same, and at `next_m`, which is always the last. `--mutex queue` and
`--mutex spinbit` log the twins. With `--set think_ns=1000000` the lock is idle now and then, the
stack runs empty and all wait alike.
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import LockStatistics, M, Range, World, scenario

LOCK = "shared"


@scenario(ms=12, cpus=12, release="go1.23", platform="plan9/amd64")
async def lifo_starvation(
    world: World,
    *,
    ops: Annotated[int, "acquisitions of all Ms", Range(10, 50_000)] = 1500,
    hold_ns: Annotated[int, "how long an M holds the lock, in ns", Range(0, 10**9)] = 20_000,
    think_ns: Annotated[int, "between two holds, on average, in ns", Range(0, 10**9)] = 10_000,
) -> None:
    """Sleepers are woken last come first: look at bypassed and the longest wait, beside queue."""

    async def load(world: World) -> None:
        lock = world.mutex(LOCK)
        left = ops

        async def worker(m: M) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await lock.lock("main.work")
                await m.compute(hold_ns)
                await lock.unlock("main.work")
                await m.compute(think_ns // 2 + m.randrange(think_ns + 1))

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)

    await load(world)
    report(world, "this run", world.mutex(LOCK).statistics())
    for mutex in ("sema", "spinbit", "queue"):
        if mutex != world.settings.mutex:
            report(world, mutex, world.aside(load, mutex=mutex).mutex(LOCK).statistics())
            await world.main.pause()


def report(world: World, name: str, lock: LockStatistics) -> None:
    """Say how unfair a lock was."""
    world.result(f"{name}: bypasses of one M", lock.bypasses_max)
    world.result(f"{name}: longest wait ns", lock.wait_ns.max)
    world.result(f"{name}: median wait ns", lock.contended_wait_ns.p50)
    world.result(f"{name}: longest over median", round(lock.starvation, 1))
    world.result(f"{name}: fairness", round(lock.fairness_acquisitions, 2))


if __name__ == "__main__":
    lifo_starvation.main()

"""An M that holds a lock loses its CPU in the middle: everybody waits for its next turn.

Some Ms share a lock, others only compute, and there are fewer CPUs than Ms. A critical section that
is longer than a time slice is cut in two: the kernel gives the CPU to the Ms that compute, one
slice to each, and for all that time the lock is held by nobody who runs. So holds take three whole
slices more than their work, one for each M that computes, and waits whole slices more than a hold,
whatever the mutex. A release is the same trap once more: the M that is woken has to queue for a CPU
behind those that compute; and as `queue` has made it the owner by then, waits are longest there.

Two twins show none of it. With `--set hold_ns=1000000`, less than the slice of 2.8 ms, no holder is
preempted: Ms sleep before they take the lock and so begin with a new slice. With `--cpus 8` every M
has a CPU, a hold takes as long as it says, and a wait no longer than a hold. But for interrupts:
they make each hold a percent or two longer.

In the log, look for `lock.release` with `hold_ns` far above what the holder needs, and for the
`lock.acquire` after it. (Go itself never preempts an M that holds a runtime lock; the kernel does
not know.)
"""

from __future__ import annotations

from typing import Annotated

from gorun_mem import M, Range, World, scenario

LOCK = "shared"
PIECES = 100
"""Into how many pieces a computation is cut: an M is preempted between two."""


@scenario(ms=5, cpus=1, platform="plan9/amd64")
async def preempted_holder(
    world: World,
    *,
    lockers: Annotated[int, "Ms that use the lock; the others compute", Range(1, 256)] = 2,
    rounds: Annotated[int, "holds of each of them", Range(1, 1000)] = 20,
    hold_ns: Annotated[int, "what an M does under the lock, in ns", Range(100, 10**9)] = 4_200_000,
) -> None:
    """A holder loses its CPU and keeps its lock: look for hold_ns of several slices."""
    lock = world.mutex(LOCK)
    lockers = min(lockers, world.ms)
    busy = lockers
    slice_ns = world.config.costs.time_slice_ns

    async def locker(m: M) -> None:
        nonlocal busy
        for _ in range(rounds):
            await m.sleep(1 + m.randrange(2 * hold_ns))
            await lock.lock("main.critical")
            await work(m, hold_ns)
            await lock.unlock("main.critical")
        busy -= 1

    async def computer(m: M) -> None:
        for _ in range(100 * rounds * lockers):  # in a schedule where nobody else gets a turn
            if busy:
                await work(m, slice_ns)

    async def work(m: M, ns: int) -> None:
        for _ in range(PIECES):
            await m.compute(ns // PIECES)

    async with world.open_ms() as ms:
        for i in range(world.ms):
            ms.start_soon(locker if i < lockers else computer)
    statistics = lock.statistics()
    cut = [ns for ns, n in statistics.hold_ns.values for _ in range(n) if ns - hold_ns >= slice_ns]
    in_slices = {
        what: round(max(values.max - hold_ns, 0) / slice_ns, 1)
        for what, values in (("hold", statistics.hold_ns), ("wait", statistics.wait_ns))
    }
    world.result("holds", statistics.acquisitions)
    world.result("holds cut by a slice of others or more", len(cut))
    world.result("longest hold ns", statistics.hold_ns.max)
    world.result("longest wait ns", statistics.wait_ns.max)
    for what, slices in in_slices.items():
        world.result(f"longest {what} beyond what a hold takes, in slices", slices)


if __name__ == "__main__":
    preempted_holder.main()

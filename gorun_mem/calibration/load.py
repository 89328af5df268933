"""A measured load, run in the simulator: the same Ms, holds and thinking, and that release's lock.

    clock   in the rounds whose wait is measured
    lock
    clock   likewise; that they lengthen the hold, and the time between two, is part of the load
    touch   a word beside the lock, on its cache line
    work    the hold, and a part of what the loop does beside
    unlock
    think   and the rest of it

Where in the round the loop's own instructions lie is not measured; `IN_HOLD` is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.calibration.measured import Measurement
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.trampoline import drive
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.costs import TIME_SLICE_NS, CostTable

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex import StateMutex

IN_HOLD: Final = 0.2
"""The part of the loop's own time that an M spends with the lock held."""
CHAN_NS: Final = 6
"""What a send or receive does beside its lock and the two lines that it writes, in ns."""
WARM: Final = 0.2
"""The part of the acquisitions that is not counted, at the beginning."""
ACQUISITIONS: Final = 20_000
MEASURED: Final = 5_000
"""Of so many the waits are to be measured, at least, where a load measures some only."""
SLICES: Final = 6
"""Where Ms share CPUs, so many time slices of each are to go by, in up to MOST times as many
acquisitions."""
MOST: Final = 12
_COMPUTE_NS: Final = 2
"""What `M.compute(0)` takes: two steps of 1 ns."""


class Touch(Op):
    """Write a word of which only its cache line matters.

    Args:
        obj: the line.
    """

    __slots__ = ()
    kind = "touch"

    def __init__(self, obj: str) -> None:
        self.obj = obj

    def step(self, m: MLike) -> object:
        """Only who has the cache line matters."""
        return None


class Tally:
    """Who got the lock when, from the end of the warm-up on.

    Args:
        ms: how many Ms there are.
        acquisitions: how many to count.
    """

    def __init__(self, ms: int, acquisitions: int) -> None:
        self.left = round(acquisitions * (1 + WARM))
        self.warm = acquisitions
        self.waits: list[float] = []
        self.counts = [0] * ms
        self.runs = 0
        self.owner = -1
        self.begin_ns = self.end_ns = 0.0
        self.least_ns, self.more = 0.0, 0

    def least(self, ns: float, acquisitions: int) -> None:
        """Go on counting for `ns`, or until there are so many acquisitions."""
        self.least_ns, self.more = ns, acquisitions - self.warm

    def got(self, m: M, asked_ns: float, *, measured: bool = True) -> None:
        """`m` has got the lock that it asked for at `asked_ns`; is that wait measured?"""
        self.left -= 1
        if self.left > self.warm:
            return
        now = m.clock_ns
        if self.left == self.warm:
            self.begin_ns = now
        elif self.left >= 0:
            self.end_ns = now
            if measured:
                self.waits.append(now - asked_ns)
            self.counts[m.id - 1] += 1
            if m.id != self.owner:
                self.owner = m.id
                self.runs += 1
            if not self.left and self.more > 0 and now - self.begin_ns < self.least_ns:
                self.left += 1
                self.more -= 1

    def figures(self, ticks_ns: float) -> dict[str, float]:
        """By name, as `measured.FIGURES` has them."""
        waits = sorted(self.waits)
        count, squares = sum(self.counts), sum(n * n for n in self.counts)
        return {
            "throughput": 1000 * count / max(self.end_ns - self.begin_ns, 1.0),
            "p50": waits[len(waits) // 2] + ticks_ns,
            "p99": waits[len(waits) * 99 // 100] + ticks_ns,
            "jain": count * count / (len(self.counts) * squares),
            "run": count / self.runs,
        }


class Load:
    """A measured load as a World's program.

    Args:
        point: the load.
        acquisitions: how many to count, of all Ms together, at least 100; more where some waits
            only are measured, or Ms share CPUs.
        slice_ns: how long an M keeps its CPU while others wait for one.
    """

    def __init__(
        self, point: Measurement, acquisitions: int = ACQUISITIONS, slice_ns: int = TIME_SLICE_NS
    ) -> None:
        self.point = point
        self.tally = Tally(
            point.ms, max(acquisitions, min(point.every * MEASURED, 4 * acquisitions))
        )
        if point.cpus < point.ms:
            slices = SLICES * point.ms // point.cpus
            self.tally.least(slices * slice_ns, MOST * acquisitions)

    def settings(self) -> dict[str, Any]:
        """What a World's Config must say for it."""
        point = self.point
        return {
            "ms": point.ms,
            "cpus": point.cpus,
            "mutex": point.mutex,
            "release": point.release,
            "platform": "plan9/amd64",
        }

    async def run(self, world: World) -> None:
        """Run it."""
        point, tally = self.point, self.tally
        lock = world.mutex("hchan.lock" if point.chan else "calibrated")
        touches = [Touch(lock.key_obj), Touch("hchan.buf")]  # the Ms share them: they hold nothing
        async with world.open_ms() as ms:
            for _ in range(point.ms):
                ms.start_soon(_sender if point.chan else _worker, point, lock, touches, tally)

    def figures(self) -> dict[str, float]:
        """What it came to, by name; of a channel its throughput."""
        figures = self.tally.figures(self.point.ticks_ns)
        return {name: figures[name] for name in self.point.measured}


def simulate(
    point: Measurement,
    costs: CostTable | None = None,
    *,
    acquisitions: int = ACQUISITIONS,
    seed: int = 0,
) -> dict[str, float]:
    """Run a measured load in a World of its own.

    Args:
        point: the load.
        costs: the machine; the default table if None.
        acquisitions: how many to count, of all Ms together, at least 100.
        seed: of the run.

    Returns:
        The figures by name; of a channel its throughput.
    """
    table = replace(costs or CostTable(), pinned=point.pinned)
    load = Load(point, acquisitions, table.time_slice_ns)
    world = World(Config(**load.settings(), seed=seed, costs=table), name="calibration")
    drive(world.driver, load.run(world))
    if world.failure is not None:
        raise world.failure
    return load.figures()


async def _worker(
    m: M, point: Measurement, lock: StateMutex, touches: Sequence[Touch], tally: Tally
) -> None:
    hold_ns = round(point.hold_ns + IN_HOLD * point.loop_ns)
    rest_ns = round((1 - IN_HOLD) * point.loop_ns)
    least_ns, range_ns = round(point.think_ns / 2), round(point.think_ns) + 1
    ticks_ns, every = round(point.ticks_ns), point.every
    rounds = m.randrange(every)
    while tally.left > 0:
        rest = rest_ns + (least_ns + m.randrange(range_ns) if range_ns > 1 else 0)
        rounds += 1
        measured = rounds % every == 0
        await m.compute(max(rest + (ticks_ns if measured else 0) - _COMPUTE_NS, 0))
        asked_ns = m.clock_ns
        await lock.lock("main.work")
        tally.got(m, asked_ns, measured=measured)
        if measured:
            await m.compute(ticks_ns - _COMPUTE_NS)
        await touches[0]
        await m.compute(max(hold_ns - _COMPUTE_NS, 0))
        await lock.unlock("main.work")


async def _sender(
    m: M, point: Measurement, lock: StateMutex, touches: Sequence[Touch], tally: Tally
) -> None:
    while tally.left > 0:
        await lock.lock("runtime.chansend")
        tally.got(m, m.clock_ns)
        for touch in touches:
            await touch
        await lock.unlock("runtime.chansend")
        await m.compute(CHAN_NS - _COMPUTE_NS)

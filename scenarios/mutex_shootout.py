"""The same load on every mutex, over numbers of Ms and of CPUs: throughput as table and plot.

Each M takes one lock, holds it for `hold_ns`, gives it back and does something else for about
`think_ns`, until a pool of `ops` is empty. Throughput is what came out of the pool in a us of
virtual time; a lock that cost nothing would give min(1000 / hold_ns, Ms * 1000 / (hold_ns +
think_ns)).

What to see: `queue` hands the lock over to sleepers and so pays a wakeup for every acquisition once
there is contention, five to twenty times; Go's mutexes let whoever is awake go first.
With many Ms on many CPUs `sema` and `futex` slow down with each M more, for all that are awake look
at the lock; `spinbit` lets one of them spin, and does not. That has a price where holds are longer:
with `--set hold_ns=1000 think_ns=2000` the more that spin, the sooner the lock is taken up, and
`spinbit` is the slower. On one CPU the first M empties the pool within its time slice, and all are
alike, but for interrupts.

`--set spinbit=go1.24,go1.27` compares releases of spinbit; they are equal unless the mutex profile
is on. The other mutexes have not changed over the supported releases.

The last table has loads that were measured on 16 real CPUs, of the machine that the default cost
table is of: what was measured beside what the simulation makes of the same load. `gorun-mem bench
calibration` does so for all loads and for waits, too.

The log and its statistics are those of one run only: the same load on the mutex, the Ms and the
CPUs that the settings say, with `--mutex`, `--ms` and `--cpus`. The simulations of the table run
aside, in Worlds of their own, unlogged: one World is one run, and several in one log could not be
told apart. They keep seed, strategy and cost table of the settings. In the log, look for
`lock.acquire` with `contended`, `spins` and `sleeps`: what a wait is made of differs by mutex.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from gorun_mem import Config, M, Range, ScenarioError, World, plot, scenario, table
from gorun_mem.calibration.load import Load
from gorun_mem.calibration.measured import read

LOCK = "shared"
MEASURED_NS = (100, 1000)
"""Hold and think of the measured loads that are shown."""
ORDER = ("sema", "futex", "spinbit")
"""Mutexes that were measured."""


def numbers(name: str, text: str, most: int) -> list[int]:
    """The numbers in an option.

    Raises:
        ScenarioError: it has something else.
    """
    found = [int(word) for word in text.split(",") if word.strip().isdecimal()]
    if len(found) != len(text.split(",")) or not all(0 < n <= most for n in found):
        raise ScenarioError(f"{name} = {text}: must be numbers from 1 to {most}, as 1,4,16")
    return sorted(set(found))


def contestants(mutexes: str, spinbit: str) -> dict[str, dict[str, str]]:
    """Mutexes by the name that the table has, and the settings that make them.

    Raises:
        ScenarioError: one that keeps no two Ms apart.
    """
    found: dict[str, dict[str, str]] = {}
    for name in (word.strip() for word in mutexes.split(",")):
        if name in ("js", "wasip1", "none"):
            raise ScenarioError(f"mutexes = {mutexes}: {name} keeps no two Ms apart")
        if name != "spinbit":
            found[name] = {"mutex": name}
            continue
        for release in (word.strip() for word in spinbit.split(",")):
            found[f"spinbit {release}"] = {"mutex": name, "release": release}
    return found


def check(config: Config, options: Mapping[str, Any]) -> Config:
    """Refuse what cannot be run before anything is."""
    for settings in contestants(options["mutexes"], options["spinbit"]).values():
        config.but(**settings).check()
    numbers("threads", options["threads"], 256)
    numbers("processors", options["processors"], 256)
    return config


@scenario(ms=8, cpus=8, platform="plan9/amd64", configure=check)
async def mutex_shootout(
    world: World,
    *,
    mutexes: Annotated[str, "which to compare"] = "queue,sema,futex,spinbit",
    spinbit: Annotated[str, "releases whose spinbit to compare"] = "go1.27",
    threads: Annotated[str, "numbers of Ms"] = "1,2,4,8,16,32",
    processors: Annotated[str, "numbers of CPUs"] = "1,4,8,20",
    ops: Annotated[int, "acquisitions of each simulation", Range(10, 50_000)] = 1000,
    hold_ns: Annotated[int, "how long an M holds the lock, in ns", Range(0, 10**7)] = 50,
    think_ns: Annotated[int, "between two holds, on average, in ns", Range(0, 10**7)] = 100,
) -> None:
    """The same load on every mutex, over Ms and CPUs. Look at the table and the plot."""

    async def load(world: World) -> None:
        lock = world.mutex(LOCK)
        left = ops

        async def worker(m: M) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                if not left:
                    took_ns[:] = [world.engine.now_ns]  # Ms that still wait are not the load's
                await lock.lock("main.work")
                await m.compute(hold_ns)
                await lock.unlock("main.work")
                await m.compute(think_ns // 2 + m.randrange(think_ns + 1))

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)

    took_ns = [0]
    await load(world)
    runners = contestants(mutexes, spinbit)
    ms_counts, cpu_counts = numbers("threads", threads, 256), numbers("processors", processors, 256)
    rates: dict[tuple[str, int, int], float] = {}
    for name, settings in runners.items():
        for cpus in cpu_counts:
            for ms in ms_counts:
                world.aside(load, ms=ms, cpus=cpus, **settings)
                rates[name, cpus, ms] = 1000 * ops / max(took_ns[0], 1)
                await world.main.pause()
    report(world, list(runners), ms_counts, cpu_counts, rates)
    await measured(world, ops)


async def measured(world: World, ops: int) -> None:
    """Measured loads beside what the simulation makes of them."""
    rows: dict[str, list[str]] = {}
    for point in sorted(read(), key=lambda point: ORDER.index(point.mutex)):
        if point.chan or point.pinned or point.ms == 1 or point.hold != MEASURED_NS[0]:
            continue
        if point.think != MEASURED_NS[1] or point.release == "go1.24.11":
            continue
        load = Load(point, ops)
        world.aside(load.run, **load.settings())
        found = load.figures()
        for figure, unit in (("throughput", 1), ("p99", 1000)):
            row = rows.setdefault(f"{point.ms} {figure}", [str(point.ms), figure])
            row += [f"{values[figure] / unit:.2f}" for values in (found, point.measured)]
        await world.main.pause()
    head = ["Ms", "figure", *(f"{mutex} {what}" for mutex in ORDER for what in ("sim", "real"))]
    world.result(
        f"hold {MEASURED_NS[0]}, think {MEASURED_NS[1]} ns on 16 CPUs: acquisitions in a us, p99 "
        "waits in us",
        table(head, sorted(rows.values(), key=lambda row: (row[1] != "throughput", int(row[0])))),
    )


def report(
    world: World,
    names: list[str],
    ms_counts: list[int],
    cpu_counts: list[int],
    rates: dict[tuple[str, int, int], float],
) -> None:
    """One table of all, one plot with the most CPUs, and how each does with everything at most."""
    rows = [
        [str(cpus), str(ms), *(f"{rates[name, cpus, ms]:.3f}" for name in names)]
        for cpus in cpu_counts
        for ms in ms_counts
    ]
    cpus, ms = cpu_counts[-1], ms_counts[-1]
    world.result("acquisitions in a us", table(["CPUs", "Ms", *names], rows))
    world.result(
        f"acquisitions in a us, over Ms, {cpus} CPUs",
        plot(
            [str(n) for n in ms_counts],
            {name: [rates[name, cpus, n] for n in ms_counts] for name in names},
            unit="1/us",
        ),
    )
    for name in names:
        world.result(f"{name}, {ms} Ms, {cpus} CPUs", round(rates[name, cpus, ms], 3))


if __name__ == "__main__":
    mutex_shootout.main()

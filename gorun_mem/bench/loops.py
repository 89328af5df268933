"""Searches of async programs: this one's, of trio, beside those of asyncio's loops.

Eight small programs with a bug each are written once, over what trio and asyncio both have (`Kit`):
tasks that share a state, and what must hold of it in the end. So each explorer searches the same
program. Two figures are taken of each: schedules a second of three tasks of five checkpoints, and
how many of the bugs it finds within so many schedules.

Peers are measured where they are installed: simloom, simloop, seedloop and detangle need Python
3.12. seedloop keeps asyncio's order of ready tasks, and varies what comes from outside. asyncio's
tasks are written in C, trio's in Python.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import trio

from gorun_mem.bench import Row
from gorun_mem.bench import best_of as best_of_clock
from gorun_mem.explore.search import explore
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker

TASKS, CHECKPOINTS = 3, 5
RATE_LEAST: Final = 3_000
"""Schedules a CPU second of that shape."""
BUDGET: Final = 200
"""Schedules to find a bug in."""
SHORT_S: Final = 0.5
"""Real seconds after which frontrun takes a run for stuck."""
LONG_S: Final = 10.0
"""Real seconds that it has for a program."""

best_of = partial(best_of_clock, clock=time.process_time)


@dataclass(frozen=True, slots=True)
class Kit:
    """What the programs are written over: trio's, or asyncio's."""

    sleep: Callable[[float], Awaitable[None]]
    lock: Callable[[], Any]
    event: Callable[[], Any]
    condition: Callable[[], Any]
    semaphore: Callable[[int], Any]


TRIO: Final = Kit(trio.sleep, trio.Lock, trio.Event, trio.Condition, trio.Semaphore)
ASYNCIO: Final = Kit(
    asyncio.sleep, asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore
)


class SharedState:
    """What the tasks of a program share.

    Attributes:
        kit: trio's or asyncio's.
        number: something to count with; `log` something to write to.
        things: locks and the like, as many as the program wants.
    """

    def __init__(self, kit: Kit, things: Sequence[Any] = ()) -> None:
        self.kit = kit
        self.number = 0
        self.log: list[Any] = []
        self.things = list(things)


Run = Callable[[SharedState], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class SmallProgram:
    """A program with a bug.

    Args:
        setup: makes what is shared.
        tasks: its tasks.
        holds: what must hold in the end.
    """

    setup: Callable[[Kit], SharedState]
    tasks: tuple[Run, ...]
    holds: Callable[[SharedState], bool]


async def _adds(shared: SharedState) -> None:
    before = shared.number
    await shared.kit.sleep(0)
    shared.number = before + 1


async def _takes(shared: SharedState) -> None:
    if not shared.log:
        await shared.kit.sleep(0)
        shared.log.append(1)


def _locks(first: int, second: int) -> Run:
    async def run(shared: SharedState) -> None:
        async with shared.things[first]:
            await shared.kit.sleep(0)
            async with shared.things[second]:
                shared.number += 1

    return run


async def _waits_for_notice(shared: SharedState) -> None:
    async with shared.things[0]:
        await shared.things[0].wait()


async def _notifies(shared: SharedState) -> None:
    async with shared.things[0]:
        shared.things[0].notify()


async def _leaks(shared: SharedState) -> None:
    await shared.things[0].acquire()
    await shared.kit.sleep(0)
    if shared.number:
        return
    shared.things[0].release()


async def _ends(shared: SharedState) -> None:
    await shared.kit.sleep(0)
    shared.number = 1


async def _sleeps_on(shared: SharedState) -> None:
    if not shared.number:
        await shared.kit.sleep(0)
        event = shared.kit.event()
        shared.log.append(event)
        await event.wait()


async def _wakes(shared: SharedState) -> None:
    await shared.kit.sleep(0)
    shared.number = 1
    for event in shared.log:
        event.set()


async def _publishes(shared: SharedState) -> None:
    await shared.kit.sleep(1)
    shared.number = 1


async def _counts_on_it(shared: SharedState) -> None:
    await shared.kit.sleep(1)
    shared.log.append(shared.number)


async def _transfers(shared: SharedState) -> None:
    shared.things[0] -= 1
    await shared.kit.sleep(0)
    shared.things[1] += 1


async def _audits(shared: SharedState) -> None:
    await shared.kit.sleep(0)
    shared.log.append(shared.things[0] + shared.things[1])


def _always(shared: SharedState) -> bool:
    return True


PROGRAMS: Final[dict[str, SmallProgram]] = {
    "lost update": SmallProgram(SharedState, (_adds, _adds), lambda s: s.number == 2),
    "check, then act": SmallProgram(SharedState, (_takes, _takes), lambda s: len(s.log) == 1),
    "two locks in two orders": SmallProgram(
        lambda kit: SharedState(kit, [kit.lock(), kit.lock()]),
        (_locks(0, 1), _locks(1, 0)),
        _always,
    ),
    "notified before the wait": SmallProgram(
        lambda kit: SharedState(kit, [kit.condition()]), (_waits_for_notice, _notifies), _always
    ),
    "leaked semaphore": SmallProgram(
        lambda kit: SharedState(kit, [kit.semaphore(1)]), (_leaks, _leaks, _ends), _always
    ),
    "lost wakeup": SmallProgram(SharedState, (_sleeps_on, _wakes), _always),
    "a sleep in place of a signal": SmallProgram(
        SharedState, (_publishes, _counts_on_it), lambda s: s.log == [1]
    ),
    "a look in the middle": SmallProgram(
        lambda kit: SharedState(kit, [5, 5]), (_transfers, _audits), lambda s: s.log == [10]
    ),
}


async def _checkpoints(shared: SharedState) -> None:
    for _ in range(CHECKPOINTS):
        await shared.kit.sleep(0)


PLAIN: Final = SmallProgram(SharedState, (_checkpoints,) * TASKS, _always)


def _look_at(program: SmallProgram, shared: SharedState) -> None:
    """Whether what must hold does."""
    if not program.holds(shared):
        raise AssertionError


def of_trio(program: SmallProgram) -> Callable[[], Coroutine[Any, Any, None]]:
    """The program over trio."""

    async def main() -> None:
        shared = program.setup(TRIO)
        async with trio.open_nursery() as nursery:
            for task in program.tasks:
                nursery.start_soon(task, shared)
        _look_at(program, shared)

    return main


def of_asyncio(program: SmallProgram) -> Callable[[], Coroutine[Any, Any, None]]:
    """The program over asyncio."""

    async def main() -> None:
        shared = program.setup(ASYNCIO)
        await asyncio.gather(*[task(shared) for task in program.tasks])
        _look_at(program, shared)

    return main


# The peers.


class Searched(NamedTuple):
    """What came of a search: whether a schedule failed, and how many were run."""

    failed: bool
    runs: int


def _by_us(program: SmallProgram, count: int) -> Searched:
    found = explore(of_trio(program), budget=count, shrink=False)
    return Searched(found.failure is not None, found.statistics.schedules)


def _by_simloom(program: SmallProgram, count: int) -> Searched:
    simloom: Any = import_module("simloom")
    done = simloom.explore(of_asyncio(program), runs=count)
    return Searched(bool(done.failures), done.runs)


def _by_simloop(program: SmallProgram, count: int) -> Searched:
    simloop: Any = import_module("simloop")
    return Searched(simloop.explore(of_asyncio(program), range(count)) is not None, count)


def _by_seedloop(program: SmallProgram, count: int) -> Searched:
    seedloop: Any = import_module("seedloop")
    main = of_asyncio(program)

    async def scenario(world: object) -> None:
        await main()

    done = seedloop.check(scenario, seeds=count, on_failure="return")
    return Searched(done.error is not None, done.checked)


def _by_detangle(program: SmallProgram, count: int) -> Searched:
    detangle: Any = import_module("detangle")
    try:
        detangle.explore(
            of_asyncio(program), runs=count, strategy="random", seed=1, shrink=False, database=False
        )
    except detangle.BugFound:
        return Searched(True, count)
    return Searched(False, count)


def _by_frontrun(program: SmallProgram, count: int) -> Searched:
    frontrun: Any = import_module("frontrun")
    done = asyncio.run(
        frontrun.explore_async_random(
            setup=lambda: program.setup(ASYNCIO),
            tasks=list(program.tasks),
            invariant=program.holds,
            max_attempts=count,
            seed=1,
            timeout_per_run=SHORT_S,
            deadlock_timeout=SHORT_S,
            total_timeout=LONG_S,
            clock="virtual",
        )
    )
    return Searched(not done.property_holds, done.num_explored)


Drive = Callable[[SmallProgram, int], Searched]
PEERS: Final[dict[str, Drive]] = {
    "simloom": _by_simloom,
    "simloop": _by_simloop,
    "seedloop": _by_seedloop,
    "detangle": _by_detangle,
    "frontrun": _by_frontrun,
}
"""Module of an explorer of asyncio -> what runs a program under so many schedules."""


def rows(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer schedules, and no bugs for the peers; the figures are then rough.
    """
    installed = {name: drive for name, drive in PEERS.items() if find_spec(name) is not None}
    missing = [name for name in PEERS if name not in installed]
    worker = Worker(Target.of(of_trio(PLAIN)), steps_max=10_000)
    ours, *theirs = best_of(
        1 if quick else 3,
        32 if quick else 64,
        lambda n: worker.draw("random", 0, n),
        *[partial(_many, drive) for drive in installed.values()],
    )
    found = [_rate(ours)]
    found += [_beside(name, ours, each) for name, each in zip(installed, theirs, strict=True)]
    found += [_bugs("trio, auto", _by_us)]
    if not quick:
        found += [_bugs(f"asyncio, {name}", drive) for name, drive in installed.items()]
    if missing:
        text = f"asyncio under {', '.join(missing)}: not installed (pip install, on Python 3.12)"
        found.append(Row(name=text, figure=0.0, unit="schedules/s"))
    return found


def _many(drive: Drive, count: int) -> None:
    """`count` schedules of the program without a bug, however often that takes a new search."""
    while count > 0:
        count -= max(drive(PLAIN, count).runs, 1)


def _rate(seconds: float) -> Row:
    return Row(
        name=f"trio, {TASKS} tasks x {CHECKPOINTS} checkpoints, random",
        figure=1 / seconds,
        unit="schedules/s",
        target=f"at least {RATE_LEAST:,}",
        ok=1 / seconds >= RATE_LEAST,
    )


def _beside(peer: str, ours: float, theirs: float) -> Row:
    return Row(
        name=f"trio, {TASKS} tasks x {CHECKPOINTS} checkpoints, random",
        figure=1 / ours,
        unit="schedules/s",
        peer=f"asyncio under {peer}",
        peer_figure=1 / theirs,
        ratio=theirs / ours,
    )


def _bugs(name: str, drive: Drive) -> Row:
    missed = [of for of, program in PROGRAMS.items() if not drive(program, BUDGET).failed]
    text = f": misses {', '.join(missed)}" if missed else ""
    if drive(PLAIN, BUDGET).failed:
        text += "; false alarm on a program without a bug"
    is_ours = drive is _by_us
    return Row(
        name=f"{name}{text}",
        figure=float(len(PROGRAMS) - len(missed)),
        unit=f"of {len(PROGRAMS)} bugs",
        target="all, and no false alarm" if is_ours else "",
        ok=not text if is_ours else None,
    )

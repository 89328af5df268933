"""Explorers of asyncio's loops, and eight small programs with a bug each; standard library only.

Run as a script, under any Python from 3.11, it measures the explorers that are installed there: a
line of JSON comes in, a line goes out.

    {"peer": "simloom", "tasks": 3, "checkpoints": 5, "count": 64}     {"seconds": 0.6}
    {"peer": "simloom", "budget": 200}          {"missed": ["lost wakeup"], "false_alarm": false}

The programs are written once over what trio and asyncio both have (`Kit`), so each explorer
searches the same.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

TASKS, CHECKPOINTS = 3, 5
SHORT_S: Final = 0.5
"""Real seconds after which frontrun takes a run for stuck."""
LONG_S: Final = 10.0
"""Real seconds that it has for a program."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What the programs are written over: trio's, or asyncio's."""

    sleep: Callable[[float], Awaitable[None]]
    lock: Callable[[], Any]
    event: Callable[[], Any]
    condition: Callable[[], Any]
    semaphore: Callable[[int], Any]


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


def plain(tasks: int, checkpoints: int) -> SmallProgram:
    """A program without a bug."""

    async def run(shared: SharedState) -> None:
        for _ in range(checkpoints):
            await shared.kit.sleep(0)

    return SmallProgram(SharedState, (run,) * tasks, _always)


PLAIN: Final = plain(TASKS, CHECKPOINTS)


def look_at(program: SmallProgram, shared: SharedState) -> None:
    """Whether what must hold does."""
    if not program.holds(shared):
        raise AssertionError


def of_asyncio(program: SmallProgram) -> Callable[[], Coroutine[Any, Any, None]]:
    """The program over asyncio."""

    async def main() -> None:
        shared = program.setup(ASYNCIO)
        await asyncio.gather(*[task(shared) for task in program.tasks])
        look_at(program, shared)

    return main


# The peers.


class Searched(NamedTuple):
    """What came of a search: whether a schedule failed, and how many were run."""

    failed: bool
    runs: int


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


def many(drive: Drive, program: SmallProgram, count: int) -> None:
    """`count` schedules of a program without a bug, however often that takes a new search."""
    while count > 0:
        count -= max(drive(program, count).runs, 1)


def bugs_missed(drive: Drive, budget: int) -> tuple[list[str], bool]:
    """The programs whose bug is not found, and whether the one without is said to have one."""
    missed = [of for of, program in PROGRAMS.items() if not drive(program, budget).failed]
    return missed, drive(PLAIN, budget).failed


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    drive = PEERS[asked["peer"]]
    if "budget" in asked:
        missed, alarm = bugs_missed(drive, asked["budget"])
        return {"missed": missed, "false_alarm": alarm}
    program = plain(asked["tasks"], asked["checkpoints"])
    start = time.process_time()
    many(drive, program, asked["count"])
    return {"seconds": time.process_time() - start}


def _serve() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the explorers say
    versions = {
        name: importlib.metadata.version(name) for name in PEERS if find_spec(name) is not None
    }
    hello = {"python": platform.python_version(), "versions": versions}
    answers.write(json.dumps(hello) + "\n")
    answers.flush()
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()

"""Searches of async programs: this one's, of trio, beside those of asyncio's loops.

Each explorer searches the same small programs (`asyncio_peers`). Two figures are taken of each:
schedules a second of three tasks of five checkpoints, and how many of the bugs it finds within so
many schedules. seedloop keeps asyncio's order of ready tasks, and varies what comes from outside.
asyncio's tasks are written in C, trio's in Python. Who is measured, and under which Python, see
`peers`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Final

import trio

from gorun_mem.bench import Row
from gorun_mem.bench import best_of as best_of_clock
from gorun_mem.bench.asyncio_peers import (
    CHECKPOINTS,
    PLAIN,
    PROGRAMS,
    TASKS,
    Kit,
    Searched,
    SmallProgram,
    bugs_missed,
    look_at,
)
from gorun_mem.bench.peers import Peers
from gorun_mem.explore.search import explore
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker

RATE_LEAST: Final = 3_000
"""Schedules a CPU second of that shape."""
BUDGET: Final = 200
"""Schedules to find a bug in."""

best_of = partial(best_of_clock, clock=time.process_time)

TRIO: Final = Kit(trio.sleep, trio.Lock, trio.Event, trio.Condition, trio.Semaphore)


def of_trio(program: SmallProgram) -> Callable[[], Coroutine[Any, Any, None]]:
    """The program over trio."""

    async def main() -> None:
        shared = program.setup(TRIO)
        async with trio.open_nursery() as nursery:
            for task in program.tasks:
                nursery.start_soon(task, shared)
        look_at(program, shared)

    return main


def _by_us(program: SmallProgram, count: int) -> Searched:
    found = explore(of_trio(program), budget=count, shrink=False)
    return Searched(found.failure is not None, found.statistics.schedules)


def rows(peers: Peers, *, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        peers: who is measured beside.
        quick: fewer schedules, and no bugs for the peers; the figures are then rough.
    """
    worker = Worker(Target.of(of_trio(PLAIN)), steps_max=10_000)
    rounds, count = (1, 32) if quick else (3, 64)
    ours = float("inf")
    for _ in range(rounds):
        ours = min(ours, best_of(1, count, lambda n: worker.draw("random", 0, n))[0])
        for peer in peers.running:
            peer.measure(TASKS, CHECKPOINTS, count)
    found = [_rate(ours)]
    for peer in peers.running:
        theirs = peer.best(TASKS, CHECKPOINTS)
        if theirs is not None:
            found.append(
                replace(
                    _rate(ours), peer=peer.label, peer_figure=1 / theirs, ratio=theirs / ours,
                    target="", ok=None,
                )
            )  # fmt: skip
    found.append(_bugs("trio, auto", *bugs_missed(_by_us, BUDGET), ours=True))
    if not quick:
        for peer in peers.running:
            answer = peer.ask(budget=BUDGET)
            if answer is not None:
                missed, alarm = answer["missed"], answer["false_alarm"]
                found.append(_bugs(peer.label, missed, alarm, ours=False))
    return found


def _rate(seconds: float) -> Row:
    return Row(
        name=f"trio, {TASKS} tasks x {CHECKPOINTS} checkpoints, random",
        figure=1 / seconds,
        unit="schedules/s",
        target=f"at least {RATE_LEAST:,}",
        ok=1 / seconds >= RATE_LEAST,
    )


def _bugs(name: str, missed: list[str], alarm: bool, *, ours: bool) -> Row:
    text = f": misses {', '.join(missed)}" if missed else ""
    if alarm:
        text += "; false alarm on a program without a bug"
    return Row(
        name=f"{name}{text}",
        figure=float(len(PROGRAMS) - len(missed)),
        unit=f"of {len(PROGRAMS)} bugs",
        target="all, and no false alarm" if ours else "",
        ok=not text if ours else None,
    )

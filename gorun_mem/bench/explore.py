"""`bench explore`: schedules a second, beside coroutines that are merely driven.

The program is a number of Ms that each make a number of operations on one variable. The subject is
a search's own loop, a World for each schedule included. The peer is the least that any explorer in
Python must do: the same coroutines, one picked at random at each step and resumed, with no World,
no operation, no notion of who is enabled, no time and no tape. Their ratio is what all that costs.

Other explorers for Python are measured where they are installed, on the same program written for
them: frontrun by its random async exploration. Their rows say "not installed" elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Any, Final

from gorun_mem.bench import Row, best_of
from gorun_mem.explore.program import Cell
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World

SHAPES: Final = ((2, 5, 0.4), (4, 25, 0.3), (8, 50, 0.25))
"""Ms, operations of each, and the least ratio to the bare coroutines with random."""
POS_SHARE: Final = 0.5
"""What POS may cost: it has half of that ratio."""


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer schedules; the figures are then rough.
    """
    rows: list[Row] = []
    for ms, ops, least in SHAPES:
        rows += _beside_bare(ms, ops, least, quick)
    rows += _beside_frontrun(quick)
    rows += _beside_simloom()
    return rows


def _beside_bare(ms: int, ops: int, least: float, quick: bool) -> list[Row]:
    worker = Worker(_target(ms, ops), steps_max=10_000)
    count = max(20_000 // (ms * ops), 20) // (10 if quick else 1)
    subjects = [("random", least), ("pos", least * POS_SHARE)]
    bare, *ours = best_of(
        1 if quick else 7,
        max(count, 4),
        lambda n: _drive_bare(ms, ops, n),
        *[_drawing(worker, strategy) for strategy, _ in subjects],
    )
    return [
        Row(
            name=f"{ms} Ms x {ops} operations, {strategy}",
            figure=1 / seconds,
            unit="schedules/s",
            peer="bare coroutines",
            peer_figure=1 / bare,
            ratio=bare / seconds,
            target=f"ratio at least {wanted:g}",
            ok=bare / seconds >= wanted,
        )
        for (strategy, wanted), seconds in zip(subjects, ours, strict=True)
    ]


def _target(ms: int, ops: int) -> Target:
    async def main(world: World) -> None:
        cell = Cell("x")

        async def add(m: M) -> None:
            for _ in range(ops):
                await cell.add(1)

        async with world.open_ms() as started:
            for _ in range(ms):
                started.start_soon(add)

    return Target.of(main, Config(ms=ms))


def _drawing(worker: Worker, strategy: str) -> Callable[[int], object]:
    return lambda n: worker.draw(strategy, 0, n)


# The peers.


class _Turn:
    """What a bare coroutine awaits."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield None


def _drive_bare(ms: int, ops: int, count: int) -> None:
    """`count` schedules of coroutines, each resumed at random."""
    random = Random(0).random
    turn = _Turn()

    async def add(cell: list[int]) -> Any:
        for _ in range(ops):
            await turn
            cell[0] += 1

    for _ in range(count):
        cell = [0]
        left = [add(cell) for _ in range(ms)]
        while left:
            index = int(random() * len(left))
            try:
                left[index].send(None)
            except StopIteration:
                del left[index]


def _not_installed(peer: str, why: str) -> list[Row]:
    return [Row(name=f"beside {peer}: {why}", figure=0.0, unit="schedules/s")]


def _beside_frontrun(quick: bool) -> list[Row]:
    if find_spec("frontrun") is None:
        return _not_installed("frontrun", "not installed (pip install frontrun)")
    ms, ops, _ = SHAPES[0]
    worker = Worker(_target(ms, ops), steps_max=10_000)
    peer, ours = best_of(
        1 if quick else 3, 20, lambda n: _drive_frontrun(ms, ops, n), _drawing(worker, "random")
    )
    return [
        Row(
            name=f"{ms} Ms x {ops} operations, random",
            figure=1 / ours,
            unit="schedules/s",
            peer="frontrun",
            peer_figure=1 / peer,
            ratio=peer / ours,
        )
    ]


def _beside_simloom() -> list[Row]:
    if find_spec("simloom") is None:
        return _not_installed("simloom", "not installed (it needs Python 3.12)")
    return _not_installed("simloom", "not measured: its programs are written for its own loop")


def _drive_frontrun(ms: int, ops: int, count: int) -> None:
    """`count` random schedules of the same program, written for frontrun."""
    frontrun: Any = import_module("frontrun")

    async def add(cell: list[int]) -> None:
        for _ in range(ops):
            await asyncio.sleep(0)
            cell[0] += 1

    asyncio.run(
        frontrun.explore_async_random(
            setup=lambda: [0],
            tasks=[add] * ms,
            invariant=lambda cell: cell[0] == ms * ops,
            max_attempts=count,
            seed=1,
        )
    )

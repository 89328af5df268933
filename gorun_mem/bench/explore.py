"""`bench explore`: schedules a second, beside coroutines that are merely driven.

The program is a number of Ms that each make a number of operations on one variable. The subject is
a search's own loop, a World for each schedule included. The peer is the least that any explorer in
Python must do: the same coroutines, one picked at random at each step and resumed, with no World,
no operation, no notion of who is enabled, no time and no tape. Their ratio is what all that costs.
That a schedule can be made again belongs to the least: the peer seeds its generator for each, where
the subject writes a tape. Seeding takes as long as the smallest shape itself, so there is a row,
without a target, beside the same coroutines with one generator for all.

Other explorers for Python are measured where they are installed, on the same program written for
them, by their own random exploration: frontrun, and simloom, which needs Python 3.12. Their rows
say "not installed" elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Any, Final

from gorun_mem.bench import Row, best_of
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Word

SHAPES: Final = ((2, 5, 0.4), (4, 25, 0.3), (8, 50, 0.25))
"""Ms, operations of each, and the least ratio to the bare coroutines with random."""
POS_SHARE: Final = 0.5
"""What POS may cost: it has half of that ratio."""
PEER_RATIO: Final = 100
"""How many times the schedules of each other explorer a second should have."""


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer schedules; the figures are then rough.
    """
    rows: list[Row] = []
    for ms, ops, least in SHAPES:
        rows += _beside_bare(ms, ops, least, quick)
    for name, (drive, where) in PEERS.items():
        rows.append(_beside(name, drive, where, quick))
    return rows


def _beside_bare(ms: int, ops: int, least: float, quick: bool) -> list[Row]:
    worker = Worker(_target(ms, ops), steps_max=10_000)
    count = max(20_000 // (ms * ops), 20) // (10 if quick else 1)
    subjects = [("random", least), ("pos", least * POS_SHARE)]
    bare, one_generator, *ours = best_of(
        1 if quick else 7,
        max(count, 4),
        lambda n: _drive_bare(ms, ops, n, seeded=True),
        lambda n: _drive_bare(ms, ops, n, seeded=False),
        *[_drawing(worker, strategy) for strategy, _ in subjects],
    )
    unseeded = Row(
        name=f"{ms} Ms x {ops} operations, random",
        figure=1 / ours[0],
        unit="schedules/s",
        peer="bare coroutines, unseeded",
        peer_figure=1 / one_generator,
        ratio=one_generator / ours[0],
    )
    rows = [
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
    return [*rows, unseeded]


def _target(ms: int, ops: int) -> Target:
    async def main(world: World) -> None:
        cell = Word("x")

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


def _drive_bare(ms: int, ops: int, count: int, *, seeded: bool) -> None:
    """`count` schedules of coroutines, each resumed at random."""
    generator = Random(0)
    random = generator.random
    turn = _Turn()

    async def add(cell: list[int]) -> Any:
        for _ in range(ops):
            await turn
            cell[0] += 1

    for number in range(count):
        if seeded:
            generator.seed(number)
        cell = [0]
        left = [add(cell) for _ in range(ms)]
        while left:
            index = int(random() * len(left))
            try:
                left[index].send(None)
            except StopIteration:
                del left[index]


def _beside(peer: str, drive: Callable[[int, int, int], None], where: str, quick: bool) -> Row:
    """The smallest shape beside another explorer."""
    if find_spec(peer) is None:
        return Row(name=f"beside {peer}: not installed ({where})", figure=0.0, unit="schedules/s")
    ms, ops, _ = SHAPES[0]
    worker = Worker(_target(ms, ops), steps_max=10_000)
    theirs, ours = best_of(
        1 if quick else 3, 20, lambda n: drive(ms, ops, n), _drawing(worker, "random")
    )
    return Row(
        name=f"{ms} Ms x {ops} operations, random",
        figure=1 / ours,
        unit="schedules/s",
        peer=peer,
        peer_figure=1 / theirs,
        ratio=theirs / ours,
        target=f"ratio at least {PEER_RATIO}",
        ok=theirs / ours >= PEER_RATIO,
    )


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


def _drive_simloom(ms: int, ops: int, count: int) -> None:
    """`count` random schedules of the same program, written for simloom."""
    simloom: Any = import_module("simloom")

    async def main() -> None:
        cell = [0]

        async def add() -> None:
            for _ in range(ops):
                await asyncio.sleep(0)
                cell[0] += 1

        await asyncio.gather(*[add() for _ in range(ms)])
        assert cell[0] == ms * ops

    done = simloom.explore(main, runs=count)
    assert done.runs == count


PEERS: Final[dict[str, tuple[Callable[[int, int, int], None], str]]] = {
    "frontrun": (_drive_frontrun, "pip install frontrun"),
    "simloom": (_drive_simloom, "pip install simloom, which needs Python 3.12"),
}
"""Module of another explorer -> what runs so many Ms, operations and schedules; how to get it."""

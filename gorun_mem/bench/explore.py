"""`bench explore`: schedules a second, beside coroutines that are merely driven.

The program is a number of Ms that each make a number of operations on one variable. The subject is
a search's own loop, a World for each schedule included. The peer is the least that any explorer in
Python must do: the same coroutines, one picked at random at each step and resumed, with no World,
no operation, no notion of who is enabled, no time and no tape. Their ratio is what all that costs.
That a schedule can be made again belongs to the least: the peer seeds its generator for each, where
the subject writes a tape. Seeding takes as long as the smallest shape itself, so there is a row,
without a target, beside the same coroutines with one generator for all.

What the default detectors cost is a row for each of a few programs: the rate with all of them
beside the rate with none. What a step costs with 64 Ms is measured beside one with 2, for each
strategy that draws and for the portfolio of `auto`.

Other explorers for Python are measured on the same program written for asyncio, by their own random
exploration (`peers`), and beside searches of async programs here (`loops`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from random import Random
from typing import Any, Final

from gorun_mem.bench import Row, loops
from gorun_mem.bench import best_of as best_of_clock
from gorun_mem.bench.peers import PeerProcess, Peers
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.portfolio import CHUNK, FIRST
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.library import find
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies import drawing
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.sync import Cell, Lock, Word

SHAPES: Final = ((2, 5, 0.4), (4, 25, 0.3), (8, 50, 0.25))
"""Ms, operations of each, and the least ratio to the bare coroutines with random."""
POS_SHARE: Final = 0.5
"""What POS may cost: it has half of that ratio."""
LOOKING_LEAST: Final = 0.6
"""Of the rate without detectors what is to be left with all default ones."""
MANY, FEW, MANY_OPS = 64, 2, 40
"""Ms of which a step is compared, and the operations of each."""
MANY_MOST: Final = 1.3
"""How many times as much a step may cost with many Ms as with few."""


best_of = partial(best_of_clock, clock=time.process_time)


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer schedules; the figures are then rough.
    """
    rows: list[Row] = []
    for ms, ops, least in SHAPES:
        rows += _beside_bare(ms, ops, least, quick)
    rows += [_looking(name, target, quick) for name, target in _looked_at().items()]
    rows += [_with_many(strategy, quick) for strategy in ("auto", *drawing())]
    ms, ops, _ = SHAPES[0]
    worker = Worker(atomic_target(ms, ops), steps_max=10_000)
    with Peers(install=not quick) as peers:
        beside = [_beside(peer, worker, quick) for peer in peers.running]
        rows += [row for row in beside if row is not None]
        rows += loops.rows(peers, quick=quick)
        rows += [
            Row(name=f"beside {name}: {why}", figure=0.0, unit="schedules/s")
            for name, why in peers.missing.items()
        ]
    return rows


def _beside_bare(ms: int, ops: int, least: float, quick: bool) -> list[Row]:
    worker = Worker(atomic_target(ms, ops), steps_max=10_000)
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


def atomic_target(ms: int, ops: int) -> Target:
    """Ms that each add to one variable so many times."""

    async def main(world: World) -> None:
        cell = Word("x")

        async def add(m: M) -> None:
            for _ in range(ops):
                await cell.add(1)

        async with world.open_ms() as started:
            for _ in range(ms):
                started.start_soon(add)

    return Target.of(main, Config(ms=ms))


def locked_target(ms: int, rounds: int) -> Target:
    """Ms that each update one variable under a lock so many times."""

    async def main(world: World) -> None:
        cell, lock = Cell("x"), Lock("lock")

        async def add(m: M) -> None:
            for _ in range(rounds):
                await lock.acquire()
                await cell.store(await cell.load() + 1)
                await lock.release()

        async with world.open_ms() as started:
            for _ in range(ms):
                started.start_soon(add)

    return Target.of(main, Config(ms=ms))


def _drawing(worker: Worker, strategy: str) -> Callable[[int], object]:
    return lambda n: worker.draw(strategy, 0, n)


# Detectors, and many Ms.


def _looked_at() -> dict[str, Target]:
    """Programs for detectors to look at: of atomic words, of locked data, of Go's locks."""

    storm = find("memlock_storm")
    return {
        "4 Ms x 25 atomic operations": atomic_target(4, 25),
        "4 Ms x 10 updates under a lock": locked_target(4, 10),
        "memlock_storm, 2 Ms": Target.of(storm, storm.config().but(ms=2), {"rounds": 3}),
    }


def _looking(name: str, target: Target, quick: bool) -> Row:
    bare = Worker(target, steps_max=10_000)
    looking = Worker(target, DEFAULT_DETECTORS, steps_max=10_000)
    count = 32 if quick else 256
    without, with_all = best_of(
        1 if quick else 7, count, _drawing(bare, "random"), _drawing(looking, "random")
    )
    return Row(
        name=f"{name}, all detectors",
        figure=1 / with_all,
        unit="schedules/s",
        peer="no detector",
        peer_figure=1 / without,
        ratio=without / with_all,
        target=f"ratio at least {LOOKING_LEAST:g}",
        ok=without / with_all >= LOOKING_LEAST,
    )


def _with_many(strategy: str, quick: bool) -> Row:
    drawing = []
    for ms in (FEW, MANY):
        worker = Worker(atomic_target(ms, MANY_OPS), steps_max=100_000)
        walk = SearchingWalk()
        walk.begin(Random(0), worker.profile)
        worker.profile = profile_of([worker.run(walk, transcribe=True)])
        drawing.append(_drawing(worker, strategy))
    count = CHUNK * (len(FIRST) if strategy == "auto" else 1)
    times = best_of(1 if quick else 5, count, *drawing)
    few, many = [
        seconds / (ms * MANY_OPS + ms + 1) for ms, seconds in zip((FEW, MANY), times, strict=True)
    ]
    return Row(
        name=f"a step with {MANY} Ms, {strategy}",
        figure=many * 1e6,
        unit="us/step",
        peer=f"a step with {FEW}",
        peer_figure=few * 1e6,
        ratio=few / many,
        target=f"at most {MANY_MOST:g} times as much" if strategy == "auto" else "",
        ok=many <= MANY_MOST * few if strategy == "auto" else None,
    )


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


def _beside(peer: PeerProcess, worker: Worker, quick: bool) -> Row | None:
    """The smallest shape beside another explorer; None where it does not answer."""
    ms, ops, _ = SHAPES[0]
    ours = float("inf")
    for _ in range(1 if quick else 3):
        ours = min(ours, best_of(1, 20, _drawing(worker, "random"))[0])
        peer.measure(ms, ops, 20)
    theirs = peer.best(ms, ops)
    if theirs is None:
        return None
    return Row(
        name=f"{ms} Ms x {ops} operations, random",
        figure=1 / ours,
        unit="schedules/s",
        peer=peer.label,
        peer_figure=1 / theirs,
        ratio=theirs / ours,
    )

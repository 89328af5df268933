"""Starvation: a lock that anybody may take lets others pass an M that waits; a queue does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gorun_mem.cli.explore import command
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.detectors.bypasses import Bypasses
from gorun_mem.explore.search import explore
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Lock, Word

Main = Callable[[World], Coroutine[Any, Any, None]]
MS, ROUNDS = 3, 4
MOST = (MS - 1) * ROUNDS


async def swap_lock(world: World) -> None:
    """A lock that is one word: whoever swaps first has it."""
    word = Word("tas", 0)

    async def work(m: M) -> None:
        for _ in range(ROUNDS):
            while not await word.cas(0, 1):
                await m.pause()
            await word.store(0)

    async with world.open_ms() as ms:
        for _ in range(MS):
            ms.start_soon(work)


async def tickets(world: World) -> None:
    """The twin: a ticket each, served in order."""
    ticket, serving = Word("ticket", 0), Word("serving", 0)

    async def work(m: M) -> None:
        for _ in range(ROUNDS):
            mine = await ticket.add(1) - 1
            while await serving.load() != mine:
                await m.pause()
            await serving.add(1)

    async with world.open_ms() as ms:
        for _ in range(MS):
            ms.start_soon(work)


async def any_next(world: World) -> None:
    """The kit's lock: the schedule says who is next."""
    lock = Lock("lock")

    async def work(m: M) -> None:
        for _ in range(ROUNDS):
            await lock.acquire()
            await lock.release()

    async with world.open_ms() as ms:
        for _ in range(MS):
            ms.start_soon(work)


async def runtime_mutex(world: World) -> None:
    """A runtime mutex."""
    mutex = world.mutex("mutex")

    async def work(m: M) -> None:
        for _ in range(ROUNDS):
            await m.lock(mutex)
            await m.unlock(mutex)

    async with world.open_ms() as ms:
        for _ in range(MS):
            ms.start_soon(work)


def search(main: Main, bound: int | None, mutex: str = "queue", seed: int = 0) -> Any:
    watching = () if bound is None else (partial(Bypasses, bound),)
    return explore(
        Target.of(main, Config(ms=MS, mutex=mutex)),
        budget=100,
        seed=seed,
        detectors=(*DEFAULT_DETECTORS, *watching),
        canary=False,
        shrink=False,
    )


@pytest.mark.parametrize(("main", "lock"), [(swap_lock, "tas"), (any_next, "lock")])
def test_a_lock_that_anybody_may_take_starves(main: Main, lock: str) -> None:
    """Every seed finds that an M is passed more than three times, and says by whom and where."""
    for seed in range(5):
        done = search(main, 3, seed=seed)
        assert done.failure is not None
        assert done.failure.signature.kind == "starvation"
        assert done.failure.signature.obj == lock
        assert f"others that came later got {lock} 4 times" in done.failure.text


def test_the_bound_is_said_where_none_is_asked_for() -> None:
    """Of each lock the most bypasses are told, up to all that the others' rounds allow."""
    done = search(swap_lock, None)
    assert done.ok
    assert 3 < done.document()["bypasses"]["tas"] <= MOST


def test_queues_let_nobody_pass() -> None:
    """Tickets and a first-in first-out mutex have no bypass, and no alarm with a bound of 0."""
    for main in (tickets, runtime_mutex):
        done = search(main, 0)
        assert done.failure is None, done.failure
        assert not any(done.document()["bypasses"].values())


def test_a_mutex_that_barges_is_counted_as_its_book_counts() -> None:
    """lock_futex.go's lets others pass: what is counted is what the lock's own book has."""
    done = search(runtime_mutex, 0, mutex="futex")
    assert done.failure is not None
    assert done.failure.signature.obj == "mutex"


def test_the_command_line_takes_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--fair-bound N` fails with exit 1; without it the figure is a line of its own."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    path = tmp_path / "starves.py"
    path.write_text(
        "from gorun_mem import World, scenario\n"
        "from tests.explore.test_starvation import swap_lock\n\n"
        "@scenario(ms=3)\n"
        "async def starves(world: World) -> None:\n"
        '    """A test-and-set lock."""\n'
        "    await swap_lock(world)\n"
    )
    arguments = [str(path), "--budget", "100", "--no-shrink"]
    plain = CliRunner().invoke(command, arguments)
    assert "bypassed  while an M waited, others got tas" in plain.output
    bounded = CliRunner().invoke(command, [*arguments, "--fair-bound", "2", "--json"])
    document = json.loads(bounded.stdout)
    assert document["exit"] == 1
    assert document["failures"][0]["kind"] == "starvation"

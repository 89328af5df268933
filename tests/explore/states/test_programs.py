"""`--strategy states`: what it sees of a program is all that there is, and no part of a state is
forgotten.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gorun_mem import KiB
from gorun_mem.explore import explore
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.drive import replay
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.states.whole import ProgramStates
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.library import find
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Schedule
from gorun_mem.sync import Lock, Word
from tests import ROOT
from tests.explore.brute_force import TooMany
from tests.explore.states import programs, telling
from tests.explore.states.forgetful import MUTANTS, making

CHUNKS = 8
EACH = 12
MOST = 400


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_all_ends_of_programs_by_chance_are_seen_and_no_other(chunk: int) -> None:
    """By every interleaving and by every state, programs come to the same ends."""
    compared = 0
    for seed in range(chunk * EACH, (chunk + 1) * EACH):
        plans = programs.draw_program(seed)
        try:
            ends = programs.brute_ends(programs.target_of(plans), MOST)
        except TooMany:
            continue
        batch, seen = programs.visited(programs.target_of(plans))
        assert (batch.incomparable, batch.by_counts) == ("", ""), plans
        assert seen == ends, plans
        assert batch.complete or batch.found
        compared += 1
    assert compared >= EACH // 2


@pytest.mark.parametrize("mutex", ["sema", "spinbit", "any", "none"])
@pytest.mark.parametrize(
    "plans",
    [
        [(("memlock", 0), ("note", 0)), (("memlock", 0),)],
        [(("alloc", 4), ("load", 1)), (("memlock", 1), ("free", 0))],
    ],
)
def test_the_same_where_another_lock_is_between(mutex: str, plans: list[Any]) -> None:
    """One of Go's, spinning and sleeping; one that lets any M go; one that does not exclude."""
    target = programs.target_of(plans, mutex=mutex, cpus=1)
    batch, seen = programs.visited(target)
    assert batch.complete or batch.found
    assert seen == programs.brute_ends(target, 60_000)


@pytest.mark.parametrize("part", telling.PROGRAMS)
def test_states_that_differ_in_one_part_are_two(part: str) -> None:
    """Each part of a state is seen where a program hangs on it alone."""
    target = telling.target_of(part)
    batch, seen = programs.visited(target)
    assert batch.incomparable == ""
    assert seen == programs.brute_ends(target, 30_000)
    assert bool(batch.by_counts) == (part in ("looks", "statistics", "the World's statistics"))


@pytest.mark.parametrize("part", MUTANTS)
def test_a_search_that_forgets_a_part_is_found_out(part: str) -> None:
    """It misses ends, or comes to one from where it saw none."""
    _, all_ends = programs.visited(telling.target_of(part))
    batch, seen = programs.visited(telling.target_of(part), making(MUTANTS[part]))
    assert seen != all_ends or batch.incomparable


def test_a_state_that_was_taken_for_another_is_said() -> None:
    """Where no way was seen to an end and there is one, the search says that it went wrong."""
    target = telling.target_of("position")
    batch, _ = programs.visited(target, making(MUTANTS["position"]))
    assert "taken for another" in batch.incomparable
    assert not batch.complete


def test_memlock_storm_is_exhausted() -> None:
    """What 300,000 schedules do not come to the end of: two Ms, one round, a real lock, 4 CPUs.

    It is the README's command, and its figure.
    """
    readme = (ROOT / "README.md").read_text()
    assert "memlock_storm --ms 2 --set rounds=1 --mutex sema --cpus 4 --strategy states" in readme
    storm = find("memlock_storm")
    config = storm.config().but(ms=2, mutex="sema", cpus=4)
    found = explore(storm, config=config, options={"rounds": 1}, strategy="states")
    assert found.outcome == "exhausted"
    assert f"and {found.statistics.states:,} states all there is" in readme
    assert f"{found.statistics.states:,} states: every one that can be reached" in found.sentence
    assert found.statistics.schedules < 100
    assert found.document()["states"] == found.statistics.states


# Failures


async def lost_update(world: World) -> None:
    """Two Ms add to a word by a load and a store."""
    word = Word("w")

    async def add(m: M) -> None:
        for _ in range(2):
            value = await word.load()
            await m.pause()
            await word.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert word.value == 4, "an addition was lost"


async def crossed(world: World) -> None:
    """Two Ms take two locks in different orders."""
    first, second = Lock("first"), Lock("second")

    async def take(m: M, one: Lock, other: Lock) -> None:
        async with one, other:
            await m.pause()

    async with world.open_ms() as ms:
        ms.start_soon(take, first, second)
        ms.start_soon(take, second, first)


async def nobody_says(world: World) -> None:
    """An M waits for a word that another sets only if it comes first."""
    word, done = Word("w"), Word("done")

    async def wait(m: M) -> None:
        await done.store(1)
        while not await word.load():
            await m.pause()

    async def say(m: M) -> None:
        if not await done.load():
            await word.store(1)

    async with world.open_ms() as ms:
        ms.start_soon(wait)
        ms.start_soon(say)


async def held_for_ever(world: World) -> None:
    """An M holds a lock of Go's while it waits for a word that another sets under the lock."""
    word, lock = Word("w"), world.mutex("p")

    async def wait(m: M) -> None:
        await m.lock(lock)
        while not await word.load():
            await m.pause()
        await m.unlock(lock)

    async def say(m: M) -> None:
        await m.lock(lock)
        await word.store(1)
        await m.unlock(lock)

    async with world.open_ms() as ms:
        ms.start_soon(wait)
        ms.start_soon(say)


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (lost_update, "AssertionError"),
        (crossed, "deadlock"),
        (nobody_says, "no_progress"),
        (held_for_ever, "no_progress"),
    ],
)
def test_a_failure_is_one_as_any_other(program: Any, kind: str) -> None:
    """It has a token that replays it, and is made small."""
    config = Config(ms=2, mutex="sema", cpus=4)
    found = explore(program, config=config, strategy="states", steps_max=500)
    assert found.outcome == "failed"
    assert found.failure is not None
    assert found.failure.signature.kind == kind
    assert found.failure.strategy == "states"
    schedule = Schedule.from_token(found.failure.token)
    again = replay(Target.of(program, config), schedule, steps_max=500)
    assert again.divergence == ""
    assert again.signature == found.failure.signature
    if kind == "AssertionError":
        assert found.failure.switches <= 3


def test_all_failures_are_found_where_several_are_asked_for() -> None:
    """Also such as lie behind others."""

    async def several(world: World) -> None:
        word = Word("w")

        async def one(m: M) -> None:
            value = await word.add(m.id)
            assert value != 2, "the second was first"
            await m.pause()
            if value == 3:
                raise ValueError("the sum is 3")

        async with world.open_ms() as ms:
            ms.start_soon(one)
            ms.start_soon(one)

    found = explore(several, strategy="states", failures_max=5, shrink=False)
    assert {one.signature.kind for one in found.failures} == {"AssertionError", "ValueError"}


# What cannot be compared


def test_what_cannot_be_compared_is_named() -> None:
    """An open file, in a variable."""

    async def reads(world: World) -> None:
        with open(__file__) as file:
            await world.main.pause()
            file.read(1)

    found = explore(reads, strategy="states")
    assert (found.outcome, found.exit_code) == ("inconclusive", 5)
    assert "cannot be compared: a" in found.sentence
    assert "TextIOWrapper" in found.sentence or "FileIO" in found.sentence
    assert "--strategy exhaustive" in found.sentence


def test_a_program_that_awaits_trio_is_refused_by_name() -> None:
    """Its tasks are trio's."""

    async def sleeps(world: World) -> None:
        await trio.sleep(1)

    found = explore(sleeps, strategy="states")
    assert found.outcome == "inconclusive"
    assert "it awaits trio" in found.sentence


def test_so_is_one_whose_allocator_is_taken_apart() -> None:
    """An M may stand in the middle of code that is no coroutine."""
    pytest.importorskip("greenlet")

    async def alloc(world: World) -> None:
        await world.main.sys_alloc_os(4 * KiB)

    found = explore(
        alloc, config=Config(ms=2, mutex="none", granularity="access"), strategy="states"
    )
    assert found.outcome == "inconclusive"
    assert "--granularity access" in found.sentence


async def goes_by_counts(world: World) -> None:
    """Asserts what was counted of a lock."""
    lock = world.mutex("p")

    async def take(m: M) -> None:
        await m.lock(lock)
        await m.unlock(lock)

    async with world.open_ms() as ms:
        ms.start_soon(take)
        ms.start_soon(take)
    assert world.statistics().lock("p").contended <= 0


def test_a_program_that_goes_by_what_is_counted_is_searched_with_that_in_its_states() -> None:
    """So that an assertion on a count that fails on some ways only is found."""
    found = explore(goes_by_counts, strategy="states")
    assert found.outcome == "failed"
    assert found.failure is not None
    assert found.failure.signature.kind == "AssertionError"
    assert "the program reads world.statistics().lock('p').contended" in found.sentence
    assert found.world["counts_in_states"] == "world.statistics().lock('p').contended"


def test_what_is_only_reported_is_not_gone_by() -> None:
    """A count that is handed to `World.result`, reckoned with or not."""

    async def reports(world: World) -> None:
        lock = world.mutex("p")

        async def take(m: M) -> None:
            await m.lock(lock)
            await m.unlock(lock)

        async with world.open_ms() as ms:
            ms.start_soon(take)
            ms.start_soon(take)
        counted = world.statistics()
        world.result("twice", 2 * counted.lock("p").acquisitions + 1)
        world.result("steps", counted.steps)

    found = explore(reports, strategy="states")
    assert found.outcome == "exhausted"
    assert found.world["counts_in_states"] is None


def test_a_bound_of_states_is_kept() -> None:
    """And said."""
    batch, _ = programs.visited(
        telling.target_of("one M"), lambda by_counts: ProgramStates(by_counts, states_max=5)
    )
    assert batch.out_of_states
    assert not batch.complete
    assert batch.states <= 6


def test_steps_without_end_are_no_proof() -> None:
    """States that never come back: the bound of steps ends it."""

    async def counts(world: World) -> None:
        word = Word("w")

        async def up(m: M) -> None:
            while True:
                await word.add(1)

        async with world.open_ms() as ms:
            ms.start_soon(up)

    found = explore(counts, strategy="states", steps_max=200)
    assert found.outcome in ("inconclusive", "failed")


IN_MEMORY = [name for name, one in KERNELS.items() if one.target().config.memory == "sc"]


def test_late_stores_are_refused_by_name() -> None:
    """What is in a buffer is none of what is compared."""
    late = KERNELS["store-buffering"].target()
    assert late.config.memory == "tso"
    found = explore(late, strategy="states")
    assert found.outcome == "inconclusive"
    assert "stores that are late" in found.sentence


@pytest.mark.parametrize("name", IN_MEMORY)
def test_every_kernel_is_found_and_its_twin_has_no_failure(name: str) -> None:
    """Races and orders of locks among them, though the run that shows one may be broken off."""
    kernel = KERNELS[name]
    found = explore(
        kernel.target(), strategy="states", detectors=DEFAULT_DETECTORS, shrink=False, budget=5_000
    )
    assert found.outcome == "failed"
    assert found.failure is not None
    assert found.failure.strategy == "states"
    twin = explore(kernel.twin(), strategy="states", detectors=DEFAULT_DETECTORS, budget=3_000)
    assert twin.failure is None
    assert twin.outcome == "exhausted" or name == "reorder-4"

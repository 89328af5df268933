"""A search of a trio program is held against a model of trio, and against trio's own loop."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gorun_mem.explore import explore
from gorun_mem.machine.config import Config
from tests.explore.controlled.model import STUCK, Log, Program, as_trio, outcomes, random_program

PROGRAMS = int(os.environ.get("GORUN_MEM_TRIO_PROGRAMS", "60"))
RUNS_MAX = 1_500


def searched(program: Program, faults: tuple[str, ...] = ()) -> tuple[set[Log], int]:
    """Every log that an exhaustive search comes to, and of how many schedules."""
    found: set[Log] = set()

    async def main() -> None:
        log: list[Any] = []
        try:
            await as_trio(program, log)()
        except BaseException:
            found.add((*log, STUCK))  # what is unwound after a deadlock has logged no more
            raise
        found.add(tuple(log))

    result = explore(
        main, config=Config(faults=faults), strategy="exhaustive", budget=RUNS_MAX * 2,
        failures_max=1 << 30, shrink=False, canary=False,
    )  # fmt: skip
    wrong = [str(f.signature) for f in result.failures if f.signature.kind != "deadlock"]
    assert not wrong, (program, result.failures[0].text)
    return found, result.statistics.schedules


def without_ends(logs: set[Log]) -> set[Log]:
    """Of runs that are stuck only that: what their tasks note as they are unwound is no part."""
    return {log if log[-1:] != (STUCK,) else (STUCK,) for log in logs}


@pytest.mark.parametrize("faults", [(), ("timeout",)])
def test_every_outcome_of_the_model_is_found_and_no_other(faults: tuple[str, ...]) -> None:
    """As many schedules, the same logs: of events, locks, channels, sleeps, timeouts, cancels."""
    random = Random(f"programs/{faults}")
    held = 0
    while held < PROGRAMS:
        program = random_program(random)
        expected, runs = outcomes(program, early=bool(faults), runs_max=RUNS_MAX)
        if not expected:
            continue
        held += 1
        found, schedules = searched(program, faults)
        assert without_ends(found) == without_ends(expected), program
        assert schedules == runs, program


def one_at_a_time(main: Callable[[], Awaitable[None]], ways: list[int]) -> list[int]:
    """Run trio's own loop, in which a stand-in for its dice leaves one task in each batch.

    Args:
        main: what is run.
        ways: which task goes at each decision, 0 after the last.

    Returns:
        How many could have gone at each decision.
    """
    from trio._core import _run

    counts: list[int] = []

    class Dice:
        def shuffle(self, batch: list[Any]) -> None:
            ours = [task for task in batch if not task.name.startswith("<")]
            rest = [task for task in batch if task not in ours]
            if len(ours) < 2:
                return
            at = len(counts)
            counts.append(len(ours))
            chosen = ours[ways[at] if at < len(ways) else 0]
            for task in ours:
                if task is not chosen:
                    _run.GLOBAL_RUN_CONTEXT.runner.runq.append(task)
            batch[:] = [*rest, chosen]

    before = _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING
    space: Any = _run
    space._r, space._ALLOW_DETERMINISTIC_SCHEDULING = Dice(), True
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        space._r, space._ALLOW_DETERMINISTIC_SCHEDULING = before
    return counts


def by_trio(program: Program, runs_max: int) -> set[Log]:
    """Every log that trio's own loop comes to with one task at a time; none of too many."""
    found: set[Log] = set()
    prefix: list[int] = []
    for _ in range(runs_max):
        log: list[Any] = []
        stuck: list[bool] = []

        async def main(log: list[Any] = log, stuck: list[bool] = stuck) -> None:
            with trio.move_on_after(1_000) as scope:
                await as_trio(program, log)()
            stuck.append(scope.cancelled_caught)

        counts = one_at_a_time(main, prefix)
        found.add((STUCK,) if stuck[0] else tuple(log))
        prefix += [0] * (len(counts) - len(prefix))
        while prefix and prefix[-1] + 1 == counts[len(prefix) - 1]:
            prefix.pop()
        if not prefix:
            return found
        prefix[-1] += 1
    return set()


def test_trios_own_loop_comes_to_nothing_else() -> None:
    """With its batches cut to one task trio makes what a search makes.

    Of programs with timers it makes less, for it lets all deadlines pass at once that are due.
    """
    random = Random("loop")
    held = same = 0
    while held < 15:
        program = random_program(random)
        expected = by_trio(program, 150)
        if not expected:
            continue
        held += 1
        found, _ = searched(program)
        assert expected <= without_ends(found), program
        if "sleep" not in repr(program) and "timeout" not in repr(program):
            same += 1
            assert expected == without_ends(found), program
    assert same > 2


@pytest.mark.parametrize(("tasks", "steps", "orders"), [(2, 1, 6), (2, 2, 20), (3, 1, 90)])
def test_all_interleavings_of_steps_are_made(tasks: int, steps: int, orders: int) -> None:
    """The multinomial coefficient: each task has its start and its checkpoints."""

    async def task() -> None:
        for _ in range(steps):
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(task)

    found = explore(main, strategy="exhaustive", canary=False)
    assert (found.outcome, found.statistics.schedules) == ("exhausted", orders)
    assert found.statistics.redundant == 0

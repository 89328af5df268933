"""The programs that searches of async loops are measured on."""

from __future__ import annotations

import asyncio

import pytest
import trio

from gorun_mem.bench.loops import PLAIN, PROGRAMS, _by_us, _many, of_asyncio, of_trio, rows
from gorun_mem.explore import explore


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_has_a_bug_that_shows_in_some_order_only(name: str) -> None:
    """And over asyncio it is the same program: what it awaits is there."""
    program = PROGRAMS[name]
    assert _by_us(program, 200).failed
    found = explore(of_trio(program), strategy="exhaustive", failures_max=100, shrink=False)
    assert found.statistics.schedules > 1
    coro = of_asyncio(program)()
    coro.close()


def test_the_program_without_a_bug_runs_anywhere() -> None:
    """Under trio, under asyncio, and in every order that is tried."""
    trio.run(of_trio(PLAIN))
    asyncio.run(of_asyncio(PLAIN)())
    done = _by_us(PLAIN, 50)
    assert (done.failed, done.runs) == (False, 50)


def test_a_search_that_ends_early_is_begun_again() -> None:
    """So that a rate counts the schedules that were run."""
    from gorun_mem.bench.loops import Searched, SmallProgram

    asked: list[int] = []

    def drive(program: SmallProgram, count: int) -> Searched:
        asked.append(count)
        return Searched(True, 3)

    _many(drive, 8)
    assert asked == [8, 5, 2]


def test_the_rows_say_what_was_measured() -> None:
    """The rate with its target, the bugs, and which peers are missing."""
    measured = rows(quick=True)
    rate, bugs = measured[0], next(row for row in measured if row.name.startswith("trio, auto"))
    assert rate.unit == "schedules/s"
    assert rate.target == "at least 3,000"
    assert rate.figure > 300  # whatever else the machine does
    assert (bugs.figure, bugs.ok) == (len(PROGRAMS), True)

"""Beside pytest-asyncio, anyio and xdist each test is run by whom it is for."""

from __future__ import annotations

import pytest

from tests.testing.test_explore_marker import LOCKED, PROGRAM, QUIET, RACY

OTHERS = """
import asyncio

@pytest.mark.trio
async def test_trios(world):
    await add_twice(world, Lock("l"))

@pytest.mark.asyncio
async def test_asyncios():
    await asyncio.sleep(0)
    assert asyncio.get_running_loop()

@pytest.mark.explore(budget=50)
@pytest.mark.asyncio
async def test_marked_for_both(world):
    await add_twice(world, Lock("l"))

def test_plain(run_scenario):
    assert run_scenario("arena_at_break").outcome.verdict == "ok"
"""
IDLE = ("-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture(autouse=True)
def _with_asyncio(monkeypatch: pytest.MonkeyPatch, _without_asyncio: None) -> None:
    """Here it is wanted."""
    monkeypatch.delenv("PYTEST_ADDOPTS")


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize("jobs", [(), ("-n", "2")])
def test_pytest_asyncio(pytester: pytest.Pytester, mode: str, jobs: tuple[str, ...]) -> None:
    """In both of its modes, alone and in several processes; the summary counts them all."""
    pytester.makepyfile(PROGRAM + RACY + LOCKED + OTHERS)
    result = pytester.runpytest_subprocess(*QUIET, *IDLE, "--asyncio-mode", mode, *jobs)
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["explored 3 tests, * schedules, 2 exhausted, 1 failed"])


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_a_world_in_asyncio(pytester: pytest.Pytester, mode: str) -> None:
    """A World's test that asyncio runs says in a sentence what it needs."""
    pytester.makepyfile(
        PROGRAM
        + "\n@pytest.mark.asyncio\nasync def test_it(world):\n    await add_twice(world, 0)\n"
    )
    result = pytester.runpytest_subprocess(*QUIET, *IDLE, "--asyncio-mode", mode)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * trio drives the Ms of a World*@pytest.mark.trio in a test*"])


def test_anyio(pytester: pytest.Pytester) -> None:
    """Its trio backend runs a World as pytest-trio does, and an explored test is ours."""
    pytester.makepyfile(
        PROGRAM
        + """
@pytest.fixture
def anyio_backend():
    return "trio"

@pytest.mark.anyio
async def test_world(world):
    await add_twice(world, Lock("l"))

@pytest.mark.anyio
"""
        + LOCKED.lstrip()
    )
    result = pytester.runpytest_subprocess(*QUIET, *IDLE, "-p", "no:trio", "-p", "no:pytest_trio")
    result.assert_outcomes(passed=2)

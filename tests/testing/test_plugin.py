"""The plugin in pytest runs of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TEST = """
import pytest
from gorun_mem import scenario, KiB

@scenario(ms=2)
async def pair(world, *, rounds: int = 3):
    async def worker(m):
        for _ in range(rounds):
            addr = await m.sys_alloc(64 * KiB)
            await m.sys_free(addr, 64 * KiB)
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
"""


def test_a_failure_shows_the_world(pytester: pytest.Pytester) -> None:
    """The report of a failed test has the World's settings, last events and how to run again."""
    pytester.makepyfile(
        TEST
        + """
@pytest.mark.trio
@pytest.mark.world(ms=3, mutex="queue", seed=7)
async def test_it(world):
    await pair(world)
    assert world.statistics().lock("memlock").acquisitions == 0

def test_by_name(run_scenario):
    run = run_scenario("memlock_storm", ms=2, seed=9, rounds=2)
    assert run.outcome.steps == 0
"""
    )
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*gorun_mem world*",
            "*go1.* plan9/amd64 mutex queue, 3 Ms on 4 CPUs, strategy timing, seed 7",
            "the last 8 of * events:",
            "* ns  M? *m.exit",
            "ended: ok",
            "again: gorun-mem run memlock_storm *--ms 2 * --seed 9 --set rounds=2",
        ]
    )


def test_an_async_test_goes_on_with_the_same_world(pytester: pytest.Pytester) -> None:
    """A World may be used by several scenarios and nurseries of one test, one after the other."""
    pytester.makepyfile(
        TEST
        + """
@pytest.mark.trio
async def test_it(world):
    await pair(world, rounds=2)
    async def once(m):
        return await m.sys_alloc(64 * KiB)
    async with world.open_ms() as ms:
        ms.start_soon(once)
    world.check()
    assert world.statistics().lock("memlock").acquisitions == 2 * 2 * world.ms + 1
"""
    )
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_wrong_settings_are_named(pytester: pytest.Pytester) -> None:
    """An unknown setting or option is an error that says so."""
    pytester.makepyfile(
        TEST
        + """
@pytest.mark.world(colour="red")
def test_marker(world):
    pass

def test_option(run_scenario):
    run_scenario(pair, colour="red")
"""
    )
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*@pytest.mark.world: *colour*", "*pair has no option or setting 'colour'*"]
    )


def test_it_works_with_xdist(pytester: pytest.Pytester) -> None:
    """Several processes run the tests as one does."""
    pytester.makepyfile(
        TEST
        + """
@pytest.mark.trio
@pytest.mark.parametrize("seed", range(4))
async def test_it(world, seed):
    await pair(world)
"""
    )
    pytester.runpytest("-n", "2", "-p", "no:cacheprovider").assert_outcomes(passed=4)


def test_it_is_harmless_where_nobody_uses_it(pytester: pytest.Pytester) -> None:
    """Without pytest-trio, and in tests that do not ask for it, the plugin imports nothing."""
    pytester.makepyfile(
        """
import sys

def test_it():
    loaded = {"trio", "structlog", "rich", "msgspec", "gorun_mem.machine", "gorun_mem.runtime"}
    assert not loaded & set(sys.modules)
"""
    )
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p",
            "gorun_mem.testing.plugin", str(pytester.path),
        ],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

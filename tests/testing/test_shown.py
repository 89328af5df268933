"""What a failed test shows: the user's lines, and nothing of what lies between them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from xml.etree import ElementTree

import pytest

QUIET = ("-p", "no:cacheprovider")
PROGRAM = """
import pytest
from gorun_mem import KiB
from gorun_mem.sync import Lock

@pytest.mark.trio
async def test_own_error(world):
    async def add(m):
        await m.sys_alloc(64 * KiB)
        raise ValueError("mine")
    async with world.open_ms() as ms:
        ms.start_soon(add)

@pytest.mark.trio
async def test_refused(world):
    async def add(m):
        addr = await m.sys_alloc(64 * KiB)
        await m.sys_free(addr, 64 * KiB)
        await m.sys_free(addr, 64 * KiB)  # again
    async with world.open_ms() as ms:
        ms.start_soon(add)

@pytest.mark.trio
async def test_two_of_its_own(world):
    async def add(m):
        raise ValueError(f"of M{m.id}")
    try:
        async with world.open_ms() as ms:
            ms.start_soon(add)
    except ValueError as error:
        raise ExceptionGroup("both", [error, KeyError("other")]) from error

@pytest.mark.trio
async def test_deadlock(world):
    lock = Lock("l")
    async def twice(m):
        await lock.acquire()
        await lock.acquire()
    async with world.open_ms() as ms:
        ms.start_soon(twice)

def test_misspelt(run_scenario):
    run_scenario("memlock_storm", msx=3)
"""


def test_the_users_lines_and_no_frame_of_ours(pytester: pytest.Pytester) -> None:
    """Each failure names its line of the test; no file of the package or of trio is shown."""
    pytester.makepyfile(PROGRAM)
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(
        [
            '>       raise ValueError("mine")',
            "E       ValueError: mine",
            "*.py:9: ValueError",
            ">       await m.sys_free(addr, 64 * KiB)  # again",
            "E       *IllegalUse: sysFree(0x160000, 65536) refused: *",
            "*ValueError: of M1",
            ">       async with world.open_ms() as ms:",
            "E       *DeadlockFound: no M can go on: M1 (twice) waits to acquire l *",
            '>       run_scenario("memlock_storm", msx=3)',
            "E       *ScenarioError: memlock_storm has no option or setting 'msx': *mean ms? *",
        ]
    )
    for place in ("trio_host.py", "nursery.py", "plugin.py", "_run.py", "Traceback (most recent"):
        lines = [line for line in result.outlines if place in line]
        assert not lines or place.startswith("Traceback"), lines


def test_full_trace_has_all(pytester: pytest.Pytester) -> None:
    """Who wants our frames says --full-trace."""
    pytester.makepyfile(PROGRAM)
    result = pytester.runpytest_subprocess(*QUIET, "--full-trace", "-k", "own_error")
    result.stdout.fnmatch_lines(["*trio_host.py*", "*ValueError: mine"])


def test_what_was_expected_is_still_judged_by_what_was_raised(pytester: pytest.Pytester) -> None:
    """Only what is shown is changed: xfail(raises=...) sees the group that trio made."""
    pytester.makepyfile(
        """
import pytest

async def fails(world):
    async def add(m):
        raise ValueError
    async with world.open_ms() as ms:
        ms.start_soon(add)

@pytest.mark.trio
@pytest.mark.xfail(raises=ExceptionGroup, strict=True)
async def test_group(world):
    await fails(world)

@pytest.mark.trio
async def test_inside(world):
    with pytest.raises(ValueError):
        await fails(world)

@pytest.mark.trio
async def test_skipped(world):
    pytest.skip("not today")
"""
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(xfailed=1, passed=1, skipped=1)


def test_the_command_under_a_failure_runs_it_again(pytester: pytest.Pytester) -> None:
    """It has the scenario's options too, and a script's path; what it runs is the same run."""
    pytester.makepyfile(
        mine="""
from gorun_mem import KiB, scenario

@scenario(ms=2)
async def pair(world, *, rounds: int = 3):
    async def worker(m):
        for _ in range(rounds):
            await m.sys_free(await m.sys_alloc(64 * KiB), 64 * KiB)
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
""",
        test_it="""
def test_it(run_scenario):
    run = run_scenario("mine.py", ms=3, rounds=2, seed=5)
    assert not run.outcome.steps
""",
    )
    result = pytester.runpytest_subprocess(*QUIET)
    again = next(line for line in result.outlines if line.startswith("again: "))
    assert again.endswith("--set rounds=2")
    steps = next(line for line in result.outlines if "assert not " in line and "E " in line)
    done = subprocess.run(
        [sys.executable, "-m", "gorun_mem", *shlex.split(again)[2:]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"after {int(steps.split('not')[1].split()[0]):,} steps" in done.stdout


def test_properties_of_a_world(pytester: pytest.Pytester) -> None:
    """JUnit's report says of each World how it ended, by which schedule, from which seed."""
    pytester.makepyfile(
        PROGRAM + "\ndef test_good(run_scenario):\n    run_scenario('boot_order')\n"
    )
    pytester.runpytest_subprocess(*QUIET, "--junitxml=out.xml", "-k", "deadlock or good")
    said = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.parse("out.xml").iter("testcase")
    }
    assert said["test_deadlock"]["world.verdict"] == "DeadlockFound"
    assert said["test_good"]["world.verdict"] == "throw"
    assert said["test_good"]["world.token"] == "timing:0"
    assert said["test_good"]["world.seed"] == "0"

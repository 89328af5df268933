"""`@pytest.mark.explore` in pytest runs of its own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from gorun_mem.explore.target import Target
from gorun_mem.machine.config import ConfigError
from gorun_mem.step.schedule import Schedule

PROGRAM = """
import pytest
from gorun_mem import KiB
from gorun_mem.sync import Cell, Lock

async def add_twice(world, lock):
    bloc = Cell("bloc")
    async def add(m):
        if lock:
            await lock.acquire()
        value = await bloc.load()
        await bloc.store(value + 1)
        if lock:
            await lock.release()
    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert bloc.value == 2
"""
RACY = """
@pytest.mark.explore(budget=200, strategy="pos")
async def test_racy(world):
    await add_twice(world, None)
"""
LOCKED = """
@pytest.mark.explore(budget=200)
async def test_locked(world):
    await add_twice(world, Lock("l"))
"""
QUIET = ("-p", "no:cacheprovider")


def command_in(result: pytest.RunResult) -> tuple[str, str]:
    """The test and the token of the command that a failure prints."""
    found = re.search(r"pytest (\S+) --explore-token (\S+)", result.stdout.str())
    assert found is not None
    return found[1], found[2]


def test_a_racy_test_fails_with_the_report(pytester: pytest.Pytester) -> None:
    """The failure is the search's own report; the fixed twin beside it passes."""
    pytester.makepyfile(PROGRAM + RACY + LOCKED)
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED: AssertionError at *",
            "*found by * in run *",
            "What matters:",
            "*'s store bloc = 1 (step *) comes between two of M*",
            "Replay it:",
            "pytest *test_racy --explore-token *",
            "Keep it: *",
            '@pytest.mark.explore(replay="*")',
            "failed: 1 failure in * schedules, of about *, where memory is *",
            "explored 2 tests, * schedules, 1 exhausted, 1 failed",
            "FAILED *::test_racy - Failed: FAILED:*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "gorun_mem world" not in result.stdout.str()


def test_its_token_replays_it(pytester: pytest.Pytester) -> None:
    """The printed command fails in the same way after one run; other explored tests are skipped."""
    pytester.makepyfile(PROGRAM + RACY + LOCKED)
    test, token = command_in(pytester.runpytest_subprocess(*QUIET))
    alone = pytester.runpytest_subprocess(*QUIET, test, "--explore-token", token)
    alone.assert_outcomes(failed=1)
    alone.stdout.fnmatch_lines(["FAILED: AssertionError at *", "*--explore-token *"])
    assert "found by" not in alone.stdout.str()
    assert command_in(alone)[1] == token
    whole = pytester.runpytest_subprocess(*QUIET, "-rs", "--explore-token", token)
    whole.assert_outcomes(failed=1, skipped=1)
    whole.stdout.fnmatch_lines(["SKIPPED *the schedule is one of *test_racy"])


def test_a_mended_test_passes_its_old_token(pytester: pytest.Pytester) -> None:
    """After the mending the schedule does not fail: a pass where it still fits, else a word."""
    path = pytester.makepyfile(PROGRAM + RACY)
    _, token = command_in(pytester.runpytest_subprocess(*QUIET))
    path.write_text(
        path.read_text().replace("value + 1)\n", "value + 1 if value else bloc.value + 1)\n")
    )
    path.write_text(path.read_text().replace("== 2", "in (1, 2)"))
    pytester.runpytest_subprocess(*QUIET, "--explore-token", token).assert_outcomes(passed=1)
    path.write_text(PROGRAM + RACY.replace("None", "Lock('l')"))
    result = pytester.runpytest_subprocess(*QUIET, "--explore-token", token)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the schedule does not fit this test any more: *acquire l*"])


@pytest.mark.parametrize("mark", ["@pytest.mark.trio", ""])
def test_with_pytest_trio_and_without(pytester: pytest.Pytester, mark: str) -> None:
    """pytest-trio leaves an explored test alone, marked for trio or by its trio_mode."""
    if not mark:
        pytester.makeini("[pytest]\ntrio_mode = true")
    plain = (
        "\n@pytest.mark.trio\nasync def test_plain(world):\n    await add_twice(world, Lock('l'))\n"
    )
    pytester.makepyfile(PROGRAM + f"\n{mark}" + RACY + f"\n{mark}" + LOCKED + plain)
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(failed=1, passed=2)
    pytester.makeini("")
    bare = pytester.runpytest_subprocess(
        *QUIET, "-p", "no:trio", "-p", "no:pytest_trio", "-k", "racy or lock"
    )
    assert bare.ret == 1
    bare.stdout.fnmatch_lines(["*--explore-token *"])


def test_with_xdist_and_parameters(pytester: pytest.Pytester) -> None:
    """Several processes find and report what one does; parameters and plain fixtures are passed."""
    pytester.makepyfile(
        PROGRAM
        + """
@pytest.fixture
def locks():
    return {"none": lambda: None, "lock": lambda: Lock("l")}

@pytest.mark.explore(budget=100)
@pytest.mark.parametrize("kind", ["none", "lock"])
@pytest.mark.parametrize("round", [1, 2])
async def test_both(world, locks, kind, round):
    await add_twice(world, locks[kind]())
"""
    )
    pytester.runpytest_subprocess(*QUIET, "-n", "2").assert_outcomes(failed=2, passed=2)
    test, token = command_in(pytester.runpytest_subprocess(*QUIET))
    assert test.endswith("none]'")
    again = pytester.runpytest_subprocess(*QUIET, test.strip("'"), "--explore-token", token)
    again.assert_outcomes(failed=1)


def test_settings_of_the_world_and_marks_of_the_module(pytester: pytest.Pytester) -> None:
    """The World marker's settings hold in every run; a module's mark is overridden by a test's."""
    pytester.makepyfile(
        PROGRAM
        + """
pytestmark = pytest.mark.explore(budget=5, strategy="random")

@pytest.mark.world(ms=3, mutex="none", granularity="access", release="go1.24.3",
                   platform="plan9/amd64")
@pytest.mark.explore(budget=100)
async def test_without_a_lock(world):
    assert world.ms == 3
    async def worker(m):
        await m.sys_alloc(4 * KiB)
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)

async def test_few(world):
    await add_twice(world, Lock("l"))
"""
    )
    result = pytester.runpytest_subprocess(*QUIET, "--junitxml=out.xml")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["FAILED: throw: gorun_mem: memory is handed out twice"])
    cases = {case.get("name"): case for case in ElementTree.parse("out.xml").iter("testcase")}
    said = {one.get("name"): one.get("value", "") for one in cases["test_few"].iter("property")}
    assert said["explore"].startswith("survived: none of 5 schedules failed, ")
    assert "memory is sequentially consistent, timers fire at their virtual time" in said["explore"]
    counted = {name: said[f"explore.{name}"] for name in ("verdict", "schedules", "budget")}
    assert counted == {"verdict": "survived", "schedules": "5", "budget": "5"}
    assert said["explore.memory_model"] == "sequentially consistent"
    assert (said["explore.faults"], said["explore.time_s"]) == ("", "")
    failed = {
        one.get("name"): one.get("value", "")
        for one in cases["test_without_a_lock"].iter("property")
    }
    assert failed["explore"].startswith("failed: 1 failure in ")
    assert failed["explore.granularity"] == "access"


def test_what_a_search_says_that_found_nothing(pytester: pytest.Pytester) -> None:
    """With -rP the verdict of a test that does not fail is shown, and it is not "passed"."""
    pytester.makepyfile(PROGRAM + LOCKED)
    result = pytester.runpytest_subprocess(*QUIET, "-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["exhausted: 2 schedules: every one that is different, where *"])


def test_a_search_without_an_answer_is_no_pass(pytester: pytest.Pytester) -> None:
    """A tree that the budget did not get through, and a thread, fail with the reason."""
    pytester.makepyfile(
        PROGRAM
        + """
import trio

@pytest.mark.explore(budget=2, strategy="dfs")
async def test_too_little(world):
    await add_twice(world, Lock("l"))

@pytest.mark.explore(budget=20)
async def test_uncontrolled(world):
    async def worker(m):
        await trio.to_thread.run_sync(print)
    async with world.open_ms() as ms:
        ms.start_soon(worker)
"""
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["inconclusive: the budget was used up*", "inconclusive: *what no schedule controls at *"]
    )


def test_misuse_is_said_in_a_sentence(pytester: pytest.Pytester) -> None:
    """No traceback for a wrong mark, a test that is not async, or a fixture that is."""
    pytester.makepyfile(
        """
import pytest

@pytest.mark.explore(budgets=1)
async def test_1(world): pass

@pytest.mark.explore(100)
async def test_2(world): pass

@pytest.mark.explore(strategy="luck")
async def test_3(world): pass

@pytest.mark.explore
def test_4(world): pass

@pytest.fixture
async def later():
    return 1

@pytest.mark.trio
@pytest.mark.explore
async def test_6(world, later): pass

@pytest.mark.explore
async def test_7(world):
    pytest.skip("not today")
"""
    )
    result = pytester.runpytest_subprocess(*QUIET, "-rs")
    result.assert_outcomes(failed=5, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.explore has no setting 'budgets': did you mean budget? it has budget, *",
            "@pytest.mark.explore takes settings by name, as in budget=2000",
            "@pytest.mark.explore: no strategy 'luck': a search has auto, *",
            "@pytest.mark.explore is for async tests: write `async def`",
            "fixture 'later' is async, and every schedule needs one of its own: make it plain, *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_damaged_token_ends_the_run_before_it_begins(pytester: pytest.Pytester) -> None:
    """A usage error with the reason; no test runs."""
    pytester.makepyfile(PROGRAM + RACY)
    result = pytester.runpytest_subprocess(*QUIET, "--explore-token", "abc!")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --explore-token: *neither a file nor a token*"])


def test_the_command_line_sends_a_tests_token_to_pytest() -> None:
    """What `gorun-mem replay-schedule` is told of a test's schedule names the way to replay it."""
    schedule = Schedule((1,), (), {"test": "test_a.py::test_b", "config": {}})
    with pytest.raises(ConfigError, match=r"pytest test_a\.py::test_b --explore-token TOKEN"):
        Target.from_about(schedule.about)


def test_the_marker_takes_the_memory(pytester: pytest.Pytester) -> None:
    """Store buffering fails under tso, with a token that leads there again, and not under sc."""
    pytester.makepyfile(
        """
import pytest
from gorun_mem.sync import Word

async def buffering(world):
    x, y, seen = Word("x"), Word("y"), []
    async def one(m, mine, other):
        await mine.store_release(1)
        seen.append(await other.load())
    async with world.open_ms() as ms:
        ms.start_soon(one, x, y)
        ms.start_soon(one, y, x)
    assert seen != [0, 0]

@pytest.mark.explore(budget=500, strategy="pos", memory="tso")
async def test_late(world):
    await buffering(world)

@pytest.mark.explore(budget=500, strategy="pos")
async def test_at_once(world):
    await buffering(world)

@pytest.mark.explore(budget=5, memory="pso")
async def test_none(world):
    pass
"""
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*where memory is total store order,*"])
    result.stdout.fnmatch_lines(["*explore: no memory 'pso'*"])
    words = next(line for line in result.outlines if "--explore-token" in line).split()
    token = words[words.index("--explore-token") + 1]
    again = pytester.runpytest_subprocess(*QUIET, "-k", "test_late", "--explore-token", token)
    again.assert_outcomes(failed=1, deselected=2)
    again.stdout.fnmatch_lines(["*AssertionError*"])

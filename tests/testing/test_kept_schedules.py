"""`@pytest.mark.explore(replay=...)`, and the budget that the command line sets."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.testing.test_explore_marker import LOCKED, PROGRAM, QUIET, RACY


def line_in(result: pytest.RunResult) -> str:
    """The line to paste that a failure prints."""
    found = re.search(r'@pytest\.mark\.explore\(replay="\S+"\)', result.stdout.str())
    assert found is not None
    return found[0]


def test_the_line_to_paste_fails_at_once(pytester: pytest.Pytester) -> None:
    """Over the test, it runs that schedule before the search, and no search is needed to fail."""
    pytester.makepyfile(PROGRAM + RACY)
    line = line_in(pytester.runpytest_subprocess(*QUIET))
    pytester.makepyfile(PROGRAM + f"\n{line}" + RACY)
    result = pytester.runpytest_subprocess(*QUIET, "--junitxml=out.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED: AssertionError at *",
            "It is a schedule that replay= keeps.",
            "explored 1 test, 1 schedule, 1 failed",
        ]
    )
    said = {
        one.get("name"): one.get("value", "")
        for one in ElementTree.parse("out.xml").iter("property")
    }
    assert said["explore.schedules"] == "1"
    assert said["explore.strategy"] == "replay"
    assert said["explore.token"] in line


def test_a_mended_test_passes_with_the_line(pytester: pytest.Pytester) -> None:
    """Mended in a way that leaves the schedule possible, the test passes and says nothing."""
    pytester.makepyfile(PROGRAM + RACY)
    line = line_in(pytester.runpytest_subprocess(*QUIET))
    mended = PROGRAM.replace("== 2", "in (1, 2)")
    pytester.makepyfile(mended + f"\n{line}" + RACY)
    result = pytester.runpytest_subprocess(*QUIET, "-W", "error")
    result.assert_outcomes(passed=1)


def test_an_outdated_schedule_is_said(pytester: pytest.Pytester) -> None:
    """Mended by a lock, the schedule is none of the test: a warning, and the search runs."""
    pytester.makepyfile(PROGRAM + RACY)
    line = line_in(pytester.runpytest_subprocess(*QUIET))
    pytester.makepyfile(PROGRAM + f"\n{line}" + RACY.replace("None", "Lock('l')"))
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*OutdatedReplay: *::test_racy: the schedule that replay= keeps does not fit this test "
            "any more (*acquire l*): take that line away, or put the token of a new failure there*",
            "explored 1 test, * schedules, 1 survived",
        ]
    )
    ignored = ("-W", "error", "-W", "ignore::gorun_mem.testing.OutdatedReplay")
    pytester.runpytest_subprocess(*QUIET, *ignored).assert_outcomes(passed=1)


def test_of_several_lines_each_is_run(pytester: pytest.Pytester) -> None:
    """Decorators add up; one of a test's other parameters is left to those."""
    program = (
        PROGRAM
        + """
@pytest.mark.parametrize("lock", [None, "l"])
@pytest.mark.explore(budget=60)
async def test_it(world, lock):
    await add_twice(world, Lock(lock) if lock else None)
"""
    )
    pytester.makepyfile(program)
    line = line_in(pytester.runpytest_subprocess(*QUIET))
    pytester.makepyfile(program.replace("@pytest.mark.p", f"{line}\n@pytest.mark.p"))
    result = pytester.runpytest_subprocess(*QUIET, "-W", "error")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["It is a schedule that replay= keeps."])
    pytester.makepyfile(
        program.replace("@pytest.mark.p", '@pytest.mark.explore(replay=["x"])\n@pytest.mark.p')
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["@pytest.mark.explore(replay=...): *neither a file nor a token*"])


def test_what_is_no_schedule_is_said(pytester: pytest.Pytester) -> None:
    """Whatever a mark keeps: one sentence, and no code that it names is run."""
    kept = """5, None, {}, ["x", 3], "", "\\0", "\\ud800", "/dev/zero", "A" * 100_000"""
    pytester.makepyfile(
        f"import pytest\nKEPT = [{kept}]\n"
        "def made(kept):\n"
        "    @pytest.mark.explore(budget=2, replay=kept)\n"
        "    async def test(world):\n"
        "        pass\n"
        "    return test\n"
        "globals().update((f'test_{i}', made(kept)) for i, kept in enumerate(KEPT))\n"
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=9)
    assert "TypeError" not in result.stdout.str()
    result.stdout.fnmatch_lines(["@pytest.mark.explore(replay=None): it is a schedule, *"])


def test_the_command_line_sets_the_budget(pytester: pytest.Pytester) -> None:
    """--explore-budget and --explore-time hold in place of what the marks say."""
    pytester.makepyfile(PROGRAM + LOCKED.replace("budget=200", 'budget=200, strategy="random"'))
    result = pytester.runpytest_subprocess(*QUIET, "--explore-budget", "7")
    result.stdout.fnmatch_lines(["explored 1 test, 7 schedules, 1 survived"])
    result = pytester.runpytest_subprocess(*QUIET, "--explore-time", "0.3", "--junitxml=out.xml")
    result.stdout.fnmatch_lines(["explored 1 test, * schedules, 1 survived"])
    said = {
        one.get("name"): one.get("value", "")
        for one in ElementTree.parse("out.xml").iter("property")
    }
    assert (said["explore.budget"], said["explore.time_s"]) == ("", "0.3")
    assert int(said["explore.schedules"] or 0) > 200
    for wrong in (("--explore-budget", "0"), ("--explore-budget", "x"), ("--explore-time", "-1")):
        refused = pytester.runpytest_subprocess(*QUIET, *wrong)
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        refused.stderr.fnmatch_lines([f"*{wrong[0]}: '{wrong[1]}' is no number of at least *"])

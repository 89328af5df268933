"""Defaults of the user's own hold in tests too: marks and pytest's options come before them."""

from __future__ import annotations

import pytest

QUIET = ("-p", "no:cacheprovider")
TEST = """
import pytest


@pytest.mark.explore(strategy="random")
async def test_settings(world):
    assert (world.ms, world.config.mutex) == (3, "sema")


@pytest.mark.explore(strategy="random")
@pytest.mark.world(ms=2)
async def test_a_mark_comes_first(world):
    assert (world.ms, world.config.mutex) == (2, "sema")


def test_runs(run_scenario):
    assert run_scenario("memlock_storm", rounds=2).world.ms == 3
    assert run_scenario("memlock_storm", rounds=2, ms=2).world.ms == 2
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with defaults in its file."""
    pytester.makepyprojecttoml('[tool.gorun_mem]\nms = 3\nmutex = "queue"\nbudget = 4\n')
    pytester.makepyfile(test_it=TEST)
    return pytester


def test_the_environment_the_file_and_the_marks(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that order, and the header says what holds and where it is from."""
    monkeypatch.setenv("GORUN_MEM_MUTEX", "sema")
    done = project.runpytest_subprocess(*QUIET)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(
        [
            "gorun_mem: ms = 3 (pyproject.toml), mutex = sema ($GORUN_MEM_MUTEX), budget = 4 *",
            "explored 2 tests, * schedules, *",
        ]
    )


def test_pytests_own_option_comes_first(project: pytest.Pytester) -> None:
    """--explore-budget before a default of the budget."""
    project.makepyfile(
        test_it="""
        import pytest


        @pytest.mark.explore(strategy="random")
        async def test_many(world):
            async def work(m):
                for _ in range(5):
                    await m.pause()

            async with world.open_ms() as ms:
                for _ in range(3):
                    ms.start_soon(work)
        """
    )
    for options, count in (((), 4), (("--explore-budget", "6"), 6)):
        done = project.runpytest_subprocess(*QUIET, *options)
        done.stdout.fnmatch_lines([f"explored 1 test, {count} schedules, 1 survived"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('relese = "go1.24"', "*has no key 'relese': did you mean release?*"),
        ('mutex = "spinbitt"', "*no mutex 'spinbitt': did you mean spinbit?*"),
    ],
)
def test_what_is_none_is_refused(pytester: pytest.Pytester, text: str, said: str) -> None:
    """By name at the start; by value when a test first needs it."""
    pytester.makepyprojecttoml(f"[tool.gorun_mem]\n{text}\n")
    pytester.makepyfile(test_it=TEST)
    done = pytester.runpytest_subprocess(*QUIET)
    assert done.ret != 0
    lines = [*done.stdout.lines, *done.stderr.lines]
    pytest.LineMatcher(lines).fnmatch_lines([said])


def test_nothing_is_said_where_nothing_is_set(pytester: pytest.Pytester) -> None:
    """The header is as it was."""
    pytester.makepyfile(test_it="def test_plain():\n    pass\n")
    done = pytester.runpytest_subprocess(*QUIET)
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("gorun_mem: *")

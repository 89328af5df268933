"""`@linearizable` under `@pytest.mark.explore`: the README's example, its repair, its token."""

from __future__ import annotations

import re

import pytest

from tests.readme import section

BUG = "await self.top.store(top[1])  # the bug: a cas, in a loop, is what it takes"
REPAIR = "if not await self.top.cas(top, top[1]):\n            return await self.pop()"
QUIET = ("-p", "no:cacheprovider")


def example() -> list[str]:
    """The example, what it prints, and what is said of it."""
    text = section("Is it one operation?").partition("<!-- linearizable -->")[2]
    _, code, _, shown, said = text.split("```")
    return [code.removeprefix("python\n"), shown, said]


def test_the_readme_finds_the_bug_and_its_token_replays_it(pytester: pytest.Pytester) -> None:
    """The failure is the one that the README shows, line by line; so is the replay's."""
    code, shown, _ = example()
    pytester.makepyfile(test_stack=code)
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=1)
    lines = [line for line in shown.strip().splitlines() if line != "..."]
    assert len(lines) == 10
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in lines])
    token = re.search(r"--explore-token (\S+)", result.stdout.str())
    assert token is not None
    again = pytester.runpytest_subprocess(*QUIET, "--explore-token", token[1])
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines([line.replace("[", "[[]") for line in lines])


def test_the_repair_is_exhausted(pytester: pytest.Pytester) -> None:
    """In as many schedules as the README says."""
    code, _, said = example()
    assert BUG in code
    assert REPAIR.replace("\n           ", "") in said
    pytester.makepyfile(test_stack=code.replace(BUG, REPAIR))
    result = pytester.runpytest_subprocess(*QUIET, "-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["exhausted: 332 schedules: every one that is different, *"])
    assert "all 332 schedules" in said

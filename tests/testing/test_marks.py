"""Marks that are wrong or missing: one line says what to write."""

from __future__ import annotations

import pytest

QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "--strict-markers")


def test_a_setting_that_there_is_not(pytester: pytest.Pytester) -> None:
    """With the one that was meant, and no frame of ours."""
    pytester.makepyfile(
        """
import pytest

@pytest.mark.world(mss=8)
@pytest.mark.trio
async def test_it(world):
    pass
"""
    )
    result = pytester.runpytest(*QUIET)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["@pytest.mark.world: no setting 'mss': did you mean ms?*"])
    result.stdout.no_fnmatch_line("*plugin.py*")


@pytest.mark.parametrize("plugin", [(), ("-p", "no:trio")])
def test_an_async_test_that_nothing_runs(
    pytester: pytest.Pytester, plugin: tuple[str, ...]
) -> None:
    """Of one with a World the three ways out are said; of another pytest says its own."""
    pytester.makepyfile(
        """
async def test_ours(world):
    pass

async def test_theirs():
    pass
"""
    )
    result = pytester.runpytest(*QUIET, *plugin)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["test_ours is async and nothing runs it: mark it @pytest.mark.trio or say trio_mode*"]
    )
    result.stdout.no_fnmatch_line("test_theirs is async and nothing runs it*")

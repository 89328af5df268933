"""`@pytest.mark.explore` on tests of trio's alone, and of a World whose Ms await trio."""

from __future__ import annotations

import re

import pytest

from tests import ROOT

QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "--strict-markers")

RACE = """
import pytest
import trio

@pytest.mark.explore(budget=500)
async def test_last_seat(%s):
    free, taken = ["1A"], []

    async def book():
        if free:
            await trio.lowlevel.checkpoint()
            taken.append(free.pop())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(book)
        nursery.start_soon(book)
"""


@pytest.mark.parametrize("plugin", [(), ("-p", "no:trio")])
def test_a_test_without_a_world_is_searched_and_replayed(
    pytester: pytest.Pytester, plugin: tuple[str, ...]
) -> None:
    """With pytest-trio or without: the report has the program's lines, the command replays it."""
    pytester.makepyfile(test_seats=RACE % "")
    result = pytester.runpytest_subprocess(*QUIET, *plugin)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED: IndexError at test_seats.py:11",
            "*(behind each step: its line in test_seats.py)",
            "*trio.checkpoint in book :10*",
            "pytest test_seats.py::test_last_seat --explore-token *",
            "failed: 1 failure in *",
        ]
    )
    token = re.search(r"--explore-token (\S+)", result.stdout.str())
    assert token is not None
    again = pytester.runpytest_subprocess(*QUIET, *plugin, "--explore-token", token[1])
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["FAILED: IndexError at test_seats.py:11"])


def test_a_test_that_holds_says_so(pytester: pytest.Pytester) -> None:
    """Exhausted, in the report's properties; trio's own mark is not in the way."""
    pytester.makepyfile(
        """
import pytest
import trio

@pytest.mark.trio
@pytest.mark.explore(strategy="exhaustive")
async def test_holds(autojump_clock, request):
    request.node.runs = getattr(request.node, "runs", 0) + 1
    await trio.sleep(10)
    assert trio.current_time() == 10
    autojump_clock.jump(5)
    assert trio.current_time() == 15
"""
    )
    result = pytester.runpytest_subprocess(*QUIET, "-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["exhausted: 1 schedule: every one that is different*"])


def test_faults_are_asked_for_by_the_mark(pytester: pytest.Pytester) -> None:
    """A timeout that the test counts on is not to be counted on; a wrong name is refused."""
    pytester.makepyfile(
        """
import pytest
import trio

async def within(seconds):
    with trio.move_on_after(seconds) as scope:
        await trio.sleep(1)
    assert not scope.cancelled_caught

@pytest.mark.explore
async def test_in_time(): await within(2)

@pytest.mark.explore(faults=["timeout"])
async def test_any_time(): await within(2)

@pytest.mark.explore(faults=["tiemout"])
async def test_no_fault(): await within(2)
"""
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*a timer may fire at any moment*",
            "@pytest.mark.explore: no fault 'tiemout': did you mean timeout? the faults are *",
        ]
    )


def test_what_reaches_out_fails_the_test_with_what_helps(pytester: pytest.Pytester) -> None:
    """No pass where nobody knows, and no traceback."""
    pytester.makepyfile(
        test_out="""
import pytest
import trio

@pytest.mark.explore
async def test_thread():
    await trio.to_thread.run_sync(print)

@pytest.mark.explore
async def test_asyncio():
    import asyncio
    await asyncio.sleep(1)
"""
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "inconclusive: *test_out.py:6, where M0 uses threads, *: inject what runs there*",
            "inconclusive: *test_out.py:11: asyncio cannot be searched, trio can*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_ms_of_a_world_may_await_trio(pytester: pytest.Pytester) -> None:
    """The first await of trio brings trio under the schedule."""
    pytester.makepyfile(
        """
import pytest
import trio

@pytest.mark.explore(strategy="exhaustive")
async def test_handover(world):
    event = trio.Event()
    lock = world.mutex("l")

    async def sets(m):
        await m.lock(lock)
        await m.unlock(lock)
        event.set()

    async def waits(m):
        await event.wait()

    async with world.open_ms() as ms:
        ms.start_soon(sets)
        ms.start_soon(waits)
"""
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)


def test_the_readme_shows_what_comes_of_its_example(pytester: pytest.Pytester) -> None:
    """Line by line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Any trio test under every schedule\n")[2]
    _, code, _, shown = re.split(r"^```.*\n", section, flags=re.MULTILINE)[:4]
    pytester.makepyfile(test_seats=code)
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(failed=1)
    printed = [line.strip() for line in result.stdout.lines]
    for line in shown.splitlines():
        assert line.strip() in printed

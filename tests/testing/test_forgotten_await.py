"""A test that makes operations and does not await them fails, wherever it does so."""

from __future__ import annotations

import pytest

PROGRAM = """
import pytest
from gorun_mem.sync import Word

async def an_m_forgets(world):
    async def worker(m):
        await m.pause()
        m.sys_alloc(4096)
    async with world.open_ms() as ms:
        ms.start_soon(worker)

async def test_in_an_m(world):
    await an_m_forgets(world)

@pytest.mark.explore(budget=20)
async def test_explored(world):
    await an_m_forgets(world)

async def test_in_the_body(world):
    Word("x").add(1)

async def test_in_the_body_and_then_more(world):
    Word("x").add(1)
    async with world.open_ms():
        pass

async def test_nothing_forgotten(world):
    async def worker(m):
        await Word("x").add(1)
    async with world.open_ms() as ms:
        ms.start_soon(worker)
"""


def test_each_fails_with_its_line(pytester: pytest.Pytester) -> None:
    """In an M, in every schedule, and in the body of the test, which no M is."""
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    pytester.makepyfile(test_them=PROGRAM)
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(failed=4, passed=1)
    lines = (
        "*M.sys_alloc() was made at *test_them.py:7 and never awaited*",
        "*FAILED: never_awaited: M.sys_alloc() at test_them.py:7",
        "<atomic.add x> was made at *test_them.py:19 and never awaited*",
        "*<atomic.add x> was made at *test_them.py:22 and never awaited*",
    )
    result.stdout.fnmatch_lines(lines)

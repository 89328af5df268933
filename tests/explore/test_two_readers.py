"""Three Ms on one word: whoever searches finds each of the nine pairs that the readers may see."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from gorun_mem import cli
from gorun_mem.explore import explore
from gorun_mem.machine.library import find

SCRIPT = Path(__file__).with_name("two_readers.py")
PAIRS = list(product(range(3), repeat=2))

MARKED = """
import pytest
from gorun_mem.sync import Word

@pytest.mark.parametrize("a", range(3))
@pytest.mark.parametrize("b", range(3))
@pytest.mark.explore({how})
async def test_pair(world, a, b):
    word, seen = Word("version"), {{}}

    async def write(m):
        await word.add(1)
        await word.add(1)

    async def read(m, reader):
        seen[reader] = await word.load()

    async with world.open_ms() as ms:
        ms.start_soon(write)
        ms.start_soon(read, 1)
        ms.start_soon(read, 2)
    assert (seen[1], seen[2]) != (a, b)
"""


@pytest.mark.parametrize("strategy", ["exhaustive", "auto"])
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_each_pair_is_found(strategy: str, a: int, b: int) -> None:
    """By the tree, and by `auto`, which goes through it."""
    found = explore(find(str(SCRIPT)), options={"a": a, "b": b}, strategy=strategy, shrink=False)
    assert found.failure is not None
    assert found.failure.signature.kind == "AssertionError"


def test_a_pair_that_there_is_not_is_not_found() -> None:
    """Nine schedules, every one that is different."""
    found = explore(find(str(SCRIPT)), strategy="exhaustive")
    assert (found.outcome, found.statistics.schedules) == ("exhausted", 9)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_two_jobs_find_each_pair(capsys: pytest.CaptureFixture[str], a: int, b: int) -> None:
    """As the command line has it."""
    pair = ["--set", f"a={a}", "--set", f"b={b}"]
    args = ["explore", str(SCRIPT), "--strategy", "exhaustive", "--jobs", "2", *pair, "--json"]
    assert cli.main([*args, "--no-shrink"]) == 1
    assert json.loads(capsys.readouterr().out)["failures"]


@pytest.mark.parametrize("how", ["", 'strategy="exhaustive"'])
def test_the_pytest_mark_finds_each_pair(pytester: pytest.Pytester, how: str) -> None:
    """Nine tests, nine failures."""
    pytester.makepyfile(MARKED.format(how=how))
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(failed=9)

"""`--memory` on the command line: searched, shown, replayed, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gorun_mem.cli import ExitCode
from tests.cli.run_scripts import Command

PETERSON = '''
from gorun_mem import M, World, scenario
from gorun_mem.sync import Word

@scenario(ms=2)
async def peterson(world: World, *, fenced: bool = False) -> None:
    """Peterson's lock."""
    want, turn, inside = [Word("want1"), Word("want2")], Word("turn"), Word("inside")

    async def worker(m: M, me: int) -> None:
        other = 1 - me
        for word, value in ((want[me], 1), (turn, other)):
            await (word.store(value) if fenced else word.store_release(value))
        while await want[other].load() and await turn.load() == other:
            await m.pause()
        if await inside.add(1) > 1:
            raise AssertionError("two Ms are inside")
        await inside.add(-1)
        await want[me].store_release(0)

    async with world.open_ms() as ms:
        ms.start_soon(worker, 0)
        ms.start_soon(worker, 1)
'''


@pytest.fixture
def peterson(tmp_path: Path) -> str:
    path = tmp_path / "peterson.py"
    path.write_text(PETERSON)
    return str(path)


def test_what_fails_is_shown_and_replayed(gorun_mem: Command, peterson: str) -> None:
    """Peterson without fences: the lanes show where a store reaches memory, a sentence says which
    load did not see it, and the token leads there again."""
    code, out, _ = gorun_mem("explore", peterson, "--memory", "tso")
    assert code == ExitCode.FAILED
    assert "reaches memory" in out
    assert "store buffer" in out
    assert "where memory is total store order," in out
    words = next(line for line in out.splitlines() if line.startswith("gorun-mem replay-")).split()
    code, out, _ = gorun_mem(*words[1:])
    assert code == ExitCode.FAILED
    assert "two Ms are inside" in out
    assert "M65" not in out


@pytest.mark.parametrize(
    "options", [("--memory", "sc"), ("--memory", "tso", "--set", "fenced=true"), ()]
)
def test_what_holds_says_in_what_memory(
    gorun_mem: Command, peterson: str, options: tuple[str, ...]
) -> None:
    """Under sc, which is the default, and with fences."""
    code, out, _ = gorun_mem("explore", peterson, *options)
    assert code == ExitCode.CLEAN
    words = "total store order" if "tso" in options else "sequentially consistent"
    assert f"where memory is {words}," in out


def test_the_document_has_the_memory(gorun_mem: Command, peterson: str) -> None:
    """As `memory_model`, and in what is to be run again."""
    code, out, _ = gorun_mem("explore", peterson, "--memory", "tso", "--json", "--no-shrink")
    found = json.loads(out)
    assert code == found["exit"] == ExitCode.FAILED
    assert found["world"]["memory_model"] == "total store order"
    assert found["about"]["config"]["memory"] == "tso"


def test_the_lesson_has_a_memory_of_its_own(gorun_mem: Command) -> None:
    """And takes another."""
    assert gorun_mem("explore", "lessons/store_buffering")[0] == ExitCode.FAILED
    assert gorun_mem("explore", "lessons/store_buffering", "--memory", "sc")[0] == ExitCode.CLEAN
    assert (
        gorun_mem("explore", "lessons/store_buffering", "--set", "fixed=true")[0] == ExitCode.CLEAN
    )
    assert gorun_mem("run", "lessons/store_buffering")[0] == ExitCode.CLEAN


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--granularity", "access", "--mutex", "none"), "without a store buffer"),
        (("--faults", "cancel"), "no store buffer"),
    ],
)
def test_what_does_not_go_together_is_refused(
    gorun_mem: Command, options: tuple[str, ...], said: str
) -> None:
    """With the reason, and what to take instead."""
    code, _, err = gorun_mem("explore", "memlock_storm", "--ms", "2", "--memory", "tso", *options)
    assert code == ExitCode.USAGE
    assert said in err


def test_a_memory_that_is_none_is_refused(gorun_mem: Command) -> None:
    """By name."""
    code, _, err = gorun_mem("explore", "memlock_storm", "--memory", "pso")
    assert code == ExitCode.USAGE
    assert "there are sc, tso" in err


def test_another_host_is_refused(gorun_mem: Command, peterson: str) -> None:
    """It runs a schedule where no store is late, so it would be another."""
    code, _, err = gorun_mem("explore", peterson, "--memory", "tso", "--host", "trio")
    assert code == ExitCode.USAGE
    assert "every store is in memory at once" in err
    code, out, _ = gorun_mem("explore", "lessons/store_buffering")
    token = next(line for line in out.splitlines() if line.startswith("gorun-mem replay-")).split()
    code, _, err = gorun_mem(*token[1:], "--host", "trio")
    assert code == ExitCode.USAGE
    assert "every store is in memory at once" in err

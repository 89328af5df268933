"""--break-at: the debugger opens in the program's own line, in its frame, and can step on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gorun_mem.explore import Target, explore
from gorun_mem.explore.breaking import NoSuchStep, break_at, stop_at
from tests.service.service_tools import command

WORLD = '''
from gorun_mem import M, World, scenario
from gorun_mem.sync import Cell


@scenario(ms=2)
async def lost(world: World) -> None:
    """Two additions."""
    n = Cell("n", 0)

    async def add(m: M) -> None:
        seen = await n.load()
        await n.store(seen + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert n.value == 2, "an addition was lost"
'''
LOCK = '''
from gorun_mem import M, World, scenario
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class Hasty(Mutex):
    """It looks, and takes what it saw free."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.held = Word("held", 0)

    async def lock(self, m: M) -> None:
        while await self.held.load():
            await m.pause()
        await self.held.store(m.id)

    async def unlock(self, m: M) -> None:
        await self.held.store(0)


@scenario(ms=2, mutex=Hasty, platform="plan9/amd64")
async def hasty(world: World) -> None:
    """Two Ms take it."""

    async def work(m: M) -> None:
        await m.lock(world.mutex("mine"))
        await m.unlock(world.mutex("mine"))

    async with world.open_ms() as ms:
        ms.start_soon(work)
        ms.start_soon(work)
'''
TRIO = """
import pytest
import trio


@pytest.mark.explore(budget=200)
async def test_last_seat():
    free = ["1A"]

    async def book():
        if free:
            await trio.lowlevel.checkpoint()
            free.pop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(book)
        nursery.start_soon(book)
"""


def found(tmp_path: Path, name: str, text: str) -> tuple[Path, list[dict[str, object]], Path]:
    """A program, the steps of its failure, and the schedule's file."""
    program, kept = tmp_path / name, tmp_path / "kept.schedule"
    program.write_text(text)
    done = subprocess.run(
        command("explore", str(program), "--no-detectors", "--json", "--save", str(kept)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (failure,) = json.loads(done.stdout)["failures"]
    return program, failure["steps"], kept


def debugged(tmp_path: Path, words: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What pdb shows when it is told these words through a pipe."""
    return subprocess.run(
        command("replay-schedule", *arguments),
        input=words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["load", "store"])
def test_pdb_opens_at_the_programs_line(tmp_path: Path, kind: str) -> None:
    """For each load and store: the line of the program, its variables, and on to the next line."""
    program, steps, kept = found(tmp_path, "lost.py", WORLD)
    wanted = [step for step in steps if step["kind"] == kind]
    assert len(wanted) == 2
    for step in wanted:
        line = str(step["place"]).rpartition(":")[2]
        done = debugged(
            tmp_path, "p m.id\nn\np locals().get('seen')\nc\n",
            str(kept), "--code", str(program), "--no-detectors", "--break-at", str(step["step"]),
        )  # fmt: skip
        shown = done.stdout
        assert f"> {program}({line})add()\n" in shown
        assert shown.index(f"({line})add()") < shown.index("(Pdb)")  # at once, and nowhere else
        assert f"(Pdb) {step['m']}\n" in shown
        assert f"> {program}({int(line) + 1})add()" in shown or kind == "store"
        assert "FAILED: AssertionError at lost.py" in shown  # it is the same run
        assert f"step {step['step']} is M{step['m']}'s {kind} n, at lost.py:{line}" in done.stderr
        assert done.returncode == 1


def test_in_a_lock_of_ones_own(tmp_path: Path) -> None:
    """Within lock, which runs inside an operation of the M's."""
    program, steps, kept = found(tmp_path, "hasty.py", LOCK)
    step = next(s for s in steps if (s["kind"], s["obj"]) == ("atomic.store", "mine:held"))
    done = debugged(
        tmp_path, "p self.held\nc\n",
        str(kept), "--code", str(program), "--no-detectors", "--break-at", str(step["step"]),
    )  # fmt: skip
    assert re.search(r"> \S+hasty.py\(\d+\)lock\(\)\n-> await self.held.store\(m.id\)", done.stdout)
    assert "<Word mine:held = 0>" in done.stdout
    assert "two Ms hold one lock" in done.stdout


def test_under_pytest_in_a_program_of_trios(pytester: pytest.Pytester) -> None:
    """pytest's own debugger: in the test's line that goes on at the step, with output shown."""
    pytester.makepyfile(test_seats=TRIO)
    quiet = ("-p", "no:cacheprovider", "-p", "no:asyncio")
    first = pytester.runpytest_subprocess(*quiet)
    token = re.search(r"--explore-token (\S+)", first.stdout.str())
    assert token is not None
    call = [sys.executable, "-m", "pytest", *quiet, "--explore-token", token[1]]
    done = subprocess.run(
        [*call, "--explore-break-at", "4"],
        input="p free\nn\nc\n", capture_output=True, text=True, check=False, cwd=pytester.path,
    )  # fmt: skip
    assert re.search(
        r"> \S+test_seats.py\(11\)book\(\)\n-> await trio.lowlevel.checkpoint\(\)\n\(Pdb\) \[\]\n"
        r"\(Pdb\) > \S+test_seats.py\(12\)book\(\)\n-> free.pop\(\)",
        done.stdout,
    ), done.stdout
    alone = pytester.runpytest_subprocess(*quiet, "--explore-break-at", "4")
    assert alone.ret == pytest.ExitCode.USAGE_ERROR


def test_what_cannot_be_stopped_at_is_said(tmp_path: Path) -> None:
    """A step beyond the end, an option that does not go with it, a debugger that is left."""
    program, steps, kept = found(tmp_path, "lost.py", WORLD)
    run = (str(kept), "--code", str(program), "--break-at")
    done = debugged(tmp_path, "", *run, "99")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--break-at 99: the run has ended before, after {len(steps)} steps" in done.stderr
    assert debugged(tmp_path, "", *run, "2", "--step", "1").returncode == 2
    assert debugged(tmp_path, "", *run, "2", "--host", "trio").returncode == 2
    left = debugged(tmp_path, "q\n", *run, "2")
    assert left.returncode == 130
    assert "Traceback" not in left.stderr


def test_a_hook_of_ones_own_is_called_once_for_every_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the step, of every kernel's run: the hook is called once, the frame below is the
    program's, at the line that was said, and the run ends as it did."""
    from gorun_mem.explore.kernels import KERNELS

    called: list[str] = []

    def hook() -> None:
        frame = sys._getframe()
        while "/kernels/" not in frame.f_code.co_filename:
            assert frame.f_back is not None
            frame = frame.f_back
        called.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")

    monkeypatch.setattr(sys, "breakpointhook", hook)
    tried = 0
    for name in ("two-stage", "wake-one", "sleeping-stored", "recursive-read", "double-free"):
        target: Target = KERNELS[name].target()
        failure = explore(target, seed=1, canary=False).failure
        assert failure is not None
        for number in range(1, len(failure.steps) + 1):
            try:
                stop = stop_at(target, failure.schedule, number)
            except NoSuchStep:  # M 0's, before the program has come to its first line
                assert failure.steps[number - 1].m == 0
                continue
            called.clear()
            done = break_at(target, failure.schedule, stop)
            assert called == [stop.place]
            assert (done.signature, done.divergence) == (failure.signature, "")
            assert sys.gettrace() is None or "coverage" in repr(sys.gettrace())
            tried += 1
    assert tried > 50

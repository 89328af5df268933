"""Runs that do not end well: who failed, where, whose fault it is, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run_scripts import LONG_S, UNCONTROLLED, Command, failing, lines_of, start, write

HOSTS = ("trio", "trampoline")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("name", "code", "outcome", "said"),
    [
        ("assertion", 1, "failed", "M1: AssertionError: sums are wrong\n  at bad.py:12, in worker"),
        ("throw", 1, "throw", "M1: memcheck printed this\n  fatal error: mem: unordered list\n  ("),
        ("fault", 1, "fault", "M1: fault at address 0x40000: load beyond the end"),
        ("deadlock", 3, "deadlock", "M1 (worker) waits to acquire mine since "),
        ("endless", 3, "no_progress", "no end after 3,000 steps"),
    ],
)  # fmt: skip
def test_how_it_ended_is_said_in_words_and_by_the_exit_code(
    gorun_mem: Command, home: Path, host: str, name: str, code: int, outcome: str, said: str
) -> None:
    """Each way to end badly: the exit code, the log's last line, Go's words; the same in report."""
    path = write(home, failing(name), "bad.py")
    ran = gorun_mem(
        "run", path, "--host", host, "--platform", "plan9/amd64", "--steps-max", "3000", "--log",
        "a.jsonl",
    )  # fmt: skip
    assert ran.code == code, ran.err
    assert said in ran.out
    last = lines_of(Path("a.jsonl"))[-1]
    assert (last["event"], last["outcome"]) == ("run.end", outcome)
    reported = gorun_mem("report", "a.jsonl")
    assert reported.code == 0
    assert said in reported.out


def test_a_deadlock_names_each_m_and_the_holder(gorun_mem: Command) -> None:
    """The leaked lock of go1.24.3: both Ms, what they wait for, since when, who holds it where."""
    said = gorun_mem("run", "leaked_lock", "--json")
    assert said.code == 3
    assert said.document["exit"] == 3
    stuck = said.document["error"]["stuck"]
    assert len(stuck) >= 1
    for line in stuck:
        assert "waits to acquire memlock since " in line
        assert "in runtime.sysReserveAlignedSbrk since " in line


def test_a_loop_without_await_is_found(home: Path) -> None:
    """The watchdog ends it: exit 3, M and line named, the log whole."""
    path = write(home, failing("stuck"), "bad.py")
    process = start(home, "run", path, "--log", "a.jsonl")
    out, err = process.communicate(timeout=LONG_S)
    assert (process.returncode, err) == (3, "")
    assert "M1 (worker) has run for 5 s without awaiting anything, at " in out
    assert lines_of(home / "a.jsonl")[-1]["outcome"] == "no_progress"


def test_an_uncontrolled_await_is_named(gorun_mem: Command, home: Path) -> None:
    """An M that awaits trio itself is named by line, in run and report; the trampoline refuses."""
    path = write(home, UNCONTROLLED, "u.py")
    said = gorun_mem("run", path, "--log", "a.jsonl")
    assert said.code == 0
    assert f"uncontrolled: an M awaits trio itself at {path}:11;" in said.out
    assert f"{path}:11" in gorun_mem("report", "a.jsonl").out
    refused = gorun_mem("run", path, "--host", "trampoline")
    assert refused.code == 1
    assert "run it with --host trio" in refused.out


def with_step(step: str) -> str:
    """A script with an operation whose step is `step`."""
    script = failing("assertion").replace("assert 1 + 1 == 3", "await m.perform(Broken()) or 1/0 #")
    script += "\n\nimport operator\n\nfrom gorun_mem.machine.ops import Pause\n\n\n"
    return f"{script}class Broken(Pause):\n    {step}\n"


def test_a_fault_of_ours_is_said_to_be_one(gorun_mem: Command, home: Path) -> None:
    """A step that breaks is exit 4: the log is whole, and the traceback is in a file."""
    script = with_step("step = staticmethod(operator.index)")  # no line of the script is in it
    said = gorun_mem("run", write(home, script, "broken.py"), "--log", "a.jsonl")
    assert said.code == 4
    assert "internal fault, TypeError: 'M' object cannot be interpreted as an in" in said.err
    assert "; the traceback is in " in said.err
    assert list((home / "faults").iterdir())
    assert lines_of(Path("a.jsonl"))[-1]["outcome"] == "internal"


def test_a_step_of_the_programs_own_is_no_fault_of_ours(gorun_mem: Command, home: Path) -> None:
    """What a state of somebody's own lock raises is theirs, told with its line."""
    script = with_step("def step(self, m):\n        raise RuntimeError('broken')")
    said = gorun_mem("run", write(home, script, "broken.py"), "--log", "a.jsonl")
    line = script.splitlines().index("        raise RuntimeError('broken')") + 1
    assert (said.code, said.err) == (1, "")
    assert "M1: RuntimeError: broken" in said.out
    assert f"at broken.py:{line}, in step" in said.out
    assert not (home / "faults").exists()
    assert lines_of(Path("a.jsonl"))[-1]["outcome"] == "failed"


KEPT_OUT = """
from gorun_mem import scenario
from gorun_mem.sync import Lock


@scenario()
async def kept_out(world):
    lock = Lock("door")

    async def give_back(m):
        await lock.release()

    async def work(m):
        await m.sleep(100)
        await give_back(m)

    async with world.open_ms() as ms:
        ms.start_soon(work)
"""


@pytest.mark.parametrize("host", ["trio", "trampoline"])
def test_a_step_that_fails_is_told_with_the_line_that_awaits_it(
    gorun_mem: Command, home: Path, host: str
) -> None:
    """What fails is an operation, which no line of the program is in."""
    said = gorun_mem("run", write(home, KEPT_OUT, "out.py"), "--host", host)
    assert said.code == 1
    line = KEPT_OUT.splitlines().index("        await lock.release()") + 1
    assert "M1: fatal error: sync: unlock of unlocked mutex" in said.out
    assert f"at out.py:{line}, in give_back" in said.out

"""`gorun-mem explore` and `replay-schedule`: what they say, refuse and exit with."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import cli

LOST = '''
from gorun_mem import scenario
from gorun_mem.sync import Word


@scenario(ms=2)
async def lost(world, *, rounds: int = 1, safe: bool = False):
    """May lose an update."""
    cell = Word("bloc")

    async def add(m):
        for _ in range(rounds):
            p = await m.sys_alloc(8192)
            await m.sys_free(p, 8192)
            if safe:
                await cell.add(1)
                continue
            value = await cell.load()
            await cell.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert cell.value == 2 * rounds, "an addition was lost"
'''

FOREIGN = """
import trio
from gorun_mem import scenario


@scenario(ms=2)
async def foreign(world):
    await trio.to_thread.run_sync(print)
"""

LOOPS = """
from gorun_mem import scenario


@scenario()
async def loops(world):
    await world.main.pause()
    while True:
        pass
"""


class Line:
    """Runs command lines in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str) -> tuple[int, str, str]:
        code = cli.main(list(args))
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *args: str) -> tuple[int, dict[str, Any]]:
        """Exit code and the document."""
        code, out, _ = self(*args, "--json")
        document: dict[str, Any] = json.loads(out)
        assert document["exit"] == code
        return code, document


@pytest.fixture
def line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Line:
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("lost.py").write_text(LOST)
    Path("foreign.py").write_text(FOREIGN)
    return Line(capsys)


LOST_CODE = ("--code", "lost.py")


def test_a_failure_is_found_said_kept_and_replayed(line: Line) -> None:
    """Exit 1; the report, the verdict, and a command that shows the same failure again."""
    code, out, err = line("explore", "lost.py", "--seed", "3", "--no-detectors")
    assert (code, err) == (1, "")
    assert "FAILED: AssertionError at lost.py:24\n" in out
    assert "\nverdict   failed: 1 failure in " in out
    command = next(row for row in out.splitlines() if row.startswith("gorun-mem replay-schedule"))
    token, *code_option = command.split()[2:]
    assert len(token) < 200
    assert code_option == ["--code", "lost.py"]
    for reference in (token, "last"):
        code, out, err = line("replay-schedule", reference)
        assert (code, out) == (2, "")
        assert "the schedule would run code, 'lost.py'" in err
        assert "--code lost.py" in err
        code, out, err = line("replay-schedule", reference, *code_option)
        assert (code, err) == (1, "")
        assert "FAILED: AssertionError at lost.py:24\n" in out
        assert re.search(r" M1   atomic.load bloc -> \d+  lost.py:\d+\n", out)


def test_documents(line: Line) -> None:
    """--json: one document each, and nothing else on stdout."""
    code, found = line.json("explore", "lost.py", "--no-detectors", "--save", "a.schedule")
    assert code == 1
    assert found["verdict"] == "failed"
    (failure,) = found["failures"]
    assert failure["kind"] == "AssertionError"
    assert found["schedule"] == "a.schedule"
    code, again = line.json("replay-schedule", "a.schedule", *LOST_CODE)
    assert code == 1
    assert again["failure"]["kind"] == "AssertionError"
    assert again["steps"] == failure["steps"]
    assert line.json("replay-schedule", failure["token"], *LOST_CODE)[1] == again


@pytest.mark.parametrize(
    ("options", "code", "verdict"),
    [
        (["--set", "safe=1", "--mutex", "queue"], 0, "exhausted"),
        (["--set", "safe=1", "--strategy", "pos", "--budget", "50"], 0, "survived"),
        (["--set", "safe=1", "--strategy", "dfs", "--budget", "20"], 5, "inconclusive"),
        (["--set", "rounds=3", "--strategy", "urw"], 1, "failed"),
        (["--strategy", "dfs", "--bound", "0", "--no-detectors"], 0, "exhausted"),
        (["--strategy", "dfs", "--bound", "1", "--no-detectors"], 1, "failed"),
    ],
)
def test_exit_codes(line: Line, options: list[str], code: int, verdict: str) -> None:
    """0 clean, 1 found, 5 inconclusive."""
    got, document = line.json("explore", "lost.py", *options)
    assert (got, document["verdict"]) == (code, verdict), document["reason"]


def test_what_no_schedule_controls_is_inconclusive(line: Line) -> None:
    """It exits 5 and names the line."""
    code, document = line.json("explore", "foreign.py")
    assert (code, document["verdict"]) == (5, "inconclusive")
    assert "foreign.py:8" in document["reason"]


PLAIN = """
import trio


async def in_time():
    with trio.move_on_after(2) as scope:
        await trio.sleep(1)
    assert not scope.cancelled_caught
"""


def test_a_program_of_trios_alone_is_named_by_file_and_function(line: Line) -> None:
    """It needs no World; its timers fire when the schedule says, if that is asked for."""
    Path("plain.py").write_text(PLAIN)
    code, document = line.json("explore", "plain.py:in_time", "--strategy", "exhaustive")
    assert (code, document["verdict"]) == (0, "exhausted")
    code, document = line.json("explore", "plain.py:in_time", "--faults", "timeout,cancel")
    assert (code, document["failures"][0]["site"]) == (1, "plain.py:8")
    token = document["failures"][0]["token"]
    code, out, _ = line("replay-schedule", token, "--code", "plain.py:in_time")
    assert code == 1
    assert "AssertionError" in out
    code, _, err = line("explore", "plain.py")
    assert code == 2
    assert "name one that takes nothing and awaits trio" in err


def test_a_deadlock_is_a_failure_of_explore(line: Line) -> None:
    """1 and not 3, as anything that explore finds."""
    code, document = line.json("explore", "leaked_lock", "--no-detectors")
    assert code == 1
    assert document["failures"][0]["kind"] == "deadlock"


@pytest.mark.parametrize("host", ["trio", "trampoline"])
def test_the_failing_schedule_runs_once_more_with_a_log(line: Line, host: str) -> None:
    """On either host, to the same log; a search that finds nothing writes none."""
    options = ["--no-detectors", "--host", host]
    code, found = line.json("explore", "leaked_lock", *options, "--log", "a.jsonl")
    assert (code, found["log"]) == (1, "a.jsonl")
    events = [json.loads(row) for row in Path("a.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "run.start"
    assert (events[-1]["event"], events[-1]["outcome"]) == ("run.end", "deadlock")
    assert events[-1]["steps"] == len(found["failures"][0]["steps"])
    code, out, _ = line("explore", "leaked_lock", *options, "--log", "b.jsonl")
    assert code == 1
    assert "\nreport    gorun-mem report b.jsonl\n" in out
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
    sound = ["--set", "safe=1", "--mutex", "queue", "--log", "none.jsonl"]
    assert line.json("explore", "lost.py", *sound)[1]["log"] is None
    assert not Path("none.jsonl").exists()


def test_the_log_says_the_command_that_runs_it_again(line: Line) -> None:
    """Also where its end is cut off; the log that the command writes is the same bytes."""
    options = ["--set", "rounds=2", "--mutex", "sema", "--no-detectors"]
    assert line("explore", "lost.py", *options, "--log", "a.jsonl")[0] == 1
    again = json.loads(line("report", "a.jsonl", "--json")[1])["again"]
    assert again.startswith("gorun-mem replay-schedule ")
    assert line(*again.split()[1:], "--log", "b.jsonl")[0] == 1
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
    rows = Path("a.jsonl").read_text().splitlines(keepends=True)
    Path("cut.jsonl").write_text("".join(rows[:-1]))
    assert f"again   {again}\n" in line("report", "cut.jsonl")[1]
    assert json.loads(rows[-1])["token"] == again.split()[2]


def test_a_replay_that_loops_is_found_to(line: Line) -> None:
    """By the watchdog, as in the search that found it."""
    Path("loops.py").write_text(LOOPS)
    code, found = line.json("explore", "loops.py", "--watchdog", "0.3")
    assert (code, found["failures"][0]["kind"]) == (1, "no_progress")
    code, out, _ = line(
        "replay-schedule", found["failures"][0]["token"], "--watchdog", "0.3", "--code", "loops.py"
    )
    assert code == 1
    assert "M0 (loops) has run for 0.3 s" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log", "no/a.jsonl"], "--log no/a.jsonl: there is no folder no; make it first"),
        (["--save", "no/a.schedule"], "--save no/a.schedule: there is no folder no"),
        (["--html", "no/a.html"], "--html no/a.html: there is no folder no; make it first"),
        (["--save", "."], "--save . is a folder: name a file"),
        (["--log", "lost.py"], "--log lost.py would overwrite what SCENARIO names"),
        (["--html", "lost.py"], "--html lost.py would overwrite what SCENARIO names"),
        (["--save", "./lost.py"], "--save ./lost.py would overwrite what SCENARIO names"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_search(
    line: Line, options: list[str], said: str
) -> None:
    """Exit 2, and nothing was run."""
    code, out, err = line("explore", "lost.py", *options)
    assert (code, out) == (2, "")
    assert said in err


def test_a_page_that_the_disk_does_not_take_is_told_after_what_was_found(line: Line) -> None:
    """The search is not lost: what was found is said, then what could not be written."""
    code, out, err = line("explore", "lost.py", "--html", "/dev/full")
    assert code == 2
    assert "FAILED" in out
    assert "--html /dev/full cannot be written: No space left on device" in err


def test_one_step_and_the_state_after_it(line: Line) -> None:
    """Every M, what it is about to do, who holds what, and the memory."""
    line("explore", "lost.py", "--save", "a.schedule", "--no-detectors")
    code, before = line.json("replay-schedule", "a.schedule", *LOST_CODE, "--step", "0")
    assert code == 0
    assert (before["step"], before["last"], before["next"]) == (0, "", "M1 start m")
    assert before["memory"] == {}
    code, after = line.json("replay-schedule", "a.schedule", *LOST_CODE, "--step", "2")
    assert after["step"] == 2
    assert [m["holds"] for m in after["ms"]] == [[], ["memlock"], []]
    assert after["memory"]["bloc"] > 0
    code, out, _ = line("replay-schedule", "a.schedule", *LOST_CODE, "--step", "2")
    assert out.startswith("after step 2: M1 ")
    assert "M1 (add) may go: " in out
    assert ", holds memlock\n" in out
    code, _, err = line("replay-schedule", "a.schedule", *LOST_CODE, "--step", "5000")
    assert code == 2
    assert "--step 5000: the run has ended before" in err


def test_both_hosts_write_the_same_log(line: Line) -> None:
    """The token of a search, through `run`'s own hosts."""
    line("explore", "lost.py", "--save", "a.schedule", "--no-detectors")
    for host in ("trio", "trampoline"):
        code, document = line.json(
            "replay-schedule", "a.schedule", *LOST_CODE, "--host", host, "--log", f"{host}.jsonl"
        )
        assert (code, document["outcome"]) == (1, "failed")
    log = Path("trio.jsonl").read_bytes()
    assert log.count(b"\n") > 20
    assert log == Path("trampoline.jsonl").read_bytes()


def test_a_changed_program_departs(line: Line) -> None:
    """It exits 1 and says the step."""
    line("explore", "lost.py", "--save", "a.schedule", "--no-detectors")
    Path("lost.py").write_text(LOST.replace('Word("bloc")', 'Word("other")'))
    code, out, err = line("replay-schedule", "a.schedule", *LOST_CODE)
    assert err == "lost.py has changed since the schedule was made\n"
    assert code == 1
    assert "The program is not the one of the schedule any more: step " in out
    assert "expected atomic.load bloc, got atomic.load other" in out
    Path("lost.py").unlink()
    code, _, err = line("replay-schedule", "a.schedule", *LOST_CODE)
    assert code == 2
    assert "no scenario script lost.py" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["explore", "nothing_of_that_name"], "no scenario 'nothing_of_that_name'"),
        (["explore", "lost.py", "--strategy", "timing"], "'timing' is none: there are auto"),
        (["explore", "lost.py", "--bound", "2"], "only strategy dfs has a bound"),
        (["explore", "lost.py", "--budget", "0"], "0 must be at least 1"),
        (["explore", "lost.py", "--set", "rounds=x"], "rounds"),
        (
            ["explore", "lost.py", "--save", "/nowhere/a"],
            "--save /nowhere/a: there is no folder /nowhere",
        ),
        (["run", "lost.py", "--strategy", "pos"], "gorun-mem explore SCENARIO --strategy pos"),
        (["replay-schedule", "AQAAAA"], "token: it is too short"),
        (["replay-schedule", "last"], "no schedule was saved yet"),
        (["replay-schedule", "gone.schedule"], "no file gone.schedule"),
    ],
)
def test_what_is_refused(line: Line, args: list[str], said: str) -> None:
    """Exit 2, one sentence on stderr, no traceback."""
    code, out, err = line(*args)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_jobs_and_time(line: Line) -> None:
    """Two processes find the scenario by its path; the time is honoured."""
    args = ["explore", "lost.py", "--set", "safe=1", "--strategy", "random", "--jobs", "2"]
    code, document = line.json(*args, "--budget", "300")
    assert (code, document["schedules"]) == (0, 300)
    start = time.monotonic()
    code, document = line.json(*args[:-2], "--time", "0.3")
    assert code == 0
    assert time.monotonic() - start < 3


LIAR = """
from gorun_mem import Op, scenario
from gorun_mem.sync import Word


class Peek(Op):
    kind = "peek"
    obj = "x"

    def __init__(self, cell, reads):
        self.cell = cell
        self.reads_only = reads

    def step(self, m):
        self.cell.value += 1


@scenario(ms=2)
async def liar(world, *, honest: bool = False):
    cell = Word("x")

    async def peek(m):
        await Peek(cell, not honest)

    async def load(m):
        await cell.load()

    async with world.open_ms() as ms:
        ms.start_soon(peek)
        ms.start_soon(load)
"""


def test_operations_are_checked_where_that_is_asked_for(line: Line) -> None:
    """One that changes what it says it reads is named before the search; its twin is searched."""
    Path("liar.py").write_text(LIAR)
    args = ["explore", "liar.py", "--strategy", "exhaustive", "--check-operations"]
    code, out, err = line(*args)
    assert (code, out) == (2, "")
    assert "Peek (peek x, which says it only reads) touches what it does not say" in err
    assert "let obj name all that it touches" in err
    code, out, err = line(*args, "--set", "honest=1")
    assert code == 0
    assert "exhausted: 2 schedules" in out
    assert "operations touch what they say" in err


SMALL_STORM = ("memlock_storm", "--ms", "3", "--set", "rounds=3", "--mutex", "sema")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_assertion_is_asked_of_every_schedule(line: Line, jobs: str) -> None:
    """One that a schedule breaks is a failure, whose replay has the value that was reported."""
    assertion = "lock.memlock.bypasses_max<=5"
    given = [*SMALL_STORM, "--jobs", jobs, "--save", "a.schedule", "--assert", assertion]
    code, found = line.json("explore", *given)
    assert code == 1
    text = json.dumps(found)
    assert f"{assertion} was asserted" in text
    line("replay-schedule", "a.schedule", "--log", "a.jsonl")
    _, report, _ = line("report", "a.jsonl", "--json")
    value = json.loads(report)["metrics"]["lock.memlock.bypasses_max"]
    assert value > 5
    assert f"lock.memlock.bypasses_max = {value}, and" in text


def test_an_assertion_that_holds_is_no_failure(line: Line) -> None:
    """The twin of the test above."""
    code, _ = line.json("explore", *SMALL_STORM, "--budget", "50", "--assert", "grows<=100")
    assert code == 0


@pytest.mark.parametrize("assertion", ["final_pagez<=7", "lock.nosuch.contended<=7", "grows"])
def test_an_assertion_that_cannot_be_is_refused(line: Line, assertion: str) -> None:
    """By name, before or at the first schedule."""
    code, out, err = line("explore", *SMALL_STORM, "--budget", "20", "--assert", assertion)
    assert (code, out) == (2, "")
    assert "--assert" in err

"""Runs that are interrupted or killed, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gorun_mem.events import read_events
from tests.cli.run_scripts import (
    LONG_S,
    Command,
    environment,
    lines_of,
    start,
)
from tests.cli.test_run_command import HOSTS

# Signals, in processes of their own.


def _grown(log: Path) -> None:
    """Wait until the run writes."""
    deadline = time.monotonic() + LONG_S
    while not log.exists() or log.stat().st_size < 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("host", HOSTS)
def test_an_interrupted_run_is_whole(home: Path, storm: str, host: str) -> None:
    """Ctrl-C: exit 130, the summary printed, the log ends with run.end and who held what."""
    process = start(
        home, "run", storm, "--host", host, "--set", "rounds=1000000", "--log", "a.jsonl"
    )
    _grown(home / "a.jsonl")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LONG_S)
    assert (process.returncode, err) == (130, "")
    assert f"{storm} was interrupted after " in out
    assert "\nagain   gorun-mem run " in out
    last = lines_of(home / "a.jsonl")[-1]
    assert (last["event"], last["outcome"]) == ("run.end", "interrupted")
    assert last["stuck"]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.zst"])
def test_a_killed_run_leaves_all_but_its_last_second(
    home: Path, storm: str, suffix: str, gorun_mem: Command
) -> None:
    """SIGKILL: what was logged a second before is in the file, and report says that it was cut."""
    log = home / f"a.{suffix}"
    process = start(
        home, "run", storm, "--set", "rounds=1000000", "--log", str(log), "--host", "trampoline"
    )
    _grown(log)
    seen = len(list(read_events(log)))  # was in the file at this moment
    time.sleep(1.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=LONG_S)
    events = list(read_events(log))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(events) > seen + 1000
    said = gorun_mem("report", str(log))
    assert said.code == 0
    assert f"{storm} has no end in this log after " in said.out
    assert "the log was cut: it has no run.end" in said.out
    document = gorun_mem("report", str(log), "--json").document
    assert (document["outcome"], document["cut"]) == (None, True)
    assert document["metrics"]["lock.memlock.acquisitions"] > 100
    assert "steps" not in document["metrics"]


def test_a_script_is_a_command_of_its_own(home: Path, storm: str) -> None:
    """`python storm.py --seed 3` is `gorun-mem run storm.py --seed 3`."""
    text = Path(storm).read_text() + '\nif __name__ == "__main__":\n    storm.main()\n'
    Path(storm).write_text(text)
    done = subprocess.run(
        [sys.executable, storm, "--seed", "3"],
        capture_output=True, text=True, cwd=home, env=environment(home), timeout=LONG_S,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "strategy timing, seed 3" in done.stdout

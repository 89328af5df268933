"""What a verb does when the reader of its answers has left, as `head -1` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = ("run", "leaked_lock", "--release", "go1.24.3")


def run_unread(tmp_path: Path, *args: str, stdin: int = subprocess.DEVNULL) -> tuple[int, str]:
    """The exit code and stderr of a verb whose stdout nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gorun_mem", *args],
            stdin=stdin,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env={**os.environ, "GORUN_MEM_HOME": str(tmp_path)},
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((*RUN, "--ms", "1", "--platform", "js/wasm"), 1),
        ((*RUN, "--ms", "1", "--platform", "js/wasm", "--json"), 1),
        ((*RUN, "--platform", "plan9/amd64"), 3),
        (("run", "memlock_storm"), 0),
        (("run", "--help"), 0),
        (("scenarios", "--json"), 0),
    ],
)
def test_the_exit_code_follows_what_happened(
    tmp_path: Path, args: tuple[str, ...], code: int
) -> None:
    """A verb whose output nobody reads goes on to its end, quietly, and answers with its code."""
    found, said = run_unread(tmp_path, *args)
    assert found == code, said
    assert "internal fault" not in said
    assert "Broken pipe" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("compare", "memlock_storm", "--ms", "2", "--ms", "3", "--seeds", "2"), 0),
        (("run", "memlock_storm"), 0),
        (("run", "no_such"), 2),
    ],
)
def test_what_nobody_hears_is_no_failure(tmp_path: Path, args: tuple[str, ...], code: int) -> None:
    """Standard error on a full disk: the exit code is the verb's, not Python's 120 nor a fault."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gorun_mem", *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=full, check=False,
            env={**os.environ, "GORUN_MEM_HOME": str(tmp_path)},
        )  # fmt: skip
    assert done.returncode == code


def test_the_log_of_an_unread_run_is_whole(tmp_path: Path) -> None:
    """A run that nobody reads still writes its log to `run.end`."""
    log = tmp_path / "log.jsonl"
    assert run_unread(tmp_path, *RUN, "--platform", "plan9/amd64", "--log", str(log))[0] == 3
    assert '"event":"run.end"' in log.read_text().splitlines()[-1]


def test_answers_without_end_end_with_their_reader(tmp_path: Path) -> None:
    """`ops` over a script that never ends does not outlive its reader."""
    endless = subprocess.Popen(["yes", "alloc 1"], stdout=subprocess.PIPE)
    try:
        assert endless.stdout is not None
        assert run_unread(tmp_path, "ops", stdin=endless.stdout.fileno()) == (0, "")
    finally:
        endless.kill()
        endless.communicate()

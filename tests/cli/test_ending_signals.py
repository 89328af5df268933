"""SIGTERM, SIGHUP and Ctrl-C end a verb with all that it has begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gorun_mem import cli, start
from gorun_mem.cli._explored import accounts_of
from gorun_mem.events import read_events
from gorun_mem.explore import explore, telling
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.target import Target
from gorun_mem.machine.library import find
from gorun_mem.record.run import RecordSettings, _run
from tests import ROOT, heed_interrupts

LONG_S = 60.0


def begin(home: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    """A program in a session of its own, with a folder for its scratch files."""
    (home / "tmp").mkdir(exist_ok=True)
    ours = {"PYTHONPATH": str(ROOT), "GORUN_MEM_HOME": str(home), "TMPDIR": str(home / "tmp")}
    return subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", *words], env={**os.environ, **ours, **more}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=heed_interrupts,
    )  # fmt: skip


def wait_for(path: Path, size: int = 1) -> None:
    """Until a file has so many bytes."""
    deadline = time.monotonic() + LONG_S
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_told_to_end_is_whole(tmp_path: Path, number: int) -> None:
    """The log has its end, as after Ctrl-C; the process dies of the signal, for who sent it."""
    log = tmp_path / "a.jsonl"
    run = begin(tmp_path, "run", "memlock_storm", "--set", "rounds=1000000", "--log", str(log))
    wait_for(log, 10_000)
    run.send_signal(number)
    out, err = run.communicate(timeout=LONG_S)
    assert (run.returncode, err) == (-number, "")
    assert "was interrupted after" in out
    assert getattr(list(read_events(log))[-1], "outcome", "") == "interrupted"


def test_a_query_that_is_told_to_end_leaves_no_database(tmp_path: Path) -> None:
    """`timeout 10 gorun-mem query ...` left one in the folder for scratch files each time."""
    pytest.importorskip("duckdb")
    log = tmp_path / "a.jsonl"
    run = begin(tmp_path, "run", "memlock_storm", "--log", str(log))
    run.communicate(timeout=LONG_S)
    assert run.returncode == 0
    sql = "SELECT count(*) FROM range(100000) a, range(100000) b"
    query = begin(tmp_path, "query", str(log), sql)
    deadline = time.monotonic() + LONG_S
    while not list((tmp_path / "tmp").glob("*/log.duckdb")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    query.terminate()
    _, err = query.communicate(timeout=LONG_S)
    assert (query.returncode, err) == (-signal.SIGTERM, "gorun-mem: interrupted\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_under_nohup_a_hangup_is_nothing(tmp_path: Path) -> None:
    """What is ignored when the program starts stays ignored."""
    log = tmp_path / "a.jsonl"
    words = ["-m", "gorun_mem", "run", "memlock_storm", "--set", "rounds=3000", "--log", str(log)]
    run = subprocess.Popen(
        [sys.executable, *words], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    wait_for(log)
    run.send_signal(signal.SIGHUP)
    _, err = run.communicate(timeout=LONG_S)
    assert (run.returncode, err) == (0, b"")


def test_an_interrupt_as_the_verb_has_ended_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between its last line and the handler that ends the process at once."""

    def ended() -> int:
        raise KeyboardInterrupt

    hook, usual = sys.unraisablehook, signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(cli, "main", ended)
    monkeypatch.setattr(start, "end_as_interrupted", lambda: None)
    monkeypatch.setattr(sys, "unraisablehook", hook)
    try:
        assert start.main() == 130
    finally:
        signal.signal(signal.SIGINT, usual)


PAGE = "view", "trees-go1.24.11", "--http", "127.0.0.1:0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_browser_in_the_terminal_does_not_hold_the_page(tmp_path: Path, number: int) -> None:
    """It returns when it is left; the page ends when it is told to."""
    pytest.importorskip("hypercorn")
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho x > {tmp_path}/opened\nexec sleep 30\n")
    browser.chmod(0o755)
    page = begin(tmp_path, *PAGE, BROWSER=f"{browser} %s")
    wait_for(tmp_path / "opened")
    page.send_signal(number)
    began = time.monotonic()
    try:
        assert page.wait(LONG_S) == (130 if number == signal.SIGINT else 0)
    finally:
        os.killpg(page.pid, signal.SIGKILL)  # the browser
        page.communicate()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("ignored", "code"), [("", 130), ("trap '' INT; ", 137)], ids=["heard", "unheard"]
)
def test_a_recorder_that_is_interrupted_ends_its_program(ignored: str, code: int) -> None:
    """`kill -INT` reaches the recorder alone: it waited for ever, and again at the second."""
    settings = RecordSettings([])
    command = ["/bin/sh", "-c", f"{ignored}while :; do sleep 0.1; done"]
    with pytest.MonkeyPatch.context() as patch:
        usual = subprocess.Popen

        def heeding(words: list[str], **named: object) -> subprocess.Popen[bytes]:
            return usual(words, preexec_fn=heed_interrupts, **named)  # type: ignore[call-overload, no-any-return]

        patch.setattr(subprocess, "Popen", heeding)
        began = time.monotonic()
        assert _run(command, settings, [signal.SIGINT]) == (code, False)
    assert time.monotonic() - began < 15


def test_an_interrupt_while_a_failure_is_told_leaves_what_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What takes further runs, which may be long, is left out; the exit code is 130."""
    scenario = find("leaked_lock")
    target = Target.of(scenario, scenario.config(ms=2), {})
    found = explore(target, budget=20)
    assert found.failures
    assert not found.interrupted
    asked = []

    def interrupted(*args: object, **named: object) -> None:
        asked.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr(telling, "account_of", interrupted)
    cut, accounts = accounts_of(found, target, DEFAULT_DETECTORS)
    assert cut.interrupted
    assert cut.exit_code == 130
    assert [account.text for account in accounts] == [one.text for one in found.failures]
    accounts_of(cut, target, DEFAULT_DETECTORS)
    assert len(asked) == 1

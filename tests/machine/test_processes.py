"""Processes beside this one, and threads: an interrupt at a named point, a parent that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gorun_mem._interrupts import HeldInterrupts
from gorun_mem.events.sinks import FileSink
from gorun_mem.machine.processes import Processes
from gorun_mem.machine.watchdog import Watchdog
from tests import ROOT, heed_interrupts


@pytest.fixture(autouse=True)
def _heeded() -> Any:
    """A worker of pytest-xdist ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_held_and_comes() -> None:
    """Nothing is raised in the block, and one interrupt at its end; the handler is as before."""
    reached = []

    def block() -> None:
        with HeldInterrupts():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with HeldInterrupts():
        pass


def test_in_another_thread_nothing_is_held() -> None:
    """Handlers are the main thread's."""
    failed: list[BaseException] = []

    def hold() -> None:
        try:
            with HeldInterrupts(deaf=True):
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert failed == []


def test_a_process_that_begins_in_a_deaf_block_never_hears_it() -> None:
    """From its first instruction: the signal is blocked before there is a handler."""
    with HeldInterrupts(deaf=True):
        child = subprocess.Popen(["sleep", "30"], preexec_fn=heed_interrupts)
    try:
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_interrupt_while_a_process_is_started_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was ignored there once; it comes when the process has all that it needs to begin."""
    usual = ProcessPoolExecutor.submit
    begun = []

    def interrupted(*args: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        begun.append(usual(*args, **named))
        return begun[-1]

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    executor = Processes(1)
    try:
        with pytest.raises(KeyboardInterrupt):
            executor.start()
        assert len(begun) == 1
    finally:
        executor.shutdown()


LEFT = """
import os, signal, sys, time
from gorun_mem.machine.processes import Processes
if __name__ == "__main__":
    executor = Processes(2)
    print(executor.submit(os.getpid).result(), flush=True)
    executor.submit(time.sleep, 1000)
    executor.submit(time.sleep, 1000)
    time.sleep(0.5)
    os.kill(os.getpid(), int(sys.argv[1]))
"""


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_their_parent(tmp_path: Path, number: int) -> None:
    """They are idle or at work; without that they would wait for work for ever."""
    script = tmp_path / "left.py"
    script.write_text(LEFT)
    done = subprocess.run(
        [sys.executable, str(script), str(int(number))],
        stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -number
    assert _gone(int(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_run_of_the_page_ends_with_its_service(tmp_path: Path) -> None:
    """Whoever started it looks after it no more."""
    words = [sys.executable, "-m", "gorun_mem.web.followed"]
    script = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([*{words!r}, str(os.getpid()), 'run', 'memlock_storm', '--set',"
        f"'rounds=100000000', '--log', {str(tmp_path / 'log.jsonl')!r}])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1.5)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert _gone(int(done.stdout))


class _Interrupted(threading.Thread):
    """A thread whose start is interrupted when it is at work."""

    begun: list[threading.Thread] = []  # noqa: RUF012 - one list for all

    def start(self) -> None:
        super().start()
        self.begun.append(self)
        raise KeyboardInterrupt


@pytest.mark.parametrize("what", ["watchdog", "sink"])
def test_an_interrupt_out_of_a_threads_start_ends_the_thread(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would: who was to end it was never made."""
    monkeypatch.setattr(threading, "Thread", _Interrupted)

    def begin() -> None:
        if what == "sink":
            FileSink(tmp_path / "log.jsonl")
        else:
            Watchdog(None, 10).__enter__()  # type: ignore[arg-type]  # it looks at no World yet

    with pytest.raises(KeyboardInterrupt):
        begin()
    thread = _Interrupted.begun.pop()
    thread.join(10)
    assert not thread.is_alive()

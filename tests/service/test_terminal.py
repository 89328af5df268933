"""Who runs a service and does not read what it says stops nobody."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from gorun_mem.service.terminal import LINE_MAX, WAITING_MAX, Terminal, stderr_has_room
from tests.service.service_tools import served


def test_lines_wait_for_room() -> None:
    """In their order; those beyond the bound are counted, and that is said."""
    said: list[str] = []
    room = False
    terminal = Terminal(said.append, lambda: room)
    for number in range(WAITING_MAX + 5):
        terminal.say(str(number))
    assert said == []
    room = True
    assert terminal.go_on()
    assert said[:WAITING_MAX] == [str(number) for number in range(WAITING_MAX)]
    assert said[WAITING_MAX:] == ["5 lines more were not shown: nobody read them"]
    terminal.say("x" * 3 * LINE_MAX)
    assert len(said[-1]) == LINE_MAX + 4


def test_the_end_waits_for_a_while_only() -> None:
    """What nobody reads within a second is dropped."""
    terminal = Terminal(lambda text: None, lambda: False)
    terminal.say("x")
    began = time.monotonic()
    terminal.close()
    assert 0.9 < time.monotonic() - began < 5
    assert terminal.go_on()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for a pipe's room")
def test_a_full_pipe_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a whole line fits is one written."""
    read, write = os.pipe()
    with open(write, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert stderr_has_room()
        os.write(write, bytes(fcntl.fcntl(write, fcntl.F_GETPIPE_SZ)))
        assert not stderr_has_room()
        os.close(read)
        assert stderr_has_room()  # and writing says that nobody reads
    monkeypatch.setattr(sys, "stderr", None)
    assert stderr_has_room()


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs a pipe of a known size")
def test_a_service_whose_stderr_nobody_reads(tmp_path: Path) -> None:
    """Every client is answered, though what is said of those before fills the pipe many times over;
    SIGTERM ends it."""
    with served(tmp_path, "--report-every", "0") as server:
        assert server.process.stderr is not None
        size = fcntl.fcntl(server.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        for _ in range(4 * size // 70):
            with server.client() as client:
                assert int(client.ask("alloc 4096")) > 0
        server.process.terminate()
        assert server.process.wait(timeout=20) == 0

"""Who runs a service and does not read what it says stops nobody."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest

from gorun_mem.service import terminal as terminal_
from gorun_mem.service.terminal import LINE_MAX, WAITING_MAX, Terminal
from tests.service.service_tools import served


def test_lines_wait_for_room() -> None:
    """In their order; those beyond the bound are counted, and that is said."""
    said: list[bytes] = []
    room = 0

    def take(data: bytes) -> int:
        said.append(data[:room])
        return len(data[:room])

    terminal = Terminal(take)
    for number in range(WAITING_MAX + 5):
        terminal.say(str(number))
    assert b"".join(said) == b""
    room = 2  # a part of a line is gone on with
    assert terminal.go_on()
    lines = b"".join(said).decode().splitlines()
    assert lines[:WAITING_MAX] == [str(number) for number in range(WAITING_MAX)]
    assert lines[WAITING_MAX:] == ["5 lines more were not shown: nobody read them"]
    said.clear()
    terminal.say("\x1b[2J" + "x" * 3 * LINE_MAX)
    assert b"".join(said) == b"\\x1b[2J" + b"x" * (LINE_MAX - 4) + b" ...\n"


def test_the_end_waits_for_a_while_only() -> None:
    """What nobody reads within a second is dropped."""
    terminal = Terminal(lambda data: 0)
    terminal.say("x")
    began = time.monotonic()
    terminal.close()
    assert 0.9 < time.monotonic() - began < 5
    assert terminal.go_on()


def _opened(kind: str) -> tuple[int, int]:
    """Who reads, and who writes."""
    if kind == "terminal":
        return pty.openpty()
    return os.pipe()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for room")
@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_what_nobody_reads_is_filled_and_no_more(
    kind: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal says that it has room where a line does not fit, and waits within it. What cannot
    be opened once more is asked: of pipes that is enough."""
    if not again:
        if kind == "terminal":
            pytest.skip("has a name, by which it is opened")
        monkeypatch.setattr(terminal_, "opened_again", lambda fd: -1)
    read, write = _opened(kind)
    with open(write, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        terminal = Terminal()
        for number in range(60):
            terminal.say(f"{number} " + "\N{SNOWMAN}" * (LINE_MAX - 10))
        assert not terminal.go_on()
        assert os.get_blocking(write)
        found = b""
        while not terminal.go_on() or select.select([read], [], [], 0.1)[0]:
            found += os.read(read, 1 << 20)
        words = found.decode().split()
        assert [int(word) for word in words[::2]] == list(range(60))
        assert set(words[1::2]) == {"\N{SNOWMAN}" * (LINE_MAX - 10)}
        os.close(read)
        terminal.say("nobody reads")
        assert terminal.go_on()


def test_a_file_goes_on_behind_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write to it too; no stderr at all takes everything."""
    with (tmp_path / "err").open("w+") as stream:
        stream.write("before\n")
        stream.flush()
        monkeypatch.setattr(sys, "stderr", stream)
        Terminal().say("said")
        stream.seek(0)
        assert stream.read() == "before\nsaid\n"
    monkeypatch.setattr(sys, "stderr", None)
    terminal = Terminal()
    terminal.say("nobody")
    assert terminal.go_on()


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

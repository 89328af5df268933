"""How a service ends: by signals, and by the loss of its log; everybody is told."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from gorun_mem.events import read_events
from gorun_mem.events.types import RunEnd
from gorun_mem.service.client import ServiceError
from tests.service.service_tools import served


def test_a_terminal_that_goes_ends_it(tmp_path: Path) -> None:
    """SIGHUP is SIGTERM: calls are finished, the log is whole, the exit code is 0."""
    with served(tmp_path) as server:
        with server.client() as client:
            assert client.ask("alloc 4096").isdigit()
            assert server.stop(signal.SIGHUP) == 0
        last = list(read_events(server.log))[-1]
        assert isinstance(last, RunEnd)
        assert last.outcome == "ok"


def test_a_log_that_is_removed_is_the_end(tmp_path: Path) -> None:
    """It is said within seconds on the terminal, to the client and by the exit code, though nobody
    calls anything."""
    with served(tmp_path) as server:
        with server.client() as client:
            client.ask("alloc 4096")
            server.log.unlink()
            assert server.process.wait(8) == 2
            with pytest.raises(ServiceError, match="the log could not be written"):
                client.ask("alloc 4096")
        said = server.process.stderr.read() if server.process.stderr else ""
        assert f"cannot write log {server.log}: its file was removed" in said
        assert "Traceback" not in said


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_the_end(tmp_path: Path) -> None:
    """As one that was removed is."""
    (tmp_path / "serve.jsonl").symlink_to("/dev/full")
    with served(tmp_path) as server:
        assert server.process.wait(8) == 2
        said = server.process.stderr.read() if server.process.stderr else ""
        assert "No space left on device" in said
        assert "Traceback" not in said


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    """Whatever clients are in; what may be lost is said."""
    with served(tmp_path) as server, server.client() as client:
        (v,) = (client.ask(f"alloc {64 << 20}"),)
        client.send([f"fill {v} {64 << 20} 1", "dump full", "dump full", "dump full"])
        time.sleep(0.5)
        for _ in range(2):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert server.process.wait(8) == 130
        said = server.process.stderr.read() if server.process.stderr else ""
        assert "ended at once" in said
        assert "Traceback" not in said


def test_signals_are_seen_to_while_a_request_takes_long(tmp_path: Path) -> None:
    """SIGTERM in the middle of `dump full` of 16 MiB: others are answered meanwhile, the request
    is finished, and the log ends as any."""
    with served(tmp_path) as server, server.client() as slow, server.client() as quick:
        v = slow.ask(f"alloc {16 << 20}")
        slow.ask(f"fill {v} {16 << 20} 1")
        slow.send(["dump full"])
        waits = []
        for _ in range(50):
            began = time.monotonic()
            assert quick.ask("alloc 4096").isdigit()
            waits.append(time.monotonic() - began)
        assert sorted(waits)[len(waits) // 2] < 0.25
        server.process.send_signal(signal.SIGTERM)
        assert json.loads(slow.read_line())["nonzero_words"] >= 2 << 20
        assert server.process.wait(30) == 0

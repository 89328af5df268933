"""Logs on a terminal and in their folder, and what structlog has to do with them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.events import (
    FileSink,
    LogError,
    MemorySink,
    Recorder,
    home,
)
from gorun_mem.events.home import KEEP, logs, new_log_path, resolve_log, runs_dir
from gorun_mem.events.log import as_event_dict, console_logger, json_logger, open_log
from tests.events.test_log_files import SUFFIXES

# For people, and the folder of logs.


class Terminal(io.StringIO):
    def isatty(self) -> Any:
        return True


def test_console(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console shows one line an event, addresses in hexadecimal, colours only on a terminal
    that did not ask for none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, tty, no_color = io.StringIO(), Terminal(), Terminal()
    drive(Recorder(console_logger(plain)))
    drive(Recorder(console_logger(tty)))
    monkeypatch.setenv("NO_COLOR", "1")
    drive(Recorder(console_logger(no_color)))
    text = plain.getvalue()
    assert "\x1b[" not in text
    assert "\x1b[" not in no_color.getvalue()
    assert "\x1b[" in tty.getvalue()
    took = next(line for line in text.splitlines() if "freelist.take" in line)
    assert "[M1]" in took
    assert "addr=0x200000" in took
    assert "size=65536" in took
    assert "runtime.sysAllocOS" in took
    assert "blocks=0x200000+69632 0x2000000+4096" in text


def test_console_is_what_log_dash_means(capsys: pytest.CaptureFixture[str], drive: Any) -> None:
    """`--log -` writes to standard error, so that standard output stays for results."""
    drive(Recorder(open_log("-"), level="canonical"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "run.end" in captured.err


def test_stock_processors_take_typed_events(drive: Any) -> None:
    """After `as_event_dict` a chain may hold structlog's own processors."""
    import structlog

    from gorun_mem.events.log import EventLogger

    class Out:
        def __init__(self) -> None:
            self.lines: list[Any] = []

        def msg(self, line: Any) -> None:
            self.lines.append(line)

    def drop_debug(logger: Any, name: str, event: str) -> Any:
        if name == "debug":
            raise structlog.DropEvent
        return event

    out = Out()
    logger = structlog.wrap_logger(
        out,
        processors=[as_event_dict, drop_debug, structlog.processors.JSONRenderer()],  # type: ignore[list-item]
        wrapper_class=EventLogger,
    )
    drive(Recorder(logger))
    assert json.loads(out.lines[0])["event"] == "run.start"
    assert len(out.lines) == 11
    with pytest.raises(TypeError, match="take no bound values: user"):
        logger.bind(user=1)


def test_where_logs_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GORUN_MEM_HOME, XDG_STATE_HOME if absolute, and the home folder, in this order."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.delenv("GORUN_MEM_HOME", raising=False)
    assert runs_dir() == tmp_path / ".local/state/gorun_mem/runs"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert runs_dir() == tmp_path / "xdg/gorun_mem/runs"
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    assert runs_dir() == tmp_path / "home/runs"


def test_newest_logs_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names are unique and sort by age; the newest twenty stay and `last` is the newest; what is
    not a log stays too."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    with pytest.raises(LogError, match="no runs yet"):
        resolve_log("last")
    made = [new_log_path("scenarios/my storm.py")]
    (tmp_path / "runs" / "notes.txt").touch()
    for suffix in SUFFIXES * 8:
        made[-1].write_text("x")
        made.append(new_log_path("storm", suffix))
    assert made == sorted(made)
    assert len(set(made)) == 25
    assert made[0].name.endswith("-my_storm.jsonl.zst")
    assert logs() == made[-KEEP:]
    assert resolve_log("last") == made[-2], "the newest that has begun"
    made[-1].write_text("x")
    assert resolve_log("last") == made[-1]
    assert resolve_log("x.jsonl").name == "x.jsonl"
    assert (tmp_path / "runs" / "notes.txt").exists()


def test_removing_old_logs_follows_no_link_and_stops_no_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A link that is named as an old log goes, and not what it leads to; what cannot be removed
    stays, and the run begins."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "work.txt").write_text("months of it")
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "20200101T000000.000000Z-serve").symlink_to(mine)
    (runs / "20200101T000000.000001Z-serve" / "a_folder").mkdir(parents=True)
    for _ in range(KEEP + 1):
        new_log_path("storm").write_text("x")
    assert (mine / "work.txt").read_text() == "months of it"
    left = {path.name for path in runs.iterdir()}
    assert "20200101T000000.000000Z-serve" not in left
    assert "20200101T000000.000001Z-serve" in left


def test_two_runs_in_one_microsecond(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that is taken is not given again."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    times = iter(["20260101T000000.000000Z"] * 3 + ["20260101T000000.000001Z"])
    monkeypatch.setattr(home, "_now", lambda: next(times))
    assert new_log_path("a") != new_log_path("a")


def test_unwritable_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that cannot be made is named, with what to do."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "file"))
    with pytest.raises(LogError, match="set GORUN_MEM_HOME or name a file"):
        new_log_path("storm")


def test_import_leaves_structlog_alone() -> None:
    """Importing the events does not pay for structlog, rich or zstandard."""
    code = (
        "import sys, gorun_mem.events\n"
        "print([n for n in ('structlog', 'rich', 'zstandard', 'trio') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_log_error_is_the_users_to_put_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The command line says what is wrong in one sentence and exits with 2."""
    from gorun_mem.cli._exit import explain_failure

    with pytest.raises(LogError) as raised:
        open_log(tmp_path / "no" / "run.jsonl")
    assert explain_failure(raised.value, "gorun-mem", []) == 2
    assert capsys.readouterr().err.startswith("gorun-mem: cannot write log ")


def test_an_event_that_cannot_be_encoded_is_reported_and_costs_no_other(tmp_path: Path) -> None:
    """What is wrong with one event is raised once, and the events around it are in the file."""
    path = tmp_path / "log.jsonl"
    sink = FileSink(path, flush_seconds=0)
    recorder = Recorder(json_logger(sink))
    recorder.m_start(1)
    recorder.m_start(2, 0, "\udcff")
    recorder.m_start(3)
    with pytest.raises(UnicodeEncodeError):
        recorder.flush()
    recorder.m_start(4)
    recorder.close()
    assert [json.loads(line)["m"] for line in path.read_text().splitlines()] == [1, 3, 4]


def test_events_are_encoded_together_into_the_same_lines(tmp_path: Path) -> None:
    """Events that a file's sink encodes many at once are the lines that each alone would be."""
    path = tmp_path / "log.jsonl"
    memory = MemorySink()
    for sink in (FileSink(path), memory):
        recorder = Recorder(json_logger(sink))
        for m in range(1000):
            recorder.m_start(m, 0, "x" * (m % 7))
        recorder.close()
    assert path.read_bytes() == memory.data

"""Writing logs to files, and what is left of them when things go wrong."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gorun_mem.events import (
    FileSink,
    LogError,
    Recorder,
    read_events,
    read_raw,
)
from gorun_mem.events import reader as reader_module
from gorun_mem.events.log import json_logger, open_log

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")


def packed(log: bytes, suffix: str, flush_every: int = 7) -> bytes:
    """The log as a file of that kind, flushed now and then."""
    from gorun_mem.events.sinks import codec_for

    codec = codec_for(suffix)
    out = b""
    for number, line in enumerate(log.splitlines(keepends=True)):
        out += codec.add(line)
        if number % flush_every == 0:
            out += codec.sync()
    return out + codec.end()


def read(data: bytes) -> Any:
    reader = read_events(io.BytesIO(data))
    return list(reader), reader


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_through_a_file(tmp_path: Path, drive: Any, log: Any, suffix: str) -> None:
    """What was logged is in the file when it is closed; other tools can unpack it."""
    path = tmp_path / f"run{suffix}"
    recorder = Recorder(open_log(path))
    drive(recorder)
    recorder.close()
    recorder.close()
    data = path.read_bytes()
    if suffix.endswith(".gz"):
        assert gzip.decompress(data) == log
    elif suffix.endswith(".zst"):
        assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == log
    else:
        assert data == log
    assert b"".join(line + b"\n" for line in read_raw(path)) == log
    events, reader = read(data)
    assert (len(events), reader.cut, reader.damaged, reader.missing) == (
        log.count(b"\n"), False, 0, 0,
    )  # fmt: skip
    assert reader.describe_damage() == ""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cut_at_every_byte(log: Any, suffix: str) -> None:
    """Wherever a log is cut, what was flushed before is read: the lines are a prefix of the log's,
    the reader says that it was cut, and it never raises."""
    data = packed(log, suffix)
    whole, _ = read(data)
    seen = 0
    for cut in range(len(data)):
        events, reader = read(data[:cut])
        assert events == whole[: len(events)]
        assert len(events) >= seen, cut
        seen = len(events)
        complete = len(events) == len(whole)  # only the newline or the checksum is missing
        assert reader.cut is not complete
        assert complete or "cut" in reader.describe_damage()
        raw = read_raw(io.BytesIO(data[:cut]))
        assert b"".join(line + b"\n" for line in raw) == b"".join(
            line + b"\n" for line in log.splitlines()[: len(events)]
        )
        assert raw.cut is reader.cut
    assert seen == len(whole)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flush_makes_all_lines_readable(tmp_path: Path, drive: Any, log: Any, suffix: str) -> None:
    """After `flush` a reader finds every line, though the file is not closed."""
    path = tmp_path / f"run{suffix}"
    sink = FileSink(path, flush_seconds=0)
    recorder = Recorder(json_logger(sink))
    drive(recorder)
    assert not list(read_raw(path)), "nothing is written before it must be"
    recorder.flush()
    assert len(list(read_raw(path))) == log.count(b"\n")
    sink.close()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flushes_by_itself(tmp_path: Path, suffix: str) -> None:
    """A line is in the file within a second, though the program does nothing about it."""
    path = tmp_path / f"run{suffix}"
    with FileSink(path, flush_seconds=0.05) as sink:
        sink.write(b'{"a":1}')
        until = time.monotonic() + 1
        while not list(read_raw(path)):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_buffer_is_bounded(tmp_path: Path) -> None:
    """Lines are written out when they fill the buffer; one long line at once."""
    path = tmp_path / "run.jsonl"
    with FileSink(path, flush_seconds=0, buffer_bytes=1000) as sink:
        for number in range(50):
            sink.write(b"%099d" % number)
        assert path.stat().st_size >= 4000
        sink.write(b"9" * 5000)
        assert path.stat().st_size == 50 * 100 + 5001


CHILD = """
import sys, time
from gorun_mem.events import FileSink, Recorder
from gorun_mem.events.log import json_logger
recorder = Recorder(json_logger(FileSink(sys.argv[1])))
start = time.time_ns()
recorder.now = lambda: time.time_ns() - start
print("go", flush=True)
while True:
    recorder.m_start(1)
    if recorder.seq == 20_000:
        recorder.mem_check(True, "", 0)
        {after}
    time.sleep(0.00005)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed(tmp_path: Path, suffix: str) -> None:
    """A run that is killed leaves a log that lacks at most its last second."""
    path = tmp_path / f"run{suffix}"
    code = CHILD.format(after="pass")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=os.getcwd()
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        started = time.monotonic()
        time.sleep(1.6)
        child.send_signal(signal.SIGKILL)
        lived_ns = int((time.monotonic() - started) * 1e9)
    reader = read_events(path)
    events = list(reader)
    assert events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert lived_ns - events[-1].t_ns < 1e9
    assert reader.cut
    assert reader.damaged <= 1


def test_killed_in_a_loop_without_events(tmp_path: Path) -> None:
    """A run that hangs in a loop and is killed leaves all events of before the loop."""
    path = tmp_path / "run.jsonl.gz"
    code = CHILD.format(after="while True: pass").replace("20_000", "30")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=os.getcwd()
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(1.2)
        child.send_signal(signal.SIGKILL)
    assert len(list(read_events(path))) == 31


# What cannot be written.


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk(tmp_path: Path, drive: Any, suffix: str) -> None:
    """A full disk is one error that names the file and the cause, when the log is closed at the
    latest; closing again is quiet."""
    path = tmp_path / f"full{suffix}"
    path.symlink_to("/dev/full")
    recorder = Recorder(open_log(path))
    drive(recorder)
    with pytest.raises(LogError) as raised:
        recorder.close()
    lost = raised.value.lost
    assert lost > 20
    assert str(raised.value) == (
        f"cannot write log {path}: No space left on device; up to {lost} events are lost; "
        "free some space or name another file with --log FILE"
    )
    recorder.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_while_running(drive: Any) -> None:
    """A full buffer that cannot be written stops the run; each further try says so again, memory
    stays bounded, and `close` does not repeat what was said."""
    sink = FileSink("/dev/full", flush_seconds=0, buffer_bytes=2000)
    recorder = Recorder(json_logger(sink))
    with pytest.raises(LogError, match="cannot write log /dev/full: No space left"):
        drive(recorder)
    with pytest.raises(LogError):
        recorder.flush()

    def fill_the_buffer() -> None:
        for _ in range(100):
            recorder.m_start(1)

    with pytest.raises(LogError):
        fill_the_buffer()
    sink.close()
    assert "closed" in repr(sink)


def test_failed_write_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a write of a plain file fails in the middle of a line, the line is taken back."""
    path = tmp_path / "run.jsonl"
    sink = FileSink(path, flush_seconds=0)
    real_write = os.write
    room = 25

    def write(fd: int, data: Any) -> Any:
        nonlocal room
        if room == 0:
            raise OSError(28, "No space left on device")
        count = real_write(fd, bytes(data[:room]))
        room -= count
        return count

    monkeypatch.setattr(os, "write", write)
    for number in range(10):
        sink.write(b"line %04d" % number)
    with pytest.raises(LogError):
        sink.close()
    assert path.read_bytes() == b"line 0000\nline 0001\n"


def test_unwritable_path(tmp_path: Path) -> None:
    """A folder that does not exist, or a folder in place of a file: an error that names it."""
    with pytest.raises(LogError, match=r"cannot write log .*/no/run.jsonl: No such file"):
        open_log(tmp_path / "no" / "run.jsonl")
    with pytest.raises(LogError, match="Is a directory"):
        open_log(tmp_path)
    (tmp_path / "a").touch()
    with pytest.raises(LogError, match="File exists"):
        open_log(tmp_path / "a", exclusive=True)


def test_unreadable_path(tmp_path: Path) -> None:
    """A log that is not there is one error for people, at either speed."""
    for reader in (read_events(tmp_path / "x"), read_raw(tmp_path)):
        with pytest.raises(LogError, match="cannot read log"):
            list(reader)


# Damaged logs.


def test_damage_is_named(log: Any) -> None:
    """Damaged and foreign lines are counted and named by number; the others are read, and the
    jumps in `seq` are counted."""
    lines = log.splitlines()
    lines[2] = lines[2][:-5]
    lines[4] = b'{"event":"lock.steal","seq":5}'
    lines[5] = b'{"event":"m.\xff"}'
    lines[6] = b"[" * 100_000
    lines[7] = b""
    lines[8] = lines[8].replace(b'"t_ns":', b'"t_ns":"late","x":')
    events, reader = read(b"\n".join(lines) + b"\n")
    assert reader.lines == len(lines)
    assert [damage.line for damage in reader.damage] == [3, 5, 6, 7, 9]
    assert reader.damaged == 5
    assert len(events) == len(lines) - 6
    assert reader.missing == 6
    assert not reader.cut
    assert reader.describe_damage().startswith(f"5 of {len(lines)} lines damaged (first: line 3: ")
    assert "lock.steal" in str(reader.damage[1])
    assert str(reader.damage[2]) == "line 6: not UTF-8"


def test_not_a_log() -> None:
    """A file that is something else gives no events, and does not fail."""
    noise = random.Random(1).randbytes(200_000)
    for head in (b"", b"\x1f\x8b", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PNG"):
        events, reader = read(head + noise)
        assert events == []
        assert reader.cut
        assert reader.damaged or reader.broken
        assert len(reader.damage) <= 100
        list(read_raw(io.BytesIO(head + noise)))
    assert read(b"")[0] == []


def test_compression_is_told_by_content(tmp_path: Path, log: Any) -> None:
    """A compressed log under any name is read, and so are members one after another."""
    for suffix in SUFFIXES:
        path = tmp_path / "renamed"
        path.write_bytes(packed(log, suffix) + packed(log, suffix))
        assert len(list(read_events(path))) == 2 * log.count(b"\n")


def test_line_without_end(monkeypatch: pytest.MonkeyPatch, log: Any) -> None:
    """A line longer than the bound is passed over without being kept; what follows is read."""
    monkeypatch.setattr(reader_module, "LINE_BYTES_MAX", 300_000)
    long = b"x" * 2_000_000
    lines = log.splitlines()
    events, reader = read(b"\n".join([*lines[:3], long, *lines[3:]]) + b"\n")
    assert len(events) == len(lines)
    assert reader.damaged == 1
    assert "longer than" in reader.damage[0].reason
    assert reader.lines == len(lines) + 1
    events, reader = read(log + long)
    assert (len(events), reader.damaged, reader.lines) == (len(lines), 1, len(lines) + 1)


def test_a_line_that_never_ends(monkeypatch: pytest.MonkeyPatch, log: Any) -> None:
    """A source that gives bytes for ever and no newline is left, with what was read before."""
    monkeypatch.setattr(reader_module, "LINE_BYTES_MAX", 300_000)
    monkeypatch.setattr(reader_module, "UNENDING_BYTES", 1_200_000)

    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            data = log[self.given : self.given + len(buffer)] or b"x" * len(buffer)
            self.given += len(data)
            assert self.given < 10_000_000
            buffer[: len(data)] = data
            return len(data)

    reader = read_events(io.BufferedReader(Endless()))
    assert len(list(reader)) == log.count(b"\n")
    assert "has no end" in reader.broken
    assert reader.damaged == 1


edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["flip", "cut", "insert", "drop", "newline"]),
        st.binary(max_size=8),
    ),
    max_size=6,
)


def mutate(data: bytes, changes: Any) -> bytes:
    for where, how, what in changes:
        at = int(where * len(data))
        if how == "flip":
            data = data[:at] + bytes(byte ^ 0x55 for byte in data[at : at + 1]) + data[at + 1 :]
        elif how == "cut":
            data = data[: max(at, len(data) // 2)]
        elif how == "insert":
            data = data[:at] + what + data[at:]
        elif how == "newline":
            data = data[:at] + b"\n" + data[at:]
        else:
            data = data[:at] + data[at + len(what) :]
    return data


@settings(max_examples=300, deadline=None)
@given(changes=edits, suffix=st.sampled_from(SUFFIXES))
@example(changes=[(0.5, "newline", b"")], suffix=".jsonl")
@example(changes=[(0.0, "insert", b"\x28\xb5\x2f\xfd")], suffix=".jsonl")
@example(changes=[(0.0, "insert", b"\x00\r")], suffix=".jsonl")
def test_mutated_logs(log: Any, changes: Any, suffix: str) -> None:
    """Whatever is done to a log, reading does not raise, and of a plain one every line that is
    still whole is read."""
    data = mutate(packed(log, suffix), changes)
    events, reader = read(data)
    raw = list(read_raw(io.BytesIO(data)))
    assert len(events) + reader.damaged >= len(raw) or reader.broken
    # With the first bytes of a compressed log in front, a plain one is taken for that.
    if suffix == ".jsonl" and not data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        whole = set(log.split(b"\n")) - {b""}
        untouched = {line for line in data.split(b"\n") if line in whole}
        seqs = {json.loads(line)["seq"] for line in untouched}
        assert seqs <= {event.seq for event in events}

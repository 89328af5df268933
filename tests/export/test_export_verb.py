"""`gorun-mem export`, as a person sees it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from gorun_mem.cli import main
from tests.analysis.make_logs import run_log, storm

CapSys = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "storm.jsonl"
    path.write_bytes(run_log(storm)[1])
    return path


@pytest.mark.parametrize("target", ["pprof-mutex", "pprof-block", "chrome"])
def test_json_says_what_was_written(target: str, log: Path, capsys: CapSys) -> None:
    """Format, file, bytes and how many records; stdout is one JSON document."""
    out = log.with_name("out")
    assert main(["export", str(log), "--to", target, "-o", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["file"]) == (target, str(out))
    assert document["bytes"] == out.stat().st_size > 0
    assert document.get("trace_events", document.get("samples")) > 0
    assert document["condition"]["remarks"] == []


def one_sentence(err: str) -> bool:
    return len(err.strip().splitlines()) == 1 and "Traceback" not in err


@pytest.mark.parametrize("target", ["pprof-mutex", "chrome", "parquet"])
def test_output_that_cannot_be_written(
    target: str, log: Path, tmp_path: Path, capsys: CapSys
) -> None:
    """A folder that is not there, a folder in place of a file, the log itself: exit 2, one line."""
    if target == "parquet":
        pytest.importorskip("duckdb")
    for out in (tmp_path / "no" / "such" / "file", tmp_path, log):
        assert main(["export", str(log), "--to", target, "-o", str(out)]) == 2
        err = capsys.readouterr().err
        assert one_sentence(err), err
        assert str(out) in err
    assert log.stat().st_size > 0


def test_a_full_disk_leaves_no_half_file(log: Path, tmp_path: Path, capsys: CapSys) -> None:
    """What cannot be written as a whole is not there, and the sentence says why."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    assert main(["export", str(log), "--to", "chrome", "-o", "/dev/full"]) == 2
    err = capsys.readouterr().err
    assert os.strerror(errno.ENOSPC) in err
    assert one_sentence(err)


def test_a_failure_leaves_what_was_there(log: Path, tmp_path: Path, capsys: CapSys) -> None:
    """An export of something that is no log leaves the file that had the name."""
    out = tmp_path / "kept"
    out.write_text("before")
    bad = tmp_path / "bad"
    bad.write_text("this is no log\n")
    assert main(["export", str(bad), "--to", "chrome", "-o", str(out)]) == 2
    assert one_sentence(capsys.readouterr().err)
    assert out.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "kept", "storm.jsonl"]


@pytest.mark.parametrize("content", [None, b"", b"[1,2]\n", b"\x1f\x8b\x08garbage"])
def test_what_is_no_log(content: bytes | None, tmp_path: Path, capsys: CapSys) -> None:
    """A file that is missing, empty, foreign or broken: exit 2 and one sentence that names it."""
    path = tmp_path / "x.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert main(["export", str(path), "--to", "chrome", "-o", str(tmp_path / "o")]) == 2
    err = capsys.readouterr().err
    assert one_sentence(err), err
    assert "x.jsonl" in err


def test_a_cut_log_is_exported_and_said_to_be_cut(log: Path, capsys: CapSys) -> None:
    """What is there is exported; the note is on stderr."""
    cut = log.with_name("cut.jsonl")
    cut.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    out = log.with_name("o.json")
    assert main(["export", str(cut), "--to", "chrome", "-o", str(out)]) == 0
    assert "cut" in capsys.readouterr().err
    assert json.loads(out.read_text())["traceEvents"]

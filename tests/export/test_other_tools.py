"""Logs where people keep them: CSV, lnav, and what DuckDB, jq and polars read off a log."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gorun_mem.cli import main
from gorun_mem.events.types import LockRelease
from gorun_mem.export.lnav import make_format
from gorun_mem.export.tables import columns
from tests import ROOT
from tests.analysis.make_logs import run_events, run_log, storm

IN_CI = bool(os.environ.get("CI"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log, this program and this Python on the path."""
    (tmp_path / "storm.jsonl").write_bytes(run_log(storm)[1])
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("gorun-mem", "-m gorun_mem"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_csv_has_every_field_of_every_event(folder: Path) -> None:
    """A line an event, a column a field; read back, each value is the event's."""
    assert main(["export", "storm.jsonl", "--to", "csv", "-o", "out.csv"]) == 0
    with (folder / "out.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == list(columns())
    lines = [json.loads(line) for line in (folder / "storm.jsonl").read_text().splitlines()]
    assert len(rows) == len(lines)
    for row, event in zip(rows, lines, strict=True):
        got = dict(zip(head, row, strict=True))
        assert set(event) <= set(head)
        for name, value in got.items():
            if name not in event:
                assert value == ""
            elif isinstance(event[name], str):
                assert value == event[name]
            else:
                assert json.loads(value) == event[name]


def test_the_format_knows_every_field() -> None:
    """But for names that lnav cannot have as columns, which it shows all the same."""
    (made,) = (value for key, value in make_format().items() if key != "$schema")
    missing = set(columns()) - set(made["value"])
    assert missing == {"index", "where", "log_level"}
    assert made["value"]["wait_ns"]["kind"] == "integer"
    assert made["value"]["waiters"]["kind"] == "json"
    assert made["hide-extra"] is False


@pytest.mark.skipif(not (IN_CI or shutil.which("lnav")), reason="no lnav here; CI has it")
def test_lnav_takes_both(folder: Path) -> None:
    """It installs the format without a word against it, shows the log, and asks it in SQL."""
    assert main(["export", "--to", "lnav-format", "-o", "gorun_mem.json"]) == 0
    assert main(["export", "storm.jsonl", "--to", "lnav", "-o", "storm.lnav.jsonl"]) == 0

    def lnav(*words: str) -> str:
        done = subprocess.run(["lnav", *words], capture_output=True, text=True, check=True)
        assert "error" not in done.stdout + done.stderr, done
        return done.stdout + done.stderr

    assert "installed" in lnav("-i", "gorun_mem.json")
    sql = ";SELECT event, count(*), sum(hold_ns) FROM gorun_mem_log WHERE event = 'lock.release'"
    _, answer = lnav("-n", "-c", sql, "-c", ":write-csv-to -", "storm.lnav.jsonl").splitlines()
    _, events = run_events(storm)
    releases = [e for e in events if isinstance(e, LockRelease)]
    assert answer == f"lock.release,{len(releases)},{sum(e.hold_ns for e in releases)}"
    shown = lnav("-n", "storm.lnav.jsonl")
    assert "0 ns M0   run.start" in shown
    assert sum(" ns M" in line for line in shown.splitlines()) == len(events)


def test_the_lines_of_the_readme(folder: Path) -> None:
    """Each answers what the log's own reader finds; each export is there."""
    text = (ROOT / "README.md").read_text().partition("<!-- the log elsewhere -->\n```sh\n")[2]
    lines = [line for line in text.partition("```")[0].splitlines() if line.strip()]
    _, events = run_events(storm)
    plain = [msgspec.to_builtins(event) for event in events]
    held = sum(e["hold_ns"] for e in plain if e["event"] == "lock.release")
    longest = max(e.get("wait_ns", 0) for e in plain)
    expected = {"jq": held, "duckdb": longest, "polars": longest}
    seen = set()
    for line in lines:
        tool = next((name for name in expected if name in line), "")
        if tool == "jq" and not (IN_CI or shutil.which("jq")):
            continue
        if "lnav -i" in line and not (IN_CI or shutil.which("lnav")):
            continue
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        if tool:
            seen.add(tool)
            assert int(done.stdout) == expected[tool], line
    assert seen >= {"duckdb", "polars"}
    assert all((folder / name).stat().st_size for name in ("storm.otlp.jsonl", "storm.csv"))

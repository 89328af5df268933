"""The scenarios that come with the package, analysed: the books balance for each."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.cli import main
from gorun_mem.export.chrome import write_chrome
from tests import ROOT

SCENARIOS = sorted(
    path
    for path in (ROOT / "scenarios").glob("*.py")
    if "@scenario" in path.read_text() and path.stem != "real_program"  # needs a recording
)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_books_balance(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Memory is divided without remainder, blame sums to the waits, sums are those of run.end."""
    log = tmp_path / "log.jsonl"
    assert main(["run", str(path), "--log", str(log)]) in (0, 1, 3)
    capsys.readouterr()
    found = LogAnalysis.read(log)
    assert found.condition.whole, found.condition.remarks()
    end, memory = found.end, found.memory
    assert end is not None
    assert memory.end.lost == memory.noop_bytes
    assert memory.end.pages == end.final_pages
    assert memory.peak_live == end.peak_live_bytes
    assert memory.growths_seen == end.grows
    assert found.free.mismatches == memory.unknown_frees == 0
    for lock in found.contention.locks.values():
        charged = sum(one.total_ns for one in lock.blame)
        assert charged == lock.wait_ns.total
    assert sum(lock.wait_ns.total for lock in found.contention.locks.values()) == end.lock_wait_ns
    out = io.BytesIO()
    write_chrome(log, out)
    assert out.tell() > 0

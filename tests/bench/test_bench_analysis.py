"""The analysis benchmark on a short log: its log is sound, and its figures are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.bench import run_bench
from gorun_mem.bench.analysis import peak_bytes, synthesise


def test_the_log_is_one_that_a_run_could_have_written(tmp_path: Path) -> None:
    """Every line is an event, nothing is missing, and list, waits and blame go together."""
    path = tmp_path / "log.jsonl"
    count = synthesise(path, 5000)
    found = LogAnalysis.read(path)
    assert found.condition.whole, found.condition.remarks()
    assert found.condition.events == count
    assert abs(count - 5000) < 50
    assert found.free.mismatches == 0, found.free.mismatch
    lock = found.contention.locks["memlock"]
    assert lock.contended == lock.acquisitions // 3
    assert sum(one.total_ns for one in lock.blame) == lock.wait_ns.total > 0
    assert found.end is not None
    assert found.end.events == count


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass, its cost for an event and its memory; a pass costs less than ten times json.loads."""
    monkeypatch.setenv("GORUN_MEM_BENCH_EVENTS", "20000")
    rows = {row.name: row for row in run_bench("analysis", quick=True)}
    whole = next(row for name, row in rows.items() if name.startswith("full pass over 19,9"))
    assert whole.peer_figure is not None
    assert whole.ratio == pytest.approx(whole.peer_figure / whole.figure)
    assert whole.ratio is not None
    assert whole.ratio > 0.1
    for name in ("the same for one event, by the clock", "with the HTML page, by the clock"):
        assert rows[name].unit == "us"
        assert rows[name].figure > 0
    assert rows["peak memory of it"].ok


def test_peak_memory_is_this_process_own() -> None:
    """An allocation of 50 MB shows."""
    before = peak_bytes()
    block = bytearray(50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_bytes() >= max(before, 50_000_000)

"""A log as columns: what is drawn is what the analysis says."""

from __future__ import annotations

import subprocess
from array import array
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.analysis.stream import analyse
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.web import columns
from gorun_mem.web.guard import Refused
from tests.service.service_tools import command


def run_log(path: Path, *words: str) -> Path:
    subprocess.run(
        command("run", *words, "--log", str(path), "--json"), capture_output=True, check=False
    )
    return path


def read(folder: Path, document: dict[str, Any]) -> list[tuple[float, float, int, int, int]]:
    data = (folder / document["file"]).read_bytes()
    n = document["intervals"]
    begin, end = array("d"), array("d")
    begin.frombytes(data[: 8 * n])
    end.frombytes(data[8 * n : 16 * n])
    lane = array("H")
    lane.frombytes(data[16 * n : 18 * n])
    return list(zip(begin, end, lane, data[18 * n : 19 * n], data[19 * n :], strict=True))


@pytest.mark.parametrize("level", ["debug", "canonical"])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_holds_and_waits_add_up_to_the_report(tmp_path: Path, level: str, suffix: str) -> None:
    """By lock and M: the sums of what is drawn are the analysis's figures, at either level."""
    log = run_log(
        tmp_path / f"a{suffix}", "memlock_storm", "--ms=5", "--set=rounds=30", "--log-level", level
    )
    document = columns.lanes(str(log), str(tmp_path))
    drawn: dict[tuple[int, int], int] = {}
    for begin, end, lane, kind, _ in read(tmp_path, document):
        m = document["lanes"][lane]["m"]
        drawn[m, kind] = drawn.get((m, kind), 0) + round(end - begin)
    found = LogAnalysis()
    analyse(str(log), found.accumulators())
    by_m = found.contention.locks["memlock"].by_m
    for m, part in by_m.items():
        assert drawn[m, 1] == part.share.hold_ns
        assert drawn.get((m, 0), 0) == part.share.wait_ns
    assert document["start"]["ms"] == 5
    assert document["end"]["outcome"] == "ok"


def test_who_waits_at_the_end_is_drawn(tmp_path: Path) -> None:
    """Of a deadlock: the wait has no release, and lasts to the end."""
    log = run_log(tmp_path / "a.jsonl", "leaked_lock", "--platform=plan9/amd64")
    document = columns.lanes(str(log), str(tmp_path))
    assert document["end"]["outcome"] == "deadlock"
    waits = [one for one in read(tmp_path, document) if one[3] == 0]
    assert any(end == document["last_ns"] for _, end, _, _, _ in waits)


def test_damage_is_counted_and_no_log_is_refused(tmp_path: Path) -> None:
    """Lines that cannot be read are left out and counted; a file without events is refused."""
    log = run_log(tmp_path / "a.jsonl", "memlock_storm", "--set=rounds=5")
    lines = log.read_bytes().splitlines()
    lines[20:20] = [b'{"event":"lock.release","m":', b"\xff\xfe", b"[" * 5000]
    lines.append(b'{"event":"lock.release","level":"debug","seq":1,"t_ns":"x"}')
    (tmp_path / "b.jsonl").write_bytes(b"\n".join(lines))
    document = columns.lanes(str(tmp_path / "b.jsonl"), str(tmp_path))
    assert document["damaged"] == 2
    assert document["intervals"] == columns.lanes(str(log), str(tmp_path))["intervals"]
    (tmp_path / "c.jsonl").write_bytes(b"nothing\n" * 10)
    with pytest.raises(Refused, match="holds no event"):
        columns.lanes(str(tmp_path / "c.jsonl"), str(tmp_path))


def test_points_are_thinned_and_keep_the_peaks() -> None:
    """However many: at most some `most`, the highest of both figures among them, in order."""
    points = [columns._ReturnLine(t, t % 997, 0, t % 1009, 0) for t in range(100_000)]
    kept = columns.thinned(points, 300)
    assert len(kept) <= 300
    assert max(one.pages for one in kept) == 996
    assert max(one.free_bytes for one in kept) == 1008
    assert [one.t_ns for one in kept] == sorted(one.t_ns for one in kept)

"""Logs while they are written: not removed by other runs, bounded, missed when they vanish."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events import new_log_path, read_events, resolve_log
from gorun_mem.events.errors import LogError
from gorun_mem.events.home import KEEP, logs
from gorun_mem.events.log import open_log
from gorun_mem.events.parts import PARTS, PartsBound, numbered
from gorun_mem.events.recorder import Recorder

WRITER = """
import sys
from gorun_mem.events.home import new_log_path
from gorun_mem.events.sinks import FileSink
sink = FileSink(new_log_path("service"))
sink.write(b"{}")
sink.flush()
print(sink.path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    return tmp_path / "runs"


def a_short_run() -> Path:
    path = new_log_path("short")
    path.write_text("x")
    return path


def test_other_runs_do_not_remove_a_log_that_is_written(home: Path) -> None:
    """However many runs there are beside it; once its process has died, by SIGKILL even, it goes
    as any other."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        path = Path(child.stdout.readline().decode().strip())
        for _ in range(2 * KEEP):
            a_short_run()
        assert path.exists()
        assert len(logs()) == KEEP + 1
        child.kill()
        child.wait()
    said: list[str] = []
    new_log_path("after", say=said.append)
    assert not path.exists()
    assert any(str(path) in line for line in said), "what is removed is said"
    assert len(logs()) == KEEP


def test_last_is_the_newest_that_has_begun(home: Path) -> None:
    """A run that starts makes its file before it has anything to say; nobody removes it then."""
    begun, starting = a_short_run(), new_log_path("starting")
    assert resolve_log("last") == begun
    for _ in range(KEEP):
        a_short_run()
    assert starting.exists()


def test_a_log_that_vanishes_is_missed(tmp_path: Path) -> None:
    """A removed file is an error within a second, though nothing is written; it says what is
    lost."""
    path = tmp_path / "log.jsonl"
    recorder = Recorder(open_log(path))
    for _ in range(30):
        recorder.m_start(1)
    recorder.flush()
    path.unlink()
    time.sleep(1)  # nothing is written meanwhile
    with pytest.raises(LogError, match="removed while it was written"):
        recorder.tick()
    for _ in range(30):
        recorder.m_start(1)
    recorder.close()


def write_parts(path: Path, bound: PartsBound, events: int) -> None:
    recorder = Recorder(open_log(path, bound=bound))
    recorder.run_start(
        release="go1.24.3", platform="js/wasm", mutex="queue", what_if=False, phys_page_size=65536,
        heap_arena_bytes=4 << 20, data_end=1 << 20, initial_pages=-1, max_pages=65536, ms=2,
        cpus=4, strategy="random", granularity="sync", seed=7, scenario="serve", options={},
        cost_table_sha256="c" * 64,
    )  # fmt: skip
    for number in range(events - 1):
        recorder.m_start(number)
    recorder.close()


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst", ".jsonl.gz"])
def test_parts_make_one_log(tmp_path: Path, suffix: str) -> None:
    """Every part can be read by itself, and the folder as the whole log, nothing doubled."""
    path = tmp_path / f"world{suffix}"
    write_parts(path, PartsBound(8 << 20, age_s=0), 2000)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) == 8
    assert numbered(path, 1) in parts
    for part in parts:
        events = list(read_events(part))
        assert events[0].name == "run.start"
        assert LogAnalysis.read(part).start is not None
    reader = read_events(tmp_path)
    assert [event.seq for event in reader] == list(range(1, 2001))
    assert (reader.damaged, reader.missing, reader.broken) == (0, 0, "")


def test_parts_are_bounded(tmp_path: Path) -> None:
    """All parts together stay within the bound, the oldest go and are named, and a reader says how
    many events are missing."""
    removed: list[Path] = []
    path = tmp_path / "world.jsonl"
    bound = 400_000
    write_parts(path, PartsBound(bound, removed=removed.append), 20_000)
    there = list(tmp_path.iterdir())
    assert 2 < len(there) <= PARTS + 1
    # A part is looked at every 256 events, so it may be that much too large.
    assert sum(part.stat().st_size for part in there) < bound + 400 * 256
    assert removed
    assert not any(part.exists() for part in removed)
    reader = read_events(tmp_path)
    events = list(reader)
    assert events[-1].seq == 20_000
    assert reader.missing == 20_000 - len(events)


def test_a_folder_of_several_logs_is_none(tmp_path: Path) -> None:
    """It is said which there are; an empty folder says so too."""
    with pytest.raises(LogError, match="holds no log"):
        list(read_events(tmp_path))
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("")
    with pytest.raises(LogError, match=r"2 logs; name one: a.jsonl, b.jsonl"):
        list(read_events(tmp_path))


def test_a_slow_log_goes_over_to_the_next_part_at_a_flush(tmp_path: Path) -> None:
    """However few events come: the next part begins where something is in this one and its time is
    up, and an idle run makes none."""
    recorder = Recorder(open_log(tmp_path / "world.jsonl", bound=PartsBound(8 << 20, age_s=0)))
    for _ in range(3):
        recorder.tick()
    for number in range(3):
        recorder.m_start(number)
        for _ in range(3):
            recorder.tick()
    recorder.close()
    reader = read_events(tmp_path)
    # There was no run.start, so each part repeats the first event.
    assert [event.seq for event in reader] == [1, 2, 1, 3, 1]
    assert len(list(tmp_path.iterdir())) == 3


def test_one_compressor_makes_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers are MiB: one for each part is a hole in the heap each time it finds no room."""
    made: list[object] = []
    real = zstandard.ZstdCompressor

    def make(**arguments: Any) -> Any:
        made.append(real(**arguments))
        return made[-1]

    monkeypatch.setattr(zstandard, "ZstdCompressor", make)
    write_parts(tmp_path / "world.jsonl.zst", PartsBound(8 << 20, age_s=0), 20_000)
    assert len(list(tmp_path.iterdir())) > 20
    assert len(made) == 1
    assert [event.seq for event in read_events(tmp_path)] == list(range(1, 20_001))


GROWN = """
import random, sys
from pathlib import Path
from gorun_mem.events.log import open_log
from gorun_mem.events.parts import PartsBound
from gorun_mem.events.recorder import Recorder

folder, parts = Path(sys.argv[1]), int(sys.argv[2])
recorder = Recorder(open_log(folder / "world.jsonl.zst", bound=PartsBound(2 << 20)))
rng, stays, sizes = random.Random(2), [], [0]
while len(sizes) <= parts:
    for _ in range(300):
        recorder.m_start(rng.randrange(1 << 40))
    if (folder / f"world.{len(sizes):06d}.jsonl.zst").exists():
        sizes.append(0)
        stays.append(bytearray(1000))  # somebody who comes while a part begins
    sizes[-1] = max(sizes[-1], int(Path("/proc/self/statm").read_text().split()[1]) * 4)
recorder.close()
print(max(sizes) - sizes[2])
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_a_part_more_takes_no_memory(tmp_path: Path) -> None:
    """After the third of 20 a process grows by less than a compressor."""
    done = subprocess.run(
        [sys.executable, "-c", GROWN, str(tmp_path), "20"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 3072  # KiB

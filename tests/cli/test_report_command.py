"""`gorun-mem report` and the text that `run` prints too, from events that are made by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gorun_mem.events import Recorder
from gorun_mem.events.log import open_log
from gorun_mem.events.methods import LogLevel
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.sink import Waited
from tests.cli.run_scripts import LONG_S, Command, environment


class Story:
    """A run told by hand: 3 Ms, contention, a refused growth, a throw."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.clock = 0
        recorder.now = lambda: self.clock

    def tell(self) -> None:
        self.start()
        self.alloc(1, wait_ns=0, hold_ns=2_000, waiters=(2, 3))
        self.alloc(3, wait_ns=2_100, hold_ns=1_500, waiters=(2,))
        self.free(2, wait_ns=3_900_000, hold_ns=70)
        self.refuse(1)
        self.end()

    def start(self) -> None:
        self.recorder.run_start(
            release="go1.27", platform="js/wasm", mutex="spinbit", what_if=True,
            phys_page_size=65536, heap_arena_bytes=4 << 20, data_end=0x15FEA8, initial_pages=37,
            max_pages=38, ms=3, cpus=2, strategy="timing", granularity="sync", seed=7,
            scenario="story", options={"rounds": 3, "label": "it's"}, mem_debug=True,
        )  # fmt: skip

    def alloc(self, m: int, *, wait_ns: int, hold_ns: int, waiters: tuple[int, ...]) -> None:
        self.recorder.m = m
        self.recorder.mem_call(Call("sysAllocOS", 0, 65536))
        self.clock += hold_ns + 100
        self.recorder.mem_return(
            Call("sysAllocOS", 0, 65536, 0, "", 0x160000, 65536, True, "sbrk", 1, 65536),
            LayerState(37, 0x170000, 0x250000, 0, 0, 0),
        )  # fmt: skip
        self.recorder.lock_release(
            "memlock",
            "runtime.sysAllocOS",
            hold_ns,
            Waited(wait_ns > 0, wait_ns, 4 * (wait_ns > 0), 0),
            5,
            waiters,
            0,
        )  # fmt: skip

    def free(self, m: int, *, wait_ns: int, hold_ns: int) -> None:
        self.recorder.m = m
        self.clock += 4_000_000
        self.recorder.mem_call(Call("sysFreeOS", 0x160000, 65536))
        self.recorder.mem_return(
            Call("sysFreeOS", 0x160000, 65536, 0, "", 0, 65536, True, "memfree", 2, 0),
            LayerState(37, 0x170000, 0x250000, 98304, 2, 65536),
        )  # fmt: skip
        self.recorder.lock_release(
            "memlock",
            "runtime.sysFreeOS",
            hold_ns,
            Waited(True, wait_ns, 4, 1),
            0,
            (),
            0,
        )

    def refuse(self, m: int) -> None:
        self.recorder.m = m
        self.recorder.mem_call(Call("sysReserveOS", 0x400000, 4 << 20))
        self.recorder.mem_grow(64 << 16, 37 << 16, 37 << 16, False, 38 << 16, 1)
        self.recorder.mem_return(
            Call("sysReserveOS", 0x400000, 4 << 20, 0, "", 0, 0, False, "hint_miss", 3, 0),
            LayerState(37, 0x170000, 0x250000, 98304, 2, 65536),
        )  # fmt: skip
        self.recorder.arena_hint_miss(0x400000, False, 0x170000, 5)
        self.recorder.mem_check(False, "mem: unordered list", 0x160000)

    def end(self) -> None:
        self.recorder.m = 0
        self.recorder.run_end(
            "throw", final_pages=37, steps=1234, error_type="throw", token="timing:7",
            uncontrolled=True, stuck=("M3 (worker) waits to acquire memlock since 9 ns",),
            error="memcheck: bad\nfatal error: mem: unordered list", failed_m=2,
            uncontrolled_at=("story.py:9",), results={"share": 0.25, "found": True, "n": 12345},
        )  # fmt: skip


STORY = """\
story ended in a throw after 1,234 steps, 4.004 ms of virtual time
go1.27 js/wasm, mutex spinbit (what-if: no Go release runs so)
3 Ms on 2 CPUs, strategy timing, seed 7
options label=it's rounds=3

M2: memcheck: bad
  fatal error: mem: unordered list
  memCheck found: mem: unordered list
  M3 (worker) waits to acquire memlock since 9 ns

results
  share    0.25
  found     yes
  n      12,345

memory
  37 pages of 64 KiB at the end, 1 growth (1 refused), at most 128 KiB live
  break 0x170000, grown up to 0x250000
  free list: 2 blocks of 96 KiB, the largest 64 KiB; at most 2 blocks and 96 KiB
  hints: 0 hit, 1 missed

calls           count  failed    bytes  by
  sysAllocOS        2       0  128 KiB  sbrk 2
  sysFreeOS         1       0   64 KiB  memfree 1
  sysReserveOS      1       1    4 MiB  hint_miss 1

lock memlock  3 acquisitions, 2 contended (66.7 %)
  wait 3.902 ms in all, p50 2.100 us, p90 3.900 ms, p99 3.900 ms, max 3.900 ms
  hold 3.570 us in all, p50 1.500 us, p90 2.000 us, p99 2.000 us, max 2.000 us
  1 busy period, the longest 4.004 ms with 2 acquisitions
  no convoy
  up to 2 waiting, one M bypassed 1 time; fairness 1.00 of acquisitions, 0.33 of waits
   M  acquired  contended  wait p50       p99       max    in all  bypassed
  M1         1          0         0         0         0         0         0
  M2         1          1  3.900 ms  3.900 ms  3.900 ms  3.900 ms         1
  M3         1          1  2.100 us  2.100 us  2.100 us  2.100 us         0

slowest waits
  3.900 ms  M2  for memlock in runtime.sysFreeOS   from 103,630 ns
  2.100 us  M3  for memlock in runtime.sysAllocOS  from 100 ns

uncontrolled: an M awaits trio itself at story.py:9; the same seed need not run the same again

log     a.jsonl, EVENTS events
again   gorun-mem run story --release go1.27 --platform js/wasm --mutex spinbit --ms 3 --cpus 2 \
--strategy timing --seed 7 --max-pages 38 --mem-debug --set 'label=it'"'"'s' --set rounds=3
"""


def tell(path: str, level: LogLevel = "debug") -> list[bytes]:
    """Write the story; the lines of its log."""
    recorder = Recorder(open_log(path), level=level)
    Story(recorder).tell()
    recorder.close()
    return Path(path).read_bytes().splitlines(keepends=True)


def test_the_log_of_a_service_names_no_command(gorun_mem: Command) -> None:
    """Its clients decided what happened: there is no run that would do it again."""
    lines = tell("a.jsonl")
    assert b'"scenario":"story"' in lines[0]
    lines[0] = lines[0].replace(b'"scenario":"story"', b'"scenario":"serve"')
    Path("served.jsonl").write_bytes(b"".join(lines))
    said = gorun_mem("report", "served.jsonl")
    assert said.code == 0
    assert "\nagain " not in said.out
    assert gorun_mem("report", "served.jsonl", "--json").document["again"] == ""
    assert gorun_mem("report", "served.jsonl", "--html", "a.html").code == 0
    assert "Again:" not in Path("a.html").read_text()


@pytest.mark.parametrize("level", ["debug", "canonical"])
def test_the_report_of_the_story(gorun_mem: Command, level: LogLevel) -> None:
    """The whole text; canonical events are enough for it."""
    lines = tell("a.jsonl", level)
    said = gorun_mem("report", "a.jsonl")
    assert (said.code, said.err) == (0, "")
    assert said.out == STORY.replace("EVENTS", str(len(lines)))


def test_a_log_of_level_info_says_what_it_lacks(gorun_mem: Command) -> None:
    """Calls and locks are not taken for none: they are said to be unknown, and no metrics."""
    tell("a.jsonl", "info")
    said = gorun_mem("report", "a.jsonl")
    assert "calls and locks are not known" in said.out
    metrics = gorun_mem("report", "a.jsonl", "--json").document["metrics"]
    assert "calls" not in metrics
    assert not [name for name in metrics if name.startswith("lock.")]
    assert metrics["lock_wait_ns"] == 3_902_100


def test_a_cut_log_is_reported_as_far_as_it_goes(gorun_mem: Command) -> None:
    """Wherever it is cut, even amid a line or in its first, it is said and nothing breaks."""
    lines = tell("a.jsonl")
    data = b"".join(lines)
    for cut in (len(data) - 1, len(data) - 20, len(b"".join(lines[:6])) + 5, len(lines[0]) + 3):
        Path("cut.jsonl").write_bytes(data[:cut])
        said = gorun_mem("report", "cut.jsonl")
        whole = cut == len(data) - 1  # only the last newline is missing
        assert (said.code, said.err) == (0, "")
        assert ("the log was cut: it has no run.end" in said.out) is not whole
        assert ("story has no end in this log after " in said.out) is not whole
    Path("cut.jsonl").write_bytes(data[:30])
    said = gorun_mem("report", "cut.jsonl")
    assert (said.code, said.out) == (2, "")
    assert "is no event log: none of its 1 lines is an event" in said.err


def test_damaged_and_foreign_lines_are_counted(gorun_mem: Command) -> None:
    """Lines that are no events are passed over, counted, and the first is named."""
    lines = tell("a.jsonl")
    foreign = [b"not json\n", b'{"event":"coffee.break"}\n']
    Path("b.jsonl").write_bytes(b"".join([*lines[:3], *foreign, *lines[4:]]))
    said = gorun_mem("report", "b.jsonl")
    assert said.code == 0
    assert f"2 of {len(lines) + 1} lines damaged (first: line 4: " in said.out
    assert "missing by their numbers: 1 event" in said.out
    document = gorun_mem("report", "b.jsonl", "--json").document
    assert (document["damaged_lines"], document["missing_events"]) == (2, 1)


def test_a_log_without_its_start_is_still_one(gorun_mem: Command) -> None:
    """The tail of a log has figures, and says that the settings are not known."""
    lines = tell("a.jsonl")
    Path("tail.jsonl").write_bytes(b"".join(lines[1:]))
    said = gorun_mem("report", "tail.jsonl")
    assert said.code == 0
    assert "run.start is missing" in said.out
    assert "\nagain " not in said.out
    assert "lock memlock  3 acquisitions" in said.out


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["report"], "no LOG is given"),
        (["report", "gone.jsonl"], "cannot read log gone.jsonl: No such file or directory"),
        (["report", "."], ". is no event log: it is empty"),
        (["report", "last"], "no runs yet"),
        (["report", "empty.jsonl"], "empty.jsonl is no event log: it is empty"),
    ],
)
def test_no_log_is_said_in_a_sentence(
    gorun_mem: Command, home: Path, args: list[str], sentence: str
) -> None:
    """Exit 2, one line on stderr, nothing on stdout."""
    (home / "empty.jsonl").touch()
    said = gorun_mem(*args)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_report_takes_bounded_memory(home: Path) -> None:
    """A log of 120,000 releases with as many distinct waits is read in 20 MB more than one line."""
    recorder = Recorder(open_log("long.jsonl"), level="canonical")
    story = Story(recorder)
    story.start()
    for number in range(120_000):
        recorder.m = number % 5 + 1
        story.clock += 1_000_000
        recorder.lock_release(
            "memlock",
            "runtime.sbrk",
            10,
            Waited(True, 1 + number * 7919 % 10**9, 0, 0),
            0,
            (),
            0,
        )
    story.end()
    recorder.close()
    tell("short.jsonl")
    program = (
        "import sys, resource\n"
        "from gorun_mem.cli import main\n"
        "code = main(['report', sys.argv[1]])\n"
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    peaks = []
    for name in ("short.jsonl", "long.jsonl"):
        done = subprocess.run(
            [sys.executable, "-c", program, name],
            capture_output=True, text=True, cwd=home, env=environment(home), timeout=LONG_S,
            check=False,
        )  # fmt: skip
        code, peak = done.stderr.split()
        assert code == "0"
        peaks.append(int(peak))
    assert "too many distinct times to keep each: percentiles are within 0.05 %" in done.stdout
    assert peaks[1] - peaks[0] < 20_000
    assert os.path.getsize(home / "long.jsonl") > 20_000_000

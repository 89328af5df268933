"""Recordings of real Go programs, replayed; and recordings bent so that they differ."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.replay.os_level import FileResult, Level, replay_file
from gorun_mem.runtime import behaviour, mem, mheap
from tests import TRACES

RECORDINGS = sorted(TRACES.glob("*.jsonl.gz"))
TRACER = next(path for path in RECORDINGS if path.name == "go1.27.3-wasip1-tracer.jsonl.gz")
Line = dict[str, Any]
Edit = Callable[[list[Line]], None]


def lines_of(path: Path) -> list[Line]:
    return [json.loads(text) for text in gzip.decompress(path.read_bytes()).splitlines()]


def replay(lines: list[Line], tmp_path: Path, level: Level) -> FileResult:
    path = tmp_path / "bent.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return replay_file(path, level)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_every_answer_of_real_go_is_ours(path: Path, level: Level) -> None:
    """No recorded call has another answer or leaves another state here. At heap level every event
    that was recorded is compared, at OS level every one of the OS layer."""
    result = replay_file(path, level)
    assert result.first is None
    assert (result.differences, result.problem, result.exit_code) == (0, "", 0)
    lines = lines_of(path)[1:]
    skipped = () if level is Level.HEAP else ("mheap.sysAlloc", "hintHit", "hintDrop")
    assert result.events == sum(line["ev"] not in skipped for line in lines)
    assert result.calls >= sum(line.get("top") == 1 for line in lines)


def test_the_set_has_every_generation() -> None:
    """The recordings kept here cover each generation of wasm, js and wasip1, and running out of
    memory; and the real Plan 9 runtime of three generations, amd64 and 386, driven and not."""
    names = {path.name.removesuffix(".jsonl.gz") for path in RECORDINGS}
    for part in ("go1.19", "go1.21.13", "go1.24.11", "go1.26.6", "go1.27.3"):
        assert f"{part}-js-trees_oom" in names
        assert f"{part}-js-t_runtime" in names
    assert any("wasip1" in name for name in names)
    for part in ("go1.21.13", "go1.25.0", "go1.27.3"):
        assert f"{part}-plan9-oomer" in names
    assert {"go1.23.1-plan9-386-driveuser", "go1.25.0-plan9-386-driveuser"} <= names


def at(lines: list[Line], ev: str, which: int = 0, **fields: object) -> Line:
    found = [
        line
        for line in lines
        if line.get("ev") == ev and all(line.get(k) == v for k, v in fields.items())
    ]
    return found[which]


def bend(ev: str, name: str, **fields: object) -> Edit:
    def edit(lines: list[Line]) -> None:
        line = at(lines, ev, **fields)  # type: ignore[arg-type]
        line[name] = line[name] + 65536 if isinstance(line[name], int) else "0" * 16

    return edit


def leave_out(ev: str, which: int = 0, **fields: object) -> Edit:
    def edit(lines: list[Line]) -> None:
        gone = at(lines, ev, which, **fields)
        lines.remove(gone)
        renumber(lines)

    return edit


def repeat(ev: str, which: int = 0) -> Edit:
    def edit(lines: list[Line]) -> None:
        line = at(lines, ev, which)
        lines.insert(lines.index(line), dict(line))
        renumber(lines)

    return edit


def renumber(lines: list[Line]) -> None:
    new = {line["seq"]: i for i, line in enumerate(lines[1:])}
    for i, line in enumerate(lines[1:]):
        line["seq"] = i
        if "parent" in line:
            line["parent"] = new.get(line["parent"], line["parent"])
    lines[0]["events"] = len(lines) - 1


OS_BENT: dict[str, tuple[Edit, str]] = {
    "an answer": (bend("sysAllocOS", "p"), "p"),
    "an aligned answer": (bend("sysReserveAlignedSbrk", "p"), "p"),
    "an aligned size": (bend("sysReserveAlignedSbrk", "rsize"), "rsize"),
    "bloc": (bend("sysReserveOS", "bloc"), "bloc"),
    "blocMax": (bend("sysAllocOS", "blocMax"), "blocMax"),
    "pages": (bend("sysFreeOS", "pages_now"), "pages"),
    "free blocks": (bend("sysFreeOS", "freeBlocks"), "fl"),
    "free bytes": (bend("sysFreeOS", "freeBytes"), "fb"),
    "the list's hash": (bend("sysFreeOS", "freeHash"), "fh"),
    "a nested sbrk": (bend("sbrk", "p"), "p"),
    "bloc in a nested sbrk": (bend("sbrk", "bloc"), "bloc"),
    "a growth": (bend("growMemory", "r"), "r"),
    "what is grown by": (bend("growMemory", "pages"), "pages"),
    "pages before a growth": (bend("growMemory", "pages_before"), "pages_before"),
    "bloc at boot": (bend("initBloc", "bloc"), "bloc"),
    "blocMax after osinit": (bend("osinit", "blocMax"), "blocMax"),
    "an sbrk Go did not make": (leave_out("sbrk"), "call"),
    "an sbrk we do not make": (repeat("sbrk"), "call"),
}


@pytest.mark.parametrize("what", list(OS_BENT))
@pytest.mark.parametrize("level", list(Level))
def test_a_bent_recording_differs(what: str, level: Level, tmp_path: Path) -> None:
    """Each kind of field, bent in one place, is found there, and is the first difference."""
    edit, name = OS_BENT[what]
    lines = lines_of(TRACER)
    edit(lines)
    result = replay(lines, tmp_path, level)
    assert result.exit_code == 1
    assert result.first is not None
    assert result.first.field == name
    assert set(result.first.before) == {"bloc", "blocMax", "pages", "fl", "fb", "fh"}


HEAP_BENT: dict[str, tuple[Edit, str]] = {
    "an arena": (bend("mheap.sysAlloc", "v"), "v"),
    "an arena's size": (bend("mheap.sysAlloc", "size"), "size"),
    "a hint": (bend("hintHit", "addr"), "addr"),
    "a dropped hint": (bend("hintDrop", "addr"), "addr"),
    "a hint's direction": (lambda lines: at(lines, "hintDrop").update(down=1), "down"),
    "a hit Go did not have": (leave_out("hintHit"), "call"),
    "a drop we do not have": (repeat("hintDrop"), "call"),
}


@pytest.mark.parametrize("what", list(HEAP_BENT))
def test_a_bent_heap_differs(what: str, tmp_path: Path) -> None:
    """Hints and arenas, bent in one place, are found at heap level and passed over at OS level."""
    edit, name = HEAP_BENT[what]
    lines = lines_of(TRACER)
    edit(lines)
    result = replay(lines, tmp_path, Level.HEAP)
    assert result.first is not None
    assert result.first.field == name
    assert replay(lines, tmp_path, Level.OS).differences == 0


def test_an_allocation_left_out_is_noticed_later(tmp_path: Path) -> None:
    """A call missing from the recording makes the next ones differ: the state is another."""
    lines = lines_of(TRACER)
    leave_out("sysAllocOS", how="freelist")(lines)
    assert replay(lines, tmp_path, Level.OS).differences > 0


@pytest.mark.parametrize(
    ("trace", "plant"),
    [
        ("go1.27.3-js-maps", {"arena_metadata": 65536}),
        ("go1.21.13-js-trees_oom", {"arena_metadata": 4304}),
        ("go1.24.11-js-tracer", {"arena": 512 * 1024}),
        ("go1.26.6-js-slices", {"arena": 4 << 20}),
    ],
)
def test_planted_bugs_in_the_table_are_found(
    trace: str, plant: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong size in the release table differs at heap level; with the right one all agree."""
    path = next(path for path in RECORDINGS if path.name == f"{trace}.jsonl.gz")
    assert replay_file(path, Level.HEAP).differences == 0
    real = behaviour.Release.heap_sizes
    monkeypatch.setattr(
        behaviour.Release,
        "heap_sizes",
        lambda self, platform: behaviour.replace(real(self, platform), **plant),  # type: ignore[attr-defined]
    )
    assert replay_file(path, Level.HEAP).differences > 0


def test_planted_bugs_in_the_heap_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The up hint below the down hint, and hints to the user's list: both differ."""
    real = mheap.MHeap.push_hint
    for wrong in (
        lambda self, addr, *, down=False, user=False, p=0: real(self, addr, down=not down, p=p),
        lambda self, addr, *, down=False, user=False, p=0: real(
            self, addr, down=down, user=not user, p=p
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(mheap.MHeap, "push_hint", wrong)
            assert replay_file(TRACER, Level.HEAP).differences > 0
    assert replay_file(TRACER, Level.HEAP).differences == 0


def test_a_missing_trim_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.24 both ends of an aligned reservation are freed: without, the lists differ."""
    path = next(path for path in RECORDINGS if path.name == "go1.21.13-wasip1-maps.jsonl.gz")

    async def keep(self: mem.Mem, p: int, size: int, align: int) -> tuple[int, int, int]:
        return -(-p // align) * align, size, 0

    monkeypatch.setattr(mem.Mem, "_trim", keep)
    result = replay_file(path, Level.HEAP)
    assert result.first is not None
    assert result.first.field == "call"


def test_a_call_that_does_not_return_is_a_difference(tmp_path: Path) -> None:
    """Where Go's call returned and ours faults, that is said, and the replay of the file ends."""
    lines = lines_of(TRACER)
    at(lines, "sysFreeOS", v=at(lines, "sysFreeOS")["v"])["v"] = 1 << 40
    result = replay(lines, tmp_path, Level.OS)
    assert result.first is not None
    assert result.first.ours.startswith("fault ")
    assert result.differences == 1


def test_growth_is_limited_by_the_recorded_maximum(tmp_path: Path) -> None:
    """With a smaller wasmMemoryMax than Go had, a growth that Go made fails here."""
    lines = lines_of(TRACER)
    lines[0]["wasmMemoryMax"] = lines[0]["initialPages"] + 3
    result = replay(lines, tmp_path, Level.OS)
    assert result.first is not None
    assert (result.first.field, result.first.ours) == ("r", "-1")


def test_absent_fields_are_not_compared(tmp_path: Path) -> None:
    """A recording of arguments alone agrees with anything."""
    lines = lines_of(TRACER)
    for line in lines[1:]:
        for name in ("p", "bloc", "blocMax", "pages_now", "freeBlocks", "freeBytes", "freeHash"):
            line.pop(name, None)
    assert replay(lines, tmp_path, Level.HEAP).differences == 0


def test_1_24_3_throws_where_a_fixed_release_goes_on(tmp_path: Path) -> None:
    """golang/go#74346: the recording of 1.24.11 asks for an aligned range that the free list can
    serve; as 1.24.3 the next call throws "self deadlock", as 1.24.11 it answers."""
    path = next(path for path in RECORDINGS if path.name == "go1.24.11-js-t_runtime.jsonl.gz")
    lines = lines_of(path)[:40]
    first = at(lines, "mheap.sysAlloc", which=-1)
    lines = lines[: lines.index(first) + 1]
    lines[0]["events"] = None
    seq = len(lines) - 1
    big = {"ev": "sysReserveAlignedSbrk", "depth": 0, "top": 1, "size": 65536, "align": 65536}
    alloc = {"ev": "sysAllocOS", "depth": 0, "top": 1, "n": 65536}
    lines += [big | {"seq": seq}, alloc | {"seq": seq + 1}]
    assert replay(lines, tmp_path, Level.OS).differences == 0
    lines[0]["go"] = "go1.24.3"
    result = replay(lines, tmp_path, Level.OS)
    assert result.first is not None
    assert result.first.ours == "throw self deadlock"
    assert result.first.call.startswith("sysAllocOS")


@pytest.mark.parametrize("release", ["go1.23", "go1.27"])
def test_plan9_recordings_replay_too(release: str, tmp_path: Path) -> None:
    """A recording from Plan 9, which has no growMemory: agreement, and a difference."""
    header = {"header": 1, "format": 1, "go": release, "goos": "plan9", "goarch": "amd64"}
    lines: list[Line] = [
        header | {"end": 5000},
        {"seq": 0, "ev": "sbrk", "depth": 1, "n": 8192, "p": 8192, "bloc": 16384, "parent": 1},
        {"seq": 1, "ev": "sysAllocOS", "top": 1, "n": 8192, "p": 8192, "blocMax": 16384},
    ]
    for level in Level:
        assert replay(lines, tmp_path, level).differences == 0
    lines[1]["p"] = 4096
    assert replay(lines, tmp_path, Level.OS).differences == 1


PLAN9_DRIVEN = "go1.25.0-plan9-amd64-drive-brk"
PLAN9_OOM = "go1.27.3-plan9-oomer"
OLD_386 = "go1.23.1-plan9-386-drive"


def named(name: str) -> list[Line]:
    return lines_of(next(path for path in RECORDINGS if path.name == f"{name}.jsonl.gz"))


@pytest.mark.parametrize("level", list(Level))
def test_the_break_ends_where_the_header_says(level: Level, tmp_path: Path) -> None:
    """brkMax is the recorded machine's: with more, or with no limit, we get memory that Go did not;
    with less we are refused what Go got."""
    lines = named(PLAN9_OOM)
    refused = at(lines, "sbrk", p=0)
    top = refused["bloc"] + refused["n"]
    assert lines[0]["brkMax"] < top
    for brk_max, ours in ((top - 1, None), (top, refused["bloc"]), (None, refused["bloc"])):
        lines[0]["brkMax"] = brk_max
        first = replay(lines, tmp_path, level).first
        assert (first and first.ours) == (ours and str(ours))
    lines[0]["brkMax"] = refused["bloc"] - 1
    first = replay(lines, tmp_path, level).first
    assert first is not None
    assert (first.go, first.ours) != ("0", "0")


@pytest.mark.parametrize("level", list(Level))
def test_a_break_whose_limit_was_not_recorded(level: Level, tmp_path: Path) -> None:
    """Without brkMax a refused growth tells the limit, for good: a growth beyond it that the
    recording has granted later is a difference."""
    lines = named(PLAN9_DRIVEN)
    assert "brkMax" not in lines[0]
    assert replay(lines, tmp_path, level).differences == 0
    lines[0]["brkMax"] = None
    assert replay(lines, tmp_path, level).differences > 0
    del lines[0]["brkMax"]
    granted = [line for line in lines if line.get("ev") == "sbrk" and line["p"]]
    late = granted[-1]
    late["p"] = 0
    assert replay(lines, tmp_path, level).differences > 0
    first = named(PLAN9_DRIVEN)
    at(first, "sbrk", which=1)["p"] = 0
    assert replay(first, tmp_path, level).differences > 0


def test_a_program_beyond_4_gib() -> None:
    """4 GiB is nobody's limit on amd64: a real program's break went past it, and ours goes too."""
    lines = named("go1.27.3-plan9-bigs_5200")
    assert max(line.get("blocMax", 0) for line in lines) > 5 << 30


def test_386_boot_is_predicted_up_to_1_23(tmp_path: Path) -> None:
    """What mallocinit reserves on 386 is compared at heap level, each try of it; without it there
    is no hint to drop; and from 1.24 on there is neither."""
    assert replay(named(OLD_386), tmp_path, Level.HEAP).differences == 0
    for edit in (
        bend("sysReserveOS", "n", by="runtime.mallocinit"),
        leave_out("sysReserveOS", 1, by="runtime.sysReserveAligned"),
        leave_out("hintDrop"),
    ):
        lines = named(OLD_386)
        edit(lines)
        assert replay(lines, tmp_path, Level.HEAP).differences > 0
    new = named("go1.25.0-plan9-386-drive")
    assert not [line for line in new if line.get("by") == "runtime.mallocinit"]


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("name", [OLD_386, PLAN9_DRIVEN, "go1.23.1-wasip1-t_text_template"])
def test_a_cut_recording_agrees_as_far_as_it_goes(name: str, level: Level, tmp_path: Path) -> None:
    """Cut behind any event, amid a call too, every whole call is compared, nothing differs, and the
    file is said to be cut."""
    lines = named(name)
    for length in range(1, len(lines)):
        result = replay(lines[:length], tmp_path, level)
        assert (result.differences, result.truncated, result.exit_code) == (0, True, 2)
        whole = sum(line.get("top") == 1 for line in lines[:length])
        assert result.calls >= whole


def test_the_argument_of_sbrk_is_rounded_up_to_1_23(tmp_path: Path) -> None:
    """memAlloc of 1.21 to 1.23 hands sbrk its own n, rounded to pages, as a real program shows; and
    from 1.24, where a function of its own rounds, what it was asked for."""
    lines = named("go1.23.1-wasip1-t_text_template")
    caller = at(lines, "sysAllocOS", n=8192)
    assert at(lines, "sbrk", parent=caller["seq"])["n"] == 65536
    for name, n in (("go1.23", 4096), ("go1.24", 5)):
        header = {"header": 1, "format": 1, "go": name, "goos": "plan9", "goarch": "386", "end": 9}
        new: list[Line] = [
            header,
            {"seq": 0, "ev": "sbrk", "depth": 1, "n": n, "parent": 1},
            {"seq": 1, "ev": "sysAllocOS", "top": 1, "n": 5, "p": 4096},
        ]
        assert replay(new, tmp_path, Level.OS).differences == 0

"""The reader of recordings: what it refuses, and that nothing else ever comes of a bad file."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gorun_mem.replay.os_level import FileResult, Level, replay_file
from gorun_mem.replay.recording import LINE_MAX, Recording, RecordingError
from tests import TRACES

PACKED = {
    name: (TRACES / f"{name}.jsonl.gz").read_bytes()
    for name in ("go1.19-js-trees_oom", "go1.24.11-js-trees_oom", "go1.27.3-js-trees_oom")
}
PLAIN = {name: gzip.decompress(data) for name, data in PACKED.items()}
HEADER = {"header": 1, "format": 1, "go": "go1.27", "goos": "js", "goarch": "wasm", "end": 99}
PLAN9 = HEADER | {"goos": "plan9", "goarch": "amd64"}
ALLOC = {"seq": 0, "ev": "sysAllocOS", "depth": 0, "top": 1, "n": 65536}


def text(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def read(path: Path, data: bytes) -> RecordingError | int:
    """How many events were read, or the error."""
    path.write_bytes(data)
    try:
        with Recording(path) as recording:
            return sum(1 for _ in recording)
    except RecordingError as error:
        return error


@pytest.mark.parametrize("name", list(PACKED))
def test_gzip_and_plain_read_alike(name: str, tmp_path: Path) -> None:
    """What the first bytes say counts, not the name; members of gzip may follow one another."""
    path = tmp_path / "anything"
    count = PLAIN[name].count(b"\n") - 1
    half = PLAIN[name].index(b"\n", 5000)
    halves = gzip.compress(PLAIN[name][:half]) + gzip.compress(PLAIN[name][half:])
    for data in (PACKED[name], PLAIN[name], halves, PACKED[name] + bytes(512)):
        assert read(path, data) == count
    assert read(path, PLAIN[name].rstrip(b"\n")) == count


BAD: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 1, "no header"),
    "no JSON": (b"hello\n", 1, "no header"),
    "no header": (text(ALLOC), 1, "no header"),
    "another format": (text(HEADER | {"format": 2}), 1, "only format 1 is known"),
    "release": (text(HEADER | {"go": "go1.99"}), 1, "no release 'go1.99'"),
    "platform": (text(HEADER | {"goos": "linux"}), 1, "no platform 'linux/wasm'"),
    "platform of a release": (
        text(HEADER | {"go": "go1.19", "goos": "wasip1"}),
        1,
        "it exists from go1.21",
    ),
    "end": (text(HEADER | {"end": -1}), 1, "end -1 must lie between"),
    "pages": (text(HEADER | {"initialPages": 70000}), 1, "initialPages 70000 must lie"),
    "a break's limit": (text(PLAN9 | {"brkMax": -1}), 1, "brkMax -1 must lie between"),
    "a break's limit in words": (text(PLAN9 | {"brkMax": "1G"}), 1, "no header"),
    "an event that is none": (text(HEADER, ALLOC | {"ev": "mmap"}), 2, "no event 'mmap'"),
    "no argument": (text(HEADER, {"seq": 0, "ev": "sysFreeOS", "v": 0}), 2, "sysFreeOS without n"),
    "a negative size": (text(HEADER, ALLOC | {"n": -1}), 2, "n -1 is no address or size"),
    "a wrong type": (text(HEADER, ALLOC | {"n": "x"}), 2, "not an event: Expected"),
    "a broken line": (text(HEADER) + b'{"seq":0,,}\n' + text(ALLOC), 2, "not JSON"),
    "a blank line": (text(HEADER) + b"\n" + text(ALLOC), 2, "not JSON"),
    "doubled": (text(HEADER, ALLOC, ALLOC), 3, "event 0 where 1 should be"),
    "left out": (text(HEADER, ALLOC | {"seq": 5}), 2, "event 5 where 0 should be"),
    "not UTF-8": (text(HEADER) + b'{"seq":0,"ev":"\x80"}\n' + text(ALLOC), 2, "not JSON"),
    "a header not UTF-8": (b'{"header":1,"go":"\x80"}\n', 1, "no header"),
    "too many": (text(HEADER | {"events": 0}, ALLOC), 2, "1 events where the header says 0"),
    "a long line": (text(HEADER) + b" " * (LINE_MAX + 40000), 1, "a line of more than"),
    "a bomb": (gzip.compress(bytes(1 << 26)), 1, "a line of more than"),
    "no gzip after all": (b"\x1f\x8bhello", 1, "the gzip data is damaged"),
}


@pytest.mark.parametrize("what", list(BAD))
def test_a_bad_recording_says_where_and_why(what: str, tmp_path: Path) -> None:
    """The error names the file and the line, and is no truncation."""
    data, line, reason = BAD[what]
    error = read(tmp_path / "bad", data)
    assert isinstance(error, RecordingError)
    assert (error.line, error.truncated) == (line, False)
    assert reason in error.reason
    assert str(error).startswith(f"{tmp_path / 'bad'}:{line}: ")


@pytest.mark.parametrize("name", list(PACKED))
def test_a_cut_recording_is_used_as_far_as_it_goes(name: str, tmp_path: Path) -> None:
    """Cut in a line, at a line's end, or in the gzip data: what is there is compared without a
    difference, the result says that it is cut, and the exit code is 2."""
    path = tmp_path / "cut"
    plain, packed = PLAIN[name], PACKED[name]
    whole = replay_file(TRACES / f"{name}.jsonl.gz", Level.OS).events
    for data in (plain[:-10], plain[: plain.rindex(b"\n", 0, -1) + 1], packed[:-200], packed[:-4]):
        path.write_bytes(data)
        for level in Level:
            result = replay_file(path, level)
            assert (result.truncated, result.differences, result.exit_code) == (True, 0, 2)
            assert "cut off" in result.problem or "the recording ends after" in result.problem
        assert 0 < replay_file(path, Level.OS).events <= whole


def judge(path: Path, data: bytes) -> list[FileResult]:
    path.write_bytes(data)
    return [replay_file(path, level) for level in Level]


def draw_recording(data: st.DataObject) -> bytes:
    packed = data.draw(st.booleans())
    return (PACKED if packed else PLAIN)[data.draw(st.sampled_from(list(PLAIN)))]


DAMAGE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.data())
@DAMAGE
def test_flipped_bytes_end_in_a_result(tmp_path: Path, data: st.DataObject) -> None:
    """Any bytes overwritten, packed or plain: always a result, with a code of 0 to 2."""
    raw = bytearray(draw_recording(data))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=8)):
        raw[place] = data.draw(st.integers(0, 255))
    for result in judge(tmp_path / "flipped", bytes(raw)):
        assert result.exit_code in (0, 1, 2)


@given(st.data())
@DAMAGE
def test_cuts_end_in_a_result(tmp_path: Path, data: st.DataObject) -> None:
    """Any range of bytes taken out."""
    raw = draw_recording(data)
    lo = data.draw(st.integers(0, len(raw)))
    hi = data.draw(st.integers(lo, len(raw)))
    for result in judge(tmp_path / "cut", raw[:lo] + raw[hi:]):
        assert result.exit_code in (0, 1, 2)


@given(st.data())
@DAMAGE
def test_shuffled_lines_are_noticed(tmp_path: Path, data: st.DataObject) -> None:
    """Two lines exchanged: out of order, unless they are the same line."""
    lines = PLAIN[data.draw(st.sampled_from(list(PLAIN)))].splitlines(keepends=True)
    i, j = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines[i], lines[j] = lines[j], lines[i]
    for result in judge(tmp_path / "shuffled", b"".join(lines)):
        assert result.exit_code == (0 if i == j else 2)


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from([0, 1, 2**31, 2**32, 2**63, 2**64 - 1])
)


@given(st.data())
@DAMAGE
def test_any_numbers_end_in_a_result(tmp_path: Path, data: st.DataObject) -> None:
    """Well-formed lines with any numbers in them: sizes of 2**63, frees of nil, unknown parents."""
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in PLAIN[data.draw(st.sampled_from(list(PLAIN)))].splitlines()
    ]
    for _ in range(data.draw(st.integers(1, 6))):
        line = lines[data.draw(st.integers(0, len(lines) - 1))]
        names = [name for name, value in line.items() if isinstance(value, int) and name != "seq"]
        line[data.draw(st.sampled_from(names))] = data.draw(NUMBERS)
    for result in judge(tmp_path / "numbers", text(*lines)):
        assert result.exit_code in (0, 1, 2)


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """20,000 events, more than 1.4 MB of text, are compared within 1 MB of memory."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(text(HEADER | {"go": "go1.24"}))
        for i in range(0, 20_000, 2):
            file.write(text(ALLOC | {"seq": i}))
            free = {"seq": i + 1, "ev": "sysFreeOS", "depth": 0, "top": 1, "v": 65536, "n": 65536}
            file.write(text(free))
    tracemalloc.start()
    result = replay_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.events == 20_000
    assert path.stat().st_size > 1_400_000
    assert peak < 1 << 20


def test_a_call_with_endless_children_is_refused(tmp_path: Path) -> None:
    """Events that never come to an outermost call are held only so long."""
    path = tmp_path / "nested.jsonl"
    with path.open("wb") as file:
        file.write(text(HEADER))
        for i in range(100_010):
            file.write(text({"seq": i, "ev": "sbrk", "n": 0, "parent": 1 << 40}))
    assert "more than 100000 events under one call" in replay_file(path).problem

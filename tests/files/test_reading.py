"""Inputs without end or shape: one clear error each, soon and in little memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import resource
import threading
import time
import zlib
from pathlib import Path

import pytest
import zstandard

from gorun_mem.cli import _binary, main
from gorun_mem.cli._exit import BadInput
from gorun_mem.files import reading
from gorun_mem.files.packed import RATIO_MAX, Damaged, UnpackedFile, unpacked
from gorun_mem.files.reading import read_input

KINDS = {
    "zero": "a device, which has no end",
    "random": "a device, which has no end",
    "fifo": "a pipe into which nobody has written",
    "folder": "Is a directory",
    "loop": "Too many levels of symbolic links",
    "gone": "No such file or directory",
    "nul": "it holds a zero byte",
    "half": "it holds half a character",
    "large": "it has more than 1,000 bytes",
}


def strange(folder: Path, kind: str) -> str:
    path = folder / kind
    if kind in ("zero", "random"):
        return f"/dev/{kind}"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "nul":
        return "a\0b"
    elif kind == "half":
        return "a\ud800b"
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    return str(path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_read_is_an_oserror(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with a name: the reason in words, and the name."""
    monkeypatch.setattr(reading, "PIPE_WAIT_S", 0.1)
    name = strange(tmp_path, kind)
    with pytest.raises(OSError, match=r"\w") as raised:
        read_input(name, 1000)
    assert KINDS[kind] in (raised.value.strerror or "")
    assert raised.value.filename == name


def test_pipes_and_null_can_be_read(tmp_path: Path) -> None:
    """A pipe that somebody writes into, some time after, and /dev/null, which is empty."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        time.sleep(0.3)
        pipe.write_bytes(b"hello")

    writer = threading.Thread(target=write)
    writer.start()
    assert read_input(pipe, 10) == b"hello"
    writer.join()
    assert read_input("/dev/null", 0) == b""


def packings(data: bytes) -> dict[str, bytes]:
    return {
        "plain": data,
        "gzip": gzip.compress(data),
        "members": gzip.compress(data[:100]) + gzip.compress(data[100:]) + b"\0" * 600,
        "zstd": zstandard.compress(data),
        "frames": zstandard.compress(data[:7]) + zstandard.compress(data[7:]),
    }


@pytest.mark.parametrize("kind", ["plain", "gzip", "members", "zstd", "frames"])
def test_what_is_packed_is_unpacked(kind: str) -> None:
    """However it comes in; a cut file as far as it goes, and then it is said."""
    data = random.Random(5).randbytes(5000) * 3
    packed = packings(data)[kind]
    assert b"".join(unpacked(io.BytesIO(packed).read)) == data
    slow = io.BytesIO(packed)
    assert b"".join(unpacked(lambda n: slow.read(min(n, 3)))) == data
    assert io.BufferedReader(UnpackedFile(io.BytesIO(packed).read)).read() == data
    if kind in ("gzip", "zstd"):
        got: list[bytes] = []
        with pytest.raises(Damaged) as raised:
            got.extend(unpacked(io.BytesIO(packed[: len(packed) // 2]).read))
        assert raised.value.truncated
        assert data.startswith(b"".join(got))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bombs_are_refused(kind: str) -> None:
    """Two megabytes that become gigabytes: refused within a second and in little memory."""
    if kind == "gzip":
        stream = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(600)) + stream.flush()
    else:
        bomb = zstandard.compress(bytes(600 << 20))
    assert len(bomb) * RATIO_MAX < 600 << 20
    seen: list[int] = []
    with pytest.raises(Damaged, match="times its size"):
        seen.extend(len(piece) for piece in unpacked(io.BytesIO(bomb).read))
    assert sum(seen) < 300 << 20


VERBS = {
    "scenario": ("run", "{}.py"), "costs": ("run", "memlock_storm", "--costs", "{}"),
    "log": ("report", "{}"), "log as SQL": ("query", "{}", "SELECT 1"),
    "recording": ("replay", "{}"), "script": ("ops", "{}"), "checked": ("ops", "--check", "{}"),
    "schedule": ("replay-schedule", "{}"), "binary": ("releases", "{}"),
    "prediction": ("predict", "{}"), "difference": ("diff", "{}", "{}"),
    "lock": ("run", "memlock_storm", "--mutex", "{}.py:Lock"),
    "policy": ("run", "memlock_storm", "--policy", "{}.py:Policy"),
    "verified": ("verify", "{}.py:Lock"), "search": ("explore", "{}.py", "--budget", "5"),
    "sides": ("compare", "{}.py", "--ms", "2", "--ms", "3"), "grid": ("sweep", "{}"),
    "recorded": ("record", "{}"), "exported": ("export", "{}", "--to", "csv", "-o", "{}.csv"),
    "seen": ("view", "{}", "--no-open"), "raw": ("bench", "calibration", "--data", "{}"),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_refuse_what_has_no_end_or_shape(
    tmp_path: Path,
    verb: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every verb that reads a file, given each strange one: exit 2, words and no traceback, soon
    and in little memory."""
    monkeypatch.setattr(reading, "PIPE_WAIT_S", 0.05)
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    bomb = tmp_path / "bomb.gz"
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb.write_bytes(b"".join(stream.compress(b"\n" * (1 << 20)) for _ in range(20)))
    digits = tmp_path / "digits"
    digits.write_text('{"header":1,"format":' + "9" * 5000 + "}\n# {}\nwhat = " + "9" * 5000)
    names = [strange(tmp_path, kind) for kind in ("zero", "fifo", "folder", "loop")]
    for name in (*names, str(bomb), str(digits)):
        given = name
        if any("{}.py" in word for word in VERBS[verb]):  # it must end so
            given = str(tmp_path / "link")
            Path(f"{given}.py").unlink(missing_ok=True)
            Path(f"{given}.py").symlink_to(name)
        words = [word.format(given) for word in VERBS[verb]]
        began = time.monotonic()
        assert main(words) == 2, (words, capsys.readouterr())
        assert "internal fault" not in capsys.readouterr().err
        assert time.monotonic() - began < 20, words
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20, "a gigabyte"


@pytest.mark.parametrize(("head", "read"), [(b"\0asm\1\0\0\0", 1 << 22), (b"\x7fELF", 1 << 20)])
def test_a_pipe_without_end_is_no_binary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, read: int
) -> None:
    """So much of it is read as a binary may have, and hardly any of what begins otherwise."""
    monkeypatch.setattr(_binary, "BINARY_BYTES_MAX", 1 << 21)
    pipe = tmp_path / "app.wasm"
    os.mkfifo(pipe)
    taken = []

    def feed() -> None:
        with open(pipe, "wb", buffering=0) as file, contextlib.suppress(BrokenPipeError):
            file.write(head)
            while True:
                taken.append(file.write(bytes(1 << 16)))

    feeder = threading.Thread(target=feed)
    feeder.start()
    with pytest.raises((OSError, BadInput), match=r"more than 2,097,152 bytes|not wasm"):
        _binary.read_binary(pipe)
    feeder.join()
    assert sum(taken) < read

"""Outputs: whole or as before, whatever the path is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gorun_mem.cli import main
from gorun_mem.events.errors import LogError
from gorun_mem.events.sinks import FileSink
from gorun_mem.files import writing
from gorun_mem.files.writing import check_writable, open_output, write_output
from tests.analysis.make_logs import run_log, storm


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """What was there stays until all is written, and where that fails; nothing else is left."""
    path = tmp_path / "out"
    path.write_bytes(b"before")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), open_output(path) as file:
        file.write(b"half" * (1 // 0))
    assert path.read_bytes() == b"before"
    with open_output(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert entries(tmp_path) == {"out"}


def test_what_is_written_first_is_a_new_file(tmp_path: Path) -> None:
    """In a folder that others may write to, a link in the place of the file that is written beside
    leads nowhere; it stays, for it is theirs."""
    theirs = tmp_path / f".out.{os.getpid()}.part"
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    theirs.symlink_to(victim)
    write_output(tmp_path / "out", b"new")
    assert (tmp_path / "out").read_bytes() == b"new"
    assert not (tmp_path / "out").is_symlink()
    assert victim.read_bytes() == b"mine"
    assert entries(tmp_path) == {"out", "victim", theirs.name}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Its target is written; a link to nothing makes the target; a loop is an error."""
    for name in ("there", "missing"):
        target, link = tmp_path / name, tmp_path / f"link-{name}"
        link.symlink_to(target)
        if name == "there":
            target.write_bytes(b"x")
        write_output(link, b"data")
        assert link.is_symlink()
        assert target.read_bytes() == b"data"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        write_output(loop, b"data")
    assert loop.is_symlink()


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """And stays one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, b"data")
    reader.join()
    assert got == [b"data"]
    assert entries(tmp_path) == {"pipe"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(tmp_path: Path) -> None:
    """A device stays a device, and what it says is said."""
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    for path in (Path("/dev/full"), link):
        with pytest.raises(OSError, match="No space left") as raised:
            write_output(path, b"data")
        assert raised.value.filename == str(path)
    assert Path("/dev/full").is_char_device()
    write_output(Path("/dev/null"), b"data")
    assert Path("/dev/null").is_char_device()


AS_NOBODY = """
import os, sys
from pathlib import Path
from gorun_mem.files.writing import check_writable, write_output
os.setgroups([]); os.setgid(65534); os.setuid(65534)
write_output(Path(sys.argv[1]), b"data")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "written"),
    [(0o777, 0o444, False), (0o755, 0o666, True), (0o755, None, False), (0o777, None, True)],
)
def test_permissions_are_those_of_the_file(
    tmp_path: Path, folder_mode: int, file_mode: int | None, written: bool
) -> None:
    """A read-only file is not replaced though its folder would allow it; one that may be written
    is, though its folder takes no other."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "out"
    if file_mode is not None:
        path.write_bytes(b"before")
        path.chmod(file_mode)
    folder.chmod(folder_mode)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is written, done.stderr
    if written:
        assert path.read_bytes() == b"data"
    else:
        assert "PermissionError" in done.stderr
        assert not path.exists() or path.read_bytes() == b"before"
    assert entries(folder) <= {"out"}


VERBS = {
    "html": ["report", "{log}", "--html", "{out}"],
    "chrome": ["export", "{log}", "--to", "chrome", "-o", "{out}"],
    "pprof": ["export", "{log}", "--to", "pprof-mutex", "-o", "{out}"],
    "schedule": ["explore", "lost.py", "--no-detectors", "--save", "{out}"],
}
LOST = """
from gorun_mem import M, World, scenario

@scenario(ms=2)
async def lost(world: World) -> None:
    \"\"\"Fails.\"\"\"

    async def work(m: M) -> None:
        await m.sys_alloc(65536)

    async with world.open_ms() as ms:
        for _ in range(2):
            ms.start_soon(work)
    assert False
"""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["full", "null", "folder", "nul", "file", "link"])
def test_verbs_treat_every_path_alike(
    tmp_path: Path,
    verb: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is no regular file is never replaced, an error is one sentence and exit 2, and nothing
    half-written is left."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log.jsonl"
    log.write_bytes(run_log(storm)[1])
    (tmp_path / "lost.py").write_text(LOST)
    out = {
        "full": "/dev/full", "null": "/dev/null", "folder": str(tmp_path / "d"), "nul": "a\0b",
    }.get(kind, str(tmp_path / "out"))  # fmt: skip
    if kind == "folder":
        (tmp_path / "d").mkdir()
    if kind == "link":
        (tmp_path / "target").write_text("x")
        (tmp_path / "out").symlink_to(tmp_path / "target")
    before = entries(tmp_path)
    code = main([word.format(log=log, out=out) for word in VERBS[verb]])
    said = capsys.readouterr()
    good = kind in ("null", "file", "link")
    found = 1 if verb == "schedule" else 0
    assert code == (found if good else 2), said
    assert "internal fault" not in said.err
    assert "Traceback" not in said.err
    assert Path("/dev/full").is_char_device()
    assert Path("/dev/null").is_char_device()
    assert entries(tmp_path) - before - {"home"} == ({"out"} if kind == "file" else set())
    if kind == "link":
        assert (tmp_path / "out").is_symlink()
        assert (tmp_path / "target").stat().st_size > 50


def test_what_can_be_written_is_known_before(tmp_path: Path) -> None:
    """Nothing is made or changed by asking; what would fail later fails now, by the same name."""
    there = tmp_path / "there"
    there.write_text("kept")
    for good in (there, tmp_path / "new", Path("/dev/null")):
        check_writable(good)
    assert sorted(os.listdir(tmp_path)) == ["there"]
    assert there.read_text() == "kept"
    for bad in (tmp_path, tmp_path / "no" / "file", tmp_path / "nul\0"):
        with pytest.raises(OSError) as refused:
            check_writable(bad)
        assert refused.value.filename == os.fspath(bad)


def _write(path: Path, how: str, data: bytes) -> None:
    if how == "whole":
        write_output(path, data)
    else:
        with FileSink(path, flush_seconds=0) as sink:
            sink.write(data[:-1])


@pytest.mark.parametrize("how", ["whole", "log"])
def test_a_pipe_that_nobody_reads_is_refused(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds, in place of waiting for ever; one that is read later gets all."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(writing, "PIPE_WAIT_S", 0.2)
    with pytest.raises((OSError, LogError), match=r"a pipe that nobody has read for 0\.2 s"):
        _write(pipe, how, b"all\n")
    monkeypatch.setattr(writing, "PIPE_WAIT_S", 30)
    reader = subprocess.Popen(["sh", "-c", f"sleep 0.3; cat {pipe}"], stdout=subprocess.PIPE)
    _write(pipe, how, b"all\n" * 1000)
    assert reader.communicate()[0] == b"all\n" * 1000


def test_a_log_that_comes_by_a_pipe_is_read_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`report <(...)` looked whether it is a recording, and lost the first lines; what `view`
    shows is read again and again."""
    log = tmp_path / "a.jsonl"
    log.write_bytes(run_log(storm)[1])
    assert main(["report", str(log)]) == 0
    said = capsys.readouterr().out.replace(str(log), "LOG")
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(log.read_bytes()))
    writer.start()
    assert main(["report", str(pipe)]) == 0
    writer.join()
    assert capsys.readouterr().out.replace(str(pipe), "LOG") == said
    assert main(["view", "--no-open", str(pipe)]) == 2
    assert "can be read once only" in capsys.readouterr().err

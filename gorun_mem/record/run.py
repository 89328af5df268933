"""Recording: run an instrumented program on its host and write down what its memory layer did."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from gorun_mem.files.writing import open_output
from gorun_mem.record.check import self_check
from gorun_mem.record.events import Events
from gorun_mem.record.plan import Plan
from gorun_mem.record.prepare import PreparedApp
from gorun_mem.record.raw import read_raw
from gorun_mem.wasm.errors import WasmError

HERE: Final = Path(__file__).parent
RAW: Final = "raw"
"""Name of the file that a host writes."""
NODE_STACK: Final = 8192
"""KiB of stack, as Go's own script gives node."""
_POLL_S: Final = 0.2
_GRACE_S: Final = 0.5
"""What a program has to end in when it is told to, before it is made to."""


class HostMissing(Exception):
    """Node or wasmtime is not installed; the message has the command that installs it."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How the program is run.

    Args:
        argv: its arguments, its name first.
        env: its environment.
        dirs: directories that it may see, pairs of (here, there); wasip1 only.
        virtual: a clock that moves by being looked at, and fixed random data.
        node: the node to run js binaries with.
        wasm_exec: Go's glue, None for the one that comes with this package.
        stdout: file descriptor for the program's output, None for ours.
        timeout_s: after how many seconds it is killed, None for never.
    """

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    dirs: Sequence[tuple[str, str]] = ()
    virtual: bool = False
    node: str = "node"
    wasm_exec: Path | None = None
    stdout: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a run.

    Args:
        path: the recording.
        exit: the program's exit code.
        pages: its memory in the end.
        events: events written.
        complete: the host saw the program end.
        check: see `check.self_check`.
    """

    path: Path
    exit: int
    pages: int
    events: int
    complete: bool
    check: dict[str, Any]


def record(
    prepared: PreparedApp, out: Path, level: str, program: str, settings: RecordSettings
) -> Recorded:
    """Run a prepared binary and write its recording.

    Args:
        prepared: from `prepare`.
        out: the recording; gzip where its name ends in .gz.
        level: what it was prepared for.
        program: its name.
        settings: how to run it.

    Raises:
        HostMissing: the host is not installed.
        WasmError: the host's engine refuses the binary.
        OSError: a file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="gorun_mem-") as name:
        folder = Path(name)
        ended, stopped = execute(prepared, folder, settings)
        return write(prepared, folder / RAW, out, level, program, ended, interrupted=stopped)


def execute(prepared: PreparedApp, folder: Path, settings: RecordSettings) -> tuple[int, bool]:
    """Run a prepared binary; what its hooks say is in the file `RAW` of the folder then.

    Args:
        prepared: from `prepare`.
        folder: for what the host needs.
        settings: how to run it.

    Returns:
        The exit code, and whether it was stopped from outside.

    Raises:
        HostMissing: the host is not installed.
        WasmError: the host's engine refuses the binary.
        OSError: a file cannot be written.
    """
    command = host_command(prepared.platform, settings)
    wasm, raw, plan = folder / "app.wasm", folder / RAW, folder / "plan.json"
    raw.touch()
    prepared.write(wasm)
    _plan(prepared, settings, wasm, raw).write(plan)
    with _outlive_interrupt() as interrupted:
        ended, stopped = _run([*command, str(plan)], settings, interrupted)
    _check_ran(folder / "refused")
    return ended, bool(interrupted) or stopped


def _plan(prepared: PreparedApp, settings: RecordSettings, wasm: Path, raw: Path) -> Plan:
    glue = settings.wasm_exec or HERE / "go_js" / "wasm_exec.js"
    return Plan(
        wasm=str(wasm),
        raw=str(raw),
        refused=str(raw.with_name("refused")),
        slot=prepared.slot,
        hooks=prepared.hooks,
        osinit=prepared.osinit,
        state=prepared.state,
        argv=list(settings.argv),
        env=dict(settings.env),
        dirs=list(settings.dirs),
        virtual=settings.virtual,
        wasmExec=str(glue.resolve()),
    )


def host_command(platform: str, settings: RecordSettings) -> list[str]:
    """The host's command line, without the plan.

    Raises:
        HostMissing: it is not installed.
    """
    if platform == "js/wasm":
        node = shutil.which(settings.node)
        if node is None:
            raise HostMissing(
                f"no {settings.node}: js binaries are run by Node.js "
                "(apt install nodejs, or brew install node; or name it with --node)"
            )
        return [node, f"--stack-size={NODE_STACK}", str(HERE / "host.js")]
    if find_spec("wasmtime") is None:
        raise HostMissing(
            "no wasmtime: wasip1 binaries are run by it (pip install 'gorun-mem[record]')"
        )
    return [sys.executable, "-P", "-m", "gorun_mem.record.wasi_host"]


def _run(command: list[str], settings: RecordSettings, interrupted: list[int]) -> tuple[int, bool]:
    """Run a host; the exit code, 128 and the signal's number where it was killed, and whether we
    killed it.

    A terminal's Ctrl-C goes to the program too; what was sent to this process alone goes on to it.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    child = subprocess.Popen(command, stdout=settings.stdout)
    began = time.monotonic()
    asked_at = None
    stopped = False
    while True:
        try:
            code = child.wait(_POLL_S)
            return (code if code >= 0 else 128 - code), stopped
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if settings.timeout_s is not None and now - began >= settings.timeout_s and not stopped:
            stopped = True
            child.kill()
        if asked_at is None and interrupted:
            asked_at = now
        elif asked_at is not None and (len(interrupted) > 1 or now - asked_at > 2 * _GRACE_S):
            child.kill()
        elif asked_at is not None and now - asked_at > _GRACE_S:
            child.send_signal(signal.SIGINT)


def _check_ran(refused: Path) -> None:
    """Raise what the engine said if it did not take the binary."""
    if refused.exists():
        reason = " ".join(refused.read_text(encoding="utf-8", errors="replace").split())
        raise WasmError(f"the engine refuses this binary: {reason[:400]}")


@contextmanager
def _outlive_interrupt() -> Iterator[list[int]]:
    """Collect interruptions, which the program gets too, in place of dying of them."""
    import threading

    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def write(
    prepared: PreparedApp,
    raw: Path,
    out: Path,
    level: str,
    program: str,
    exit_code: int,
    *,
    interrupted: bool = False,
) -> Recorded:
    """Make a recording of a raw stream, and check it against itself.

    Args:
        prepared: the binary that ran.
        raw: what its hooks said.
        out: the recording.
        level: what it was prepared for.
        program: its name.
        exit_code: how it ended.
        interrupted: it was stopped from outside.
    """
    events = Events(prepared.found, prepared.functions, prepared.end, prepared.stacks)
    body = raw.with_name("events")
    encode = msgspec.json.encode
    with open(body, "wb") as file:
        for event in events.of(read_raw(raw)):
            file.write(encode(event) + b"\n")
    goos, _, goarch = prepared.platform.partition("/")
    header = {
        "header": 1,
        "format": 1,
        "go": prepared.release.name,
        "goos": goos,
        "goarch": goarch,
        "program": program,
        "physPageSize": 65536,
        "end": prepared.end,
        "initialPages": prepared.memory.least,
        "wasmMemoryMin": prepared.memory.least,
        "wasmMemoryMax": prepared.memory.most,
        "exit": exit_code,
        "events": events.count,
        "level": level,
        "hooks": sorted({f.hook.function for f in prepared.found}),
    }
    made = raw.with_name("recording.jsonl")  # what is asked for may be a pipe
    _write(made, header, body)
    check = self_check(made, level, prepared.missing, events)
    _write(out, {**header, "self_check": check}, body)
    complete = events.ended and not interrupted
    return Recorded(out, exit_code, events.pages, events.count, complete, check)


def _write(out: Path, header: dict[str, Any], body: Path) -> None:
    lines: Iterable[bytes]
    with open(body, "rb") as lines, _open(out) as file:
        file.write(msgspec.json.encode(header) + b"\n")
        shutil.copyfileobj(lines, file)


@contextmanager
def _open(out: Path) -> Iterator[IO[bytes]]:
    if out.suffix != ".gz":
        with open_output(out) as file:
            yield file
        return
    with open_output(out) as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        yield packed  # type: ignore[misc]

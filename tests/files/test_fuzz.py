"""Every parser, given anything: its own error, soon, and never another.

Valid samples are damaged at random, and what is well-formed on the outside is filled with nonsense.
`GORUN_MEM_EXAMPLES=10000` tries so many of each; `FOUND` has what once got through.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gorun_mem._version import VERSION
from gorun_mem.calibration import measured
from gorun_mem.cli import main
from gorun_mem.events import read_events
from gorun_mem.explore import checkpoint
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.naming import code_of
from gorun_mem.record.events import Events
from gorun_mem.record.hooks import STACK, FoundHooks, wanted
from gorun_mem.record.raw import END, RawError, raw_record, read_raw
from gorun_mem.replay.opscript import Script, ScriptError
from gorun_mem.replay.recording import Recording, RecordingError
from gorun_mem.runtime.behaviour import release
from gorun_mem.service.address import Address, AddressError
from gorun_mem.service.language import NotARequest, parse_request
from gorun_mem.service.watch import BadFilter, Filter
from gorun_mem.step.costs import CostError, CostTable
from gorun_mem.step.schedule import Schedule, ScheduleError
from gorun_mem.sweep.grid import read_grid
from gorun_mem.sweep.verbs import SweepError
from gorun_mem.wasm.binary import Binary
from gorun_mem.wasm.errors import WasmError
from tests import ROOT
from tests.analysis.make_logs import run_log, storm

EXAMPLES = int(os.environ.get("GORUN_MEM_EXAMPLES", "40"))
DATA = ROOT / "tests" / "data"
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 100,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([1 << 63, 1 << 64, -1, 10**40, "js/wasm", "go1.24", "\ud800", "\0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)  # fmt: skip


def damaged(data: bytes, seed: int) -> bytes:
    """`data` with some bytes changed, cut out, doubled, or the end cut off."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not out:
            break
        at = rng.randrange(len(out))
        match rng.randrange(5):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                del out[at : at + rng.randrange(1, 40)]
            case 2:
                out[at:at] = out[at : at + rng.randrange(1, 40)]
            case 3:
                out[at:at] = rng.choice((b"9" * 30, b"\0", b"\xff\xfe", b"[" * 2000, b"-1", b"\n"))
            case 4:
                del out[rng.randrange(len(out)) :]
    return bytes(out)


def packed(data: bytes, seed: int) -> bytes:
    match seed % 4:
        case 0:
            return gzip.compress(data)
        case 1:
            return damaged(gzip.compress(data), seed)
        case 2:
            return damaged(zstandard.compress(data), seed)
    return data


LOG = run_log(storm)[1][:60_000]
TRACE = gzip.decompress(min((DATA / "traces").glob("*.gz"), key=os.path.getsize).read_bytes())
SCRIPT = b'# {"release": "go1.24", "end": 1441448}\nalloc 65536 => 1441792\nfree 0x160000 8\ndump\n'
COSTS = b"time_slice_ns = 5\n[ns]\nother = 3.5\nwake = 9\n"


def read_script(data: bytes, path: Path) -> None:
    try:
        with Script(io.BufferedReader(io.BytesIO(data)), "s") as script:
            script.header()
            for _ in script:
                pass
    except ScriptError:
        pass


def read_recording(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        with Recording(path) as recording:
            for _ in recording:
                pass
    except (RecordingError, OSError):
        pass


def read_log(data: bytes, path: Path) -> None:
    reader = read_events(io.BytesIO(data))
    for _ in reader:
        pass
    reader.describe_damage()


def read_costs(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        CostTable.read(path)
    except CostError:
        pass


def read_schedule(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        Schedule.read(path)
    except ScheduleError:
        pass


def read_token(data: bytes, path: Path) -> None:
    try:
        Schedule.from_token(data.decode("latin-1"))
    except ScheduleError:
        pass


def read_binary(data: bytes, path: Path) -> None:
    try:
        Binary.parse(data).check()
    except WasmError:
        pass


def read_request(data: bytes, path: Path) -> None:
    for line in data.decode("latin-1").split("\n"):
        try:
            parse_request(line)
        except NotARequest:
            pass
        try:
            Filter(line.split()[:8])
        except BadFilter:
            pass
        try:
            Address.parse(line)
        except AddressError:
            pass


def read_a_grid(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        read_grid(path)
    except SweepError:
        pass


def read_search(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        checkpoint.read(path)
    except checkpoint.CheckpointError:
        pass


def read_measurement(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        measured.read(path)
    except measured.MeasuredError:
        pass


def read_raw_stream(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    hooks = [FoundHooks(hook, i) for i, hook in enumerate(WANTED)]
    nobody: Any = None  # walks no stack, for no hook asks for one
    try:
        for _ in Events(hooks, {}, 0, nobody).of(read_raw(path)):
            pass
    except RawError:
        pass


def a_search() -> bytes:
    kept = checkpoint.Kept(VERSION, {"scenario": "x", "ms": 2}, {"seed": 0}, histories=["a"] * 9)
    packed = zstandard.compress(msgspec.msgpack.encode(kept))
    return checkpoint.HEAD + packed


def a_raw_stream() -> bytes:
    """Each hook entered and left."""
    out = b""
    for i, hook in enumerate(WANTED):
        out += raw_record(i, 0, 4096, 40, (1 << 28, *range(len(hook.enter))))
        out += raw_record(i, 1, 4104, 40, tuple(range(len(hook.leave or ()))))
    return out + raw_record(END, 0, 0, 0, ())


def a_schedule() -> tuple[str, bytes]:
    schedule = Schedule((0, 1, 2, 0, 0, 1), ("a b",) * 3, {"scenario": "memlock_storm"})
    head = {"schedule": 1, "token": schedule.token(), "steps": 1}
    lines = [head, {"step": 1, "m": 1, "kind": "a", "obj": "b"}, {"end": 1}]
    return schedule.token(), b"".join(json.dumps(line).encode() + b"\n" for line in lines)


WASM = b"\0asm\x01\0\0\0" + b"\x01\x04\x01\x60\0\0" + b"\x03\x02\x01\0" + b"\x05\x03\x01\0\x02"
TOKEN, SCHEDULE = a_schedule()
WANTED = [h for h in wanted(release("go1.24").behaviour, "span") if h.ev != STACK]
GRID = (
    b'[sweep]\nverb = "run"\nscenario = "memlock_storm"\nout = "x.parquet"\n[grid]\nms = [2, 4]\n'
)
REQUESTS = b"alloc 65536\nwatch mem.* m=3\nlock a\nstore 0x10 7\n127.0.0.1:70\nunix:/tmp/x\n[!a\n"
PARSERS: dict[str, tuple[Callable[[bytes, Path], None], bytes]] = {
    "script": (read_script, SCRIPT),
    "recording": (read_recording, TRACE[:20_000]),
    "log": (read_log, LOG),
    "costs": (read_costs, COSTS),
    "schedule": (read_schedule, SCHEDULE),
    "token": (read_token, TOKEN.encode()),
    "binary": (read_binary, WASM),
    "request": (read_request, REQUESTS),
    "grid": (read_a_grid, GRID),
    "search": (read_search, a_search()),
    "measurement": (read_measurement, gzip.decompress(measured.SHIPPED.read_bytes())[:4000]),
    "raw": (read_raw_stream, a_raw_stream()),
}

FOUND = {
    "costs": [b"other = " + b"9" * 5000, b"[ns]\nother = 1e400\n", b"a = " + b"[" * 5000],
    "script": [b"# {" + b'"a":' * 3000, b"\x1f\x8b" + b"x" * 50, b"alloc " + b"9" * 5000],
    "schedule": [b'{"schedule":' + b"9" * 5000 + b"}\n", b"[" * 100_000],
    "recording": [b'{"header":1,"format":1e999}\n', b"[" * 60_000],
    "log": [b"[" * 200_000 + b"\n", b'{"event":"m.park","seq":' + b"9" * 5000 + b"}\n"],
    "request": [b"watch " + b"[!" * 1500, b"alloc " + b"9" * 5000],
    "binary": [WASM + b"\x0a\xff\xff\xff\xff\x0f"],
    "token": [b"A" * 100_000, b"----"],
    "grid": [b"a = " + b"9" * 5000, b"a = " + b"[" * 5000, b"x" * (2 << 20)],
    "search": [
        checkpoint.HEAD + zstandard.compress(bytes(1 << 28)),  # a bomb
        checkpoint.HEAD + zstandard.compress(b"\x91" * 100_000),
        checkpoint.HEAD + zstandard.compress(b"\x81\xa7version\xa3\xcb\xff\xfe"),
    ],
    "measurement": [gzip.compress(bytes(1 << 28)), b"[" * 100_000, b'{"kind": 3}\n', b"3\n"],
    "raw": [raw_record(250, 0, 0, 0, ()), raw_record(0, 0, 0, 0, ()), bytes(4000)],
}


@pytest.mark.parametrize("name", PARSERS)
@given(seed=st.integers(0, 1 << 32))
@fuzz
def test_damaged_samples(name: str, seed: int, tmp_path: Path) -> None:
    """A valid one with bytes changed, doubled, cut: packed or not."""
    parse, sample = PARSERS[name]
    data = damaged(sample, seed)
    parse(packed(data, seed) if name in ("script", "recording", "log") else data, tmp_path / "x")


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=300))
@fuzz
def test_any_bytes(name: str, data: bytes, tmp_path: Path) -> None:
    """Bytes that were never one."""
    PARSERS[name][0](data, tmp_path / "x")


@pytest.mark.parametrize(("name", "number"), [(n, i) for n, all_ in FOUND.items() for i in
                                              range(len(all_))])  # fmt: skip
def test_what_was_found(name: str, number: int, tmp_path: Path) -> None:
    """Inputs that once ended otherwise, or are their like."""
    PARSERS[name][0](FOUND[name][number], tmp_path / "x")


@given(value=JSON, name=st.sampled_from(["header", "goos", "end", "events", "hooks", "go"]))
@fuzz
def test_headers_of_nonsense(value: Any, name: str, tmp_path: Path) -> None:
    """A recording's and a script's header with any JSON in it."""
    header = json.loads(TRACE.split(b"\n", 1)[0]) | {name: value}
    read_recording(json.dumps(header).encode() + b"\n", tmp_path / "x")
    read_script(b"# " + json.dumps(header).encode() + b"\nalloc 1\n", tmp_path / "x")


def crafted(about: dict[str, Any]) -> str:
    """A token with a right checksum that says `about`."""
    return Schedule((0, 1, 1), (), about).token()


CODE = ["os:system", "subprocess:run", "builtins:exec", "./evil.py", "evil.py:x", "/tmp/evil.py"]
SETTINGS = st.dictionaries(
    st.sampled_from(["ms", "cpus", "mutex", "release", "platform", "max_pages", "faults", "costs",
                     "data_end", "memory", "schedule", "seed", "mem_debug", "x"]),
    JSON | st.integers(-5, 1 << 70) | st.sampled_from(CODE), max_size=4,
)  # fmt: skip
ABOUT = st.fixed_dictionaries(
    {},
    optional={
        "scenario": JSON | st.sampled_from([*CODE, "memlock_storm", "leaked_lock"]),
        "function": JSON | st.sampled_from([*CODE, "gorun_mem.explore.kernels.locks:x"]),
        "test": st.text(max_size=10),
        "config": SETTINGS | JSON,
        "options": st.dictionaries(st.sampled_from(["rounds", "trace", "x"]), JSON, max_size=3)
        | JSON,
        "host": JSON,
        "sha256": JSON,
    },
)


@given(about=ABOUT)
@fuzz
def test_crafted_tokens(
    about: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a right checksum and whatever in them: nothing is run that was not allowed, and the end
    is a run's or exit 2, never a fault of ours."""
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('x')")
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    about = {k: str(evil) if v == "/tmp/evil.py" else v for k, v in about.items()}
    code = main(["replay-schedule", crafted(about), "--watchdog", "2"])
    said = capsys.readouterr()
    assert code in (0, 1, 2), (about, said)
    assert "internal fault" not in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["grid", "search", "measurement", "raw", "costs", "recording"])
@pytest.mark.parametrize("what", ["/dev/zero", "pipe", "folder", "loop"])
def test_what_is_no_file(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device without end, a pipe that nobody fills, a folder, a link to itself: the reader's own
    error, soon."""
    monkeypatch.setattr("gorun_mem.files.reading.PIPE_WAIT_S", 0.1)
    path = tmp_path / "x"
    match what:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(path if what == "loop" else what)
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: 0)
    PARSERS[name][0](b"", path)


def test_code_is_named() -> None:
    """What would run a file's or a module's code is seen in every place where it can be named."""
    config = {"mutex": "a.py:Lock", "release": "go1.24"}
    assert code_of({"scenario": "x.py", "config": config}) == ["x.py", "a.py:Lock"]
    locks = {"mutexes": "queue, a.py:Lock", "trace": "/tmp/x.gz"}
    assert code_of({"scenario": "mutex_shootout", "options": locks}) == ["a.py:Lock"]
    assert code_of({"function": "os:system"}) == ["os:system"]
    assert code_of({"scenario": "memlock_storm"}) == []
    for kernel in KERNELS.values():
        assert code_of(kernel.target().about) == code_of(kernel.twin().about) == []

"""Recording real Go programs: they run as they would, and their recordings replay exactly."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.cli.record import _numbered
from gorun_mem.record.run import HostMissing, RecordSettings, host_command
from tests import ROOT
from tests.record.conftest import IN_CI

Build = Callable[..., Path]
needs_node = pytest.mark.skipif(shutil.which("node") is None and not IN_CI, reason="no node here")
HOSTS = [pytest.param("js", marks=needs_node), "wasip1"]
GO_RELEASES = ("go1.21", "go1.26")


def gorun(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gorun_mem", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def record(app: Path, out: Path, *options: str) -> dict[str, Any]:
    """What `record --json` says of one run."""
    done = gorun("record", str(app), "-o", str(out), "--json", *options)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a recording."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize("goos", HOSTS)
def test_a_program_is_recorded_and_predicts_two_releases(
    build: Build, goos: str, tmp_path: Path
) -> None:
    """At span level the replay at os and heap level has no difference, the program's own release is
    predicted to the page, and other releases come out with intervals that hold the point."""
    out = tmp_path / "trees.jsonl.gz"
    found = record(build("trees", goos), out)
    (run,) = found["runs"]
    check = run["self_check"]
    assert run["exit"] == 0
    assert run["complete"]
    assert check["fit"], check
    assert check["os"]["calls"] > 8
    assert check["heap"]["calls"] > check["os"]["calls"]
    assert check["predicted"] == run["pages"] > found["initial_pages"]

    done = gorun("predict", str(out), "--json", *(f"--release={r}" for r in GO_RELEASES))
    assert done.returncode == 0, done.stderr
    (program,) = json.loads(done.stdout)["programs"]
    rows = {row["release"]: row for row in program["releases"]}
    assert tuple(rows) == GO_RELEASES
    for row in rows.values():
        assert row["low"] <= row["pages"] <= row["high"]
        assert row["why"]
    assert rows["go1.26"]["pages"] < run["pages"] < rows["go1.21"]["pages"]


@pytest.mark.parametrize("goos", HOSTS)
def test_a_stripped_program_is_recorded_like_another(
    build: Build, goos: str, tmp_path: Path
) -> None:
    """Without names and debug data the same functions are found, and the recording is exact."""
    found = record(build("hello", goos, "-ldflags=-s -w"), tmp_path / "hello.jsonl")
    assert found["runs"][0]["self_check"]["fit"]


@needs_node
def test_the_program_runs_as_it_would(build: Build, tmp_path: Path) -> None:
    """Its output, arguments, environment, input and exit code are its own; what it says does not
    mix with what is said of it."""
    app = build("talk", "js")
    done = gorun(
        "record", str(app), "-o", str(tmp_path / "talk.jsonl.gz"), "--env", "WORD=blue", "--",
        "--loud", "7", input="from stdin\n",
    )  # fmt: skip
    assert done.stdout == "[--loud 7] blue from stdin\n"
    assert done.returncode == 7
    assert "exit 7" in done.stderr
    header = lines(tmp_path / "talk.jsonl.gz")[0]
    assert header["exit"] == 7
    assert header["level"] == "span"
    assert "runtime.sysAllocOS" in header["hooks"]


def test_wasip1_sees_the_directories_that_it_is_given(build: Build, tmp_path: Path) -> None:
    """--dir HERE::THERE is seen as THERE; its exit code is kept."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "word").write_text("green")
    done = gorun(
        "record", str(build("talk", "wasip1")), "-o", str(tmp_path / "talk.jsonl.gz"),
        "--dir", f"{tmp_path / 'data'}::/given", "--env", "WORD_FILE=/given/word", "--", "3",
        input="x\n",
    )  # fmt: skip
    assert done.stdout == "[3] green x\n"
    assert done.returncode == 3


@pytest.mark.parametrize("goos", HOSTS)
def test_a_host_that_refuses_growth(build: Build, goos: str, tmp_path: Path) -> None:
    """Under --max-pages the program dies as Go does, and the recording of that replays exactly,
    refusals too."""
    app = build("trees", goos)
    out = tmp_path / "small.jsonl.gz"
    done = gorun("record", str(app), "-o", str(out), "--max-pages", "140")
    assert done.returncode == 2
    assert "out of memory" in done.stderr
    assert "0 differences" in done.stderr
    events = lines(out)
    assert events[0]["wasmMemoryMax"] == 140
    assert any(event.get("r") == -1 for event in events)
    done = gorun("record", str(app), "-o", str(out), "--max-pages", "10")
    assert done.returncode == 2
    assert "cannot be instantiated within 10" in done.stderr


@pytest.mark.parametrize("goos", HOSTS)
def test_a_virtual_clock_repeats_to_the_page(build: Build, goos: str, tmp_path: Path) -> None:
    """Two runs with --clock virtual are the same recording."""
    outs = [tmp_path / f"run-{i}.jsonl" for i in (1, 2)]
    record(build("trees", goos), tmp_path / "run.jsonl", "--clock", "virtual", "--runs", "2")
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize("goos", HOSTS)
def test_a_program_that_is_killed_leaves_what_was_flushed(
    build: Build, goos: str, tmp_path: Path
) -> None:
    """After --timeout the recording is there, marked as cut, and what it has replays exactly."""
    out = tmp_path / "endless.jsonl.gz"
    app = str(build("endless", goos))
    gorun("record", app, "-o", str(out), "--", "ends")  # so that it is compiled, and that is kept
    done = gorun("record", app, "-o", str(out), "--json", "--timeout", "4")
    (run,) = json.loads(done.stdout)["runs"]
    assert done.returncode == 128 + signal.SIGKILL
    assert not run["complete"]
    assert run["events"] > 100
    assert run["self_check"]["os"]["differences"] == 0
    assert run["self_check"]["heap"]["differences"] == 0


def test_what_is_missing_is_told_with_what_installs_it(build: Build, tmp_path: Path) -> None:
    """No node: exit 2 and one sentence."""
    done = gorun(
        "record", str(build("hello", "js")), "-o", str(tmp_path / "x"), "--node", "no-such-node"
    )
    assert done.returncode == 2
    assert "apt install nodejs" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_wasmtime_is_told_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it; js binaries do not need it."""
    monkeypatch.setattr("gorun_mem.record.run.find_spec", lambda name: None)
    settings = RecordSettings(argv=["app"], node=sys.executable)
    with pytest.raises(HostMissing, match=r"pip install 'gorun-mem\[record\]'"):
        host_command("wasip1/wasm", settings)
    assert host_command("js/wasm", settings)[0] == sys.executable


@needs_node
def test_another_host_writes_the_same_recording(build: Build, tmp_path: Path) -> None:
    """--instrument-only prints the lines that a page needs; what they wrote is made a recording."""
    app = build("hello", "js")
    page = tmp_path / "page.wasm"
    done = gorun("record", str(app), "--instrument-only", "-o", str(page))
    assert done.returncode == 0
    glue = ROOT / "gorun_mem" / "record" / "go_js" / "wasm_exec.js"
    script = tmp_path / "page.js"
    script.write_text(
        "globalThis.fs = require('fs'); globalThis.path = require('path');\n"
        f"require({json.dumps(str(glue))}); const go = new Go(); go.exit = () => {{}};\n"
        f"WebAssembly.instantiate(fs.readFileSync({json.dumps(str(page))}), go.importObject)"
        ".then(({ instance }) => {\n" + done.stdout + "\nreturn go.run(instance).then(() => "
        f"fs.writeFileSync({json.dumps(str(tmp_path / 'raw'))}, "
        "new Uint8Array(new Uint32Array(raw).buffer))); });\n"
    )
    subprocess.run(["node", str(script)], check=True, capture_output=True)
    out = tmp_path / "page.jsonl.gz"
    found = record(app, out, "--from-raw", str(tmp_path / "raw"))
    check = found["runs"][0]["self_check"]
    assert check["fit"], check


def test_a_wasm_binary_says_what_it_declares(build: Build) -> None:
    """`releases X.wasm` and `predict X.wasm`: release, platform, pages, end of data."""
    app = build("hello", "wasip1")
    for verb in ("releases", "predict"):
        start = time.monotonic()
        done = gorun(verb, str(app), "--json")
        assert time.monotonic() - start < 5
        found = json.loads(done.stdout)
        assert done.returncode == 0
        assert found["release"].startswith("go1.")
        assert found["platform"] == "wasip1/wasm"
        assert found["size"] == app.stat().st_size
        assert 20 < found["initial_pages"] < 400
        assert found["max_pages"] is None
        assert 1_000_000 < found["end"] < found["initial_pages"] << 16
        assert found["refusal"] == ""


@pytest.mark.parametrize("goos", HOSTS)
def test_a_predicted_limit_is_that_of_the_machine(build: Build, goos: str, tmp_path: Path) -> None:
    """With a clock that repeats: under the smallest limit that predict names the real program
    lives, and under one page less it dies at the very event that predict names."""
    app, out = str(build("trees", goos)), str(tmp_path / "free.jsonl.gz")
    own = record(Path(app), Path(out), "--clock", "virtual")["release"]

    def predicted(limit: int) -> dict[str, Any]:
        done = gorun("predict", out, "--release", own, "--max-pages", str(limit), "--json")
        row: dict[str, Any] = json.loads(done.stdout)["programs"][0]["releases"][0]
        return row

    def real(limit: int) -> tuple[int, list[dict[str, Any]]]:
        cut = tmp_path / f"{limit}.jsonl.gz"
        done = gorun("record", app, "-o", str(cut), "--clock", "virtual", "--max-pages", str(limit))
        return done.returncode, lines(cut)

    least = predicted(65536)["smallest_limit"]
    assert predicted(least)["outcome"] == "ok"
    assert real(least)[0] == 0
    death = predicted(least - 1)["death"]
    code, events = real(least - 1)
    assert code == 2
    fatal = [event for event in events[1:] if event["seq"] >= death["seq"]]
    assert any(event.get("r") == -1 for event in fatal)
    assert not any(event.get("r") == -1 for event in events[1:] if event["seq"] < death["seq"])


def test_a_deep_trap_is_not_printed_in_full() -> None:
    """Head and cause of ten thousand frames; a short one as it is."""
    from gorun_mem.record.wasi_host import _shortened

    deep = "\n".join(["backtrace:", *(f"frame {i}" for i in range(10_000)), "cause"])
    said = _shortened(deep).splitlines()
    assert len(said) < 30
    assert said[0] == "backtrace:"
    assert said[-1] == "cause"
    assert _shortened("short\ntrap") == "short\ntrap\n"


@pytest.mark.parametrize(
    ("name", "third"),
    [
        ("run.jsonl.gz", "run-3.jsonl.gz"),
        ("app-go1.24.3-js.jsonl.gz", "app-go1.24.3-js-3.jsonl.gz"),
        ("app-1.27.jsonl", "app-1.27-3.jsonl"),
        ("run", "run-3"),
    ],
)
def test_runs_are_numbered_before_the_ending(name: str, third: str) -> None:
    """Not within a release's name."""
    assert _numbered(Path("there") / name, 3) == Path("there") / third


def test_a_home_that_cannot_be_written_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers: what wasmtime compiles is then kept nowhere."""
    from gorun_mem.record.wasi_host import _config

    wasmtime = pytest.importorskip("wasmtime")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Config().cache = True
    wasmtime.Engine(_config(wasmtime))

"""Ctrl-C at any moment: exit 130 and the answers so far, never an abort or a traceback.

`GORUN_MEM_INTERRUPTS=500` tries so many; `GORUN_MEM_PROGRAM=PATH` tries an installed program, such
as a compiled one; `GORUN_MEM_WASM=APP.wasm` lets `record` record, and `GORUN_MEM_CLUSTER=ADDRESS`
has searches and sweeps done by a Dask cluster too.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gorun_mem.cli import VERBS
from gorun_mem.cli._exit import explain_failure
from gorun_mem.events import read_events
from tests import ROOT, heed_interrupts

TRIES = int(os.environ.get("GORUN_MEM_INTERRUPTS", "27"))
PROGRAM = os.environ.get("GORUN_MEM_PROGRAM", "")
WASM = os.environ.get("GORUN_MEM_WASM", "")
CLUSTER = os.environ.get("GORUN_MEM_CLUSTER", "")
DATA = ROOT / "tests" / "data"


def commands(folder: Path, port: int = 1) -> dict[str, list[str]]:
    """What is interrupted, by a name that begins with the verb's.

    Args:
        folder: for what is read and written.
        port: of a service that never answers.
    """
    grid = folder / "grid.toml"
    grid.write_text(
        f'[sweep]\nverb = "run"\nscenario = "memlock_storm"\nout = "{folder}/x.parquet"\n'
        "seeds = 40\n[fixed]\nset.rounds = 500\n"
    )
    script = folder / "dump.txt"
    script.write_text("alloc 16777216\nfill 1441792 16777216 7\n" + "dump full\n" * 30)
    log = folder / "log.jsonl"
    storm = ["memlock_storm", "--ms", "8", "--set", "rounds=2000"]
    traces = sorted(map(str, (DATA / "traces").glob("*.jsonl.gz")))
    run = ["run", *storm, "--log"]
    if not log.exists():
        subprocess.run(
            [sys.executable, "-m", "gorun_mem", "run", "memlock_storm", "--log", str(log)],
            check=True, capture_output=True, env=environment(folder),
        )  # fmt: skip
    return {
        "ops": ["ops", str(script)],
        "check": ["ops", "--check", *sorted(map(str, DATA.rglob("*.txt.gz")))],
        "replay": ["replay", "--level", "both", *traces * 2],
        "run": [*run, "{}.jsonl"],
        "trampoline": [*run, "{}.jsonl", "--host", "trampoline"],
        "explore": ["explore", "memlock_storm", "--budget", "100000"],
        "jobs": ["explore", "memlock_storm", "--budget", "100000", "--jobs", "2"],
        "report": ["report", str(log)],
        "html": ["report", str(log), "--html", "{}.html"],
        "export": ["export", str(log), "--to", "chrome", "-o", "{}.json"],
        "query": ["query", str(log), "SELECT count(*) FROM range(30000) a, range(30000) b"],
        "serve": ["serve", "--listen", "unix:{}.sock", "--log", "{}.jsonl"],
        "releases": ["releases", "memlock_storm"],
        "scenarios": ["scenarios"],
        "compare": ["compare", *storm, "--mutex", "sema", "--mutex", "spinbit"],
        "compare jobs": ["compare", *storm, "--ms", "4", "--jobs", "2"],
        "verify": ["verify", "spinbit", "--ms", "4"],
        "replay-schedule": ["replay-schedule", "last"],
        "diff": ["diff", str(log), str(log)],
        "record": ["record", WASM, "-o", "{}.jsonl.gz"] if WASM else ["record", "--help"],
        "predict": ["predict", "trees-go1.24.11", "--policy", "all"],
        "sweep": ["sweep", str(grid)],
        "connect": ["connect", f"127.0.0.1:{port}"],
        "view": ["view", str(log), "--no-open"],
        "explain": ["explain"],
        "bench": ["bench", "memory"],
        "completion": ["completion", "bash"],
        "man": ["man"],
        "alone": [],
        **more_commands(folder, log, grid),
    }


def more_commands(folder: Path, log: Path, grid: Path) -> dict[str, list[str]]:
    """Verbs with options that make other programs of them."""
    storm = ["explore", "memlock_storm", "--budget", "100000"]
    found = {
        "explore resumed": [*storm, "--resume", "{}.search"],
        "explore every schedule": [*storm, "--strategy", "exhaustive", "--ms", "3"],
        "explore states": [*storm, "--strategy", "states", "--ms", "3"],
        "explore tso": [*storm, "--memory", "tso", "--faults", "grow"],
        "explore a failure": ["explore", "leaked_lock", "--ms", "2", "--html", "{}.html"],
        "verify live": ["verify", "sema", "--ms", "3", "--live"],
        "predict more": ["predict", "trees-go1.24.11", "maps-go1.24.11"],
        "serve with its page": ["serve", "--listen", "unix:{}.sock", "--http", "127.0.0.1:0"],
        "view of a recording": ["view", "trees-go1.24.11", "--no-open"],
        "compare as a page": ["compare", "memlock_storm", "--ms", "2", "--ms", "4", "--html",
                              "{}.html"],
        "sweep in processes": ["sweep", str(grid), "--jobs", "2"],
    }  # fmt: skip
    for to in ("pprof-mutex", "pprof-block", "otlp", "csv", "parquet", "lnav"):
        found[f"export {to}"] = ["export", str(log), "--to", to, "-o", "{}." + to]
    if CLUSTER:
        found["explore by a cluster"] = [*storm, "--cluster", CLUSTER]
        found["sweep by a cluster"] = ["sweep", str(grid), "--cluster", CLUSTER]
    return found


def environment(folder: Path) -> dict[str, str]:
    ours = {} if PROGRAM else {"PYTHONPATH": str(ROOT)}
    return {**os.environ, **ours, "GORUN_MEM_HOME": str(folder / "home")}


def interrupted(
    arguments: list[str], after_s: float, folder: Path, begun: Path | None = None
) -> tuple[int, str]:
    """The exit code and stderr of a program that gets SIGINT after so long.

    Args:
        arguments: of the program.
        after_s: seconds after its start, or after `begun` is there and not empty.
        folder: its home.
        begun: a file that it writes once it runs, however long its start takes.
    """
    program = [PROGRAM] if PROGRAM else [sys.executable, "-m", "gorun_mem"]
    with subprocess.Popen(
        [*program, *arguments], env=environment(folder), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed_interrupts,
    ) as process:  # fmt: skip
        while begun is not None and process.poll() is None:
            if begun.exists() and begun.stat().st_size:
                break
            time.sleep(0.05)
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        again = ""
        try:
            _, err = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            again = "not ended by the first\n"
            process.send_signal(signal.SIGINT)
            try:
                _, err = process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return -signal.SIGKILL, "not ended by the second"
    return process.returncode, again + err.decode(errors="replace")


def fault(code: int, err: str) -> str:
    """What is wrong with such an end, "" where nothing is."""
    if code == -signal.SIGABRT or "out of memory" in err:
        return "aborted"
    if code == -signal.SIGKILL:
        return "not ended by the second signal"
    if "internal fault" in err or code == 4:
        return "an internal fault"
    if err.startswith("not ended") and "Traceback" not in err:
        return "the signal was lost"  # else it came to the interpreter while that began
    ours = re.search(r'File "[^"]*gorun_mem/(?!__init__|start|__main__)', err)
    if "Traceback" in err and ours:
        return "a traceback"
    by_itself = code == 2 and re.match("gorun-mem: no (service at|schedule was saved)", err)
    if code not in (0, 1, 130, 5, -signal.SIGINT) and not by_itself and "Traceback" not in err:
        return f"exit code {code}"
    return ""


def test_interrupts_at_random_moments(tmp_path: Path) -> None:
    """Over every verb, a third of them while the program starts. What the interpreter says before
    the first line of ours runs is its own: a signal there is the one thing that is not caught."""
    rng = random.Random(int(os.environ.get("GORUN_MEM_SEED", "1")))
    silent = socket.create_server(("127.0.0.1", 0))
    verbs = commands(tmp_path, silent.getsockname()[1])
    wrong = []
    for number in range(TRIES):
        name = list(verbs)[number % len(verbs)]
        after_s = rng.uniform(0.0, 0.3) if number % 3 == 0 else rng.uniform(0.3, 2.0)
        mark = tmp_path / f"out{number}"
        code, err = interrupted([word.format(mark) for word in verbs[name]], after_s, tmp_path)
        found = fault(code, err)
        if found:
            wrong.append((name, round(after_s, 3), found, err[-600:]))
        log = Path(f"{mark}.jsonl")
        if log.exists() and log.stat().st_size and not PROGRAM:
            reader = read_events(log)
            list(reader)
            assert not reader.damaged, (name, reader.describe_damage())
    silent.close()
    assert not wrong, "\n".join(map(repr, wrong))


def test_every_verb_is_interrupted(started: Path) -> None:
    """Each is in the table."""
    named = {(words or [""])[0] for words in commands(started).values()}
    assert named >= VERBS.keys()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all that is interrupted while it starts."""
    return tmp_path_factory.mktemp("started")


@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_while_the_program_starts(started: Path, verb: str) -> None:
    """In the first 0.3 s, once the first line of ours has run: exit 130 and no traceback."""
    words = [word.format(started / verb) for word in commands(started)[verb]]
    after_s = random.Random(verb).uniform(0.02, 0.3)
    code, err = interrupted(words, after_s, started)
    assert not fault(code, err), (code, err[-600:])


LOST = """
import time
from gorun_mem import _interrupts, cli, start
class Dropped:
    def __del__(self):
        raise KeyboardInterrupt
def run():
    _interrupts.raise_interrupts()
    Dropped()
    time.sleep(20)
cli.main = run
raise SystemExit(start.main())
"""


def test_an_interrupt_in_a_callback_of_the_interpreter_is_not_lost(tmp_path: Path) -> None:
    """Python prints and drops what a finalizer raises; Ctrl-C comes again once that is over."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOST], env=environment(tmp_path), capture_output=True, text=True,
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "")
    assert time.monotonic() - began < 15


HELD = """
import os, signal, threading
from gorun_mem.export.tables import load_duckdb
threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGINT)).start()
import sys
try:
    load_duckdb()
    import time; time.sleep(20)
except KeyboardInterrupt:
    raise SystemExit(7 if "duckdb" in sys.modules else 8)
"""


def test_an_interrupt_waits_until_duckdb_is_imported(tmp_path: Path) -> None:
    """In the middle of that import it aborts the process, or is lost."""
    done = subprocess.run(
        [sys.executable, "-c", HELD], env=environment(tmp_path), capture_output=True, text=True,
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "")


def test_what_an_interrupt_was_made_into_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python makes a RuntimeError of it where a class is being made; a fault while an interrupted
    run is put in order stays one."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    made = RuntimeError("Error calling __set_name__ on 'Field' instance")
    made.__cause__ = KeyboardInterrupt()
    assert explain_failure(made, "gorun-mem", []) == 130
    assert capsys.readouterr().err == "gorun-mem: interrupted\n"
    fault = RuntimeError("in a finally")
    fault.__context__ = KeyboardInterrupt()
    assert explain_failure(fault, "gorun-mem", []) == 4
    assert "internal fault" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "serve"])
def test_the_answers_so_far_are_kept(tmp_path: Path, verb: str) -> None:
    """The log of an interrupted run or service ends with run.end, and says so."""
    words = [word.format(tmp_path / "out") for word in commands(tmp_path)[verb]]
    code, err = interrupted(words, 1.0, tmp_path, begun=tmp_path / "out.jsonl")
    assert code == 130, err
    last = list(read_events(tmp_path / "out.jsonl"))[-1]
    assert last.name == "run.end"
    assert getattr(last, "outcome", "") == "interrupted"

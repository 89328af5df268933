"""`gorun-mem run` and `scenarios`: what they say, refuse, leave behind and exit with."""

from __future__ import annotations

import gzip
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from gorun_mem.events import read_events
from gorun_mem.events.schema import make_schema
from tests.cli.run_scripts import (
    LONG_S,
    Command,
    environment,
    lines_of,
    write,
)

HOSTS = ("trio", "trampoline")


# What a run leaves and says.


@pytest.mark.parametrize("level", ["debug", "info", "canonical"])
def test_both_hosts_write_the_same_bytes(gorun_mem: Command, storm: str, level: str) -> None:
    """The log is a function of scenario, options and seed; the host is no part of it."""
    for host in HOSTS:
        said = gorun_mem(
            "run", storm, "--host", host, "--seed", "5", "--ms", "3", "--log", f"{host}.jsonl",
            "--log-level", level,
        )  # fmt: skip
        assert (said.code, said.err) == (0, "")
    assert Path("trio.jsonl").read_bytes() == Path("trampoline.jsonl").read_bytes()
    schema = jsonschema.Draft202012Validator(make_schema())
    for event in lines_of(Path("trio.jsonl")):
        schema.validate(event)


def test_the_summary_of_a_seed_is_the_same_again(gorun_mem: Command, storm: str) -> None:
    """One seed, one text; another seed, another."""
    first = gorun_mem("run", storm, "--seed", "1", "--log", "a.jsonl").out
    assert first == gorun_mem("run", storm, "--seed", "1", "--log", "a.jsonl").out
    assert first != gorun_mem("run", storm, "--seed", "2", "--log", "a.jsonl").out
    assert f"{storm} ended well after " in first
    assert "4 Ms on 4 CPUs, strategy timing, seed 1\noptions label=x rounds=20\n" in first
    assert "results\n  rounds in all  80\n" in first
    assert (
        "\nlog     a.jsonl\nreport  gorun-mem report a.jsonl\n"
        f"again   gorun-mem run {storm} --seed 1\n" in first
    )


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--ms", "3"], "go1.27 plan9/amd64, mutex spinbit\n3 Ms on 4 CPUs"),
        (["--ms", "1"], "go1.27 js/wasm, mutex js\n1 M on 4 CPUs"),
        (["--release", "go1.23"], "go1.23 plan9/amd64, mutex sema\n4 Ms"),
        (["--platform", "js/wasm"], "js/wasm, mutex spinbit (what-if: no Go release runs so)\n"),
        (["--platform", "js/wasm", "--release", "go1.22.10"], "mutex sema (what-if"),
        (["--mutex", "queue", "--cpus", "2"], "so)\n4 Ms on 2 CPUs"),
        (["--strategy", "random", "--seed", "0x10"], "strategy random, seed 16"),
        (["--set", "rounds=3", "--set", "label=a b"], "options label=a b rounds=3"),
    ],
)  # fmt: skip
def test_defaults_follow_from_what_is_given(
    gorun_mem: Command, storm: str, options: list[str], shown: str
) -> None:
    """Platform by the Ms, mutex by release and platform; what no Go has is marked."""
    said = gorun_mem("run", storm, *options)
    assert said.code == 0, said.err
    assert shown in said.out


def test_the_next_command_runs_exactly_this_again(gorun_mem: Command, storm: str) -> None:
    """What `again` prints, pasted, writes the same log: of `run` and of `report`."""
    given = ["--ms", "3", "--set", "label=it's", "--strategy", "random", "--seed", "9"]
    said = gorun_mem("run", storm, *given, "--mem-debug", "--log", "a.jsonl", "--json")
    again = shlex.split(said.document["again"])
    assert again == ["gorun-mem", "run", storm, *_in_order(given), "--mem-debug"]
    from_log = shlex.split(gorun_mem("report", "a.jsonl", "--json").document["again"])
    for words in (again, from_log):
        assert gorun_mem(*words[1:], "--log", "b.jsonl").code == 0
        assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()


def test_a_cost_table_of_its_own_is_asked_for(gorun_mem: Command, storm: str) -> None:
    """The times are the table's; `again` of run names the file and that of report its hash."""
    Path("costs.toml").write_text("[ns]\nclear = 1\n")
    usual = gorun_mem("run", storm, "--json").document["metrics"]["time_ns"]
    said = gorun_mem("run", storm, "--costs", "costs.toml", "--log", "a.jsonl", "--json").document
    assert said["metrics"]["time_ns"] > usual
    assert said["again"] == f"gorun-mem run {storm} --costs costs.toml --seed 0"
    sha256 = said["config"]["cost_table_sha256"]
    again = gorun_mem("report", "a.jsonl", "--json").document["again"]
    assert again.endswith(f" --costs FILE  # the cost table whose SHA-256 is {sha256}")


def _in_order(given: list[str]) -> list[str]:
    """The options as `run` declares them."""
    pairs = dict(zip(given[::2], given[1::2], strict=True))
    return [w for name in ("--ms", "--seed", "--set", "--strategy") for w in (name, pairs[name])]


def test_logs_go_home_and_the_newest_twenty_stay(
    gorun_mem: Command, storm: str, home: Path
) -> None:
    """Without --log a run makes a compressed log in $GORUN_MEM_HOME/runs, which `last` means."""
    for seed in range(23):
        assert gorun_mem("run", storm, "--seed", str(seed), "--set", "rounds=1").code == 0
    kept = sorted((home / "runs").iterdir())
    assert len(kept) == 20
    assert all(path.name.endswith("-storm.jsonl.zst") for path in kept)
    document = gorun_mem("report", "last", "--json").document
    assert (document["log"], document["config"]["seed"]) == (str(kept[-1]), 22)


def test_the_name_says_how_the_log_is_compressed(gorun_mem: Command, storm: str) -> None:
    """Plain, gzip and zstd logs hold the same lines."""
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
        assert gorun_mem("run", storm, "--log", name).code == 0
    plain = Path("a.jsonl").read_bytes()
    assert gzip.decompress(Path("a.jsonl.gz").read_bytes()) == plain
    assert Path("a.jsonl.zst").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert [len(list(read_events(n))) for n in ("a.jsonl.gz", "a.jsonl.zst")] == [
        plain.count(b"\n")
    ] * 2


def test_a_dash_shows_the_events_to_people(gorun_mem: Command, storm: str, home: Path) -> None:
    """`--log -` renders events on stderr, addresses in hexadecimal, and makes no file."""
    said = gorun_mem("run", storm, "--ms", "1", "--set", "rounds=1", "--log", "-")
    assert said.code == 0
    assert "run.start" in said.err
    assert "data_end=0x" in said.err
    assert "log     none: its events were shown" in said.out
    assert not (home / "runs").exists()


def test_json_is_one_document(gorun_mem: Command, home: Path) -> None:
    """Nothing else reaches stdout, whatever the script prints; its metrics are those of report."""
    script = "print('imported')\nfrom gorun_mem import World, scenario\n"
    script += "@scenario(ms=1)\nasync def loud(world: World) -> None:\n    print('running')\n"
    path = write(home, script, "loud.py")
    said = gorun_mem("run", path, "--json", "--log", "a.jsonl")
    assert said.err == "imported\nrunning\n"
    document = said.document
    assert {"outcome", "error", "scenario", "options", "config", "results", "log", "token"} <= set(
        document
    )
    assert (document["outcome"], document["error"], document["exit"]) == ("ok", None, 0)
    report = gorun_mem("report", "a.jsonl", "--json").document
    assert report["metrics"] == document["metrics"]
    assert report["config"] == document["config"]


# How it ends.


def test_assertions_decide_the_exit_code(gorun_mem: Command, storm: str) -> None:
    """All that are given are looked at; one that does not hold is shown with value and bound."""
    good = ["--assert", "ms == 4", "--assert", "result.rounds in all >= 80"]
    said = gorun_mem("run", storm, *good)
    assert said.code == 0
    assert "assert  ms = 4 == 4: holds\n" in said.out
    said = gorun_mem("run", storm, *good, "--assert", "lock.memlock.acquisitions < 5")
    assert said.code == 1
    assert "assert  lock.memlock.acquisitions = 160 < 5: does not hold\n" in said.out
    said = gorun_mem("run", storm, *good, "--assert", "final_pages<1", "--json")
    assert (said.code, said.document["exit"]) == (1, 1)
    assert [a["holds"] for a in said.document["asserts"]] == [True, True, False]
    assert said.document["asserts"][2]["value"] == said.document["metrics"]["final_pages"]
    # How the run ended weighs more than what was asserted of it.
    assert gorun_mem("run", "leaked_lock", "--assert", "ms > 99").code == 3


# What it refuses.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ms", "0"], "ms = 0: must be from 1 to 4096"),
        (["--ms", "-1"], "-1 must be at least 0"),
        (["--ms", "many"], "'many' is not a number"),
        (["--cpus", "0"], "cpus = 0: must be from 1 to 1024"),
        (["--seed", "x"], "'x' is not a number"),
        (["--max-pages", "65537"], "max_pages = 65537: must be from 1 to 65536"),
        (["--steps-max", "0"], "0 must be at least 1"),
        (["--release", "go1.99"], "no release 'go1.99': did you mean go1.19?"),
        (["--platform", "plan9"], "no platform 'plan9': did you mean plan9/"),
        (["--release", "go1.20", "--platform", "wasip1/wasm"], "go1.20 has no wasip1/wasm"),
        (["--mutex", "sem"], "no mutex 'sem': did you mean sema?"),
        (["--mutex", "js"], "mutex 'js' knows one M and there are 4: run one M (--ms 1)"),
        (["--strategy", "tming"], "no strategy 'tming': did you mean timing?"),
        (["--strategy", "replay"], "gorun-mem replay-schedule"),
        (["--granularity", "access"], "take the lock away (--mutex none)"),
        (["--host", "curio"], "'curio' is none: did you mean trio? there are trio, trampoline"),
        (["--log-level", "trace"], "'trace' is none: there are debug, info, canonical"),
        (["--set", "rounds"], "--set rounds: write KEY=VALUE, as in rounds=50"),
        (["--set", "round=1"], "storm has no option 'round': did you mean rounds?"),
        (["--set", "rounds=ten"], "rounds = ten: is no int"),
        (["--set", "rounds=0"], "rounds = 0: must be at least 1"),
        (["--costs", "nowhere.toml"], "cost table nowhere.toml: No such file or directory\n"),
        (["--assert", "ms"], "'ms' is no expression: write NAME OP NUMBER"),
        (["--assert", "mss > 1"], "no metric 'mss': did you mean ms?"),
        (["--assert", "lock.memlok.spins > 1"], "did you mean lock.memlock.spins?"),
        (["--log", "/nowhere/a.jsonl"], "there is no folder /nowhere; make it first"),
        (["--log", "."], "--log . is a folder: name a file in it"),
        (["--log", "storm.py"], "--log storm.py would overwrite what SCENARIO names"),
        (["--sed", "1"], "no option --sed: did you mean"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(
    gorun_mem: Command, storm: str, options: list[str], sentence: str
) -> None:
    """Exit 2, one line on stderr, nothing on stdout, the script unharmed."""
    before = Path(storm).read_bytes()
    said = gorun_mem("run", storm, *options)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert Path(storm).read_bytes() == before


def test_a_misspelt_scenario_has_a_nearest(gorun_mem: Command, home: Path) -> None:
    """Unknown names and missing paths: exit 2 and no log."""
    said = gorun_mem("run", "memlock_strom")
    assert said.code == 2
    assert "did you mean memlock_storm?" in said.err
    assert gorun_mem("run", "gone.py").code == 2
    assert not (home / "runs").exists()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("rounds", ["1", "1500"])
def test_a_full_disk_is_one_sentence(
    gorun_mem: Command, storm: str, host: str, rounds: str
) -> None:
    """Whether the disk is full at the end or amid the run, the log's failure is what is said."""
    said = gorun_mem(
        "run", storm, "--log", "/dev/full", "--host", host, "--set", f"rounds={rounds}"
    )
    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(
        r"gorun-mem: cannot write log /dev/full: No space left on device; up to [\d,]+ events are "
        r"lost; free some space or name another file with --log FILE\n",
        said.err,
    )


def test_a_home_that_cannot_be_written_is_one_sentence(
    gorun_mem: Command, storm: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default place for logs may be a file: exit 2, and what to do."""
    monkeypatch.setenv("GORUN_MEM_HOME", storm)
    said = gorun_mem("run", storm)
    assert (said.code, said.out) == (2, "")
    assert "set GORUN_MEM_HOME or name a file with --log FILE" in said.err


# scenarios


def test_scenarios_lists_one_line_each(gorun_mem: Command) -> None:
    """Name, Ms and a summary of each scenario of the library; the same in JSON."""
    said = gorun_mem("scenarios")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    documents = gorun_mem("scenarios", "--json").document
    assert len(lines) == len(documents) >= 10
    for line, document in zip(lines, documents, strict=True):
        assert line.startswith(document["name"])
        assert document["summary"] in line
        assert f" {document['ms']} M" in line


def test_one_scenario_shows_its_options(gorun_mem: Command, storm: str) -> None:
    """Description, and name, type, default, help and range of each option."""
    said = gorun_mem("scenarios", storm)
    assert said.code == 0
    assert said.out == (
        f"{storm}, 4 Ms\n\nEvery M allocates, writes and frees. More.\n\n"
        "Options, each by --set NAME=VALUE:\n"
        "  rounds  int  20  rounds of each M (at least 1)\n"
        "  label   str  x\n"
    )
    option = gorun_mem("scenarios", storm, "--json").document["options"][0]
    assert option == {
        "name": "rounds", "type": "int", "default": 20, "help": "rounds of each M", "low": 1,
        "high": None,
    }  # fmt: skip
    assert gorun_mem("scenarios", "nowhere").code == 2


# What a terminal sees.


def _on_a_terminal(home: Path, *args: str) -> tuple[int, str]:
    """The exit code and the stderr of a command whose stderr is a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", *args],
        stdout=subprocess.DEVNULL, stderr=follower, cwd=home,
        env=environment(home) | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(follower)
    shown = []
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # the end, on Linux
            break
        if not data:
            break
        shown.append(data)
    os.close(leader)
    return process.wait(timeout=LONG_S), b"".join(shown).decode()


@pytest.mark.parametrize("host", HOSTS)
def test_a_long_run_shows_how_far_it_is(home: Path, storm: str, host: str) -> None:
    """On a terminal, after a second: steps, Ms alive, virtual time, pages; a short run, nothing."""
    args = ["run", storm, "--host", host, "--log-level", "canonical"]
    code, shown = _on_a_terminal(home, *args)
    assert (code, shown) == (0, "")
    code, shown = _on_a_terminal(home, *args, "--set", "rounds=1000000", "--steps-max", "500000")
    assert code == 3
    for word in (" steps (", "4 Ms alive", " virtual", " pages"):
        assert word in shown

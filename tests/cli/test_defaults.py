"""Defaults of one's own: pyproject.toml, the environment, and what says where they come from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.cli.defaults import KEYS
from gorun_mem.files.defaults import NAMES
from tests import ROOT
from tests.cli.run_scripts import Command


def start_of(path: str) -> dict[str, Any]:
    """A log's first line."""
    start: dict[str, Any] = json.loads(Path(path).read_text().splitlines()[0])
    return start


def write_table(folder: Path, text: str) -> None:
    """A pyproject.toml with this in the table."""
    (folder / "pyproject.toml").write_text(f"[tool.other]\nx = 1\n\n[tool.gorun_mem]\n{text}\n")


def shown(gorun_mem: Command) -> dict[str, tuple[str, str]]:
    """(value, from) of each key."""
    settings = json.loads(gorun_mem("--show-config", "--json").out)["settings"]
    return {key: (row["value"], row["from"]) for key, row in settings.items()}


def test_the_nearer_word_counts(
    gorun_mem: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command line before environment before file before what is built in, key by key; the log and
    the command to run it again have what counted, and it gives the same log elsewhere."""
    write_table(home, 'release = "go1.24"\nmutex = "sema"\ncpus = 2\nseed = 3')
    (inside := home / "a" / "b").mkdir(parents=True)
    (inside / "pyproject.toml").write_text("[project]\nname = 'gorun_mem'\n")  # has no table
    monkeypatch.chdir(inside)
    monkeypatch.setenv("GORUN_MEM_MUTEX", "queue")
    monkeypatch.setenv("GORUN_MEM_CPUS", "3")
    said = gorun_mem("run", "memlock_storm", "--cpus", "1", "--log", "x.jsonl", "--json")
    start = start_of("x.jsonl")
    assert (start["release"], start["mutex"], start["cpus"], start["seed"]) == (
        "go1.24", "queue", 1, 3,
    )  # fmt: skip
    assert start["ms"] == 4
    again = json.loads(said.out)["again"].split()
    monkeypatch.chdir("/")
    for name in ("GORUN_MEM_MUTEX", "GORUN_MEM_CPUS"):
        monkeypatch.delenv(name)
    gorun_mem(*again[1:], "--log", f"{inside}/y.jsonl")
    assert (inside / "y.jsonl").read_bytes() == (inside / "x.jsonl").read_bytes()


def test_each_verb_takes_its_own(gorun_mem: Command, home: Path) -> None:
    """compare's one side, explore's budget; a verb without the option is left alone."""
    write_table(home, 'mutex = "queue"\nbudget = 7\nseeds = 2\njobs = 1\ncolor = "never"')
    found = json.loads(gorun_mem("explore", "memlock_storm", "--strategy", "random", "--json").out)
    assert found["world"]["budget"] == 7
    assert found["about"]["config"]["mutex"] == "queue"
    found = json.loads(
        gorun_mem("compare", "memlock_storm", "--cpus", "1", "--cpus", "2", "--json").out
    )
    assert [len(side["seeds"]) for side in found["sides"]] == [2, 2]
    assert all("--mutex queue" in side["run"] for side in found["sides"])
    assert gorun_mem("verify", "sema", "--ms", "1", "--pairs", "1").code == 0
    assert gorun_mem("report", "--help").code == 0


def test_what_is_shown(gorun_mem: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key with its value and where it comes from."""
    assert shown(gorun_mem)["release"] == ("the newest", "built in")
    assert set(shown(gorun_mem)) == set(KEYS)
    assert {origin for _, origin in shown(gorun_mem).values()} == {"built in"}
    write_table(home, 'release = "go1.24"\nwidth = 70')
    monkeypatch.setenv("GORUN_MEM_JOBS", "2")
    found = shown(gorun_mem)
    assert found["release"] == ("go1.24", "pyproject")
    assert found["width"] == ("70", "pyproject")
    assert found["jobs"] == ("2", "environment")
    text = gorun_mem("--show-config").out
    assert "environment, GORUN_MEM_JOBS" in text
    assert f"pyproject, {home}/pyproject.toml" in text.replace("\n", "").replace("  ", " ")


def test_the_table_of_the_readme(gorun_mem: Command, home: Path) -> None:
    """It is one that is taken."""
    text = (ROOT / "README.md").read_text().partition("<!-- pyproject.toml -->\n```toml\n")[2]
    (home / "pyproject.toml").write_text(text.partition("```")[0])
    assert shown(gorun_mem)["release"] == ("go1.24", "pyproject")
    assert shown(gorun_mem)["mutex"] == ("sema", "pyproject")


def test_the_width(gorun_mem: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output fits it, and the process's environment is as before."""
    monkeypatch.setenv("COLUMNS", "150")
    wide = gorun_mem("explain", "convoy").out
    monkeypatch.setenv("GORUN_MEM_WIDTH", "50")
    narrow = gorun_mem("explain", "convoy").out
    assert max(map(len, narrow.splitlines())) <= 50 < max(map(len, wide.splitlines()))
    assert os.environ["COLUMNS"] == "150"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('relese = "go1.24"', "[tool.gorun_mem] has no key 'relese': did you mean release? it has"),
        ('release = "go9"', "release in [tool.gorun_mem] of {file}: no release 'go9'"),
        ("release = true", "release in [tool.gorun_mem] is True: write one text or number"),
        ('mutex = ["a"]', "mutex in [tool.gorun_mem] is ['a']: write one text or number"),
        ('mutex = "semaphore"', "mutex in [tool.gorun_mem] of {file}: no mutex 'semaphore'"),
        ('costs = "cheap"', "costs in [tool.gorun_mem] of {file}: "),
        ("max_pages = -1", "max_pages in [tool.gorun_mem] of {file}: -1 must be at least 0"),
        ("width = 3", "width in [tool.gorun_mem] of {file}: 3 must be at least 20"),
        ("x = = 1", "{file}: this is no TOML: "),
    ],
)
def test_what_is_wrong_in_the_file(gorun_mem: Command, home: Path, text: str, said: str) -> None:
    """Exit 2 and one line with the file, the key and what would do; by a verb and when shown."""
    write_table(home, text)
    for words in (("run", "memlock_storm"), ("--show-config",)):
        found = gorun_mem(*words)
        assert found.code == 2
        flat = " ".join(found.err.split())
        assert said.format(file=home / "pyproject.toml") in flat, flat
    assert not list(home.glob("runs/*"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RELESE", "go1.24", "$GORUN_MEM_RELESE sets nothing: did you mean $GORUN_MEM_RELEASE?"),
        ("RELEASE", "go9", "$GORUN_MEM_RELEASE: no release 'go9'"),
        ("CPUS", "ten", "$GORUN_MEM_CPUS: 'ten' is not a number"),
        ("MUTEX", "sem", "$GORUN_MEM_MUTEX: no mutex 'sem'"),
    ],
)
def test_what_is_wrong_in_the_environment(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """The same; what the command line says wrongly is not laid at another's door."""
    monkeypatch.setenv(f"GORUN_MEM_{name}", value)
    found = gorun_mem("run", "memlock_storm")
    assert found.code == 2
    assert said in " ".join(found.err.split())
    monkeypatch.delenv(f"GORUN_MEM_{name}")
    monkeypatch.setenv("GORUN_MEM_CPUS", "2")
    monkeypatch.setenv("GORUN_MEM_SOMETHING_ELSE", "2")
    assert "GORUN_MEM" not in gorun_mem("run", "memlock_storm", "--cpus", "ten").err
    assert gorun_mem("run", "memlock_storm").code == 0


def test_what_is_read_is_what_is_given() -> None:
    """The names that the file may have are those that some option takes."""
    assert set(KEYS) == set(NAMES)

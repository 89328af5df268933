"""Completion in real shells, and what is offered."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from gorun_mem.cli import VERBS, gorun_mem, main
from gorun_mem.cli._completing import BY_NAME, BY_VERB
from gorun_mem.machine.library import names
from gorun_mem.policies import POLICIES
from gorun_mem.runtime.behaviour import KNOWN, PLATFORMS
from gorun_mem.runtime.mutex import MUTEXES
from gorun_mem.step.costs import names as cost_tables
from gorun_mem.step.strategies import for_runs, for_searches
from tests.cli.run_scripts import Command

IN_CI = bool(os.environ.get("CI"))
Offered = Callable[[str], list[str]]


def has(shell: str) -> bool:
    """Whether a shell is to be tried: in CI each of them, elsewhere those that are there."""
    return IN_CI or shutil.which(shell) is not None


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offered:
    """What is offered for the last word of a line, "FILE" where a file is."""

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_GORUN_MEM_COMPLETE", "fish_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(words[:-1]))
        monkeypatch.setenv("COMP_CWORD", words[-1])
        assert main([]) == 0
        found = [one.split(",", 1) for one in capsys.readouterr().out.splitlines() if one]
        return ["FILE" if kind == "file" else text.split("\t")[0] for kind, text in found]

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gorun-mem r", ["run", "replay-schedule", "report", "record", "releases", "replay"]),
        ("gorun-mem run mem", ["FILE", "memlock_storm"]),
        ("gorun-mem explore ", ["FILE", *names()]),
        ("gorun-mem run x --mutex ", ["FILE", *MUTEXES]),
        ("gorun-mem verify note-s", ["FILE", "note-sema"]),
        ("gorun-mem run x --release ", list(KNOWN)),
        ("gorun-mem compare x --platform plan", [p for p in PLATFORMS if p.startswith("plan")]),
        ("gorun-mem run x --strategy ", list(for_runs())),
        ("gorun-mem explore x --strategy ", list(for_searches())),
        ("gorun-mem run x --costs ", ["FILE", *cost_tables()]),
        ("gorun-mem predict x --policy ", ["FILE", "all", *POLICIES]),
        ("gorun-mem report last --section frag", ["fragmentation"]),
        ("gorun-mem run memlock_storm --set ", ["rounds=", "held=", "work_ns="]),
        ("gorun-mem run no_such_thing --set ", []),
        ("gorun-mem run --log-l", ["--log-level"]),
        ("gorun-mem run x --log-level c", ["canonical"]),
        ("gorun-mem report la", ["FILE", "last"]),
        ("gorun-mem explain convoy_longest", []),
        ("gorun-mem explain conv", ["convoy"]),
        ("gorun-mem completion z", ["zsh"]),
        ("gorun-mem no-such-verb x", []),
    ],
)
def test_what_is_offered(offered: Offered, line: str, expected: list[str]) -> None:
    """From the tables that the verbs themselves read, whatever is in them."""
    assert offered(line) == expected


def test_no_script_is_run_for_it(offered: Offered, tmp_path: Path) -> None:
    """A scenario of the user's on the line stays unread."""
    script = tmp_path / "mine.py"
    script.write_text("raise SystemExit(7)\n")
    assert offered(f"gorun-mem run {script} --set ") == []


def test_every_value_is_offered_or_free() -> None:
    """A parameter that takes a word is a choice, a path, a number, in the table, or known to be
    free: a new one that is none of these is forgotten."""
    free = {
        "args", "cluster", "env", "sql",
    }  # fmt: skip
    numbers = (
        "number",
        "pages",
        "bytes",
        "integer",
        "float",
        "time",
        "float range",
        "integer range",
    )
    ctx = click.Context(gorun_mem)
    for verb in VERBS:
        command = gorun_mem.get_command(ctx, verb)
        assert command is not None
        for param in command.params:
            key = (verb, str(param.name))
            if param.name in BY_NAME or key in BY_VERB or param.name in free:
                continue
            is_known = hasattr(param.type, "choices") or isinstance(param.type, click.Path)
            is_flag = isinstance(param, click.Option) and (param.is_flag or param.count)
            assert is_known or is_flag or param.type.name in numbers, (key, param.type.name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_taken_by_its_shell(gorun_mem: Command, shell: str, home: Path) -> None:
    """Each shell parses what it is to source."""
    script = gorun_mem("completion", shell).out
    assert "_GORUN_MEM_COMPLETE" in script
    assert gorun_mem("completion", "tcsh").code == 2
    if has(shell):
        Path("script").write_text(script)
        subprocess.run([shell, "-n", "script"], check=True)


@pytest.fixture
def with_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with `gorun-mem` on the path, and a file beside."""
    binary = home / "bin" / "gorun-mem"
    binary.parent.mkdir()
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -m gorun_mem "$@"\n')
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:{os.environ['PATH']}")
    (home / "wholly_mine.py").write_text("")
    return iter([home])


def typed(start: list[str], setup: str, keys: list[tuple[str, str]]) -> None:
    """Type into a shell on a terminal of its own.

    Args:
        start: the shell.
        setup: a line that is typed first.
        keys: what is typed, and what has to be seen then.
    """
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execvp(start[0], start)
    try:
        os.write(fd, f"{setup}\necho re''ady\n".encode())
        _seen(fd, "ready")
        for keystrokes, expected in keys:
            os.write(fd, keystrokes.encode())
            _seen(fd, expected)
            os.write(fd, b"\x15")
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def _seen(fd: int, expected: str) -> None:
    """Wait until the terminal has shown it."""
    shown, until = "", time.monotonic() + 60
    while expected not in shown:
        assert time.monotonic() < until, f"no {expected!r} in {shown!r}"
        if select.select([fd], [], [], 0.2)[0]:
            shown += re.sub(r"\x1b\[[0-9;?]*\w|[\x07\x08]", "", os.read(fd, 4096).decode())


KEYS = [
    ("gorun-mem run mem\t", "memlock_storm"),
    ("gorun-mem run memlock_storm --mutex spi\t", "spinbit"),
    ("gorun-mem run x --release go1.2\t\t", "go1.27"),
    ("gorun-mem run wholly\t", "wholly_mine.py"),
    ("gorun-mem explo\t", "explore"),
]


@pytest.mark.usefixtures("with_program")
def test_bash() -> None:
    """Words, lists and files, on a terminal."""
    typed(["bash", "--norc", "-i"], 'PS1="$ "; eval "$(gorun-mem completion bash)"', KEYS)


@pytest.mark.skipif(not has("zsh"), reason="no zsh here; CI has it")
@pytest.mark.usefixtures("with_program")
def test_zsh() -> None:
    """The same."""
    setup = 'PS1="$ "; autoload -U compinit; compinit -u -D; eval "$(gorun-mem completion zsh)"'
    typed(["zsh", "-f", "-i"], setup, KEYS)


@pytest.mark.skipif(not has("fish"), reason="no fish here; CI has it")
@pytest.mark.usefixtures("with_program")
def test_fish(home: Path) -> None:
    """By its own `complete`, which is what its Tab asks."""
    for keystrokes, expected in KEYS:
        line = keystrokes.rstrip("\t")
        done = subprocess.run(
            ["fish", "-c", f"gorun-mem completion fish | source; complete -C '{line}'"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert expected in done.stdout.split()

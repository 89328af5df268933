"""The command line's frame: lazy verbs, exit codes, one sentence for every failure."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from gorun_mem import cli
from gorun_mem._version import VERSION, build
from gorun_mem.cli import _exit
from gorun_mem.cli._common import BYTES, NUMBER, PLATFORM, RELEASE, BadInput, progress, worst
from gorun_mem.runtime.behaviour import UnknownRelease
from gorun_mem.runtime.errors import Deadlock, Fault, Hang, IllegalUse, Throw
from tests import ROOT


def python(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env=env, cwd=ROOT, **kwargs
    )
    return done


def test_help_imports_no_heavy_module() -> None:
    """`--help` pays for click and nothing else."""
    heavy = ["trio", "structlog", "rich", "msgspec", "jinja2", "duckdb", "zstandard"]
    heavy += ["gorun_mem.runtime.behaviour", "gorun_mem.runtime.memory", "gorun_mem.replay"]
    code = (
        "import sys, contextlib, io\n"
        "from gorun_mem.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out: code = main(['--help'])\n"
        "assert code == 0 and 'Usage:' in out.getvalue(), (code, out.getvalue())\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_help_is_quick() -> None:
    """The best of several starts is under a quarter of a second, on a busy machine too."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert python("-m", "gorun_mem", "--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25, seconds


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` and pyproject.toml say the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gorun-mem {VERSION} ({build()})\n"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A verb in the table exists, explains itself and shows a command to paste."""
    assert isinstance(import_module(cli.VERBS[verb][0]).command, click.Command)
    assert cli.main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"gorun-mem {verb}" in out.split("Usage:")[1].split("\n", 1)[1]


OPTIONS = [
    pytest.param(verb, option, id=f"{verb} {option.opts[0]}")
    for verb in cli.VERBS
    for option in import_module(cli.VERBS[verb][0]).command.params
    if isinstance(option, click.Option)
]


@pytest.mark.parametrize(("verb", "option"), OPTIONS)
def test_an_option_says_in_a_sentence_what_it_does(verb: str, option: click.Option) -> None:
    """Capital to full stop, with a verb in front; and what holds where it is not given."""
    text, _, default = (option.help or "").partition("  [default: ")
    assert text[:1].isupper(), text
    assert text.endswith("."), text
    assert len(text.split()) >= 5, text
    assert text.split()[0] in DOES, f"{text.split()[0]} is no verb that is known here"
    is_flag, is_list = bool(option.is_flag), bool(option.multiple)
    if not (default or option.show_default or option.required or is_flag or is_list):
        raise AssertionError(f"{verb} {option.opts[0]} does not say its default")


DOES = {
    "Add", "Begin", "Check", "Choose", "Compare", "Do", "Draw", "Drive", "Emulate", "End", "Exit",
    "Count", "Fail", "Find", "Free", "Give", "Hang", "Issue", "Keep", "Kill", "Let", "List",
    "Listen", "Log", "Look", "Make", "Open",
    "Predict", "Print", "Read", "Record", "Refuse", "Report", "Run", "Say", "Search", "See",
    "Serve", "Set", "Show", "Start", "Stop", "Take", "Try", "Use", "Where", "Write",
}  # fmt: skip
"""What the help of an option begins with."""


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def run(prog: str, args: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli.gorun_mem, "run", run)
    return cli.main(["verb"])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Throw("mem: unordered list"), 1, "throw mem: unordered list"),
        (Fault(64), 1, "fault 64"),
        (IllegalUse("a free of nothing"), 1, "a free of nothing"),
        (Hang("runtime.memFree", 1), 3, "hang runtime.memFree"),
        (Deadlock("M1 waits"), 3, "M1 waits"),
        (BadInput("no such thing"), 2, "no such thing"),
        (UnknownRelease("no release 'go2'"), 2, "no release 'go2'"),
        (click.UsageError("wrong."), 2, "wrong"),
        (FileNotFoundError(2, "No such file or directory", "x.txt"), 2, "x.txt: No such file"),
        (OSError(28, "No space left on device"), 4, "could not be written: No space left"),
        (MemoryError(), 4, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (SystemExit(None), 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit("gone"), 1, "gone"),
        (BaseExceptionGroup("nursery", [Fault(8), KeyboardInterrupt()]), 130, "interrupted"),
        (ExceptionGroup("nursery", [Throw("a"), ExceptionGroup("x", [Hang("f", 1)])]), 3, "hang f"),
    ],
)
def test_failures_become_exit_codes(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each failure has its exit code and at most one sentence on stderr, without a traceback."""
    assert fail_with(monkeypatch, error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == (1 if said else 0)
    assert "Traceback" not in err


def test_internal_fault_saves_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A fault of ours is one sentence that names the file with the traceback; --debug shows it."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    monkeypatch.delenv("GORUN_MEM_DEBUG", raising=False)
    assert fail_with(monkeypatch, ZeroDivisionError("by\nzero")) == 4
    err = capsys.readouterr().err
    (saved,) = (tmp_path / "faults").iterdir()
    assert str(saved) in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert "ZeroDivisionError: by\nzero" in saved.read_text()

    monkeypatch.setenv("GORUN_MEM_DEBUG", "1")
    assert fail_with(monkeypatch, ZeroDivisionError("by zero")) == 4
    assert "Traceback" in capsys.readouterr().err


def test_a_traceback_that_cannot_be_saved_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A state folder that is a file costs the traceback, not the exit code."""
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "taken"))
    assert fail_with(monkeypatch, EOFError("odd")) == 4
    assert "could not be saved" in capsys.readouterr().err


def test_only_the_newest_faults_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder of tracebacks is bounded."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    (tmp_path / "faults").mkdir()
    for i in range(40):
        (tmp_path / "faults" / f"20000101-0000{i:02}-1.txt").write_text("old")
    saved = _exit.save_fault(ValueError("new"), ["ops"])
    kept = sorted((tmp_path / "faults").iterdir())
    assert len(kept) == _exit.FAULTS_KEPT
    assert kept[-1] == saved


def test_worst_follows_the_order_of_weight() -> None:
    """Several files: 4 before 2 before 1 before 0."""
    assert worst([]) == 0
    assert worst([0, 1, 0]) == 1
    assert worst([1, 2, 0]) == 2
    assert worst([2, 4, 1]) == 4
    assert worst([1, 3]) == 3


def test_unknown_verb_and_option_suggest_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger is answered with what was meant, and exit code 2."""
    assert cli.main(["--verison"]) == 2
    assert "did you mean --version?" in capsys.readouterr().err
    assert cli.main(["zzz"]) == 2
    assert "no verb 'zzz'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("65536", 65536), ("0x10000", 65536), ("0XfF", 255)],
)
def test_numbers(text: str, value: int) -> None:
    """Decimal and 0x mean the same number."""
    assert NUMBER.convert(text, None, None) == value
    assert BYTES.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("text", "value"), [("64KiB", 65536), ("4g", 1 << 32), ("1MiB", 1 << 20), ("7b", 7)]
)
def test_sizes(text: str, value: int) -> None:
    """Sizes take units in powers of 1024; plain numbers do not."""
    assert BYTES.convert(text, None, None) == value
    with pytest.raises(click.BadParameter, match="not a number"):
        NUMBER.convert(text, None, None)


@pytest.mark.parametrize(
    "text", ["", "x", "0x", "0x-5", "0x_1", "1_0", "+5", " 5", "5 ", "٣", "4gg", "1e3", "9" * 5000]
)
def test_what_is_not_a_number(text: str) -> None:
    """What `int` would let pass is refused all the same."""
    for kind in (NUMBER, BYTES):
        with pytest.raises(click.BadParameter, match="is not a number"):
            kind.convert(text, None, None)


def test_release_and_platform_are_checked() -> None:
    """A name that means nothing is answered with the nearest that does."""
    assert RELEASE.convert("go1.24.3", None, None) == "go1.24.3"
    assert PLATFORM.convert("plan9/386", None, None) == "plan9/386"
    with pytest.raises(click.BadParameter, match=r"did you mean go1\.24\?"):
        RELEASE.convert("1.24", None, None)
    with pytest.raises(click.BadParameter, match="did you mean js/wasm"):
        PLATFORM.convert("wasm", None, None)


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_to_a_terminal_and_only_when_it_takes_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No bar for a quick job, none for a pipe, and one on stderr for a person who waits."""
    for stderr, after_s, shown in ((Terminal(), 60, 0), (io.StringIO(), 0, 0), (Terminal(), 0, 1)):
        monkeypatch.setattr(sys, "stderr", stderr)
        with progress("checking", 10, after_s=after_s) as advance:
            advance(5)
            advance(5)
        assert ("checking" in stderr.getvalue()) == bool(shown)


def test_a_mistake_leaves_ctrl_c_to_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    """`main` may be called by a program that goes on: what it did about signals it undoes."""
    before = signal.getsignal(signal.SIGINT)
    assert cli.main(["scenarios", "--nonsense"]) == 2
    assert signal.getsignal(signal.SIGINT) is before

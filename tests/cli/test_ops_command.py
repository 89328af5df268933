"""`gorun-mem ops`, as a person and a pipe see it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gorun_mem.cli import main
from gorun_mem.cli import ops as ops_module
from gorun_mem.cli.ops import _around_difference, command
from tests import ROOT

RECORDED = ROOT / "tests" / "data" / "ops" / "1.24.11-wasm-random-1.txt.gz"
EMPTY = "cbf29ce484222325"


def ops(*args: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(command, list(args), input=stdin, catch_exceptions=False)


def popen(*args: str, **kwargs: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", "ops", *args],
        stdin=kwargs.get("stdin", subprocess.PIPE),
        stdout=kwargs.get("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_answers_from_stdin() -> None:
    """The result alone is printed, one line an operation."""
    result = ops(stdin="# a comment\n\nalloc 65536\nstate\n")
    assert result.output == (
        f"1441792\nbloc=1507328 blocMax=2424832 pages=37 fl=0 fb=0 fh={EMPTY} grows=0 fails=0\n"
    )
    assert result.exit_code == 0


def test_echo_and_options() -> None:
    """--echo shows the operation too; every option reaches the program."""
    result = ops(
        "--echo", "--release", "go1.23.9", "--platform", "plan9/386", "--end", "64KiB",
        "--max-pages", "0x10", "--brk-max", "128KiB", "--memdebug", "-",
        stdin="info\nalloc 0x10000\nalloc 1 => 7\n",
    )  # fmt: skip
    assert result.stdout == (
        "info => go1.23.9 plan9 page=4096 end=65536 max=16 goos=plan9\n"
        "alloc 65536 => 65536\n"
        "alloc 1 => 0\n"
    )
    assert ops("--init-pages", "100", stdin="state").output.split()[2] == "pages=100"


def test_what_is_recorded_answers_again(tmp_path: Path) -> None:
    """A recorded script run with --echo gives back its own lines."""
    lines = gzip.decompress(RECORDED.read_bytes()).decode().splitlines()
    header = json.loads(lines[0].removeprefix("# "))
    result = ops(
        "--echo", "--release", header["release"], "--platform", header["platform"],
        "--end", str(header["end"]), "--max-pages", str(header["max_pages"]), str(RECORDED),
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.output.splitlines() == lines[1:]


@pytest.mark.parametrize(
    ("args", "script", "last", "said", "code"),
    [
        ((), "word 0\nstate\n", "fault 0", "read of 8 bytes through a nil pointer", 1),
        (
            ("--memdebug",),
            "alloc 65536\nalloc 1\n" + "free 1441792 65536\n" * 2 + "state\n",
            "throw mem: infinite loop",
            "runtime: 0x160000 == 0x160000",
            1,
        ),
        (
            (),
            "alloc 65536\nalloc 1\n" + "free 1441792 65536\n" * 2 + "state\nstate\n",
            "hang state",
            "",
            3,
        ),
        (("--strict",), "free 65536 1\nstate\n", "illegal free of [0x10000, 0x10001)", "", 1),
    ],
)
def test_early_ends(args: tuple[str, ...], script: str, last: str, said: str, code: int) -> None:
    """The result line of what ended the program is the last; what Go prints goes to stderr."""
    result = ops(*args, stdin=script)
    assert result.exit_code == code
    assert result.stdout.splitlines()[-1].startswith(last)
    assert result.stderr == (said + "\n" if said else "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"alloc 1\nfoo\nalloc 1\n", "<stdin>:2: no operation 'foo'"),
        (b"alloc 1\nalloc -1\n", "<stdin>:2: N '-1' of alloc is negative"),
        (b"alloc 1\n\xff\n", "<stdin>:2: byte 0xff at column 1 is not UTF-8"),
    ],
)
def test_a_line_that_is_no_operation(data: bytes, said: str) -> None:
    """What came before is answered, nothing after it is, and the exit code is 2."""
    result = ops(stdin=data)
    assert (result.exit_code, result.stdout) == (2, "1441792\n")
    assert result.stderr.startswith(f"gorun-mem ops: {said}")
    assert result.stderr.count("\n") == 1


def test_operands_are_as_wide_as_the_platform() -> None:
    """386 has no 33-bit address."""
    result = ops("--platform", "plan9/386", stdin="alloc 0x100000000\n")
    assert result.exit_code == 2
    assert "wider than 32 bits" in result.stderr


def test_several_files(tmp_path: Path) -> None:
    """Each file is a program of its own; the heaviest exit code wins; bad input ends it all."""
    good, bad, throws = (tmp_path / name for name in ("good", "bad", "throws"))
    good.write_text("alloc 1\n")
    throws.write_bytes(gzip.compress(b"word 0\nalloc 1\n"))
    bad.write_text("alloc 1\nfoo\n")
    result = ops(str(good), str(throws), str(good))
    assert (result.exit_code, result.stdout) == (1, "1441792\nfault 0\n1441792\n")
    result = ops(str(throws), str(bad), str(good))
    assert (result.exit_code, result.stdout) == (2, "fault 0\n1441792\n")
    result = ops(str(tmp_path / "none"), str(good))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"gorun-mem ops: {tmp_path}/none: No such file or directory\n"


def test_json_of_answers() -> None:
    """One document with every answer, also where the script is bad or its program ends."""
    result = ops("--json", "--release", "go1.24", stdin="alloc 0x1\nword 0\nstate\n")
    document = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"] == 1
    (run,) = document["scripts"]
    assert run["options"]["release"] == "go1.24"
    assert run["answers"] == [
        {"line": 1, "operation": "alloc 1", "result": "1441792"},
        {"line": 2, "operation": "word 0", "result": "fault 0"},
    ]
    assert (run["ended"], run["error"]) == ("fault 0", None)
    assert run["printed"] == ["read of 8 bytes through a nil pointer"]

    result = ops("--json", stdin="alloc 1\nfoo\n")
    document = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"] == 2
    assert document["scripts"][0]["error"].startswith("<stdin>:2: ")
    assert "no operation 'foo'" in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--relase", "go1.24"), "no option --relase: did you mean --release?"),
        (("--release", "go1.42"), "no release 'go1.42'"),
        (("--platform", "js"), "did you mean js/wasm?"),
        (("--release", "go1.20", "--platform", "wasip1/wasm"), "go1.20 has no wasip1/wasm"),
        (("--end", "many"), "'many' is not a number"),
        (("--end", "0"), "end 0 does not lie"),
        (("--max-pages", "65537"), "max_pages 65537 is not 0 to 65536"),
        (("--init-pages", "-2"), "-2 must be at least -1"),
        (("--echo", "--check", "x"), "--echo and --check exclude each other"),
    ],
)
def test_usage(args: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake on the command line is one sentence and exit code 2."""
    assert main(["ops", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_verb_that_is_misspelt(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest verb is named."""
    assert main(["osp"]) == 2
    assert "did you mean ops?" in capsys.readouterr().err


# --check


def test_check_agrees_with_the_real_code() -> None:
    """A recorded script has no difference, and says how many operations that was."""
    result = ops("--check", str(RECORDED))
    assert (result.exit_code, result.stderr) == (0, "")
    counted, words = result.output.splitlines()
    assert counted == f"{RECORDED}: 3005 operations, 0 differences"
    assert words == "words   gorun-mem explain operation; gorun-mem explain difference"


def altered(path: Path) -> Path:
    """The recorded script with the hash in its last state changed by one digit."""
    lines = gzip.decompress(RECORDED.read_bytes()).decode().splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("state"))
    lines[last] = lines[last].replace("fh=01ceb8c7", "fh=01ceb8c8")
    path.write_text("\n".join(lines))
    return path


def test_check_shows_the_first_difference(tmp_path: Path) -> None:
    """Line, operation, recorded and ours; the summary and the exit code cover all files."""
    wrong = altered(tmp_path / "wrong.txt")
    result = ops("--check", str(RECORDED), str(wrong))
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[1] == f"{wrong}: 3005 operations, 1 difference"
    assert lines[2].startswith("  line 300")
    assert lines[2].endswith(": state")
    assert lines[3].startswith("    recorded: ")
    assert "fh=01ceb8c8" in lines[3]
    assert "fh=01ceb8c7" in lines[4]
    assert lines[5] == "2 files: 6010 operations, 1 difference"


def test_check_as_json(tmp_path: Path) -> None:
    """The same as one document; a file that is missing is one entry and exit code 2."""
    wrong = altered(tmp_path / "wrong.txt")
    result = ops("--check", "--json", str(RECORDED), str(wrong), str(tmp_path / "none"))
    document = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"] == 2
    assert (document["operations"], document["differences"]) == (6010, 1)
    good, bad, none = document["files"]
    assert (good["exit_code"], good["differences"], good["first_difference"]) == (0, 0, None)
    assert good["options"]["release"] == "go1.24.11"
    assert (bad["exit_code"], bad["compared"]) == (1, 3005)
    assert bad["first_difference"]["operation"] == "state"
    assert "fh=01ceb8c7" in bad["first_difference"]["ours"]
    assert none["exit_code"] == 2
    assert "No such file" in none["error"]
    assert "No such file" in result.stderr


def test_check_of_a_cut_file(tmp_path: Path) -> None:
    """What is there is compared; that it is cut is said, with exit code 2."""
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(RECORDED.read_bytes()[:-5000])
    result = ops("--check", str(cut))
    assert result.exit_code == 2
    assert "the gzip data is cut off here" in result.stderr
    compared = int(result.stdout.split()[1])
    assert 1000 < compared < 3005
    assert "0 differences" in result.stdout


def test_check_without_a_header_uses_the_command_line(tmp_path: Path) -> None:
    """Options of the command line stand in for what no header says."""
    path = tmp_path / "s.txt"
    path.write_text("alloc 1 => 18153472\n")
    assert ops("--check", "--release", "go1.22", str(path)).exit_code == 0
    assert ops("--check", "--release", "go1.24", str(path)).exit_code == 1
    path.write_text('# {"release": "go1.22"}\nalloc 1 => 18153472\n')
    assert ops("--check", "--release", "go1.24", str(path)).exit_code == 0


def test_a_fault_of_ours_spoils_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The other files are still checked, and 4 outweighs what they say."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    real = ops_module.compare  # type: ignore[attr-defined]
    calls = []

    def compare(*args: object) -> object:
        calls.append(args)
        if len(calls) == 1:
            raise ZeroDivisionError("planted")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ops_module, "compare", compare)
    result = ops("--check", str(RECORDED), str(RECORDED))
    assert result.exit_code == 4
    assert "internal fault, ZeroDivisionError: planted" in result.stderr
    assert "Traceback" not in result.output
    assert "3005 operations, 0 differences" in result.stdout


def test_long_answers_are_shown_around_the_difference() -> None:
    """A dump of 100 KB is shown where it differs."""
    recorded, ours = _around_difference("a" * 1000 + "b" * 1000, "a" * 1000 + "c" * 1000)
    assert recorded == "..." + "a" * 50 + "b" * 50 + "..."
    assert ours == "..." + "a" * 50 + "c" * 50 + "..."
    assert _around_difference("ok", "fault 0") == ("ok", "fault 0")
    assert _around_difference("5", "55") == ("5", "55")


# As a process.


def test_each_line_is_answered_at_once() -> None:
    """A person or a program at the other end of the pipe need not close it to get answers."""
    with popen("--echo") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line, answer in (("alloc 1", "1441792"), ("alloc 1", "1507328"), ("word 0", "fault 0")):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{line} => {answer}\n"
        assert process.wait(10) == 1


def test_gzip_on_stdin() -> None:
    """A compressed script is told by its first bytes on stdin too."""
    with RECORDED.open("rb") as recorded, popen("--check", "-", stdin=recorded.fileno()) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("<stdin>: 3005 operations, 0 differences\nwords ")


def test_a_reader_that_leaves_is_no_failure() -> None:
    """`gorun-mem ops | head -1` is quiet."""
    with popen() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("alloc 1\n")
        process.stdin.flush()
        assert process.stdout.readline() == "1441792\n"
        process.stdout.close()
        process.stdin.write("alloc 1\n" * 3)
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written() -> None:
    """A full disk is one sentence."""
    with open("/dev/full", "w") as full, popen(stdout=full.fileno()) as process:
        _, err = process.communicate("alloc 1\n", timeout=30)
    assert process.returncode == 4
    assert err == "gorun-mem: the output could not be written: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_interrupted() -> None:
    """Ctrl-C exits with 130 and no traceback; answers given before stand."""
    with popen() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("alloc 1\n")
        process.stdin.flush()
        assert process.stdout.readline() == "1441792\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.strip() == "gorun-mem: interrupted"


def test_options_of_the_other_platform_are_said_to_change_nothing() -> None:
    """On stderr: the answers are what they were."""
    wasm = ops("--brk-max", "4000000", stdin="alloc 65536\n")
    assert "--brk-max changes nothing on js/wasm" in wasm.stderr
    nine = ops("--platform", "plan9/386", "--init-pages", "50", "--max-pages", "9", stdin="state\n")
    assert nine.exit_code == 0
    assert "--init-pages changes nothing on plan9/386" in nine.stderr
    assert "--max-pages changes nothing on plan9/386" in nine.stderr

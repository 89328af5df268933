"""What a verb writes is nothing that it reads, nor what another option of it writes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gorun_mem.step.schedule import Schedule
from tests import PACKAGE
from tests.cli.run_scripts import Command

SHORT = ["--ms", "2", "--set", "rounds=2"]


@pytest.fixture
def files(home: Path, gorun_mem: Command) -> dict[str, bytes]:
    """What may be read, by name."""
    assert gorun_mem("run", "memlock_storm", *SHORT, "--log", "run.jsonl").code == 0
    (home / "other.jsonl").write_bytes((home / "run.jsonl").read_bytes())
    trace = (PACKAGE / "recordings" / "trees-go1.24.11.jsonl.gz").read_bytes()
    (home / "trees.jsonl").write_bytes(gzip.decompress(trace))
    (home / "token").write_text("secret\n")
    (home / "token").chmod(0o600)
    (home / "a.schedule").write_text(Schedule((0,), (), {"scenario": "memlock_storm"}).token())
    (home / "link.jsonl").symlink_to("run.jsonl")
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("report run.jsonl --html run.jsonl", "LOG"),
        ("report run.jsonl --html link.jsonl", "LOG"),
        ("report a.schedule --html a.schedule", "LOG"),
        ("export run.jsonl --to csv -o ./run.jsonl", "LOG"),
        ("export trees.jsonl --to pprof-spans -o trees.jsonl", "LOG"),
        ("diff run.jsonl other.jsonl --junit other.jsonl", "LOG_B"),
        ("predict trees.jsonl --junit trees.jsonl", "RECORDING"),
        ("run real_program --set trace=trees.jsonl --log trees.jsonl", ""),
        ("run memlock_storm --log x.new --junit x.new", "--log"),
        ("run memlock_storm --log new --junit new", "--log"),
        ("explore leaked_lock --log new --junit new", "--log"),
        ("explore memlock_storm --html x.new --save ./x.new", "--html"),
        ("explore memlock_storm --resume x.new --junit x.new", "--resume"),
        ("compare memlock_storm --ms 2 --ms 3 --html x.new --junit x.new", "--html"),
        ("replay-schedule a.schedule --log a.schedule", "FILE_OR_TOKEN"),
        ("serve --token-file ./token --log token", "--token-file"),
        ("bench machine calibration --data trees.jsonl -o trees.jsonl", "--data"),
    ],
)
def test_what_is_read_is_not_overwritten(
    gorun_mem: Command, home: Path, files: dict[str, bytes], line: str, taken: str
) -> None:
    """Exit 2 before anything is done, one line, and each file as it was."""
    done = gorun_mem(*line.split())
    assert (done.code, done.out) == (2, "")
    what = f"what {taken} names" if taken else "what is read"
    assert done.err.endswith(f" would overwrite {what}: name another file\n")
    assert done.err.count("\n") == 1
    assert {name: (home / name).read_bytes() for name in files} == files
    assert not (home / "x.new").exists()


def test_a_device_takes_all(gorun_mem: Command, home: Path) -> None:
    """Two outputs may be one that keeps nothing, and a file may have the name of a lock."""
    storm = ["run", "memlock_storm", *SHORT, "--mutex", "sema"]
    assert gorun_mem(*storm, "--log", "/dev/null", "--junit", "/dev/null").code == 0
    for _ in range(2):
        assert gorun_mem(*storm, "--log", "sema").code == 0
    assert (home / "sema").stat().st_size

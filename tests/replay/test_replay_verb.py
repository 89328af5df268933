"""gorun-mem replay: what it says and its exit codes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gorun_mem.cli.replay import command
from tests import TRACES

MAPS = TRACES / "go1.27.3-js-maps.jsonl.gz"


def run(*args: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(command, [str(arg) for arg in args], standalone_mode=False)
    assert done.exception is None
    code: Any = done.return_value
    return code, done.stdout, done.stderr


@pytest.fixture
def bent(tmp_path: Path) -> Path:
    path = tmp_path / "bent.jsonl"
    text = gzip.decompress(MAPS.read_bytes()).decode()
    path.write_text(text.replace('"p":2097152', '"p":2097153', 1))
    return path


def test_agreement_is_0() -> None:
    """A line a file and one for all."""
    code, out, err = run(MAPS)
    assert (code, err) == (0, "")
    first, last, _ = out.splitlines()
    assert first.startswith(f"{MAPS}: go1.27.3 js/wasm maps, os level: ")
    assert last.startswith("1 file: ")
    assert last.endswith(", 0 differences")


def test_a_difference_is_1_and_shows_both_answers(bent: Path) -> None:
    """The call, what Go answered, what we answered, and the state before."""
    code, out, _ = run(bent)
    assert code == 1
    assert out.splitlines()[1:5] == [
        "  first at line 10: sysReserveAlignedSbrk size=524288 align=524288 "
        "by runtime.sysReserveAligned",
        "    Go:     p = 2097153",
        "    here:   p = 2097152",
        "    before: bloc=1900544 blocMax=2490368 pages=38 fl=0 fb=0 fh=cbf29ce484222325",
    ]


def test_a_bad_file_is_2_and_the_others_are_done(bent: Path, tmp_path: Path) -> None:
    """2 outweighs 1; a file that is not there, one that is no recording and a good one after."""
    nothing = tmp_path / "nothing"
    prose = tmp_path / "prose"
    prose.write_text("hello\n")
    code, out, err = run(nothing, prose, bent, MAPS)
    assert code == 2
    assert f"no recording {str(nothing)!r}: " in err
    assert f"{prose}:1: no header" in err
    assert f"{MAPS}: go1.27.3" in out


def test_a_cut_recording_is_2(tmp_path: Path) -> None:
    """It is compared as far as it goes, and the fault is named on stderr."""
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(MAPS.read_bytes()[:-3000])
    code, out, err = run(cut)
    assert code == 2
    assert ", 0 differences" in out
    assert "the gzip file is cut off" in err


def test_an_internal_fault_is_4_and_outweighs_all(
    bent: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bug of ours in one file: no traceback on the screen, the traceback in a file, and the
    other files are still replayed."""
    from gorun_mem.replay import os_level

    real = os_level.replay_file

    def broken(path: Path, level: os_level.Level) -> os_level.FileResult:
        if path == bent:
            raise RuntimeError("planted")
        return real(path, level)

    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    monkeypatch.setattr(os_level, "replay_file", broken)
    code, out, err = run(bent, MAPS)
    assert code == 4
    assert "internal fault, RuntimeError: planted; the traceback is in " in err
    assert "Traceback" not in err
    assert f"{MAPS}: go1.27.3" in out


def test_a_folder_stands_for_its_recordings_at_both_levels() -> None:
    """Every recording beneath it, at one level after the other; JSON alone on stdout."""
    code, out, _ = run("--level", "both", "--json", TRACES)
    document = json.loads(out)
    assert code == document["totals"]["exit"] == 0
    files = len(list(TRACES.iterdir()))
    assert document["totals"]["files"] == files
    assert [r["level"] for r in document["results"]] == ["os", "heap"] * files
    assert all(r["first"] is None and r["calls"] > 0 for r in document["results"])


def test_an_empty_folder_is_2(tmp_path: Path) -> None:
    """A folder without recordings is a mistake, not a success."""
    code, _, err = run(tmp_path)
    assert code == 2
    assert "no .jsonl or .jsonl.gz file in this folder" in err

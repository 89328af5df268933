"""`gorun-mem report --section`, `--budget` and `--html`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem import cli
from tests.analysis.make_logs import run_log, storm


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(run_log(storm)[1])
    return path


def test_a_section_is_printed_alone(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sections come in the order asked for, each once, and nothing else does."""
    words = ["--section", "convoys", "--section", "memory", "--section", "convoys"]
    assert cli.main(["report", str(log), *words]) == 0
    out = capsys.readouterr().out
    titles = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert titles == ["Convoys", "Memory"]


def test_a_budget_is_a_section(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--budget alone answers for that many pages; two are fewer than the memory starts with."""
    assert cli.main(["report", str(log), "--budget", "2"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("Budget\n")
    assert "fits into 2 pages" in out
    assert "no" in out.split("fits into 2 pages")[1].splitlines()[0]


def test_a_budget_says_what_run_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that its limit ended: a row that fits as far as is known; exit 0, 1 and 2."""
    path = str(tmp_path / "run.jsonl")
    run = ["run", "arena_at_break", "--ms", "1", "--max-pages", "100", "--log", path]
    assert cli.main(run) == 1
    assert "pages of 64 KiB are the least with which it lives" in capsys.readouterr().out
    needed = 0
    for pages, code in (("36", 2), ("60", 1), ("100", 1), ("104", 0)):
        assert cli.main(["report", path, "--budget", pages]) == code
        out = capsys.readouterr().out
        assert "as far as known" in out
        needed = int(out.split("pages needed")[1].split()[0])
    assert needed == 104
    assert cli.main(["report", path, "--budget", "36"]) == 2
    assert "cannot be instantiated, for it starts with 37 pages" in capsys.readouterr().out


def test_html_is_written_and_its_size_said(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line that is printed names the file and its bytes."""
    target = log.with_name("out.html")
    assert cli.main(["report", str(log), "--html", str(target)]) == 0
    out = capsys.readouterr().out
    assert f"{target.stat().st_size:,} bytes" in out
    assert "--strategy timing" in target.read_text("utf-8")


def test_an_unknown_section_is_refused(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The refusal lists the sections that there are."""
    assert cli.main(["report", str(log), "--section", "nonsense"]) == 2
    assert "convoys" in capsys.readouterr().err


def test_json_goes_with_none_of_them(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints one document; what would be another output is refused."""
    assert cli.main(["report", str(log), "--json", "--section", "memory"]) == 2
    assert "leave out --section" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback: the file, and what to make first."""
    target = log.parent / "nowhere" / "out.html"
    assert cli.main(["report", str(log), "--html", str(target)]) == 2
    err = capsys.readouterr().err
    assert f"out.html: there is no folder {target.parent}; make it first" in err
    assert "Traceback" not in err


def test_a_file_without_events_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page is not made of nothing."""
    path = tmp_path / "empty.jsonl"
    path.touch()
    target = tmp_path / "out.html"
    assert cli.main(["report", str(path), "--html", str(target)]) == 2
    assert "empty" in capsys.readouterr().err
    assert not target.exists()

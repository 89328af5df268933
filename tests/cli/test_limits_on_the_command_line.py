"""`run` under a limit, with the memory that it is given at the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gorun_mem.cli import main
from tests import TRACES

SMALL = '''
from gorun_mem import KiB, World, scenario
@scenario(ms=1)
async def small(world: World) -> None:
    """128 KiB and nothing more."""
    await world.main.sys_alloc(128 * KiB)
'''


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    path = tmp_path / "small_heap.py"
    path.write_text(SMALL, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("verb", [["run"], ["explore", "--budget", "5"]])
def test_what_does_not_fit_is_exit_2(
    small: str, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """37 pages and a limit of 20: a sentence with both figures, and nothing ran."""
    assert main([*verb, small, "--max-pages", "20"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "37 x 64 KiB at the start and the limit is 20; give at least 37 (--max-pages)" in err
    assert main([*verb, small, "--max-pages", "37"]) == 0


def test_memory_at_the_start(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--init-pages and --end are the run's, and the command that runs it again says them."""
    given = ["--init-pages", "50", "--end", "2MiB"]
    assert main(["run", small, *given]) == 0
    assert "50 pages of 64 KiB at the end" in capsys.readouterr().out
    assert main(["report", "last"]) == 0
    assert "--init-pages 50 --end 2097152" in capsys.readouterr().out
    assert main(["run", small, "--init-pages", "70000"]) == 2
    assert "init_pages 70000 is not -1 or 0 to 65536" in capsys.readouterr().err
    assert main(["run", small, "--end", "0"]) == 2
    assert "end 0 does not lie in" in capsys.readouterr().err


def test_out_of_memory_is_exit_1_with_the_limit_that_would_do(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary and --json have it; with it the run ends well, with one page less it does not."""
    trace = f"trace={TRACES / 'go1.27.3-js-maps.jsonl.gz'}"
    run = ["run", "real_program", "--ms", "1", "--set", trace]
    assert main([*run, "--max-pages", "300", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "out_of_memory"
    least = found["smallest_limit"]
    assert main([*run, "--max-pages", str(least), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["smallest_limit"] is None
    assert main([*run, "--max-pages", str(least - 1)]) == 1
    out = capsys.readouterr().out
    assert "ran out of memory" in out
    assert f"limit   {least:,} pages of 64 KiB are the least with which it lives" in out


def test_a_recording_that_cannot_be_instantiated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """replay and releases: a program that starts with more than it allows itself is exit 2."""
    path = tmp_path / "x.jsonl"
    header = {"header": 1, "format": 1, "go": "go1.27.3", "goos": "js", "goarch": "wasm"}
    header |= {"end": 1 << 20, "initialPages": 40, "wasmMemoryMax": 39}
    path.write_text(json.dumps(header) + "\n", encoding="utf-8")
    for verb in (["replay"], ["releases"]):
        assert main([*verb, str(path)]) == 2
        assert "40 x 64 KiB at the start and the limit is 39" in capsys.readouterr().err

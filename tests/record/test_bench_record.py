"""`bench record`: the recorded run beside the plain one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gorun_mem.bench.record import run
from gorun_mem.record.prepare import without_hooks
from gorun_mem.record.raw import read_raw
from gorun_mem.record.run import RAW, RecordSettings, execute
from tests.record.test_record import HOSTS, Build, gorun


@pytest.mark.parametrize("goos", HOSTS)
def test_both_levels_are_measured(build: Build, goos: str) -> None:
    """Two rows beside the plain run, with a bound that only a quiet machine is held to."""
    rows = run(quick=True, app=str(build("hello", goos)))
    assert [row.name for row in rows] == [
        f"{goos}/wasm, level {level}" for level in ("heap", "span")
    ]
    for row in rows:
        assert row.peer_figure is not None
        assert 0 < row.figure < 20 * row.peer_figure
        assert row.ok is not None


def test_the_plain_run_says_nothing(build: Build, tmp_path: Path) -> None:
    """It has no hook: what is written down is only that it ended."""
    app = without_hooks(build("talk", "wasip1").read_bytes())
    ended, stopped = execute(app, tmp_path, RecordSettings(argv=["talk", "5"], env={}))
    assert (ended, stopped) == (5, False)
    assert [record.id for record in read_raw(tmp_path / RAW)] == [255]


def test_it_wants_a_program(tmp_path: Path) -> None:
    """None, one that is not there and one that is none: exit 2 and what to give."""
    (tmp_path / "x.wasm").write_text("none")
    for words, says in (([], "--app APP.wasm"), (["--app", "nowhere"], "nowhere"),
                        (["--app", str(tmp_path / "x.wasm")], "no wasm binary")):  # fmt: skip
        done = gorun("bench", "record", *words)
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_the_row_is_in_the_json(build: Build) -> None:
    """As of any benchmark."""
    done = gorun("bench", "record", "--quick", "--json", "--app", str(build("hello", "wasip1")))
    rows = json.loads(done.stdout)
    assert "wasip1/wasm, level span" in json.dumps(rows)

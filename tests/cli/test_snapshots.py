"""What the main outputs look like, at four widths: `pytest --snapshot-update` writes them anew."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from gorun_mem import cli
from tests.cli.outputs import RECORDING, make_files, write_files

WIDTHS: Final = (60, 80, 120, 200)

SHOWN: Final = {
    "scenarios": "scenarios",
    "scenario": "scenarios memlock_storm",
    "run": "run memlock_storm --ms 8 --log storm.jsonl",
    "deadlock": "run leaked_lock --platform plan9/amd64 --log leaked.jsonl",
    "contention": "report storm.jsonl --section contention",
    "growths": "report storm.jsonl --section growths",
    "explore": "explore lessons/lost_wakeup --save lost.schedule",
    "replay-schedule": "replay-schedule lost.schedule",
    "verify": "verify spin.py:Open --ms 3",
    "compare": "compare memlock_storm --set rounds=5 --mutex sema --mutex spinbit --seeds 8",
    "diff": "diff storm.jsonl leaked.jsonl",
    "query": "query storm.jsonl 'SELECT * FROM locks LIMIT 2'",
    "releases": f"releases {RECORDING} --of go1.22..go1.25",
    "predict": f"predict {RECORDING} --max-pages 190 --release go1.21 --release go1.24.11",
    "explain": "explain fairness",
    "mistake": "run memlock_storm --set rounds=ten",
}
"""Name of the file -> command; all in one folder."""

_OF_THE_MOMENT: Final = (
    (re.compile(r"in \d+\.\d s\s+\([\d,]+\s+(schedules|states)/s\)"), r"in 0.0 s (0 \1/s)"),
    (re.compile(r" +$", re.MULTILINE), ""),
)
"""What is another at each run."""


@pytest.fixture(scope="module")
def snapshots_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("snapshots")
    write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GORUN_MEM_HOME", os.fspath(folder / "home"))
        make_files(SHOWN.values())
        yield folder


class TextFile(SingleFileSnapshotExtension):
    """A text file of each output."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.mark.parametrize("name", SHOWN)
def test_the_output_is_the_snapshot(
    snapshots_home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
    name: str,
) -> None:
    """At 60, 80, 120 and 200 columns."""
    command = SHOWN[name]
    parts = [f"$ gorun-mem {command}\n"]
    for columns in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(columns))
        cli.main(shlex.split(command))
        out, err = capsys.readouterr()
        text = out + err
        for pattern, instead in _OF_THE_MOMENT:
            text = pattern.sub(instead, text)
        parts.append(f"{f'-- {columns} columns ':-<{columns}}\n{text}")
    assert "\n".join(parts) == snapshot(extension_class=TextFile)

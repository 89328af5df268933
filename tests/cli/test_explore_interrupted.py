"""A search that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gorun_mem import cli

ENDLESS = """
from pathlib import Path
from gorun_mem import scenario
from gorun_mem.sync import Word

runs = 0


@scenario(ms=4)
async def endless(world):
    global runs
    runs += 1
    if runs == 60:
        Path("ready").touch()
    cell = Word("x")

    async def add(m):
        for _ in range(20):
            await cell.add(1)

    async with world.open_ms() as ms:
        for _ in range(4):
            ms.start_soon(add)
"""


@pytest.mark.parametrize("strategy", ["auto", "exhaustive"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_exits_130_with_what_was_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, jobs: str
) -> None:
    """The verdict is inconclusive, the schedules so far are said; other processes end too."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("endless.py").write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", "explore", "endless.py", "--strategy", strategy,
         "--jobs", jobs, "--time", "120", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )  # fmt: skip
    until = time.monotonic() + 60
    while not Path("ready").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err == ""
    document = json.loads(out)
    assert document["interrupted"]
    assert document["verdict"] == "inconclusive"
    assert document["reason"].startswith("interrupted after ")
    assert document["schedules"] >= 40

"""A search by the workers of a Dask cluster of this machine, which may die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import cli
from gorun_mem.explore import explore
from gorun_mem.explore.dask import ClusterError, DaskCluster
from gorun_mem.explore.detectors.load import EXAMPLE
from gorun_mem.machine.config import Config, ConfigError
from tests.explore import explore_programs as programs

FOUR = Config(ms=4)
FIGURES = ("schedules", "redundant", "steps", "verdict", "failures", "by_strategy", "bypasses")

pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, processes with one thread each, which a nanny starts again."""
    distributed = pytest.importorskip("distributed")
    made = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
        scheduler_port=0, silence_logs=50,
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()


def figures(found: Any) -> dict[str, Any]:
    document = found if isinstance(found, dict) else found.document()
    return {name: document[name] for name in FIGURES}


@pytest.mark.parametrize("strategy", ["exhaustive", "auto", "pos", "dfs"])
def test_it_comes_to_what_one_process_comes_to(cluster: Any, strategy: str) -> None:
    """Every figure, of a search that its budget ends."""
    how: dict[str, Any] = {"config": FOUR, "strategy": strategy, "budget": 500}
    there = explore(programs.many, cluster=cluster.scheduler_address, **how)
    assert figures(there) == figures(explore(programs.many, **how))


def test_a_failure_is_the_same_one(cluster: Any) -> None:
    """The token too."""
    how: dict[str, Any] = {"config": Config(ms=3), "strategy": "exhaustive", "budget": 5_000}
    there = explore(programs.rare, cluster=cluster.scheduler_address, **how)
    here = explore(programs.rare, **how)
    assert there.failure is not None
    assert here.failure is not None
    assert there.failure.token == here.failure.token


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did is done again by another: the exhaustive result is that of one process."""
    monkeypatch.setattr("gorun_mem.explore.work.PIECE_RUNS", (16, 16))
    how: dict[str, Any] = {"config": FOUR, "strategy": "exhaustive", "budget": 3_000}
    here = explore(programs.many, **how)
    killed: list[int] = []
    begun = threading.Event()

    def kill() -> None:
        begun.wait()
        for worker in list(cluster.workers.values()):
            pid = worker.process.pid if worker.process is not None else None
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return

    def progress(runs: int) -> None:
        if runs:
            begun.set()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        there = explore(programs.many, cluster=cluster.scheduler_address, progress=progress, **how)
    finally:
        begun.set()
        killer.join()
    assert killed
    assert figures(there) == figures(here)


def test_a_file_of_the_users_reaches_workers(
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its text is sent, whatever folder the workers run in; and the token names it as the user
    did."""
    monkeypatch.chdir(tmp_path)
    Path("lost.py").write_text(
        "from gorun_mem import scenario\n"
        "from gorun_mem.sync import Cell\n"
        "@scenario(ms=2)\n"
        "async def lost(world, *, wanted: int = 2):\n"
        "    '''An addition is lost.'''\n"
        "    cell = Cell('x')\n"
        "    async def add(m):\n"
        "        await cell.store(await cell.load() + 1)\n"
        "    async with world.open_ms() as ms:\n"
        "        ms.start_soon(add)\n"
        "        ms.start_soon(add)\n"
        "    assert cell.value == wanted\n"
    )
    args = ["explore", "lost.py", "--strategy", "dfs", "--no-detectors", "--json"]
    there = ["--cluster", cluster.scheduler_address]
    assert cli.main([*args, *there]) == 1
    found = json.loads(capsys.readouterr().out)
    assert cli.main(args) == 1
    assert found["failures"] == json.loads(capsys.readouterr().out)["failures"]
    Path("own.py").write_text(EXAMPLE.replace("result < 0", "True").replace(".add", ".store"))
    own = ["--detector", "own.py:NeverBelowZero"]
    assert cli.main([*args, "--set", "wanted=0", *own, *there]) == 1
    found = json.loads(capsys.readouterr().out)
    assert cli.main([*args, "--set", "wanted=0", *own]) == 1
    assert found["failures"] == json.loads(capsys.readouterr().out)["failures"]
    Path("needs.py").write_text("import lost\n" + Path("lost.py").read_text())
    args[1] = "needs.py"
    assert cli.main([*args, *there]) == 2
    said = capsys.readouterr().err
    assert "needs.py does not run: ModuleNotFoundError: No module named 'lost'" in said
    assert "only files that are named on the command line are sent" in said


def test_a_sweep_is_done_there(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are those of one process."""
    monkeypatch.chdir(tmp_path)
    from gorun_mem.export.tables import read_rows

    rows = {}
    for name, more in (("here", []), ("there", ["--cluster", cluster.scheduler_address])):
        Path("a.toml").write_text(
            f'[sweep]\nverb = "run"\nscenario = "memlock_storm"\nout = "{name}.parquet"\n'
            'seeds = 3\n[grid]\nmutex = ["queue", "sema"]\n[fixed]\nms = 2\nset.rounds = 2\n'
        )
        assert cli.main(["sweep", "a.toml", *more]) == 0
        rows[name] = sorted(
            [{**row, "wall_s": 0} for row in read_rows(Path(f"{name}.parquet"))],
            key=lambda row: row["cell"],
        )
    assert rows["here"] == rows["there"]
    assert len(rows["here"]) == 6


def test_nobody_at_the_address_is_said_within_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """And what to start."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pytest.importorskip("distributed")
    start = time.monotonic()
    args = ["explore", "leaked_lock", "--ms", "2", "--strategy", "pos"]
    assert cli.main([*args, "--cluster", f"tcp://127.0.0.1:{port}"]) == 2
    assert time.monotonic() - start < 20
    said = capsys.readouterr().err
    assert f"no Dask scheduler at tcp://127.0.0.1:{port}" in said
    assert "dask scheduler" in said
    assert cli.main([*args, "--cluster", "localhost"]) == 2
    assert "must be an address as tcp://HOST:PORT" in capsys.readouterr().err


def test_without_dask_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the command."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"pip install 'gorun-mem\[cluster\]'"):
        DaskCluster("tcp://127.0.0.1:1")


def test_processes_and_a_cluster_are_not_both() -> None:
    """One of the two has to be meant."""
    with pytest.raises(ConfigError, match="give one of the two"):
        explore(programs.many, jobs=2, cluster="tcp://127.0.0.1:1")

"""Sweeps: a grid in a file, a row a cell, and nothing done twice or lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import cli
from gorun_mem.export.tables import read_rows, row_types, write_rows
from gorun_mem.machine.library import find
from gorun_mem.sweep.grid import read_grid
from gorun_mem.sweep.runs import RunJob, measure_of
from gorun_mem.sweep.spread import over_processes
from gorun_mem.sweep.sweeping import sweep
from gorun_mem.sweep.verbs import SweepCell, SweepError, do, inputs_of

STORM = """
[sweep]
verb = "run"
scenario = "memlock_storm"
out = "storm.parquet"
seeds = 3

[grid]
mutex = ["sema", "queue"]
set.rounds = [2, 4]

[fixed]
ms = 3
"""
OWN = '''
from gorun_mem import World, scenario

@scenario(ms=1)
async def own(world: World, *, n: int = 3) -> None:
    """It."""
    for _ in range(n):
        await world.main.sys_alloc(65536)
    world.result("sum", n + {added})
'''

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file into the test's folder, which is the current one."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def write_it(text: str, name: str = "s.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_it


def test_a_row_has_options_figures_and_how_it_ended(write: Write) -> None:
    """Every cell once, with the figures that the run by itself has."""
    found = sweep(read_grid(write(STORM)))
    assert (found.cells, found.fresh, found.interrupted) == (12, 12, False)
    rows = read_rows(Path("storm.parquet"))
    assert len(rows) == 12
    assert not Path("storm.parquet.part").exists()
    row = next(
        r for r in rows if (r["mutex"], r["set.rounds"], r["seed"]) == ("queue", 4, 2)
    )  # fmt: skip
    settings = {"mutex": "queue", "ms": 3, "seed": 2}
    alone = measure_of(find("memlock_storm"), RunJob("", settings, {"rounds": 4}))
    assert {name: row[name] for name in alone.metrics} == alone.metrics
    assert (row["verb"], row["scenario"], row["outcome"]) == ("run", "memlock_storm", "ok")
    assert (row["exit_code"], row["error"]) == (0, "")
    assert row["wall_s"] > 0


def test_processes_do_the_same(write: Write) -> None:
    """In two processes the rows are the same but for the time; cells are plain values."""
    grid = read_grid(write(STORM))
    assert pickle.loads(pickle.dumps((do, grid.cells[5]))) == (do, grid.cells[5])
    alone = sweep(grid).rows
    os.rename("storm.parquet", "alone.parquet")
    from gorun_mem.sweep.spread import over_processes

    spread = sweep(grid, over_processes(2)).rows
    assert [row | {"wall_s": 0} for row in alone] == [row | {"wall_s": 0} for row in spread]


def test_what_is_there_is_not_done_again(write: Write) -> None:
    """A second sweep does nothing; a larger one what is new, and other cells' rows stay."""
    sweep(read_grid(write(STORM)))
    again = sweep(read_grid(write(STORM)))
    assert (again.fresh, len(again.rows)) == (0, 12)
    larger = STORM.replace("[2, 4]", "[4, 5]")
    assert sweep(read_grid(write(larger))).fresh == 6
    assert len(read_rows(Path("storm.parquet"))) == 18
    assert sweep(read_grid(write(STORM))).fresh == 0


def test_other_inputs_are_done_again(write: Write) -> None:
    """The scenario's source, a cost table and a lock's file are inputs; the row is replaced."""
    write(OWN.format(added=0), "own.py")
    text = '[sweep]\nverb = "run"\nscenario = "own.py"\nout = "o.parquet"\n[fixed]\n'
    text += 'costs = "c.toml"\nset.n = 2\n'
    write("[ns]\ngrow = 1\n", "c.toml")
    assert sweep(read_grid(write(text))).fresh == 1
    assert read_rows(Path("o.parquet"))[0]["result.sum"] == 2
    assert sweep(read_grid(write(text))).fresh == 0
    write("[ns]\ngrow = 2\n", "c.toml")
    assert sweep(read_grid(write(text))).fresh == 1
    write(OWN.format(added=7), "own.py")
    from gorun_mem.sweep import verbs

    verbs._scenario.cache_clear()  # as in another process
    assert sweep(read_grid(write(text))).fresh == 1
    rows = read_rows(Path("o.parquet"))
    assert [row["result.sum"] for row in rows] == [9]


def test_a_lock_of_ones_own_is_swept(write: Write) -> None:
    """By its file, whose text is an input."""
    ticket = (Path(__file__).parents[1] / "locks" / "ticket.py").read_text()
    write(ticket, "ticket.py")
    text = STORM.replace('["sema", "queue"]', '["sema", "ticket.py:TicketLock"]')
    found = sweep(read_grid(write(text)))
    assert {row["outcome"] for row in found.rows} == {"ok"}
    write(ticket + "# another\n", "ticket.py")
    assert sweep(read_grid(write(text))).fresh == 6


def test_a_cell_that_cannot_be_is_a_row(write: Write) -> None:
    """With the reason; it does not keep the others from being done."""
    text = STORM.replace('mutex = ["sema", "queue"]', 'mutex = ["js", "queue"]')
    found = sweep(read_grid(write(text)))
    refused = [row for row in found.rows if row["mutex"] == "js"]
    assert {row["outcome"] for row in refused} == {"refused"}
    assert all("knows one M" in row["error"] for row in refused)
    assert {row["outcome"] for row in found.rows if row["mutex"] == "queue"} == {"ok"}
    text = '[sweep]\nverb = "run"\nscenario = "memlock_storm"\nout = "n.parquet"\n'
    text += '[grid]\nmax_pages = [1, 100]\n[fixed]\nplatform = "js/wasm"\nms = 1\n'
    outcomes = [row["outcome"] for row in sweep(read_grid(write(text))).rows]
    assert outcomes == ["not_instantiable", "ok"]


def test_searches_are_swept(write: Write) -> None:
    """With the verdict, the counts, and a token that leads to the failure."""
    text = """
[sweep]
verb = "explore"
scenario = "leaked_lock"
out = "e.parquet"
seeds = 2
[grid]
release = ["go1.24.3", "go1.24.5"]
[fixed]
ms = 2
budget = 30
strategy = "pos"
"""
    found = sweep(read_grid(write(text)))
    by_release = {row["release"]: row for row in found.rows}
    assert by_release["go1.24.3"]["outcome"] == "failed"
    assert by_release["go1.24.3"]["failure_kind"] == "deadlock"
    assert by_release["go1.24.5"]["outcome"] == "survived"
    assert by_release["go1.24.5"]["schedules"] == 30
    token = by_release["go1.24.3"]["token"]
    assert cli.main(["replay-schedule", token]) == 1


def test_predictions_are_swept(write: Write) -> None:
    """Of recordings that come along, by release and limit."""
    text = """
[sweep]
verb = "predict"
out = "p.parquet"
[grid]
recording = ["maps-go1.24.11", "trees-go1.24.11"]
release = ["go1.23", "go1.27"]
[fixed]
max-pages = 192
"""
    found = sweep(read_grid(write(text)))
    rows = {(row["recording"], row["release"]): row for row in found.rows}
    assert rows["maps-go1.24.11", "go1.27"]["low"] <= rows["maps-go1.24.11", "go1.27"]["high"]
    assert rows["maps-go1.24.11", "go1.23"]["outcome"] == "not_instantiable"
    assert "seed" not in found.rows[0]


def test_verifications_are_swept(write: Write) -> None:
    """States and verdict; bounds that cannot be are refused."""
    text = """
[sweep]
verb = "verify"
out = "v.parquet"
[grid]
mutex = ["queue", "futex"]
cpus = [1, 2]
[fixed]
ms = 2
pairs = 1
"""
    rows = {(row["mutex"], row["cpus"]): row for row in sweep(read_grid(write(text))).rows}
    assert {row["outcome"] for row in rows.values()} == {"holds"}
    assert rows["futex", 2]["states"] > rows["queue", 1]["states"] > 5
    assert sweep(read_grid(write(text))).fresh == 0
    for ms in ("40", '"two"'):
        refused = sweep(read_grid(write(text.replace("ms = 2", f"ms = {ms}")))).rows
        assert {row["outcome"] for row in refused} == {"refused"}


def test_assertions_hold_of_every_row(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1 where one does not; rows are named by their cells."""
    path = write(STORM + '[assert]\nfew = "lock.memlock.acquisitions <= 20"\n')
    assert cli.main(["sweep", str(path)]) == 1
    out = capsys.readouterr().out
    assert "12 cells: 12 done, 0 there already" in out
    assert (
        "assert  lock.memlock.acquisitions <= 20 does not hold of memlock_storm mutex=sema" in out
    )
    assert cli.main(["sweep", str(write(STORM)), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["done"], document["already_there"], document["exit"]) == (0, 12, 0)
    assert document["outcomes"] == {"ok": 12}


SLOW = """
[sweep]
verb = "run"
scenario = "memlock_storm"
out = "slow.parquet"
seeds = 400
[fixed]
set.rounds = 60
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_what_is_done_is_kept(write: Write, tmp_path: Path, jobs: str, how: signal.Signals) -> None:
    """Ctrl-C ends it with 130 and a file of what is done; after a kill the next one finds it."""
    write(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", "sweep", "s.toml", "--jobs", jobs],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    part = tmp_path / "slow.parquet.part"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not part.exists() or part.stat().st_size < 4000):
        time.sleep(0.05)
    if how is signal.SIGKILL:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    out, err = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130, err
        assert "left" in out
        assert "go on   with the same command" in out
        kept = len(read_rows(tmp_path / "slow.parquet"))
        assert not part.exists()
    else:
        kept = len(part.read_text().splitlines())
    assert 0 < kept < 400
    grid = read_grid(tmp_path / "s.toml")
    from gorun_mem.sweep.store import Store

    assert len(Store(tmp_path / "slow.parquet").rows) in (kept, kept - 1)  # cut in the middle
    done = {row["seed"] for row in Store(tmp_path / "slow.parquet").rows.values()}
    assert {inputs_of(cell) for cell in grid.cells if cell.seed in done} == {
        row["inputs"] for row in Store(tmp_path / "slow.parquet").rows.values()
    }


def test_an_interrupt_ends_what_is_under_way() -> None:
    """A piece of work that takes long is not waited for: its process is ended."""
    began = time.monotonic()
    work: Any = over_processes(2)(time.sleep, [0.0, 60.0, 60.0])
    assert next(work) == (0, None)
    with pytest.raises(KeyboardInterrupt):
        work.throw(KeyboardInterrupt)
    assert time.monotonic() - began < 40
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sweep]\n", "no verb in [sweep]: write verb = "),
        ('[sweep]\nverb = "run"\n', "name the file of the rows"),
        (STORM.replace("mutex =", "mutx ="), "did you mean mutex"),
        (STORM.replace("ms = 3", "mutex = 3"), "said twice"),
        (STORM.replace("[2, 4]", "2"), "must be a list"),
        (STORM.replace("seeds = 3", "seeds = 0"), "must be a number from 1"),
        (STORM.replace("seeds = 3", "seed = 3"), "[sweep]: no key 'seed': did you mean seeds?"),
        (STORM.replace('scenario = "memlock_storm"\n', ""), "no scenario: say in [sweep]"),
        (STORM + "[grids]\n", "no section 'grids': did you mean grid?"),
        (STORM + '[assert]\na = "final_pages"\n', "is no expression"),
        (STORM + "[assert]\na = 3\n", "must be an expression as text"),
        (STORM.replace("seeds = 3", "seeds = 1000000"), "at most 1,000,000"),
        ("[sweep\n", "s.toml"),
    ],
)
def test_mistakes_in_the_file(
    write: Write, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """Are told with the file's name and what there is; nothing is run."""
    path = write(text)
    with pytest.raises(SweepError, match=r"s\.toml: "):
        read_grid(path)
    assert cli.main(["sweep", str(path)]) == 2
    assert said in capsys.readouterr().err
    assert not Path("storm.parquet").exists()


def test_other_mistakes(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there or is no Parquet, a folder that is not, an unknown metric."""
    assert cli.main(["sweep", "nothing.toml"]) == 2
    assert "nothing.toml: No such file" in capsys.readouterr().err
    write("no parquet", "storm.parquet")
    assert cli.main(["sweep", str(write(STORM))]) == 2
    assert "storm.parquet cannot be read" in capsys.readouterr().err
    assert Path("storm.parquet").read_text() == "no parquet"
    assert cli.main(["sweep", str(write(STORM.replace("storm.parq", "no/storm.parq")))]) == 2
    assert "there is no folder no" in capsys.readouterr().err
    bad = STORM.replace("storm.parq", "x.parq") + '[assert]\na = "final_page <= 1"\n'
    assert cli.main(["sweep", str(write(bad))]) == 2
    assert "did you mean final_pages" in capsys.readouterr().err


def test_types_of_columns(tmp_path: Path) -> None:
    """Numbers stay numbers, what is mixed becomes text, and nothing is taken for a date."""
    rows: list[dict[str, Any]] = [
        {"a": 1, "b": 1, "c": "2024-01-02", "d": [1], "e": True, "f": None},
        {"a": 2, "b": 2.5, "c": "7", "g": 1 << 70},
        {"a": 3, "b": None, "c": "x", "d": "y"},
    ]
    assert row_types(rows) == {
        "a": "BIGINT", "b": "DOUBLE", "c": "VARCHAR", "d": "VARCHAR", "e": "BOOLEAN",
        "f": "VARCHAR", "g": "DOUBLE",
    }  # fmt: skip
    write_rows(rows, tmp_path / "r.parquet")
    assert read_rows(tmp_path / "r.parquet") == [
        {"a": 1, "b": 1.0, "c": "2024-01-02", "d": "[1]", "e": True},
        {"a": 2, "b": 2.5, "c": "7", "g": float(1 << 70)},
        {"a": 3, "c": "x", "d": "y"},
    ]


def test_a_cell_is_named_by_what_it_asks() -> None:
    """Not by the order of its options."""
    one = SweepCell("run", "x", {"a": 1, "b": 2}, 3)
    assert one.name == SweepCell("run", "x", {"b": 2, "a": 1}, 3).name
    assert one.name != SweepCell("run", "x", {"a": 1, "b": 2}, 4).name
    assert str(one) == "x a=1 b=2 seed=3"


def test_the_readme_has_a_sweep(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Its file is one that runs."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    text = readme.partition("```toml\n[sweep]")[2].partition("```")[0]
    assert cli.main(["sweep", str(write("[sweep]" + text, "storm.toml"))]) == 0
    assert "20 cells: 20 done" in capsys.readouterr().out

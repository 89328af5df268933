"""`gorun-mem sweep`: a grid of runs, searches or predictions, a row of each in one Parquet file."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._common import (
    BadInput,
    ExitCode,
    Number,
    json_option,
    progress,
    worst,
    write_json,
)
from gorun_mem.cli._output import show
from gorun_mem.cli._written import check_output

if TYPE_CHECKING:
    from gorun_mem.sweep.grid import Grid
    from gorun_mem.sweep.spread import Spread
    from gorun_mem.sweep.sweeping import Swept

SHOWN: Final = 5
"""Rows that are bad that are listed."""


@click.command("sweep")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--jobs", type=Number(1, 256), default=1, show_default=True, metavar="N",
    help="Do so many cells at once, in processes of their own.",
)  # fmt: skip
@click.option(
    "--cluster", metavar="ADDRESS",
    help="Do the cells by the workers of the Dask scheduler at tcp://HOST:PORT (extra "
    "`cluster`). Name your own: what it answers is unpickled, which can run code here.  "
    "[default: in processes here]",
)  # fmt: skip
@json_option()
def command(file: Path, jobs: int, cluster: str | None, as_json: bool) -> int:
    """Do what FILE says, a TOML file, for every cell of its grid; one row a cell, as Parquet.

    \b
    [sweep]
    verb = "run"                     # or explore, predict, verify
    scenario = "memlock_storm"       # of predict: recording; of verify: mutex
    out = "storm.parquet"            # from the current folder, as other names
    seeds = 20                       # or a list
    [grid]                           # options of the verb, each a list
    mutex = ["sema", "spinbit"]
    set.rounds = [50, 200]           # an option of the scenario
    [fixed]
    ms = 8
    [assert]
    pages = "final_pages <= 700"     # of every row

    A cell that is in `out` with the same inputs (options, source of the scenario, files, version)
    is not done again, so that a sweep can be stopped, gone on with and extended: Ctrl-C keeps what
    is done.

    \b
    Examples:
      gorun-mem sweep storm.toml --jobs 2
      duckdb -c "select mutex, median(time_ns) from 'storm.parquet' group by 1"

    Exit codes: those of the cells, the gravest; 1 where an assertion does not hold; 2 usage, or a
    cell that cannot be; 130 interrupted.
    """
    from gorun_mem.analysis.metrics import ExpressionError
    from gorun_mem.export.output import ExportError
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.sweep.grid import read_grid
    from gorun_mem.sweep.spread import over_processes
    from gorun_mem.sweep.sweeping import sweep
    from gorun_mem.sweep.verbs import SweepError

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        try:
            grid = read_grid(file)
            check_output("out =", grid.out)
            spread = _over_cluster(cluster, jobs) if cluster else over_processes(jobs)
            with progress("sweeping", len(grid.cells)) as advance:
                found = sweep(grid, spread, advance)
        except (ConfigError, ExportError, ExpressionError, SweepError) as error:
            raise BadInput(str(error)) from None
    code = _exit_code(found)
    if as_json:
        write_json({**_document(grid, found), "exit": code})
    else:
        _show(grid, found)
    return code


def _over_cluster(address: str, jobs: int) -> Spread:
    from gorun_mem.sweep.cluster import over_cluster

    if jobs > 1:
        raise BadInput(f"--jobs {jobs} and --cluster: the cluster has its own; give one of the two")
    return over_cluster(address)


def _exit_code(found: Swept) -> int:
    if found.interrupted:
        return ExitCode.INTERRUPTED
    codes = [int(row["exit_code"]) for row in found.rows]
    return worst([*codes, *(ExitCode.FAILED for _ in found.failed)])


def _document(grid: Grid, found: Swept) -> dict[str, Any]:
    return {
        "sweep": grid.verb,
        "out": str(grid.out),
        "cells": found.cells,
        "done": found.fresh,
        "already_there": len(found.rows) - found.fresh,
        "interrupted": found.interrupted,
        "outcomes": dict(Counter(row["outcome"] for row in found.rows)),
        "failed_asserts": [
            {"cell": _in_words(grid, row), "asserts": wrong} for row, wrong in found.failed
        ],
    }


def _show(grid: Grid, found: Swept) -> None:
    from gorun_mem.report.units import count
    from gorun_mem.report.worth import look_up_line

    there = len(found.rows) - found.fresh
    left = found.cells - len(found.rows)
    outcomes = Counter(row["outcome"] for row in found.rows)
    ended = ", ".join(f"{times:,} {outcome}" for outcome, times in outcomes.most_common())
    show(
        f"{count(found.cells, 'cell')}: {found.fresh:,} done, {there:,} there already"
        + (f", {left:,} left" if left else "")
    )
    show(f"ended   {ended or 'none'}")
    bad = [row for row in found.rows if row["exit_code"]]
    for row in bad[:SHOWN]:
        said = " ".join(str(row.get("error", "")).split())
        show(f"        {_in_words(grid, row)}: {row['outcome']}{': ' + said if said else ''}")
    for row, wrong in found.failed[:SHOWN]:
        show(f"assert  {' and '.join(wrong)} does not hold of {_in_words(grid, row)}")
    more = max(0, len(bad) - SHOWN) + max(0, len(found.failed) - SHOWN)
    if more:
        show(f"        and {more:,} more")
    show(f"rows    {click.format_filename(grid.out)}")
    if left:
        show("go on   with the same command")
    show(look_up_line(("cell", "outcome")))


def _in_words(grid: Grid, row: dict[str, Any]) -> str:
    """The cell of a row."""
    cells = {cell.name: cell for cell in grid.cells}
    return str(cells[row["cell"]])

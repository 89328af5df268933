"""A sweep: the cells of a grid that are not done yet, done, and a row of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gorun_mem._version import VERSION
from gorun_mem.analysis.metrics import Expression, ExpressionError, Metrics
from gorun_mem.sweep.grid import Grid
from gorun_mem.sweep.spread import Spread, here
from gorun_mem.sweep.store import Store, SweepRow
from gorun_mem.sweep.verbs import VERBS, CellDone, SweepCell, do, inputs_of


@dataclass(slots=True)
class Swept:
    """What a sweep came to.

    Args:
        rows: of the grid's cells that are done, in its order.
        cells: how many the grid has.
        fresh: how many were done now.
        failed: rows with the expressions that do not hold of them.
        interrupted: Ctrl-C ended it.
    """

    rows: list[SweepRow]
    cells: int
    fresh: int
    failed: list[tuple[SweepRow, list[str]]]
    interrupted: bool


def sweep(
    grid: Grid, spread: Spread = here, progress: Callable[[int], None] | None = None
) -> Swept:
    """Do what is not in `grid.out` yet.

    Args:
        grid: the cells.
        spread: where they are done; each is given to `verbs.do`.
        progress: called with the number of cells done since the last call.

    Raises:
        ExportError: the file cannot be read or written, or DuckDB is not installed.
        ExpressionError: a row has no such metric as an assertion asks of.
    """
    store = Store(grid.out)
    wanted = [(cell, inputs_of(cell)) for cell in grid.cells]
    left = [
        (cell, inputs)
        for cell, inputs in wanted
        if store.rows.get(cell.name, {}).get("inputs") != inputs
    ]
    fresh = 0
    interrupted = False
    with store:
        try:
            for place, done in spread(do, [cell for cell, _ in left]):
                cell, inputs = left[place]
                store.add(row_of(cell, done, inputs))
                fresh += 1
                if progress is not None:
                    progress(1)
        except KeyboardInterrupt:
            interrupted = True
    rows = [store.rows[cell.name] for cell in grid.cells if cell.name in store.rows]
    failed = [(row, wrong) for row in rows if (wrong := _wrong(row, grid.asserts))]
    return Swept(rows, len(grid.cells), fresh, failed, interrupted)


def row_of(cell: SweepCell, done: CellDone, inputs: str) -> SweepRow:
    """A row: what was asked for, what came of it, and what tells whether it still holds."""
    row: SweepRow = {"verb": cell.verb, VERBS[cell.verb].about: cell.subject, **cell.options}
    if cell.seed is not None:
        row["seed"] = cell.seed
    row |= {"outcome": done.outcome, "exit_code": done.exit_code, "error": done.error}
    row |= {"wall_s": done.wall_s}
    row |= {name: value for name, value in done.metrics.items() if name not in row}
    row |= {name: value for name, value in done.facts.items() if name not in row}
    return row | {"cell": cell.name, "inputs": inputs, "version": VERSION}


def _wrong(row: SweepRow, asserts: Sequence[Expression]) -> list[str]:
    """The assertions that do not hold of a row; of one that was never run none can."""
    found = []
    metrics: Metrics = {
        name: value for name, value in row.items() if type(value) in (int, float)
    }  # fmt: skip
    for expression in asserts:
        try:
            holds = expression.holds(metrics)
        except ExpressionError:
            if row["exit_code"] == 0:
                raise
            holds = False
        if not holds:
            found.append(expression.text)
    return found

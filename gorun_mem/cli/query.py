"""`gorun-mem query`: SQL over a log."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, progress, write_json
from gorun_mem.cli._output import show


@click.command("query")
@click.argument("log")
@click.argument("sql")
@click.option(
    "--unsafe",
    is_flag=True,
    help="Let SQL open other files and the network, and load extensions.  [default: it sees the "
    "log only]",
)
@json_option()
def command(log: str, sql: str, unsafe: bool, as_json: bool) -> int:
    """Ask LOG in SQL, as DuckDB speaks it (extra `analysis`).

    `events` has a row for each event and a column for each field. Views: `locks`, a row for each
    hold that ended; `calls`, for each call of the OS layer that returned; `grows`; `freelist`. SQL
    opens no other file and no network, and loads no extension, unless --unsafe.

    \b
    Examples:
      gorun-mem query last 'SELECT site, max(wait_ns) FROM locks GROUP BY site'
      gorun-mem query run.jsonl 'SELECT * FROM grows' --json
      gorun-mem query last 'DESCRIBE calls'

    Exit codes: 0 answered; 2 the log cannot be read, the SQL is wrong, or DuckDB is missing;
    130 interrupted.
    """
    from gorun_mem.events import resolve_log
    from gorun_mem.export.output import ExportError
    from gorun_mem.export.tables import ask, database, load_duckdb, one_line, plain

    if " " in log and Path(sql).exists():
        words = shlex.join(["gorun-mem", "query", sql, log])
        raise BadInput(f"{log!r} stands where the log should: did you mean {words}?")
    path = resolve_log(log)
    try:
        duckdb = load_duckdb()
        with (
            progress("loading") as advance,
            database(path, advance, locked=not unsafe) as (connection, condition),
        ):
            try:
                names, found = ask(connection, sql)
                rows = [[plain(one) for one in row] for row in found]
            except duckdb.Error as error:
                raise BadInput(f"SQL: {one_line(error)}{_advice(error)}") from None
    except ExportError as error:
        raise BadInput(str(error)) from None
    if as_json:
        write_json({"columns": names, "rows": rows, "condition": condition.as_dict()})
    else:
        _show(names, rows)
        for remark in condition.remarks():
            show(f"note: {remark}", err=True)
    return ExitCode.CLEAN


def _advice(error: Exception) -> str:
    """What to do about what is locked."""
    said = str(error)
    if re.search(r"external access|disabled by configuration|\blocked\b", said):
        return "; with --unsafe it may"
    if "Binder" in said or "Catalog" in said:
        return (
            "; 'DESCRIBE events' lists the columns, and the views are locks, calls, grows, freelist"
        )
    return "; write it as in 'SELECT site, max(wait_ns) FROM locks GROUP BY site'"


def _show(names: list[str], rows: list[list[Any]]) -> None:
    """A table where one fits, else records, one row below the other."""
    from gorun_mem.report.width import fits, records, table_lines

    cells = [names, *(["" if one is None else _line(one) for one in row] for row in rows)]
    sides = "".join(
        ">" if all(isinstance(row[i], int | float | None) for row in rows) else "<"
        for i in range(len(names))
    )
    if fits(cells, 0):
        show(*table_lines(cells, sides, ""))
    else:
        show(*records(cells))


def _line(value: object) -> str:
    """A value in one line."""
    return " ".join(str(value).splitlines())

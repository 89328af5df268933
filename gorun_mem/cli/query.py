"""`gorun-mem query`: SQL over a log."""

from __future__ import annotations

import sys
from typing import Any

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, progress, write_json


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
      gorun-mem query last 'SELECT site, count(*), max(wait_ns) FROM locks GROUP BY site'
      gorun-mem query run.jsonl 'SELECT * FROM grows' --json
      gorun-mem query last 'DESCRIBE calls'

    Exit codes: 0 answered; 2 the log cannot be read, the SQL is wrong, or DuckDB is missing;
    130 interrupted.
    """
    from gorun_mem.events import resolve_log
    from gorun_mem.export.output import ExportError
    from gorun_mem.export.tables import ask, database, load_duckdb, one_line, plain

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
            click.echo(f"note: {remark}", err=True)
    return ExitCode.CLEAN


def _advice(error: Exception) -> str:
    """What to do about what is locked."""
    said = str(error)
    locked = "external access" in said or "disabled by configuration" in said or "locked" in said
    return "; with --unsafe it may" if locked else ""


def _show(names: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(names):
        numbers = all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(Text(name), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if one is None else str(one)) for one in row))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = max(160, 30 * len(names))  # a file has no edge to wrap at
    console.print(table)

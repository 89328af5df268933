"""`gorun-mem report`: what a log says, read again from the file alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from gorun_mem.cli._common import BadInput, ExitCode, json_option, write_json

if TYPE_CHECKING:
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events.reader import EventReader


@click.command("report")
@click.argument("log")
@json_option()
def command(log: str, as_json: bool) -> int:
    """Say what LOG says: outcome, pages, calls, the free list, waits for locks.

    LOG is a file that `gorun-mem run` wrote, compressed or not, or `last` for the newest of those
    that were given no name. A log that was cut or damaged is reported as far as it goes.

    \b
    Examples:
      gorun-mem report last
      gorun-mem report run.jsonl.zst --json

    Exit codes: 0 there was something to report; 2 no log, or no event in it.
    """
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events import read_events, resolve_log

    path = resolve_log(log)
    reader = read_events(path)
    summary = Summary.of(reader)
    if not summary.events:
        seen = f"none of its {reader.lines} lines is an event" if reader.lines else "it is empty"
        raise BadInput(f"{click.format_filename(path)} is no event log: {seen}")
    name = click.format_filename(path)
    if as_json:
        write_json(_document(summary, reader, name))
    else:
        _show(summary, reader, name)
    return ExitCode.CLEAN


def _show(summary: Summary, reader: EventReader, name: str) -> None:
    from gorun_mem.report.terminal import render

    click.echo(render(summary))
    click.echo("")
    click.echo(f"log     {name}, {summary.events:,} events")
    for problem in _problems(reader):
        click.echo(f"        {problem}")
    again = _again(summary)
    if again:
        click.echo(f"again   {again}")


def _problems(reader: EventReader) -> list[str]:
    """What is wrong with the log, each in a line."""
    from gorun_mem.report.units import count

    problems = [reader.describe_damage()] if reader.describe_damage() else []
    if reader.missing:
        problems.append(f"missing by their numbers: {count(reader.missing, 'event')}")
    return problems


def _again(summary: Summary) -> str:
    """The command that runs it again; a cost table of its own is in no log."""
    from gorun_mem.report.terminal import again
    from gorun_mem.sched.costs import CostTable

    if summary.start is None:
        return ""
    table = summary.start.cost_table_sha256
    words = again(summary.start)
    if table is UNSET or table == CostTable().sha256:
        return words
    return f"{words} --costs FILE  # the cost table whose SHA-256 is {table}"


def _document(summary: Summary, reader: EventReader, name: str) -> dict[str, Any]:
    from gorun_mem.report.document import document

    return {
        **document(summary),
        "log": name,
        "again": _again(summary),
        "events": summary.events,
        "cut": reader.cut,
        "damaged_lines": reader.damaged,
        "missing_events": reader.missing,
        "problems": _problems(reader),
    }

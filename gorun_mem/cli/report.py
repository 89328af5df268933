"""`gorun-mem report`: what a log says, read again from the file alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import UNSET

from gorun_mem.cli._common import (
    BadInput,
    ExitCode,
    Number,
    json_option,
    progress,
    write_json,
)
from gorun_mem.cli._recording import is_recording, tell

if TYPE_CHECKING:
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events.reader import EventReader


SECTION_NAMES: Final = (
    "contention", "convoys", "blame", "path", "order", "memory", "growths", "hints",
    "fragmentation", "budget",
)  # fmt: skip
"""Those of `gorun_mem.report.sections`, which is not imported to show the help."""


SERVICE: Final = "serve"
"""What the log of `gorun-mem serve` calls its scenario: its clients decide what happens."""


@click.command("report")
@click.argument("log")
@click.option(
    "--section",
    "names",
    multiple=True,
    type=click.Choice(SECTION_NAMES),
    help="Only this part, in full; may be given again.",
)
@click.option(
    "--budget",
    metavar="PAGES",
    type=Number(least=1),
    help="Say whether the run fits into so many pages of 64 KiB.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the whole report into one file for a browser; it needs no network.",
)
@json_option()
def command(
    log: str, names: tuple[str, ...], budget: int | None, html: Path | None, as_json: bool
) -> int:
    """Say what LOG says: outcome, pages, calls, the free list, waits for locks.

    LOG is a file that `gorun-mem run` wrote, compressed or not, or `last` for the newest of those
    that were given no name. A log that was cut or damaged is reported as far as it goes. Of a
    recording of a real program it is said what its pages are made of and why they do not go back.

    \b
    Examples:
      gorun-mem report last
      gorun-mem report run.jsonl.zst --json
      gorun-mem report last --section convoys --section blame
      gorun-mem report last --budget 700
      gorun-mem report last --html report.html
      gorun-mem report maps-go1.24.11

    Exit codes: 0 there was something to report; 2 no log, or no event in it.
    """
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events import read_events, resolve_log

    if log != "last" and is_recording(log):
        if names or budget is not None or html is not None:
            raise click.UsageError("of a recording there is one report: give no section, no HTML")
        return tell(log, as_json)
    path = resolve_log(log)
    if as_json and (names or budget is not None or html is not None):
        raise click.UsageError(
            "--json prints the summary: leave out --section, --budget and --html"
        )
    if html is not None:
        return _write_html(path, html, budget)
    if names or budget is not None:
        return _show_sections(path, names, budget)
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


def _show_sections(path: Path, names: tuple[str, ...], budget: int | None) -> int:
    from gorun_mem.analysis.whole import LogAnalysis
    from gorun_mem.report.sections import render, sections

    with progress("reading") as advance:
        found = LogAnalysis.read(path, advance)
    wanted = [name for name in names if name != "budget"]
    if budget is not None or "budget" in names:
        wanted.append("budget")
    click.echo(render(sections(found, dict.fromkeys(wanted), budget)))
    for remark in found.condition.remarks():
        click.echo(remark, err=True)
    return ExitCode.CLEAN


def _write_html(path: Path, target: Path, budget: int | None) -> int:
    from gorun_mem.report.html import read, write

    with progress("reading") as advance:
        view = read(path, advance)
    try:
        written = write(view, target, budget, again=_again(view.found.summary))
    except OSError as error:
        raise BadInput(
            f"{click.format_filename(target)} cannot be written: {error.strerror or error}"
        ) from None
    click.echo(f"html    {click.format_filename(target)}, {written:,} bytes")
    for remark in view.found.condition.remarks():
        click.echo(remark, err=True)
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
    """The command that runs it again, "" for a service; a cost table of its own is in no log."""
    from gorun_mem.report.terminal import again
    from gorun_mem.sched.costs import CostTable

    if summary.start is None or summary.start.scenario == SERVICE:
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

"""`gorun-mem report`: what a log says, read again from the file alone."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import UNSET

from gorun_mem.cli._common import (
    BadInput,
    ExitCode,
    OneOf,
    Pages,
    json_option,
    progress,
    write_json,
)
from gorun_mem.cli._output import show
from gorun_mem.cli._recording import is_recording, tell
from gorun_mem.cli._retold import is_schedule, of_log, show_failure, show_page
from gorun_mem.cli._retold import tell as tell_schedule
from gorun_mem.cli._written import check_output

if TYPE_CHECKING:
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.analysis.whole import LogAnalysis
    from gorun_mem.analysis.window import Window
    from gorun_mem.events.reader import EventReader
    from gorun_mem.events.types import RunStart
    from gorun_mem.explore.retold import Retold


SECTION_NAMES: Final = (
    "contention", "convoys", "blame", "holds", "path", "order", "memory", "growths", "hints",
    "fragmentation", "budget",
)  # fmt: skip
"""Those of `gorun_mem.report.sections`, which is not imported to show the help."""


SERVICE: Final = "serve"
"""What the log of `gorun-mem serve` calls its scenario: its clients decide what happens."""


if TYPE_CHECKING:
    _TimeType = click.ParamType[int]
else:
    _TimeType = click.ParamType

_TIME: Final = re.compile(r"([0-9_]*\.?[0-9]+)\s*(ns|us|ms|s)?")
_NS: Final = {None: 1, "ns": 1, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000}


class Time(_TimeType):
    """Virtual time: a number with ns, us, ms or s; ns if none is said."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Nanoseconds."""
        match = _TIME.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no time: write it as in 1500, 10us or 2.5ms", param, ctx)
        number, unit = Decimal(match[1]), _NS[match[2]]
        return int(number * unit)


@click.command("report")
@click.argument("log")
@click.option(
    "--section",
    "names",
    multiple=True,
    type=OneOf(SECTION_NAMES),
    metavar="NAME",
    help="Show only this section, in full; may be given again: "
    f"{', '.join(SECTION_NAMES)}.  [default: a summary]",
)
@click.option(
    "--budget",
    metavar="PAGES",
    type=Pages(1),
    help="Say whether the run fits into so many pages of 64 KiB, and exit with 1 where it does "
    "not.  [default: the run's own limit]",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the whole report into this file for a browser, which needs no network for it.  "
    "[default: text on stdout]",
)
@click.option(
    "--from",
    "from_ns",
    metavar="TIME",
    type=Time(),
    help="Report from this virtual time on, given in ns or with us, ms or s behind the number.  "
    "[default: the run's beginning]",
)
@click.option(
    "--to",
    "to_ns",
    metavar="TIME",
    type=Time(),
    help="Report up to this virtual time, which itself is left out.  [default: the run's end]",
)
@click.option(
    "--code",
    multiple=True,
    metavar="REFERENCE",
    help="Let the schedule of a failure run this code, as it names it: FILE.py, FILE.py:NAME or "
    "module:function; may be given again.  [default: the library's scenarios and lessons only]",
)
@json_option()
def command(
    log: str,
    names: tuple[str, ...],
    budget: int | None,
    html: Path | None,
    from_ns: int | None,
    to_ns: int | None,
    code: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say what LOG says: outcome, pages, calls, the free list, waits for locks.

    LOG is a file that `gorun-mem run` wrote, compressed or not, or `last` for the newest of those
    that were given no name. A log that was cut or damaged is reported as far as it goes; a wait or
    a hold that it does not end counts as long as it lasted, and the times it is in are marked as
    lower bounds.

    Where a log has a schedule, as after explore, it is followed once more to say
    which steps of a failure mattered, and the nearest schedule that passes. LOG may be the file of
    a schedule too, or a token.

    With --from and --to, waits and holds that reach out of the window are cut to it. Of a recording
    of a real program it is said what its pages are made of and why they do not go back.

    \b
    Examples:
      gorun-mem report last
      gorun-mem report run.jsonl.zst --json
      gorun-mem report last --section convoys --section blame
      gorun-mem report last --from 10us --to 1ms --section holds
      gorun-mem report last --budget 700
      gorun-mem report last --html report.html
      gorun-mem report maps-go1.24.11
      gorun-mem report lost.schedule --html lost.html

    Exit codes: 0 there was something to report; 1 --budget is too small; 2 no log, no event in it,
    or --budget is less than the memory starts with.
    """
    from gorun_mem.events import resolve_log

    sections = bool(names) or budget is not None
    if log != "last" and is_recording(log):
        if sections or html is not None or (from_ns, to_ns) != (None, None):
            raise click.UsageError(
                "of a recording there is one report: leave out --section, --budget, --html, --from "
                "and --to"
            )
        return tell(log, as_json)
    if log != "last" and is_schedule(log):
        if sections or from_ns is not None or to_ns is not None:
            raise click.UsageError("of a schedule there is one report: leave the sections out")
        check_output("--html", html)
        return tell_schedule(log, code, html, as_json)
    path = resolve_log(log)
    if as_json and (sections or html is not None):
        raise click.UsageError(
            "--json prints the summary: leave out --section, --budget and --html"
        )
    window = _window(from_ns, to_ns)
    if html is not None:
        check_output("--html", html, [path])
        return _write_html(path, html, budget, window, code)
    if sections:
        return _show_sections(path, names, budget, window)
    return _summarise(path, window, code, as_json)


def _summarise(path: Path, window: Window | None, code: tuple[str, ...], as_json: bool) -> int:
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events import read_events

    reader = read_events(path)
    summary = Summary.of(reader, window)
    if not summary.events:
        seen = f"none of its {reader.lines} lines is an event" if reader.lines else "it is empty"
        raise BadInput(
            f"{click.format_filename(path)} is no event log: {seen}; name "
            "one that gorun-mem run --log FILE wrote"
        )
    _check_window(window, summary.last_ns)
    name = click.format_filename(path)
    told = of_log(summary.start, summary.end, code, name)
    if as_json:
        write_json({**_document(summary, reader, name), **told.document()})
    else:
        _show(summary, reader, name, told)
    return ExitCode.CLEAN


def _window(from_ns: int | None, to_ns: int | None) -> Window | None:
    """The window that is asked for, None for the whole log."""
    from gorun_mem.analysis.window import Window

    if from_ns is None and to_ns is None:
        return None
    if to_ns is not None and to_ns <= (from_ns or 0):
        raise click.UsageError(
            f"--to {to_ns} ns is not after --from {from_ns or 0} ns: nothing lies between"
        )
    return Window(from_ns or 0, to_ns)


def _check_window(window: Window | None, end_ns: int) -> None:
    """Refuse a window that lies behind the log.

    Raises:
        BadInput: it does.
    """
    from gorun_mem.report.units import ns

    if window is not None and window.from_ns > end_ns:
        raise BadInput(f"the log ends at {ns(end_ns)}: --from {ns(window.from_ns)} is after it")


def _show_sections(
    path: Path, names: tuple[str, ...], budget: int | None, window: Window | None
) -> int:
    from gorun_mem.analysis.whole import LogAnalysis
    from gorun_mem.report.sections import render, sections

    with progress("reading") as advance:
        found = LogAnalysis.read(path, advance, window)
    _check_window(window, found.contention.end_ns)
    wanted = [name for name in names if name != "budget"]
    if budget is not None or "budget" in names:
        wanted.append("budget")
    show(render(sections(found, dict.fromkeys(wanted), budget)))
    for remark in found.condition.remarks():
        show(remark, err=True)
    return _exit_of(found, budget)


def _exit_of(found: LogAnalysis, pages: int | None) -> int:
    """Whether the run fits into the budget that was asked for, as `run --max-pages` would say."""
    if pages is None:
        return ExitCode.CLEAN
    answer = found.memory.budget(pages)
    if answer.verdict == "start":
        return ExitCode.USAGE
    return ExitCode.CLEAN if answer.fits else ExitCode.FAILED


def _write_html(
    path: Path, target: Path, budget: int | None, window: Window | None, code: tuple[str, ...]
) -> int:
    from gorun_mem.report.page import document, read

    with progress("reading") as advance:
        view = read(path, advance, window)
    _check_window(window, view.found.contention.end_ns)
    found, name = view.found, click.format_filename(path)
    told = of_log(found.start, found.end, code, name).document()
    show_page(document(view, budget, _again(found.summary), told), target)
    for remark in view.found.condition.remarks():
        show(remark, err=True)
    return _exit_of(view.found, budget)


def _show(summary: Summary, reader: EventReader, name: str, told: Retold) -> None:
    from gorun_mem.report.terminal import render
    from gorun_mem.report.worth import look_up_line, of_run

    show(render(summary))
    show("")
    show_failure(told)
    show(f"log     {name}, {summary.events:,} events")
    for problem in _problems(reader):
        show(f"        {problem}")
    again = _again(summary)
    if again:
        show(f"again   {again}")
    show(look_up_line(of_run(summary)))


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
    from gorun_mem.step.costs import CostTable

    if summary.start is None or summary.start.scenario == SERVICE:
        return ""
    table = summary.start.cost_table_sha256
    words = again(summary.start, memory=_memory_at_start(summary.start))
    if table is UNSET or table == CostTable().sha256 or summary.start.schedule is not UNSET:
        return words
    return f"{words} --costs FILE  # the cost table whose SHA-256 is {table}"


def _memory_at_start(start: RunStart) -> dict[str, int | None]:
    """What --init-pages and --end have to say; None where the default says the same."""
    from gorun_mem.runtime.behaviour import UnknownRelease, release
    from gorun_mem.runtime.boot import DATA_END, initial_wasm_pages

    pages: int | None = start.initial_pages
    try:
        if not start.platform.endswith("wasm") or pages == initial_wasm_pages(
            release(start.release), start.data_end
        ):
            pages = None
    except UnknownRelease:  # a log of a later version's
        pass
    return {"init-pages": pages, "end": None if start.data_end == DATA_END else start.data_end}


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

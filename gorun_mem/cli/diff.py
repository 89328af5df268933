"""`gorun-mem diff`: two runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gorun_mem.cli._ci import check_junit, ci_options, tell, wanted
from gorun_mem.cli._common import BadInput, ExitCode, json_option, progress, write_json
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.analysis.diff import DiffRow, Divergence, LogDiff, Value


@click.command("diff")
@click.argument("log_a")
@click.argument("log_b")
@click.option(
    "--fail-on",
    "fail_on",
    multiple=True,
    metavar="EXPR",
    help="Exit with 1 where this holds: 'final_pages>+5%' of LOG_B over LOG_A, or "
    "'final_pages>700' of LOG_B. Names are those of the metrics of `run --json`. It may be given "
    "again.",
)
@click.option(
    "--all", "show_all", is_flag=True, help="Show the figures in which both runs are alike, too."
)
@ci_options
@json_option()
def command(log_a: str, log_b: str, fail_on: tuple[str, ...], show_all: bool, as_json: bool) -> int:
    """Compare two runs: pages, growths, waits, fragmentation, and where their calls part.

    \b
    Examples:
      gorun-mem diff go1.25.jsonl go1.26.jsonl
      gorun-mem diff sema.jsonl spinbit.jsonl --fail-on 'lock.memlock.wait_ns.p99>+10%'

    Exit codes: 0 whatever differs; 1 a --fail-on holds; 2 a log cannot be read, or an expression
    is none.
    """
    from gorun_mem.analysis.diff import as_document, compare
    from gorun_mem.analysis.failon import holds, parse_fail_on
    from gorun_mem.analysis.metrics import ExpressionError
    from gorun_mem.events import resolve_log

    paths = resolve_log(log_a), resolve_log(log_b)
    check_junit(paths)
    try:
        expressions = [parse_fail_on(text) for text in fail_on]
        with progress("reading") as advance:
            diff = compare(*paths, advance)
        failed = [one.text for one in expressions if holds(one, diff.a, diff.b)]
    except ExpressionError as error:
        raise BadInput(str(error)) from None
    document = {**as_document(diff), "fail_on": list(fail_on), "failed": failed}
    if wanted():
        from gorun_mem.report.checked import cases_of_diff

        names = [Path(of.condition.name).name for of in (diff.a, diff.b)]
        tell(cases_of_diff(document, f"diff {' '.join(names)}"))
    if as_json:
        write_json(document)
    else:
        _show(diff, show_all)
    for text in failed:
        show(f"--fail-on {text!r} holds", err=True)
    return ExitCode.FAILED if failed else ExitCode.CLEAN


def _show(diff: LogDiff, show_all: bool) -> None:
    from gorun_mem.report.width import table_lines
    from gorun_mem.report.worth import look_up_line, of_diff

    names = [diff.a.condition.name, diff.b.condition.name]
    if max(map(len, names)) <= _NAME_MAX:
        heads = [f"{label} {name}" for label, name in zip("AB", names, strict=True)]
    else:
        heads = ["A", "B"]
    rows = [["", *heads, "change"]]
    section = ""
    for row in diff.rows:
        if row.same and not show_all:
            continue
        if row.section != section:
            section = row.section
            rows.append([click.style(section, bold=True), "", "", ""])
        values = [
            (">= " if bound else "") + _text(value, row.unit)
            for value, bound in zip((row.a, row.b), row.at_least, strict=True)
        ]
        rows.append(["  " + row.name, *values, _change(row)])
    if section:
        if heads == ["A", "B"]:
            show(*(f"{label}  {name}" for label, name in zip("AB", names, strict=True)), "")
        show(*table_lines(rows, "<>>>", ""))
    show(_verdict(diff), "", look_up_line(of_diff(diff)))
    for label, found in (("A", diff.a), ("B", diff.b)):
        for remark in found.condition.remarks():
            show(f"note on {label}: {remark}", err=True)


def _text(value: Value, unit: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, str | bool):
        return str(value)
    if unit == "ratio":
        return f"{value:.4f}"
    return f"{value:,} {unit}".rstrip()


def _change(row: DiffRow) -> str:
    if row.same or row.change is None:
        return ""
    return f"{row.change:+.1%}"


def _verdict(diff: LogDiff) -> str:
    """What is to be said of the calls, in lines."""
    lines = []
    if diff.same:
        lines.append("No figure and no call differs.")
    else:
        if diff.answer is not None:
            lines.append(_part(diff.answer, "is the first that was answered otherwise"))
        if diff.request is not None:
            lines.append(_part(diff.request, _REQUEST_WORDS[diff.request.what]))
        elif diff.answer is None:
            lines.append(f"All {diff.calls:,} calls are alike, and their answers.")
        else:
            lines.append(f"All {diff.calls:,} calls ask for the same.")
    return "\n".join(lines)


_NAME_MAX: Final = 24
"""Columns of a log's name above its figures; a longer one stands on a line of its own."""

_REQUEST_WORDS = {
    "request": "is the first that asks for something else",
    "end": "is where one run makes no more calls",
}


def _part(point: Divergence, what: str) -> str:
    fields = f" ({', '.join(point.fields)})" if point.fields else ""
    return "\n".join(
        [
            f"Call {point.calls + 1:,} {what}{fields}:",
            *(
                f"  {label}: {call} -> {call.p:#x} by {call.path}"
                if call is not None
                else f"  {label}: no call"
                for label, call in (("A", point.a), ("B", point.b))
            ),
        ]
    )

"""`gorun-mem bench`: figures of this machine beside peers, with the ratios of one run."""

from __future__ import annotations

from typing import Final

import click

from gorun_mem._near import no_such
from gorun_mem._version import build
from gorun_mem.bench import BENCHES, OPTIONS, Row, as_document, names_of, run_bench
from gorun_mem.cli._common import BadInput, ExitCode, json_option, write_json
from gorun_mem.cli._output import show
from gorun_mem.cli._written import check_output

_LIST: Final = "\n".join(f"      {name:11} {what}" for name, (_, what) in BENCHES.items())


@click.command(
    "bench",
    help=f"""Measure this machine beside peers; all benchmarks if none is named.

    Subject and peer take turns in one process, and the ratio is the figure to look at.

    \b
    Benchmarks:
      {_LIST.lstrip()}

    \b
    Examples:
      gorun-mem bench events
      gorun-mem bench --json > bench.json
      gorun-mem bench machine -o mine.toml
      gorun-mem bench record --app app.wasm
      gorun-mem bench calibration --data measured.jsonl.gz --costs mine.toml

    Exit codes: 0 every target is met; 1 one is not; 2 no such benchmark.
    """,
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--quick", is_flag=True, help="Run fewer rounds, which gives rough figures within seconds."
)
@click.option(
    "--data",
    metavar="FILE",
    help="Compare `calibration` with this measurement of real locks.  [default: the one of "
    "server-16, which comes with the program]",
)
@click.option(
    "--costs",
    metavar="NAME_OR_FILE",
    help="Take what each step costs in `calibration` from this table.  [default: server-16]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the cost table that `machine` has measured here, for --costs FILE.  "
    "[default: none is written]",
)
@click.option(
    "--app",
    metavar="APP.wasm",
    help="Run this Go wasm program, as it was built and recorded, in `record`.  [default: none]",
)
@json_option()
@click.pass_context
def command(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    quick: bool,
    as_json: bool,
    **given: str | None,
) -> None:
    """Measure this machine beside peers."""
    try:
        wanted = names_of(names)
    except KeyError as error:
        raise click.UsageError(
            no_such("benchmark", error.args[0], BENCHES, there="the benchmarks are")
        ) from None
    options = {name: value for name, value in given.items() if value is not None}
    for option in options:
        takers = [name for name, takes in OPTIONS.items() if option in takes]
        if not set(takers) & set(names):
            raise click.UsageError(f"--{option} is for: gorun-mem bench {takers[0]}")
    check_output("--output", given["output"])
    results: dict[str, list[Row]] = {}
    for name in wanted:
        its = {option: options[option] for option in OPTIONS.get(name, ()) if option in options}
        try:
            results[name] = run_bench(name, quick=quick, **its)
        except ValueError as error:
            if not its and "app" not in OPTIONS.get(name, ()):
                raise
            raise BadInput(str(error)) from error
        if not as_json:
            _show(name, results[name])
    document = as_document(results)
    if as_json:
        write_json(document)
    else:
        from gorun_mem.report.worth import look_up_line

        show(look_up_line(("ratio", "target")))
    ctx.exit(ExitCode.CLEAN if document["ok"] else ExitCode.FAILED)


def _show(name: str, rows: list[Row]) -> None:
    """The figures of one benchmark as a table."""
    from gorun_mem.report.width import table_lines

    lines = [("what", "figure", "peer's", "ratio", "peer", "target")]
    for row in rows:
        color, verdict = ("green", "met") if row.ok else ("red", "missed")
        said = "" if row.ok is None else click.style(verdict, fg=color)
        lines.append(
            (
                row.name,
                f"{row.figure:.3g} {row.unit}",
                "" if row.peer_figure is None else f"{row.peer_figure:.3g}",
                "" if row.ratio is None else f"{row.ratio:.2f}x",
                row.peer,
                f"{row.target} {said}".strip(),
            )
        )
    show(f"bench {name} ({build()})", *table_lines(lines, "<>>><<", ""))

"""`gorun-mem export`: a log in the format of another tool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, progress, write_json
from gorun_mem.cli._output import show

FORMATS: Final = ("pprof-mutex", "pprof-block", "chrome", "parquet")


@click.command("export")
@click.argument("log")
@click.option(
    "--to",
    "target",
    type=click.Choice(FORMATS),
    required=True,
    help="Write this format: pprof-mutex says who made others wait, pprof-block who waited, chrome "
    "is a trace for https://ui.perfetto.dev, parquet has all events as a table (extra `analysis`).",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="Write to this file, over what it holds."
)
@json_option()
def command(log: str, target: str, output: str, as_json: bool) -> int:
    """Write LOG in the format of another tool.

    LOG is a file that `gorun-mem run` wrote, or `last`. Of a cut or damaged log all that can be
    read is exported.

    \b
    Examples:
      gorun-mem export last --to pprof-mutex -o mutex.pb.gz
      go tool pprof -top mutex.pb.gz
      gorun-mem export run.jsonl.zst --to chrome -o run.json

    Exit codes: 0 the file is written; 2 the log cannot be read or the file not written.
    """
    from gorun_mem.events import resolve_log
    from gorun_mem.export.output import ExportError

    path = resolve_log(log)
    try:
        condition, count = _export(path, target, Path(output))
    except ExportError as error:
        raise BadInput(str(error)) from None
    what = {"chrome": "trace events", "parquet": "rows"}.get(target, "samples")
    size = os.path.getsize(output) if Path(output).is_file() else None
    document: dict[str, Any] = {
        "format": target,
        "file": output,
        "bytes": size,
        what.replace(" ", "_"): count,
        "condition": condition.as_dict(),
    }
    if as_json:
        write_json(document)
    else:
        show(f"{click.format_filename(output)}: {count:,} {what}", err=True)
        for remark in condition.remarks():
            show(f"note: {remark}", err=True)
    return ExitCode.CLEAN


def _export(path: Path, target: str, output: Path) -> tuple[Any, int]:
    from gorun_mem.export.output import named_output, open_output

    _refuse_itself(path, output)
    with progress("exporting") as advance:
        if target == "parquet":
            from gorun_mem.export.tables import load_duckdb, write_parquet

            load_duckdb()
            with named_output(output) as name:
                return write_parquet(path, name, advance)
        with open_output(output) as file:
            if target == "chrome":
                from gorun_mem.export.chrome import write_chrome

                return write_chrome(path, file, advance)
            from gorun_mem.export.pprof import write_profile

            kind = "mutex" if target == "pprof-mutex" else "block"
            return write_profile(path, kind, file, advance)  # type: ignore[arg-type]


def _refuse_itself(path: Path, output: Path) -> None:
    try:
        same = output.exists() and output.samefile(path)
    except OSError:
        same = False
    if same:
        raise BadInput(f"{output} is the log itself: name another file with -o")

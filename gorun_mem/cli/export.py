"""`gorun-mem export`: a log in the format of another tool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, progress, write_json
from gorun_mem.cli._output import show
from gorun_mem.cli._written import check_output

FORMATS: Final = (
    "pprof-mutex",
    "pprof-block",
    "pprof-spans",
    "chrome",
    "otlp",
    "csv",
    "parquet",
    "lnav",
    "lnav-format",
)


@click.command("export")
@click.argument("log", required=False)
@click.option(
    "--to",
    "target",
    type=click.Choice(FORMATS),
    required=True,
    metavar="FORMAT",
    help="Write this format: pprof-mutex says who made others wait, pprof-block who waited, chrome "
    "is a trace for https://ui.perfetto.dev, otlp is OpenTelemetry's spans and metrics, csv and "
    "parquet (extra `analysis`) have all events as a table, lnav has them for "
    "https://lnav.org, and lnav-format, which needs no LOG, is what lnav -i installs for them; "
    "pprof-spans says who asked for the spans of a recorded program.",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="Write to this file, over what it holds."
)
@json_option()
def command(log: str | None, target: str, output: str, as_json: bool) -> int:
    """Write LOG in the format of another tool.

    LOG is a file that `gorun-mem run` wrote, or `last`; for pprof-spans, one that `gorun-mem
    record` wrote. Of a cut or damaged log all that can be read is exported.

    \b
    Examples:
      gorun-mem export last --to pprof-mutex -o mutex.pb.gz
      go tool pprof -top mutex.pb.gz
      gorun-mem export run.jsonl.zst --to chrome -o run.json
      gorun-mem export app.jsonl.gz --to pprof-spans -o spans.pb.gz
      gorun-mem export last --to otlp -o run.otlp.jsonl
      gorun-mem export --to lnav-format -o gorun_mem.json && lnav -i gorun_mem.json
      gorun-mem export last --to lnav -o run.lnav.jsonl && lnav run.lnav.jsonl

    Exit codes: 0 the file is written; 2 the log cannot be read or the file not written.
    """
    from gorun_mem.events import resolve_log
    from gorun_mem.export.output import ExportError

    if target == "lnav-format":
        check_output("-o", output)
        return _export_format(Path(output), as_json)
    if log is None:
        raise click.UsageError("no LOG given: `last` is the newest")
    if target == "pprof-spans":
        check_output("-o", output)
        return _spans(log, Path(output), as_json)
    path = resolve_log(log)
    check_output("-o", output, [path])
    try:
        condition, count = _export(path, target, Path(output))
    except ExportError as error:
        raise BadInput(str(error)) from None
    what = _WHAT.get(target, "samples")
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


_WHAT: Final = {
    "chrome": "trace events",
    "otlp": "spans",
    "csv": "rows",
    "parquet": "rows",
    "lnav": "events",
}
"""What is counted of a format."""


def _export_format(output: Path, as_json: bool) -> int:
    """The log's format, of which there is one for all logs."""
    from gorun_mem.export.lnav import format_text
    from gorun_mem.export.output import ExportError, open_output

    data = format_text().encode()
    try:
        with open_output(output) as file:
            file.write(data)
    except ExportError as error:
        raise BadInput(str(error)) from None
    if as_json:
        write_json({"format": "lnav-format", "file": str(output), "bytes": len(data)})
    else:
        show(f"{click.format_filename(output)}: lnav -i {output} installs it", err=True)
    return ExitCode.CLEAN


def _export(path: Path, target: str, output: Path) -> tuple[Any, int]:
    from gorun_mem.export.output import named_output, open_output

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
            if target == "otlp":
                from gorun_mem.export.otlp import write_otlp

                return write_otlp(path, file, advance)
            if target == "csv":
                from gorun_mem.export.csv import write_csv

                return write_csv(path, file, advance)
            if target == "lnav":
                from gorun_mem.export.lnav import write_lnav

                return write_lnav(path, file, advance)
            from gorun_mem.export.pprof import write_profile

            kind = "mutex" if target == "pprof-mutex" else "block"
            return write_profile(path, kind, file, advance)  # type: ignore[arg-type]


def _spans(recording: str, output: Path, as_json: bool) -> int:
    """Write who asked for the spans of a recording.

    Raises:
        BadInput: it is damaged, or does not say.
    """
    from gorun_mem.export.output import ExportError, open_output
    from gorun_mem.export.spans import write_spans
    from gorun_mem.predict.program import load
    from gorun_mem.replay.recording import RecordingError

    try:
        program = load(recording)
        if not program.stacks:
            raise BadInput(
                f"{recording}: this recording does not say who asked for its spans: record it "
                "again at level span"
            )
        with open_output(output) as file:
            count = write_spans(program, file)
    except (RecordingError, ExportError) as error:
        raise BadInput(str(error)) from None
    size = os.path.getsize(output) if output.is_file() else None
    if as_json:
        write_json({"format": "pprof-spans", "file": str(output), "bytes": size, "samples": count})
    else:
        show(f"{click.format_filename(output)}: {count:,} samples", err=True)
    return ExitCode.CLEAN

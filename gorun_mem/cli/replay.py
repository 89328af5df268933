"""`gorun-mem replay`: recordings of real Go programs, compared with what we answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._common import ExitCode, json_option, progress, worst, write_json
from gorun_mem.cli._exit import save_fault
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.replay.os_level import FileResult

_LEVELS: Final = {"os": ("os",), "heap": ("heap",), "both": ("os", "heap")}


@click.command("replay")
@click.argument("traces", nargs=-1, required=True, metavar="TRACE...")
@click.option(
    "--level",
    type=click.Choice(list(_LEVELS)),
    default="os",
    show_default=True,
    help="Issue every recorded call of the OS layer (os), or only those of "
    "mheap.sysAlloc and predict "
    "what is beneath them (heap).",
)
@json_option()
def command(traces: tuple[str, ...], level: str, as_json: bool) -> int:
    """Replay recordings of real Go programs and compare every answer.

    TRACE is a recording, gzip or not, or a folder: then every .jsonl and .jsonl.gz beneath it.

    \b
    Examples:
      gorun-mem replay maps.jsonl.gz
      gorun-mem replay --level both traces/

    Exit codes: 0 all answers agree; 1 something differs; 2 a recording is bad or cut off (it is
    compared as far as it goes); 4 internal fault. The other files are replayed all the same.
    """
    jobs = [
        (path, name) for trace in traces for path in _files(Path(trace)) for name in _LEVELS[level]
    ]
    documents = []
    with progress("replaying", total=len(jobs)) as advance:
        for path, name in jobs:
            documents.append(_replay(path, name))
            advance(1)
            if not as_json:
                _say(documents[-1])
    exit_code = worst([document["exit"] for document in documents])
    totals = {
        "files": len({document["path"] for document in documents}),
        "calls": sum(document["calls"] for document in documents),
        "events": sum(document["events"] for document in documents),
        "differences": sum(document["differences"] for document in documents),
        "exit": exit_code,
    }
    if as_json:
        write_json({"totals": totals, "results": documents})
    else:
        _total(totals)
    return exit_code


def _total(totals: dict[str, int]) -> None:
    from gorun_mem.report.units import count
    from gorun_mem.report.worth import look_up_line

    show(
        f"{count(totals['files'], 'file')}: {count(totals['calls'], 'call')}, "
        f"{count(totals['events'], 'event')} compared, {count(totals['differences'], 'difference')}"
    )
    show(look_up_line(("recording", "difference")))


def _files(path: Path) -> Iterator[Path]:
    """The recordings that a name on the command line stands for, in order."""
    if not path.is_dir():
        yield path
        return
    found = sorted(p for p in path.rglob("*.jsonl*") if p.name.endswith((".jsonl", ".jsonl.gz")))
    yield from found or [path]


def _replay(path: Path, level: str) -> dict[str, Any]:
    """Replay one file; what goes wrong with it is said in the document."""
    from gorun_mem.replay.os_level import Level, replay_file

    try:
        return _document(replay_file(path, Level(level)))
    except FileNotFoundError:
        from gorun_mem.replay.shipped import not_there

        return _failed(path, level, ExitCode.USAGE, "No such file or directory", not_there(path))
    except IsADirectoryError:
        return _failed(path, level, ExitCode.USAGE, "no .jsonl or .jsonl.gz file in this folder")
    except OSError as error:
        return _failed(path, level, ExitCode.USAGE, error.strerror or str(error))
    except Exception as error:
        saved = save_fault(error, [os.fspath(path), "--level", level])
        where = f"; the traceback is in {saved}" if saved else ""
        reason = f"internal fault, {type(error).__name__}: {error}{where}"
        return _failed(path, level, ExitCode.INTERNAL, reason)


def _document(result: FileResult) -> dict[str, Any]:
    first = result.first
    return {
        "path": os.fspath(result.path),
        "level": result.level.value,
        "program": result.program,
        "release": result.release,
        "platform": result.platform,
        "calls": result.calls,
        "events": result.events,
        "differences": result.differences,
        "first": None
        if first is None
        else {
            "line": first.line,
            "seq": first.seq,
            "call": first.call,
            "field": first.field,
            "go": first.go,
            "ours": first.ours,
            "before": first.before,
        },
        "problem": result.problem,
        "truncated": result.truncated,
        "exit": result.exit_code,
    }


def _failed(
    path: Path, level: str, code: ExitCode, reason: str, problem: str = ""
) -> dict[str, Any]:
    return {
        "path": os.fspath(path),
        "level": level,
        "program": "",
        "release": "",
        "platform": "",
        "calls": 0,
        "events": 0,
        "differences": 0,
        "first": None,
        "problem": problem or f"{path}: {reason}",
        "truncated": False,
        "exit": int(code),
    }


def _say(document: dict[str, Any]) -> None:
    """One line a file; what differs and what is wrong with the file beneath it."""
    name = click.format_filename(document["path"])
    if document["release"]:
        show(
            "{0}: {release} {platform} {program}, {level} level: {calls} calls, "
            "{events} events compared, {differences} differences".format(name, **document)
        )
    first = document["first"]
    if first is not None:
        show("  first at line {line}: {call}".format_map(first))
        show("    Go:     {field} = {go}".format_map(first))
        show("    here:   {field} = {ours}".format_map(first))
        state = " ".join(f"{key}={value}" for key, value in first["before"].items())
        show(f"    before: {state}")
    if document["problem"]:
        show(f"  {document['problem']}", err=True)

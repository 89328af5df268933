"""`gorun-mem predict`: pages of a recorded program under other releases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gorun_mem._near import no_such
from gorun_mem.cli._binary import is_wasm, read_binary, tell
from gorun_mem.cli._ci import check_junit, ci_options
from gorun_mem.cli._ci import tell as tell_ci
from gorun_mem.cli._ci import wanted as ci_wanted
from gorun_mem.cli._common import (
    RELEASE,
    BadInput,
    ExitCode,
    Pages,
    json_option,
    progress,
    worst,
    write_json,
)
from gorun_mem.cli._output import show
from gorun_mem.cli._predicted import METRICS, document_of, text_of

if TYPE_CHECKING:
    from gorun_mem.analysis.metrics import Expression
    from gorun_mem.predict.estimate import Built, Prediction
    from gorun_mem.predict.program import Program
    from gorun_mem.runtime.behaviour import Release


@click.command("predict")
@click.argument(
    "recordings",
    nargs=-1,
    type=click.Path(path_type=Path),
    metavar="RECORDING...",
)
@click.option(
    "--release", "wanted", type=RELEASE, multiple=True, metavar="R",
    help="Predict under this release; can be given again.  [default: every minor release]",
)  # fmt: skip
@click.option(
    "--max-pages",
    type=Pages(1, 65536),
    metavar="N",
    help="Say whether it fits into N pages of 64 KiB, and what would do.  [default: no limit]",
)
@click.option(
    "--binary",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="B.wasm",
    help="Take data and initial pages from this binary.  [default: estimated]",
)
@click.option(
    "--assert",
    "asserts",
    multiple=True,
    metavar="EXPR",
    help="Exit with 1 where a row does not hold it, as 'high <= 512'; can be given again.",
)
@click.option(
    "--policy", "policies", multiple=True, metavar="P",
    help="Search free memory so, on its own release: a name, FILE.py:Class, all, or sizes as in "
    "arena:64KiB..64MiB.",
)  # fmt: skip
@click.option(
    "--list", "listed", is_flag=True, help="List the recordings that come with the package."
)
@ci_options
@json_option()
def command(
    recordings: tuple[Path, ...],
    wanted: tuple[str, ...],
    max_pages: int | None,
    binary: Path | None,
    asserts: tuple[str, ...],
    policies: tuple[str, ...],
    listed: bool,
    as_json: bool,
) -> int:
    """Say how many pages a recorded program would take under each Go release.

    RECORDING was made by `gorun-mem record` at level span, or is the name of one that comes along
    (--list); several of one program give its own range from run to run. Of a wasm binary in its
    place it is said what it declares.

    pages is exact for the sequence that was recorded; a real run of another release is expected
    within the interval, if no mark phase ran away. --assert asks of each release: pages, low, high,
    initial_pages, grows, peak_live_bytes, collections, runaway_marks, smallest_limit.

    \b
    Examples:
      gorun-mem predict trees-go1.24.11
      gorun-mem predict run-*.jsonl.gz --release go1.26 --max-pages 512 --assert 'high <= 512'
      gorun-mem predict trees-go1.24.11 --policy all

    --policy takes operation scripts too; it shows pages, growths, search steps and what is free at
    the end beside Go's own.

    Exit codes: 0; 1 where a release does not live within --max-pages, or an --assert does not hold;
    2 where a recording is bad or not fit for prediction.
    """
    if listed:
        return _list(as_json)
    if not recordings:
        raise click.UsageError("no RECORDING given: --list lists those that come along")
    check_junit()
    if policies:
        if wanted or binary is not None or asserts:
            raise click.UsageError("--policy asks of the recorded release: only --max-pages fits")
        from gorun_mem.cli._policies import compare

        return compare(recordings, policies, max_pages, as_json)

    if any(is_wasm(path) for path in recordings):
        return worst([tell(path, as_json) for path in recordings])
    expressions = _expressions(asserts)
    _check_there(recordings)
    built = _built(binary) if binary is not None else None
    return _predict(_groups(recordings), wanted, max_pages, built, expressions, as_json=as_json)


def _predict(
    groups: dict[tuple[str, str], list[Program]],
    wanted: Sequence[str],
    max_pages: int | None,
    built: Built | None,
    expressions: list[Expression],
    *,
    as_json: bool,
) -> int:
    """Predict each program, say it, and answer with the exit code."""
    from gorun_mem.report.worth import look_up_line

    documents, codes = [], []
    for programs in groups.values():
        predictions = _predictions(programs, wanted, max_pages, built)
        document = document_of(programs, predictions, expressions)
        documents.append(document)
        codes.append(_exit_code(document))
        if not as_json:
            show(text_of(programs, predictions, document, max_pages), "")
    if ci_wanted():
        from gorun_mem.report.checked import cases_of_predictions

        tell_ci(cases_of_predictions(documents))
    if as_json:
        write_json({"programs": documents, "max_pages": max_pages, "exit": worst(codes)})
    else:
        show(look_up_line(("interval", "starts with")))
    return worst(codes)


def _check_there(recordings: tuple[Path, ...]) -> None:
    from gorun_mem.replay.shipped import not_there, resolve

    for path in recordings:
        if not resolve(path).exists():
            raise BadInput(not_there(path))


def _list(as_json: bool) -> int:
    """The recordings that come along."""
    from gorun_mem.replay.shipped import names

    if as_json:
        write_json({"recordings": names()})
    else:
        show("\n".join(names()))
    return ExitCode.CLEAN


def _expressions(asserts: Sequence[str]) -> list[Expression]:
    from gorun_mem.analysis.metrics import ExpressionError, parse_expression

    try:
        expressions = [parse_expression(text) for text in asserts]
        for one in expressions:
            if one.name not in METRICS:
                raise ExpressionError(no_such("metric", one.name, METRICS))
        return expressions
    except ExpressionError as error:
        raise BadInput(f"--assert: {error}") from None


def _groups(paths: Sequence[Path]) -> dict[tuple[str, str], list[Program]]:
    """The recordings by program and platform, each known to be fit for prediction."""
    from gorun_mem.predict.program import load
    from gorun_mem.replay.recording import RecordingError

    groups: dict[tuple[str, str], list[Program]] = {}
    with progress("reading", total=len(paths)) as advance:
        for path in paths:
            try:
                program = load(path)
            except RecordingError as error:
                raise BadInput(str(error)) from None
            _check_fit(path, program)
            key = program.header.program, program.header.platform_name
            groups.setdefault(key, []).append(program)
            advance(1)
    return groups


def _check_fit(path: Path, program: Program) -> None:
    """Refuse a recording that does not replay, or does not give its own pages."""
    from gorun_mem.predict.span import simulate

    header = program.header
    if header.self_check.get("fit") is False:
        raise BadInput(f"{path}: not fit for prediction: {_unfit(header.self_check)}")
    own = simulate(program, program.release, header.end, program.initial_pages, header.max_pages)
    if own.pages != program.pages:
        raise BadInput(
            f"{path}: its own release predicted from it takes {own.pages:,} pages where "
            f"{program.pages:,} were recorded: record it again at level span"
        )


def _unfit(check: dict[str, Any]) -> str:
    if check.get("missing"):
        return f"these functions were not watched: {', '.join(check['missing'])}"
    for level in ("os", "heap"):
        found = check.get(level, {})
        if found.get("differences") or found.get("problem"):
            return f"it does not replay exactly at {level} level ({found.get('first', '')})"
    return f"its own pages are predicted as {check.get('predicted')}, not {check.get('pages')}"


def _built(path: Path) -> Built:
    from gorun_mem.predict.estimate import Built
    from gorun_mem.runtime.behaviour import UnknownRelease, release
    from gorun_mem.wasm.errors import WasmError

    binary = read_binary(path)
    try:
        binary.check()
        data, memory = binary.module_data, binary.module.memory
        assert data is not None
        assert memory is not None
        return Built(release(binary.release), data.end, memory.least)
    except (WasmError, UnknownRelease) as error:
        raise BadInput(f"{path}: {error}") from None


def _predictions(
    programs: Sequence[Program],
    wanted: Sequence[str],
    max_pages: int | None,
    built: Built | None,
) -> list[Prediction]:
    from gorun_mem.predict.estimate import predict

    releases = _releases(programs, wanted, built)
    found = []
    with progress("predicting", total=len(releases)) as advance:
        for to in releases:
            same = built if built is not None and built.release.name == to.name else None
            found.append(predict(programs, to, max_pages, same))
            advance(1)
    return found


def _releases(
    programs: Sequence[Program], wanted: Sequence[str], built: Built | None
) -> list[Release]:
    """Those asked for, or one for each minor release; where it was recorded, that very one."""
    from gorun_mem.predict.estimate import releases_for
    from gorun_mem.runtime.behaviour import UnknownRelease, release

    platform = programs[0].header.platform_name
    if wanted or built is not None:
        chosen = [release(name) for name in wanted] + ([built.release] if built else [])
        try:
            for to in chosen:
                to.platform(platform)
        except UnknownRelease as error:
            raise BadInput(str(error)) from None
        return chosen
    recorded = {p.release.minor_name: p.release for p in programs}
    return [recorded.get(to.minor_name, to) for to in releases_for(platform)]


def _exit_code(document: dict[str, Any]) -> int:
    bad = any(row["outcome"] != "ok" or row["failed_asserts"] for row in document["releases"])
    return ExitCode.FAILED if bad else ExitCode.CLEAN

"""What was predicted for a program: as JSON and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.cli._common import BadInput

if TYPE_CHECKING:
    from gorun_mem.analysis.metrics import Expression
    from gorun_mem.predict.estimate import Prediction
    from gorun_mem.predict.program import Program

_MIB: Final = 1 << 20
_PLACES: Final = 12
"""Of the plot over time."""
METRICS: Final = (
    "pages", "low", "high", "initial_pages", "grows", "peak_live_bytes", "collections",
    "runaway_marks", "smallest_limit",
)  # fmt: skip
"""What `--assert` may ask of a release."""


def document_of(
    programs: Sequence[Program],
    predictions: Sequence[Prediction],
    expressions: Sequence[Expression],
) -> dict[str, Any]:
    """The predictions for one program, as JSON.

    Raises:
        BadInput: an assertion asks for what a release has not.
    """
    from gorun_mem.analysis.metrics import ExpressionError
    from gorun_mem.predict.estimate import predict
    from gorun_mem.predict.why import why

    base = predict(programs, programs[0].release)
    own = sorted(program.pages for program in programs)
    rows = []
    for prediction in predictions:
        row = _row(prediction, why(base, prediction))
        try:
            row["failed_asserts"] = [e.text for e in expressions if not e.holds(_metrics(row))]
        except ExpressionError as error:
            raise BadInput(f"--assert: {error}") from None
        rows.append(row)
    header = programs[0].header
    return {
        "program": header.program,
        "platform": header.platform_name,
        "recorded": [
            {"release": p.header.go, "pages": p.pages, "initial_pages": p.initial_pages}
            for p in programs
        ],
        "own_range": [own[0], own[-1]],
        "releases": rows,
        "warnings": warnings_of(predictions, programs),
    }


def _row(prediction: Prediction, reason: str) -> dict[str, Any]:
    typical = prediction.typical
    assert typical is not None
    return {
        "release": prediction.release,
        "outcome": prediction.outcome,
        "recorded": prediction.recorded,
        "pages": prediction.pages,
        "low": prediction.low,
        "high": prediction.high,
        "runs": [run.pages for run in prediction.runs],
        "initial_pages": prediction.initial_pages,
        "grows": typical.grows,
        "parts": typical.parts,
        "over_time": [{"event": seq, "pages": pages} for seq, pages in typical.over_time],
        "peak_live_bytes": typical.peak_live,
        "peak_live_event": typical.peak_seq,
        "collections": typical.collections,
        "runaway_marks": len(typical.marks),
        "marks": [asdict(mark) | {"ratio": round(mark.ratio, 2)} for mark in typical.marks],
        "death": asdict(prediction.death) if prediction.death is not None else None,
        "smallest_limit": prediction.fits,
        "why": reason,
    }


def _metrics(row: dict[str, Any]) -> dict[str, int | float]:
    return {key: value for key, value in row.items() if isinstance(value, int)}


def warnings_of(predictions: Sequence[Prediction], programs: Sequence[Program]) -> list[str]:
    """What a person should know before believing the figures."""
    typical = next((p.typical for p in predictions if p.typical is not None), None)
    found = []
    if typical is not None and typical.marks:
        worst_mark = max(typical.marks, key=lambda mark: mark.ratio)
        found.append(
            f"{len(typical.marks)} of {typical.collections} mark phases ran away: in use grew "
            f"{worst_mark.ratio:.1f} times while marking (from {worst_mark.before / _MIB:.1f} to "
            f"{worst_mark.after / _MIB:.1f} MiB at event {worst_mark.seq:,}), for with one thread "
            "the marker waits while the program runs on; another run may take several times more "
            "or less"
        )
    exits = sorted({p.header.exit for p in programs if p.header.exit})
    if exits:
        found.append(
            f"a recorded run ended with exit code {exits[0]}: if it died, what it would have taken "
            "further is not known"
        )
    return found


def text_of(
    programs: Sequence[Program],
    predictions: Sequence[Prediction],
    document: dict[str, Any],
    max_pages: int | None,
) -> str:
    """The predictions for one program, for people."""
    from gorun_mem.report.plot import plot
    from gorun_mem.report.width import figures_table, width

    least, most = document["own_range"]
    own = f"{least:,} pages" if least == most else f"{least:,} to {most:,} pages from run to run"
    releases = sorted({p.header.go for p in programs})
    head = f"{document['program'] or 'program'} on {document['platform']}, recorded with "
    head += f"{', '.join(releases)}: {len(programs)} run{'s' * (len(programs) > 1)}, {own}"
    rows = document["releases"]
    columns = ["release", "pages", "interval", "starts with", "grows", "live MiB"]
    if max_pages is not None:
        columns += [f"in {max_pages:,}", "needs"]
    cells = [_cells(row, max_pages) for row in rows]
    lines = [head, "", figures_table(columns, cells), ""]
    lines += [f"{row['release']}: {row['why']}" for row in rows if row["why"]]
    lines += [_death(row, max_pages) for row in rows if row["death"] is not None]
    lines += [f"{row['release']}: not so: {text}" for row in rows for text in row["failed_asserts"]]
    peak = rows[0]
    lines.append(
        f"most in use at once: {peak['peak_live_bytes'] / _MIB:,.1f} MiB of spans, at event "
        f"{peak['peak_live_event']:,}; collections: {peak['collections']:,}"
    )
    lines += [f"warning: {text}" for text in document["warnings"]]
    if len(predictions) > 1:
        names = [p.release.removeprefix("go") for p in predictions]
        lines += ["", plot(names, {"pages": [float(p.pages) for p in predictions]}, unit="pages",
                           height=8, columns=width())]  # fmt: skip
    lines += ["", "over time, by the number of the event", "", _over_time(programs, predictions)]
    return "\n".join(lines)


def _over_time(programs: Sequence[Program], predictions: Sequence[Prediction]) -> str:
    """Pages at places evenly spread over the events, under at most four of the releases."""
    from gorun_mem.report.plot import plot
    from gorun_mem.report.width import width

    by_pages = sorted(predictions, key=lambda p: p.pages)
    roles = {"most": by_pages[-1], "least": by_pages[0], "newest": predictions[-1]}
    chosen = [("recorded", p) for p in predictions if p.recorded]
    chosen += [(role, p) for role, p in roles.items() if not p.recorded]
    last = max(p.seqs[-1] if p.seqs else 0 for p in programs)
    events = sorted({round(last * at / (_PLACES - 1)) for at in range(_PLACES)})
    series: dict[str, list[float]] = {}
    shown: set[str] = set()
    for role, prediction in chosen:
        if prediction.release not in shown and prediction.typical is not None:
            shown.add(prediction.release)
            name = f"{role} ({prediction.release})"
            series[name] = _at(events, prediction.typical.over_time)
    names = [f"{event:,}" for event in events]
    return plot(names, series, unit="pages", height=10, columns=width())


def _at(events: Sequence[int], over_time: Sequence[tuple[int, int]]) -> list[float]:
    """The pages that there were at each of some events, ascending."""
    found: list[float] = []
    place = 0
    for event in events:
        while place + 1 < len(over_time) and over_time[place + 1][0] <= event:
            place += 1
        found.append(float(over_time[place][1]))
    return found


def _cells(row: dict[str, Any], max_pages: int | None) -> list[str]:
    cells = [
        row["release"] + ("*" if row["recorded"] else ""),
        f"{row['pages']:,}",
        f"{row['low']:,}-{row['high']:,}",
        f"{row['initial_pages']:,}",
        f"{row['grows']:,}",
        f"{row['peak_live_bytes'] / _MIB:,.1f}",
    ]
    if max_pages is not None:
        words = {"ok": "fits", "out_of_memory": "dies", "not_instantiable": "cannot start"}
        cells += [words[row["outcome"]], f"{row['smallest_limit']:,}"]
    return cells


def _death(row: dict[str, Any], max_pages: int | None) -> str:
    death = row["death"]
    return (
        f"{row['release']}: within {max_pages or 65536:,} pages it dies at call {death['call']:,} "
        f"(event {death['seq']:,}), where {death['by'] or 'it'} asks {death['asked']:,} bytes for "
        f"{death['what']}"
    )

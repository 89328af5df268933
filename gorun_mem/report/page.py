"""What the page shows of a log, as one document: a service's page asks for it, and the offline file
has it inside (`gorun_mem.web.offline`).

Its size is bounded whatever the log's length, because everything drawn is a table of a fixed size
(`gorun_mem.analysis.timeline`, `gorun_mem.analysis.exact`), and of lists at most `MARKS_MAX`
entries are drawn, evenly; the document says how many there were. All figures are in words already,
as the terminal's report has them; who shows the document only places them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
from msgspec import UNSET

from gorun_mem.analysis.ending import Ending
from gorun_mem.analysis.exact import share as ratio
from gorun_mem.analysis.stream import Progress, analyse, paused_gc
from gorun_mem.analysis.timeline import OTHER_MS, ROWS, AddressMap, Lanes
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.analysis.window import Window
from gorun_mem.events.reader import Source
from gorun_mem.report import charts
from gorun_mem.report.exploration import failing
from gorun_mem.report.sections import SECTIONS, sections
from gorun_mem.report.terminal import IN_WORDS, STUCK_SHOWN, value_text, window_text
from gorun_mem.report.units import count, ns, size

MARKS_MAX: Final = 400
FREES_MAX: Final = 6000
ARROWS_MAX: Final = 600
LEVELS: Final = 5
"""Shades of each kind in the map: a cell is one of LEVELS x LEVELS characters."""

TOKEN_SHOWN: Final = 4000
"""A longer token is no text to paste."""
TEXT_MAX: Final = 400
"""Characters of a text in an event that is shown."""
ITEMS_MAX: Final = 24
"""Items of a list in one."""
LANE_LEVELS: Final = 64
_FIRST: Final = ord("(")
"""Characters from here on need no escape in JSON: no quote, and the backslash is left out."""
_LETTERS: Final = "".join(
    chr(_FIRST + n + (_FIRST + n >= ord("\\"))) for n in range(max(LANE_LEVELS, LEVELS * LEVELS))
)


@dataclass(frozen=True, slots=True)
class PageData:
    """What a page is made of.

    Args:
        found: by the analysis.
        drawn: the memory over time.
        lanes: the Ms over time.
        ending: the last events.
    """

    found: LogAnalysis
    drawn: AddressMap
    lanes: Lanes
    ending: Ending


def read(
    source: Source, progress: Progress | None = None, window: Window | None = None
) -> PageData:
    """Read a log in one pass.

    Args:
        source: a file's name, or a binary file object.
        progress: called some times a second with how many lines were read since.
        window: what of its time to look at; None for all of it.

    Raises:
        LogError: the file cannot be read, or holds no event.
    """
    found = LogAnalysis(window)
    view = PageData(found, AddressMap(found.memory), Lanes(found.contention), Ending())
    parts = found.accumulators(before=[view.drawn], after=[view.lanes, view.ending])
    found.condition = analyse(source, parts, progress)
    return view


@paused_gc()
def document(
    view: PageData,
    pages: int | None = None,
    again: str = "",
    told: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the page shows, as JSON has it.

    Args:
        view: what was read.
        pages: a budget in pages of 64 KiB to answer for; None for the run's own bound.
        again: the command that runs it again, "" where there is none.
        told: of the failure by its schedule, as `Retold.document` has it; None where that was not
            looked for.
    """
    found = view.found
    start, end = found.start, found.end
    return {
        "kind": "report",
        "title": start.scenario if start is not None else "a run",
        "outcome": end.outcome if end is not None else None,
        "head": _head(view),
        "stuck": _stuck(view),
        "remarks": found.condition.remarks(),
        "results": _results(view),
        "again": again,
        "token": _token(view),
        "first": _first(view),
        "steps": _last_steps(view),
        **failing(told or {"failure": None, "no_failure": []}),
        "free_label": _free_label(view),
        "notes": _notes(view),
        "sections": [asdict(one) for one in sections(found, SECTIONS, pages)],
        "metrics": sorted(found.metrics.items()),
        **_drawn(view),
    }


def _first(view: PageData) -> str:
    """What a reader wants first: the steps of a failure, who waited where anybody did, the map."""
    found = view.found
    if found.end is not None and found.end.outcome != "ok":
        return "steps"
    waited = any(lock.wait_ns.total for lock in found.contention.locks.values())
    return "lanes" if waited else "map"


def _last_steps(view: PageData) -> list[dict[str, Any]]:
    """The last events of a run that did not end well."""
    end = view.found.end
    if end is None or end.outcome == "ok":
        return []
    told = [_shortened(msgspec.to_builtins(event)) for event in view.ending.events]
    return [{"m": 0, "level": "info", **one} for one in told]


def _shortened(fields: dict[str, Any]) -> dict[str, Any]:
    """The same, long texts and lists cut, and what was not said left out."""
    return {name: _cut(value) for name, value in fields.items() if value not in ("", None)}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > TEXT_MAX:
        return f"{value[:TEXT_MAX]}..."
    if isinstance(value, list | tuple) and len(value) > ITEMS_MAX:
        return [*value[:ITEMS_MAX], "..."]
    return value


def _token(view: PageData) -> str:
    """The schedule of a run that did not end well, "" where it has none.

    A run under a strategy that keeps no schedule names strategy and seed instead, as timing:0.
    """
    end = view.found.end
    if end is None or end.outcome == "ok" or end.uncontrolled or end.token is UNSET:
        return ""
    return end.token if len(end.token) <= TOKEN_SHOWN and ":" not in end.token else ""


# Words.


def _head(view: PageData) -> list[tuple[str, str]]:
    found = view.found
    start, end = found.start, found.end
    outcome = IN_WORDS[end.outcome] if end is not None else "has no end in this log"
    head = [("outcome", outcome), ("time", ns(found.summary.t_ns))]
    if found.window is not None:
        head.append(("window", window_text(found.window)))
    if start is not None:
        what_if = " (what-if: no Go release runs so)" if start.what_if else ""
        head += [
            ("release", f"{start.release} {start.platform}"),
            ("mutex", start.mutex + what_if),
            *([("policy", start.policy)] if start.policy else []),
            ("Ms", f"{count(start.ms, 'M')} on {count(start.cpus, 'CPU')}"),
            ("strategy", f"{start.strategy}, seed {start.seed}"),
        ]
        options = " ".join(f"{name}={value}" for name, value in start.options.items())
        head += [("options", options)] if options else []
    use = found.memory
    head += [
        ("memory", f"{count(use.end.pages, 'page')}, at most {size(use.peak_live)} live"),
        ("waits for locks", _waits(found)),
        ("events", f"{found.condition.events:,}"),
        ("log", found.condition.name),
    ]
    return head


def _waits(found: LogAnalysis) -> str:
    locks = found.contention.locks.values()
    waited = ns(sum(lock.wait_ns.total for lock in locks))
    unfinished = sum(lock.unfinished_wait_ns for lock in locks)
    if not unfinished:
        return waited
    return f"at least {waited}, {ns(unfinished)} of it in waits that have not ended"


def _stuck(view: PageData) -> list[str]:
    """What ended a run that did not end well, and who could not go on."""
    end = view.found.end
    if end is None or end.outcome == "ok":
        return []
    stuck = end.stuck if end.stuck is not UNSET else ()
    kind = end.error_type if end.error_type is not UNSET else end.outcome
    text = f"{kind}: {end.error}" if end.error is not UNSET and end.error else kind
    told = [] if stuck and end.outcome == "deadlock" else [text]  # which repeats who is stuck
    more = [f"and {count(len(stuck) - STUCK_SHOWN, 'M')} more"] if len(stuck) > STUCK_SHOWN else []
    return [*told, *stuck[:STUCK_SHOWN], *more]


def _results(view: PageData) -> list[tuple[str, str]]:
    found = view.found.summary.results
    return [(name, value_text(value)) for name, value in found.items()]


def _free_label(view: PageData) -> str:
    """What lies below the break and is not handed out: up to go1.20 no free gives it back."""
    use = view.found.memory
    lost = use.noop_bytes > 0 or use.end.lost > 0
    return "free or lost, below the break" if lost else "free, below the break"


def _notes(view: PageData) -> list[str]:
    """What the drawings leave out."""
    use, lanes = view.found.memory, view.lanes
    seen = [
        (use.growths_seen, min(len(use.growths), MARKS_MAX), "growths"),
        (use.hint_misses_seen, min(len(use.hint_misses), MARKS_MAX), "hint misses"),
        (sum(lanes.pairs.values()), sum(one[3] for one in _arrows(lanes)), "handoffs"),
    ]
    return [f"{shown:,} of {all_:,} {what} drawn" for all_, shown, what in seen if shown < all_]


# What is drawn.


def _drawn(view: PageData) -> dict[str, Any]:
    found = view.found
    end = max(found.contention.end_ns, found.summary.t_ns)
    use = found.memory
    used = bool(use.peak_live or use.growths_seen or use.hint_misses_seen)  # else it is as it began
    return {
        "end": end,
        "map": _map(view) if used else {**_map(view), "columns": []},
        "lanes": _lanes(view.lanes),
        "queues": charts.queues(found, view.lanes),
        "memory": {name: line if used else [] for name, line in charts.memory(found).items()},
        "fragmentation": charts.fragmentation(found),
    }


def _map(view: PageData) -> dict[str, Any]:
    drawn, use = view.drawn, view.found.memory
    unit = drawn.row_bytes
    frees = heapq.nsmallest(FREES_MAX, drawn.frees(), key=lambda one: (-one[2], one))
    return {
        "unit": unit,
        "rows": ROWS,
        "levels": LEVELS,
        "width": drawn.width_ns,
        "static": drawn.static,
        "columns": [
            [
                one.start_ns, one.bloc, one.bloc_max, one.top, sum(one.arenas), sum(one.others),
                _cells(one.arenas, one.others, unit),
            ]
            for one in drawn.columns()
        ],
        "frees": sorted(frees, key=lambda one: one[:2]),
        "growths": [[g.t_ns, g.before, g.after, g.ok] for g in _some(use.growths)],
        "misses": [[m.t_ns, m.hint_addr] for m in _some(use.hint_misses)],
    }  # fmt: skip


def _some(items: Sequence[Any]) -> Iterable[Any]:
    """At most `MARKS_MAX`, evenly."""
    step = max(1, -(-len(items) // MARKS_MAX))
    return items[::step]


def _cells(arenas: Sequence[int], others: Sequence[int], unit: int) -> str:
    """A column: how much of each row is handed out, to LEVELS; rows of zeros at its end cut."""
    top = LEVELS - 1
    shades = [
        _level(a, unit, top) * LEVELS + _level(o, unit, top)
        for a, o in zip(arenas, others, strict=True)
    ]
    return _letters(shades).rstrip(chr(_FIRST))


def _level(part: int, whole: int, top: int) -> int:
    """`part` of `whole` as 0 to `top`; 0 only for none of it, `top` only for all."""
    if part <= 0:
        return 0
    if part >= whole:
        return top
    return max(1, min(top - 1, round(ratio(part * top, whole)))) if top > 1 else 0


def _letters(levels: Iterable[int]) -> str:
    """One character for each level, without the backslash."""
    return "".join([_LETTERS[n] for n in levels])


def _lanes(lanes: Lanes) -> dict[str, Any]:
    width, top = lanes.width_ns, LANE_LEVELS - 1
    return {
        "width": width,
        "levels": LANE_LEVELS,
        "ms": [
            {
                "name": "others" if m == OTHER_MS else f"M{m}",
                "m": m,
                "wait": _letters(_level(n, width, top) for n in lane.waits),
                "hold": _letters(_level(n, width, top) for n in lane.holds),
                "wait_ns": sum(lane.waits),
                "hold_ns": sum(lane.holds),
            }
            for m, lane in sorted(lanes.lanes.items(), key=lambda item: (item[0] < 0, item[0]))
        ],
        "handoffs": _arrows(lanes),
    }


def _arrows(lanes: Lanes) -> list[tuple[int, int, int, int]]:
    """(column, from M, to M, how many), the most numerous, in order of time."""
    between = [item for item in lanes.handoffs.items() if item[0][1] != item[0][2]]
    most = sorted(between, key=lambda item: (-item[1], item[0]))[:ARROWS_MAX]
    return sorted((*key, times) for key, times in most)

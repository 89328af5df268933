"""The lines of the page's charts: each agrees with the figures that the report says in words.

    Ms waiting      the mean in each stretch, so that the area under a lock's line is what was
                    waited for it, to the ns, and the line is 0 where nobody waits
    the others      step functions: the state after the last call in each stretch, and the greatest
                    of all, each at its own time; so a line's last value is the report's end, and
                    its greatest the report's peak

A line is a list of (ns, value): it has that value until the next.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from gorun_mem.analysis.timeline import Lanes
from gorun_mem.analysis.whole import LogAnalysis

QUEUES_MAX: Final = 6
DIGITS: Final = 4
"""Of what has no unit; figures in words have two."""

Line = list[tuple[int, float]]


def queues(found: LogAnalysis, lanes: Lanes) -> list[dict[str, Any]]:
    """Ms waiting for each of the locks that were waited for most.

    Returns:
        Of each its name, the most Ms that waited at once, the width of a stretch in ns, and for
        each stretch what was waited in it, in ns.
    """
    most = sorted(lanes.queues.items(), key=lambda item: (-sum(item[1]), item[0]))[:QUEUES_MAX]
    return [
        {"name": name, "most": _depth_max(found, name), "width": lanes.width_ns, "waits": waits}
        for name, waits in most
        if any(waits)
    ]


def _depth_max(found: LogAnalysis, name: str) -> int:
    """The most Ms that waited at once; 0 where the name stands for several locks."""
    summary = found.contention.summaries.get(name)
    return summary.queue.queue_depth_max if summary is not None else 0


def memory(found: LogAnalysis) -> dict[str, Line]:
    """The memory's top, the break, its greatest, and live and free bytes."""
    use = found.memory
    rows = [row for _, row in use.over_time]
    free, free_ns = use.most_free
    return {
        "top": _steps([(row[0], row[1]) for row in rows]),
        "bloc": _steps([(row[0], row[2]) for row in rows]),
        "bloc_max": _steps([(row[0], row[3]) for row in rows]),
        "free": _steps(_with_peak([(row[0], row[4]) for row in rows], free_ns, free)),
        "live": _steps(
            _with_peak([(row[0], row[5]) for row in rows], use.peak.t_ns, use.peak.live)
        ),
    }


def fragmentation(found: LogAnalysis) -> dict[str, Line]:
    """External fragmentation and Sawicki's measure, as far as the blocks are known."""
    seen, points = found.fragmentation, found.fragmentation.points()
    external: Line = [(t_ns, round(one.external, DIGITS)) for t_ns, one in points]
    most, most_ns = seen.external_max
    lines = {"external": _steps(_with_peak(external, most_ns, round(most, DIGITS)))}
    sawicki: Line = []
    if seen.sawicki_max is not None:
        most, most_ns = seen.sawicki_max
        known = [(t_ns, one.sawicki) for t_ns, one in points]
        sawicki = [(t_ns, round(value, DIGITS)) for t_ns, value in known if value is not None]
        sawicki = _steps(_with_peak(sawicki, most_ns, round(most, DIGITS)))
    return {**lines, "sawicki": sawicki}


def _steps(points: Line) -> Line:
    """The same line without points that change nothing."""
    line: Line = []
    for t_ns, value in points:
        if not line or line[-1][1] != value:
            line.append((t_ns, value))
    return line


def _with_peak(line: Line, t_ns: int, value: float) -> Line:
    """The line through its greatest value, which may lie between two of its points."""
    if not line or value <= max(value for _, value in line):
        return line
    at = bisect_left(line, (t_ns,))
    return [*line[:at], (t_ns, value), *line[at:]]

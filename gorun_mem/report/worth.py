"""The two words of a summary that are most worth looking up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from gorun_mem.report.width import width

if TYPE_CHECKING:
    from gorun_mem.analysis.diff import LogDiff
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.explore.verdict import Exploration

WORDS: Final = 2
_UNFAIR: Final = 0.9
"""Jain's index below which who got how much is worth a look."""
_OVERTAKEN: Final = 8
"""Bypasses of one M that are worth a look."""


_OF_FIGURES: Final = {
    "hint_misses": "hint miss",
    "bypasses max": "bypass",
    "longest convoy": "convoy",
    "wait p99": "p99",
    "critical path": "critical path",
    "fairness of waits": "fairness",
    "final_pages": "page",
    "slack": "slack",
    "lost": "lost",
    "steps": "step",
    "time": "virtual time",
}
"""A figure of `diff` -> the word for it, the most telling first."""


def look_up_line(words: Iterable[str], label: int = 8) -> str:
    """The line that a summary ends with; two where the terminal is narrow.

    Args:
        words: that `explain` knows, the most telling first; those beyond two are left out.
        label: columns of the labels that the summary has.
    """
    told = [f"gorun-mem explain {word}" for word in list(dict.fromkeys(words))[:WORDS]]
    line = f"{'words':{label}}{'; '.join(told)}"
    if len(line) <= (width() or len(line)):
        return line
    return f"{'words':{label}}" + f"\n{'':{label}}".join(told)


def of_run(summary: Summary) -> Iterator[str]:
    """What a run shows, the most telling first."""
    end, start = summary.end, summary.start
    if end is not None and end.outcome == "deadlock":
        yield "deadlock"
    locks = list(summary.locks.values())
    if any(lock.queue.convoys for lock in locks):
        yield "convoy"
    if any(lock.queue.bypasses_max >= _OVERTAKEN for lock in locks):
        yield "bypass"
    if any(lock.contended and lock.fairness_waits < _UNFAIR for lock in locks):
        yield "fairness"
    if summary.hint_misses:
        yield "hint miss"
    if start is not None and start.what_if:
        yield "what-if"
    if any(lock.contended for lock in locks):
        yield "busy period"
    if summary.sums.free_blocks_max > 1:
        yield "fragmentation"
    yield from ("free list", "virtual time")


def of_search(found: Exploration) -> Iterator[str]:
    """What a search came to."""
    text = " ".join(f"{failure.signature} {failure.text}" for failure in found.failures)
    for word in ("lost wakeup", "deadlock", "race"):
        if word in text:
            yield word
    yield found.verdict
    if found.strategy != "auto":  # which is several
        yield found.strategy
    yield "schedule"


def of_diff(diff: LogDiff) -> Iterator[str]:
    """The figures in which two runs differ; the two runs where they do not."""
    names = {row.name.rpartition(": ")[2] for row in diff.rows if not row.same}
    yield from (word for name, word in _OF_FIGURES.items() if name in names)
    yield from ("A", "B")

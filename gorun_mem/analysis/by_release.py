"""One program on several releases: what it took on each, what changed, and why.

Each run's memory is divided without remainder (see `memory`), so the difference between two
releases is the sum of the differences of the parts; the parts that moved are the reason.

One reason has a shape: arenas (A) and metadata (B) allocated in turn, A|B|A|B. The metadata takes
the break that the next arena's hint pointed to, so every arena misses its hint, and aligning it
skips what lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.memoryreport import Layout
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events.types import ArenaHintMiss, ArenaReserve, LogEvent, MemReturn
from gorun_mem.runtime.pages import PAGE
from gorun_mem.runtime.purposes import ARENAS, in_reports

NOT_INSTANTIABLE: Final = "not_instantiable"
"""The outcome of a run that could not begin: more pages at the start than there may be."""
OUT_OF_MEMORY: Final = "out_of_memory"
PATTERN_MIN: Final = 3
"""Arenas in a row with metadata between them that count as the pattern."""
PARTS: Final = (
    ("static", "the program's data"),
    ("arena_bytes", "heap arenas"),
    ("metadata_bytes", "metadata"),
    ("free", "the free list"),
    ("slack", "slack between bloc and blocMax"),
    ("never_used", "initial pages that sbrk passes over"),
    ("host", "the host's pages"),
    ("lost", "what nothing can use again"),
)
"""Layout's parts, with words for them."""


class ArenaPattern(Accumulator):
    """Finds A|B|A|B: arenas that miss their hint because metadata came between.

    Attributes:
        longest: arenas in the longest such row.
        missed: arenas that were placed by alignment after a hint was missed.
        arenas: arenas reserved.
    """

    def __init__(self) -> None:
        self.longest = 0
        self.missed = 0
        self.arenas = 0
        self._row = 0
        self._metadata_since_arena = False
        self._missed_hint = False

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Arenas, hints, and calls that took the break."""
        return {
            ArenaReserve: self._on_arena,
            ArenaHintMiss: self._on_miss,
            MemReturn: self._on_return,
        }

    def _on_miss(self, event: Any) -> None:
        self._missed_hint = True

    def _on_return(self, event: Any) -> None:
        if event.path == "sbrk" and in_reports(event.purpose, event.align != 0) != ARENAS:
            self._metadata_since_arena = True

    def _on_arena(self, event: Any) -> None:
        self.arenas += 1
        if event.via == "aligned" and self._missed_hint and self._metadata_since_arena:
            self.missed += 1
            self._row += 1
            self.longest = max(self.longest, self._row)
        elif event.via == "hint":
            self._row = 0
        self._metadata_since_arena = self._missed_hint = False


@dataclass(frozen=True, slots=True)
class OnRelease:
    """What the program took on one release.

    Args:
        release: its name.
        outcome: how the run ended; NOT_INSTANTIABLE where it could not begin.
        final_pages: pages of 64 KiB at the end.
        grows: growths asked for.
        refused: growths refused.
        parts: bytes by part of the memory at the end; they add up to all of it.
        hole_bytes: of the free ones, left by aligning; None before 1.24, where it cannot be told.
        hint_hits: arenas that got the address hinted at.
        hint_misses: hints tried in vain.
        pattern: arenas in the longest row of A|B|A|B, 0 where there is none.
        why: what ended it, or kept it from beginning; "" where nothing did.
        needs_pages: the least limit at which it lives; None where the limit is not what ended it,
            or no limit would do.
    """

    release: str
    outcome: str
    final_pages: int
    grows: int
    refused: int
    parts: dict[str, int]
    hole_bytes: int | None
    hint_hits: int
    hint_misses: int
    pattern: int
    why: str = ""
    needs_pages: int | None = None

    @property
    def lives(self) -> bool:
        """Whether the memory was enough for it."""
        return self.outcome not in (NOT_INSTANTIABLE, OUT_OF_MEMORY)

    @classmethod
    def not_run(cls, release: str, why: str) -> OnRelease:
        """Of a program that cannot be instantiated."""
        parts = dict.fromkeys((name for name, _ in PARTS), 0)
        return cls(release, NOT_INSTANTIABLE, 0, 0, 0, parts, None, 0, 0, 0, why)

    @classmethod
    def of(
        cls, release: str, outcome: str, found: LogAnalysis, arenas: ArenaPattern, why: str = ""
    ) -> OnRelease:
        """From a run's analysis."""
        end = found.memory.end
        return cls(
            release=release,
            outcome=outcome,
            final_pages=end.pages,
            grows=found.memory.growths_seen,
            refused=found.memory.refused,
            parts=_parts(end),
            hole_bytes=end.hole_bytes,
            hint_hits=found.summary.hint_hits,
            hint_misses=found.summary.hint_misses,
            pattern=arenas.longest if arenas.longest >= PATTERN_MIN else 0,
            why=why,
        )


def _parts(layout: Layout) -> dict[str, int]:
    return {name: getattr(layout, name) for name, _ in PARTS}


@dataclass(frozen=True, slots=True)
class Change:
    """What changed from one release to the next.

    Args:
        before: the earlier release.
        after: the later one.
        pages: by how many pages the end differs.
        text: why, in a sentence; the parts that moved most, first.
    """

    before: str
    after: str
    pages: int
    text: str


def changes(runs: Sequence[OnRelease]) -> list[Change]:
    """What changed between neighbours, where anything did and the memory was enough for both."""
    found = []
    for before, after in pairwise(runs):
        if not (before.lives and after.lives):
            continue
        moved = {
            words: after.parts[name] - before.parts[name]
            for name, words in PARTS
            if abs(after.parts[name] - before.parts[name]) >= PAGE
        }
        pages = after.final_pages - before.final_pages
        if not moved and not pages and before.pattern == after.pattern:
            continue
        text = ", ".join(
            f"{words} {_signed(size)}"
            for words, size in sorted(moved.items(), key=lambda item: -abs(item[1]))
        )
        found.append(Change(before.release, after.release, pages, _with_pattern(text, after)))
    return found


def _with_pattern(text: str, run: OnRelease) -> str:
    if not run.pattern:
        return text or "the same parts"
    shape = (
        f"A|B|A|B: metadata takes the break before {run.pattern} arenas in a row, so each misses "
        "its hint"
    )
    return f"{text}; {shape}" if text else shape


def _signed(size: int) -> str:
    return f"{size / PAGE:+,.0f} pages"


def as_document(runs: Sequence[OnRelease]) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "releases": [asdict(run) for run in runs],
        "changes": [asdict(change) for change in changes(runs)],
    }

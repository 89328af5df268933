"""Two runs beside each other: release against release, mutex against mutex.

What is compared are figures of the whole runs, each from its log alone, and the calls of the OS
layer one by one: the first at which the runs asked for something else, and the first that was
answered otherwise. Calls are taken in the order of the logs, so with several Ms two mutexes may
soon differ in who calls first; figures are what to look at then.

Bounds: two analyses (see `whole`), and one batch of each log for the calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from gorun_mem.analysis.exact import share
from gorun_mem.analysis.locks import LockReport
from gorun_mem.analysis.memoryreport import CallRef
from gorun_mem.analysis.stream import BatchReader, Progress
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events.reader import Source
from gorun_mem.events.types import MemReturn

Value = int | float | str | bool | None
CAUSES_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One figure of both runs.

    Args:
        section: what it is about: run, pages, growths, waits, fragmentation.
        name: of the figure.
        a: the first run's, None where its log does not say.
        b: the second run's.
        unit: "bytes", "ns", "pages", "ratio", "" for plain numbers and words.
        at_least: whether the first run's, and the second's, is a lower bound: waits or holds have
            not ended.
    """

    section: str
    name: str
    a: Value
    b: Value
    unit: str = ""
    at_least: tuple[bool, bool] = (False, False)

    @property
    def same(self) -> bool:
        """Both are alike."""
        return self.a == self.b

    @property
    def change(self) -> float | None:
        """(b - a) / a; None where that says nothing."""
        if isinstance(self.a, str | bool | None) or isinstance(self.b, str | bool | None):
            return None
        if not self.a:
            return None if self.b else 0.0
        return share(self.b - self.a, self.a)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where the calls of two runs part.

    Args:
        calls: calls that were alike before.
        what: "request" where something else was asked for, "answer" where the same request was
            answered otherwise, "end" where one run made no more calls.
        fields: what differs.
        a: the first run's call, None where it made none.
        b: the second run's.
    """

    calls: int
    what: str
    fields: tuple[str, ...]
    a: CallRef | None
    b: CallRef | None


@dataclass(frozen=True, slots=True)
class LogDiff:
    """Two runs compared.

    Args:
        a: the first run.
        b: the second run.
        rows: figures, those that are alike too.
        request: the first call at which something else was asked for, or at which one run had
            ended; None where all requests are alike.
        answer: the first call before it that was answered otherwise, None where there is none.
        calls: calls with the same request, before `request`.
    """

    a: LogAnalysis
    b: LogAnalysis
    rows: tuple[DiffRow, ...]
    request: Divergence | None
    answer: Divergence | None
    calls: int

    @property
    def same(self) -> bool:
        """Nothing differs: neither a figure nor a call."""
        return self.request is None and self.answer is None and all(row.same for row in self.rows)


def compare(source_a: Source, source_b: Source, progress: Progress | None = None) -> LogDiff:
    """Compare two logs.

    Raises:
        LogError: one cannot be read, or holds no event.
    """
    a = LogAnalysis.read(source_a, progress)
    b = LogAnalysis.read(source_b, progress)
    answer, request, calls = first_divergence(_calls(source_a), _calls(source_b))
    return LogDiff(a, b, tuple(_rows(a, b)), request, answer, calls)


def _calls(source: Source) -> Iterator[MemReturn]:
    for batch in BatchReader(source, [MemReturn]).batches():
        for event in batch:
            if type(event) is MemReturn:
                yield event


_REQUEST: Final = ("fn", "n", "align", "purpose")
_ANSWER: Final = ("p", "size", "ok", "path")


def first_divergence(
    calls_a: Iterator[MemReturn], calls_b: Iterator[MemReturn]
) -> tuple[Divergence | None, Divergence | None, int]:
    """Where two streams of calls part: (by answer, by request, calls alike before the latter).

    An address that a call names is not part of the request: with another answer before it has to
    differ.
    """
    answer: Divergence | None = None
    number = 0
    while True:
        a, b = next(calls_a, None), next(calls_b, None)
        if a is None and b is None:
            return answer, None, number
        if a is None or b is None:
            return answer, Divergence(number, "end", (), _call(a), _call(b)), number
        fields = tuple(name for name in _REQUEST if getattr(a, name) != getattr(b, name))
        if fields:
            return answer, Divergence(number, "request", fields, _call(a), _call(b)), number
        if answer is None:
            fields = tuple(name for name in _ANSWER if getattr(a, name) != getattr(b, name))
            if fields:
                answer = Divergence(number, "answer", fields, _call(a), _call(b))
        number += 1


def _call(event: MemReturn | None) -> CallRef | None:
    return None if event is None else CallRef.of(event)


def _rows(a: LogAnalysis, b: LogAnalysis) -> Iterator[DiffRow]:
    yield from _run_rows(a, b)
    yield from _page_rows(a, b)
    yield from _growth_rows(a, b)
    yield from _wait_rows(a, b)
    yield from _fragmentation_rows(a, b)


def _run_rows(a: LogAnalysis, b: LogAnalysis) -> Iterator[DiffRow]:
    for name in (
        "scenario", "release", "platform", "mutex", "ms", "cpus", "strategy", "seed", "max_pages",
    ):  # fmt: skip
        yield DiffRow("run", name, getattr(a.start, name, None), getattr(b.start, name, None))
    for name in ("outcome", "steps"):
        yield DiffRow("run", name, getattr(a.end, name, None), getattr(b.end, name, None))
    yield DiffRow("run", "time", a.contention.end_ns, b.contention.end_ns, "ns")
    yield DiffRow("run", "calls", _call_count(a), _call_count(b))


def _call_count(found: LogAnalysis) -> int:
    return sum(one.count for one in found.summary.calls.values())


def _page_rows(a: LogAnalysis, b: LogAnalysis) -> Iterator[DiffRow]:
    one, two = a.memory.end, b.memory.end
    yield DiffRow("pages", "final_pages", a.summary.final_pages, b.summary.final_pages, "pages")
    yield DiffRow("pages", "peak_live", a.memory.peak_live, b.memory.peak_live, "bytes")
    for name in ("static", "free", "slack", "never_used", "lost", "rounding"):
        yield DiffRow("pages", name, getattr(one, name), getattr(two, name), "bytes")
    for purpose in sorted(one.held.keys() | two.held.keys()):
        yield DiffRow(
            "pages", f"held: {purpose}", one.held.get(purpose, 0), two.held.get(purpose, 0), "bytes"
        )
    yield DiffRow("pages", "hint_hits", a.summary.hint_hits, b.summary.hint_hits)
    yield DiffRow("pages", "hint_misses", a.summary.hint_misses, b.summary.hint_misses)
    gains = [found.memory.discard() for found in (a, b)]
    pages = [None if gain is None else gain.pages for gain in gains]
    yield DiffRow("pages", "discardable", pages[0], pages[1], "pages")


def _growth_rows(a: LogAnalysis, b: LogAnalysis) -> Iterator[DiffRow]:
    yield DiffRow("growths", "asked for", a.memory.growths_seen, b.memory.growths_seen)
    yield DiffRow("growths", "refused", a.memory.refused, b.memory.refused)
    causes: list[dict[tuple[str, str], int]] = [
        {(cause.fn, cause.purpose): cause.bytes for cause in found.memory.causes}
        for found in (a, b)
    ]
    both = causes[0].keys() | causes[1].keys()
    order = sorted(both, key=lambda key: (-max(c.get(key, 0) for c in causes), key))
    for key in order[:CAUSES_SHOWN]:
        name = f"by {key[0] or '(unknown)'}" + (f" for {key[1]}" if key[1] else "")
        yield DiffRow("growths", name, causes[0].get(key, 0), causes[1].get(key, 0), "bytes")


def _wait_rows(a: LogAnalysis, b: LogAnalysis) -> Iterator[DiffRow]:
    one, two = a.contention.locks, b.contention.locks
    for lock in sorted(one.keys() | two.keys()):
        figures = [_lock_figures(locks.get(lock)) for locks in (one, two)]
        bounds = [_lower_bounds(locks.get(lock)) for locks in (one, two)]
        for name, unit in _LOCK_FIGURES:
            yield DiffRow(
                "waits", f"{lock}: {name}", figures[0].get(name), figures[1].get(name), unit,
                (name in bounds[0], name in bounds[1]),
            )  # fmt: skip
    yield DiffRow(
        "waits", "critical path", a.contention.path.length_ns, b.contention.path.length_ns, "ns"
    )
    yield DiffRow(
        "waits", "critical path: held", a.contention.path.held_ns, b.contention.path.held_ns, "ns"
    )
    yield DiffRow(
        "waits", "critical path: handoffs", a.contention.path.handoff_ns,
        b.contention.path.handoff_ns, "ns",
    )  # fmt: skip


_LOCK_FIGURES: Final = (
    ("acquisitions", ""), ("contended", ""), ("wait", "ns"), ("wait p50", "ns"),
    ("wait p99", "ns"), ("wait max", "ns"), ("hold p50", "ns"), ("hold p99", "ns"),
    ("waiting at the end", ""), ("bypasses max", ""), ("queue max", ""), ("convoys", ""),
    ("longest convoy", "ns"), ("busy periods", ""), ("longest busy period", "ns"),
    ("handoffs", ""), ("fairness of acquisitions", "ratio"), ("fairness of waits", "ratio"),
    ("starvation", "ratio"),
)  # fmt: skip


def _lower_bounds(lock: LockReport | None) -> set[str]:
    """The figures of a lock that what has not ended makes lower bounds of."""
    found: set[str] = set()
    if lock is None:
        return found
    if lock.open.waits:
        found |= {"wait", "wait p50", "wait p99", "wait max"}
        found |= {"longest convoy", "longest busy period"}
    if lock.open.hold is not None:
        found |= {"hold p50", "hold p99"}
    return found


def _lock_figures(lock: LockReport | None) -> dict[str, Value]:
    if lock is None:
        return {}
    found: dict[str, Value] = {
        "acquisitions": lock.acquisitions,
        "contended": lock.contended,
        "wait": lock.wait_ns.total,
        "wait p50": lock.wait_ns.p50,
        "wait p99": lock.wait_ns.p99,
        "wait max": lock.wait_ns.max,
        "hold p50": lock.hold_ns.p50,
        "hold p99": lock.hold_ns.p99,
        "waiting at the end": len(lock.open.waits),
        "fairness of acquisitions": round(lock.fairness_acquisitions, 6),
        "fairness of waits": round(lock.fairness_waits, 6),
        "starvation": lock.starvation,
    }
    if lock.detail == "full":
        convoys, busy = lock.convoys_longest, lock.busy_longest
        found |= {
            "bypasses max": lock.bypasses_max,
            "queue max": lock.queue.max,
            "convoys": lock.convoys,
            "longest convoy": convoys[0].length_ns if convoys else 0,
            "busy periods": lock.busy_periods,
            "longest busy period": busy[0].length_ns if busy else 0,
            "handoffs": lock.handoffs,
        }
    return found


def _fragmentation_rows(a: LogAnalysis, b: LogAnalysis) -> Iterator[DiffRow]:
    one, two = a.fragmentation, b.fragmentation
    yield DiffRow(
        "fragmentation", "external, most", one.external_max[0], two.external_max[0], "ratio"
    )
    yield DiffRow("fragmentation", "external, end", one.last.external, two.last.external, "ratio")
    most = [None if f.sawicki_max is None else f.sawicki_max[0] for f in (one, two)]
    yield DiffRow("fragmentation", "Sawicki's, most", most[0], most[1], "ratio")
    yield DiffRow("fragmentation", "Sawicki's, end", one.last.sawicki, two.last.sawicki, "ratio")
    for name, text in (
        ("average", "heap/live, average"), ("at_peak_live", "heap/live at most live"),
        ("at_peak_heap", "heap/live at most heap"), ("peak_over_peak", "most heap/most live"),
    ):  # fmt: skip
        yield DiffRow(
            "fragmentation", text, getattr(one.ratios, name), getattr(two.ratios, name), "ratio"
        )
    yield DiffRow("fragmentation", "free blocks, most", one.blocks_max, two.blocks_max)
    yield DiffRow("fragmentation", "rounding", one.rounding_bytes, two.rounding_bytes, "bytes")
    steps = one.search_steps, two.search_steps
    yield DiffRow("fragmentation", "search steps", steps[0].total, steps[1].total)
    yield DiffRow("fragmentation", "search steps p99", steps[0].p99, steps[1].p99)
    yield DiffRow("fragmentation", "failed requests", one.failures_seen, two.failures_seen)


def as_document(diff: LogDiff) -> dict[str, Any]:
    """For JSON."""

    def of(found: LogAnalysis) -> dict[str, Any]:
        return {
            "condition": found.condition.as_dict(),
            "metrics": found.metrics,
            "at_least": found.summary.at_least(),
        }

    def point(one: Divergence | None) -> dict[str, Any] | None:
        if one is None:
            return None
        return {
            "calls": one.calls,
            "what": one.what,
            "fields": list(one.fields),
            "a": _call_document(one.a),
            "b": _call_document(one.b),
        }

    return {
        "a": of(diff.a),
        "b": of(diff.b),
        "same": diff.same,
        "rows": [
            {
                "section": row.section,
                "name": row.name,
                "a": _finite(row.a),
                "b": _finite(row.b),
                "change": row.change,
                "unit": row.unit,
                "at_least": {"a": row.at_least[0], "b": row.at_least[1]},
            }
            for row in diff.rows
        ],
        "first_request_divergence": point(diff.request),
        "first_answer_divergence": point(diff.answer),
        "calls_alike": diff.calls,
    }


def _call_document(call: CallRef | None) -> dict[str, Any] | None:
    if call is None:
        return None
    return asdict(call)


def _finite(value: Value) -> Value:
    """A number that JSON can write."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value

"""What the analysis says of a log, in sections: facts, tables and remarks.

One model for both faces of a report: `render` makes text for a terminal of it, and
`gorun_mem.report.html` puts the same sections into a page. So the two cannot disagree, and neither
computes anything: every figure is an attribute of what `gorun_mem.analysis` found.

A cell has the text that people read and the value that it is sorted by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import click

from gorun_mem.analysis.locks import Blame, BusyPeriod, LockReport, Part
from gorun_mem.analysis.memoryreport import Budget, Growth, Layout
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.report.terminal import window_text
from gorun_mem.report.units import count, ns, share, size

ROWS_MAX: Final = 100
"""Rows of a table; `Table.left_out` counts the rest."""

TERMINAL_ROWS: Final = 24
LOCKS_MAX: Final = 8
"""Locks that have tables of their own: those that were waited for longest."""


class TableCell(NamedTuple):
    """One cell.

    Args:
        text: for people.
        key: to sort by.
    """

    text: str
    key: int | float | str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells.

    Args:
        title: what it lists.
        columns: their names; those of figures end in no mark but are aligned by their cells.
        rows: as many cells each.
        left_out: rows beyond `ROWS_MAX`.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    left_out: int = 0

    def is_figure(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return all(not isinstance(row[column].key, str) for row in self.rows)


@dataclass(slots=True)
class Section:
    """A part of the report.

    Args:
        name: as the command line has it.
        title: for people.
        facts: (what, figure).
        tables: the tables.
        remarks: sentences.
    """

    name: str
    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def sections(found: LogAnalysis, names: Iterable[str], pages: int | None = None) -> list[Section]:
    """The sections of those names, in that order.

    Args:
        found: by the analysis.
        names: some of `SECTIONS`.
        pages: a budget in pages of 64 KiB to answer for; None for the run's own bound.

    Raises:
        KeyError: there is no section of that name.
    """
    made = [_budget(found, pages) if n == "budget" else SECTIONS[n](found) for n in names]
    if found.window is not None:
        for section in made:
            what = _IN_WINDOW.get(section.name, "all of it is of the window")
            section.remarks.insert(0, f"window {window_text(found.window)}: {what}")
    return made


_PAST: Final = "what it is at the window's end, and counts from the run's beginning"
_IN_WINDOW: Final = {
    "memory": _PAST,
    "growths": f"rows are the window's; the rest is {_PAST}",
    "hints": f"rows are the window's; the rest is {_PAST}",
    "fragmentation": f"failures are the window's; the rest is {_PAST}",
    "budget": "from the run's beginning to the window's end",
}
"""Sections of what has no state without the past."""


def _is_in(found: LogAnalysis, t_ns: int) -> bool:
    """Whether it is in the window; what is behind it was never seen."""
    return found.window is None or t_ns >= found.window.from_ns


def render(all_sections: Iterable[Section]) -> str:
    """Text for a terminal, without a last newline."""
    return "\n\n".join("\n".join(_lines(one)) for one in all_sections)


def _lines(section: Section) -> Iterator[str]:
    yield click.style(section.title, bold=True)
    width = max((len(name) for name, _ in section.facts), default=0)
    for name, value in section.facts:
        yield f"  {name:<{width}}  {value}"
    for remark in section.remarks:
        yield f"  {remark}"
    for table in section.tables:
        if table.rows:
            yield ""
            yield from _table_lines(table)


def _table_lines(table: Table) -> Iterator[str]:
    shown = table.rows[:TERMINAL_ROWS]
    lines = [table.columns, *([cell.text for cell in row] for row in shown)]
    places = range(len(table.columns))
    widths = [max(len(line[i]) for line in lines) for i in places]
    sides = [">" if table.is_figure(i) else "<" for i in places]
    yield "  " + click.style(table.title, underline=True)
    for line in lines:
        cells = (f"{line[i]:{sides[i]}{widths[i]}}" for i in places)
        yield ("  " + "  ".join(cells)).rstrip()
    hidden = len(table.rows) - len(shown) + table.left_out
    if hidden:
        yield f"  and {hidden:,} more"


# Cells.


def _int(value: int) -> TableCell:
    return TableCell(f"{value:,}", value)


def _ns(value: int | float) -> TableCell:
    return TableCell(ns(value), value)


def _ns_or_more(value: int, exact: bool) -> TableCell:
    """A time, or a lower bound of one: where what it is of has not ended."""
    return _ns(value) if exact or not value else TableCell(f">= {ns(value)}", value)


def _size(value: int) -> TableCell:
    return TableCell(size(value), value)


def _text(value: str) -> TableCell:
    return TableCell(value or "-", value)


def _m(value: int) -> TableCell:
    return TableCell(f"M{value}" if value else "-", value)


def _addr(value: int) -> TableCell:
    return TableCell(f"{value:#x}", value)


def _ratio(value: float) -> TableCell:
    return TableCell(f"{value:.3f}", value)


def _table(title: str, columns: str, rows: Sequence[tuple[TableCell, ...]]) -> Table:
    """A table whose columns' names are divided by |."""
    left_out = max(0, len(rows) - ROWS_MAX)
    return Table(title, tuple(columns.split("|")), tuple(rows[:ROWS_MAX]), left_out)


# Sections.


def _contention(found: LogAnalysis) -> Section:
    section = Section("contention", "Contention")
    locks = found.contention.locks
    if not locks:
        section.remarks.append("no lock was taken in this log")
    section.tables.append(
        _table(
            "locks",
            "lock|acquired|contended|share|wait p50|p90|p99|max|in all|hold p50|p99|max|in all",
            [_lock_row(lock) for lock in locks.values()],
        )
    )
    shown = _locks(found)
    if len(shown) < len(locks):
        hidden = count(len(locks) - len(shown), "lock")
        section.remarks.append(f"{hidden} more, waited for less, have no tables of their own")
    for lock in shown:
        section.facts += _lock_facts(lock)
        section.tables += [
            _by(lock, "M", ((_m(m), part) for m, part in lock.by_m.items())),
            _by(lock, "site", ((_text(site), part) for site, part in lock.by_site.items())),
        ]
        section.remarks += _open_remarks(lock)
    if any(lock.detail != "full" for lock in shown):
        section.remarks.append(
            "the log has no beginnings of waits: queues, bypasses and handoffs are not known"
        )
    slowest = [
        (
            _ns_or_more(w.wait_ns, w.ended),
            _m(w.m),
            _text(w.lock),
            _text(w.site),
            _ns(w.since_ns),
            _int(w.seq),
        )
        for w in found.summary.slowest
    ]
    section.tables.append(_table("slowest waits", "wait|M|lock|site|since|event", slowest))
    return section


def _open_remarks(lock: LockReport) -> Iterator[str]:
    """What has not ended; all times of the lock count it as long as it lasted."""
    open_ = lock.open
    for one in open_.waits:
        site = f" in {one.site}" if one.site else ""
        yield (
            f"M{one.m} waits for {lock.name}{site} since {ns(one.since_ns)}, to the end: "
            f"at least {ns(one.ns)}"
        )
    if open_.hold is not None:
        hold = open_.hold
        site = f" in {hold.site}" if hold.site else ""
        yield (
            f"M{hold.m} holds {lock.name}{site} since {ns(hold.since_ns)}, to the end: "
            f"at least {ns(hold.ns)}"
        )


def _locks(found: LogAnalysis) -> list[LockReport]:
    locks = found.contention.locks.values()
    return sorted(locks, key=lambda lock: (-lock.wait_ns.total, lock.name))[:LOCKS_MAX]


def _lock_row(lock: LockReport) -> tuple[TableCell, ...]:
    wait, hold = lock.wait_ns, lock.hold_ns
    of = lock.acquisitions + len(lock.open.waits)
    rate = TableCell(share(lock.contended, of), lock.contended / (of or 1))
    waited, held = not lock.open.waits, lock.open.hold is None
    return (
        _text(lock.name), _int(lock.acquisitions), _int(lock.contended), rate,
        *(_ns_or_more(n, waited) for n in (wait.p50, wait.p90, wait.p99, wait.max, wait.total)),
        *(_ns_or_more(n, held) for n in (hold.p50, hold.p99, hold.max, hold.total)),
    )  # fmt: skip


def _lock_facts(lock: LockReport) -> list[tuple[str, str]]:
    if not lock.contended and not lock.waiting:
        return []
    facts = [
        (
            "fairness",
            f"{lock.fairness_acquisitions:.2f} of acquisitions, {lock.fairness_waits:.2f} of waits",
        ),
        ("longest wait", f"{lock.starvation:.1f} times the median contended one"),
        ("spins", f"{lock.spins:,}, and {count(lock.sleeps, 'sleep')}"),
    ]
    if lock.detail == "full":  # of releases alone none of this is known
        woken = f"{lock.handoffs:,} to the M that was woken, {lock.handoff_chain_max:,} in a row"
        facts += [
            ("queue", f"at most {lock.queue.max:,}, {lock.queue.mean:.2f} on average"),
            ("bypasses", f"at most {count(lock.bypasses_max, 'time')} during one wait"),
            ("handoffs", woken),
        ]
    return [(f"{lock.name}: {name}", text) for name, text in facts]


_WAITED: Final = 6
"""The column of summed waits in the tables by M and by site."""


def _by(lock: LockReport, what: str, parts: Iterable[tuple[TableCell, Part]]) -> Table:
    rows = []
    for name, part in parts:
        sums, waits, holds = part.share, part.wait_ns, part.hold_ns
        rows.append(
            (
                name, _int(sums.acquisitions), _int(sums.contended),
                *map(_ns, (waits.p50, waits.p99, waits.max, sums.wait_ns)),
                *map(_ns, (holds.p50, holds.max, sums.hold_ns)), _int(part.spins),
                _int(part.sleeps),
            )
        )  # fmt: skip
    if len(rows) > ROWS_MAX:  # those are left out that waited least
        rows.sort(key=lambda row: -float(row[_WAITED].key))
    columns = "acquired|contended|wait p50|p99|max|in all|hold p50|max|in all|spins|sleeps"
    return _table(f"{lock.name} by {what}", f"{what}|{columns}", rows)


def _convoys(found: LogAnalysis) -> Section:
    section = Section("convoys", "Convoys")
    if any(lock.detail != "full" for lock in _locks(found)):
        section.remarks.append("the log has no beginnings of waits: convoys are not known")
    for lock in _locks(found):
        busy = count(lock.busy_periods, "busy period")
        section.facts.append((lock.name, f"{count(lock.convoys, 'convoy')} in {busy}"))
        for what, periods in (
            ("convoys", lock.convoys_longest), ("busy periods", lock.busy_longest),
        ):  # fmt: skip
            rows = [_busy_row(one) for one in periods]
            columns = (
                "length|outlasted|began|acquired|waiting|waited|formed by|most to blame|ended|event"
            )
            section.tables.append(_table(f"longest {what} of {lock.name}", columns, rows))
    section.remarks.append(
        "busy: somebody waits; a convoy: Ms come to wait after the end of the hold that formed "
        "the queue"
    )
    return section


def _busy_row(one: BusyPeriod) -> tuple[TableCell, ...]:
    return (
        _ns_or_more(one.length_ns, one.ended), _ns_or_more(one.outlasted_ns, one.ended),
        _ns(one.start_ns), _int(one.acquisitions), _int(one.depth_max),
        _ns_or_more(one.wait_ns, one.ended), _text(_who(one.began_with.m, one.began_with.site)),
        _text(_first_cause(one.causes)), _text("yes" if one.ended else "no"), _int(one.start_seq),
    )  # fmt: skip


def _who(m: int, site: str) -> str:
    return (f"M{m} {site}" if site else f"M{m}") if m else "nobody known"


def _first_cause(causes: tuple[Blame, ...]) -> str:
    if not causes:
        return ""
    return f"{_who(causes[0].m, causes[0].site)} ({ns(causes[0].total_ns)})"


def _blame(found: LogAnalysis) -> Section:
    section = Section("blame", "Who made others wait")
    for lock in _locks(found):
        rows = [
            (
                _m(one.m), _site(one), _text(one.lock), _ns(one.held_ns),
                _ns(one.off_cpu_ns), _ns(one.circle_ns), _ns(one.handoff_ns), _ns(one.total_ns),
                _int(one.holds),
            )
            for one in lock.blame
        ]  # fmt: skip
        columns = "M|site|held|while it ran|off CPU|in a circle|on the way|in all|holds"
        section.tables.append(_table(f"waits for {lock.name} by culprit", columns, rows))
        if any(one.lock != lock.name for one in lock.blame):
            direct = [
                (
                    _m(one.m), _site(one), _ns(one.held_ns), _ns(one.handoff_ns),
                    _ns(one.total_ns), _int(one.holds),
                )
                for one in lock.direct
            ]  # fmt: skip
            columns = "M|site|while it held|on the way|in all|holds"
            section.tables.append(_table(f"the same by who held {lock.name}", columns, direct))
    if not any(table.rows for table in section.tables):
        section.remarks.append("nobody waited for a lock")
    return section


def _site(one: Blame) -> TableCell:
    return _text(one.site if one.m else one.site or "nobody known")


def _holds(found: LogAnalysis) -> Section:
    section = Section("holds", "Longest holds")
    longest = found.contention.holds.found()
    rows = [
        (
            _ns_or_more(one.hold_ns, one.ended), _text(one.lock), _m(one.m), _text(one.site),
            _ns(one.since_ns),
            *(
                _ns(part) if one.split else TableCell("-", -1)
                for part in (one.running_ns, one.blocked_ns, one.off_cpu_ns)
            ),
            _ns_or_more(one.waited_ns, one.ended), _text("yes" if one.ended else "no"),
            _int(one.seq),
        )
        for one in longest
    ]  # fmt: skip
    columns = "hold|lock|M|site|since|ran|blocked|off CPU|others waited|ended|event"
    section.tables = [_table("longest holds", columns, rows)]
    for lock in _locks(found):
        parts = [
            (
                _m(m), *map(_ns, (part.share.hold_ns, part.running_ns)), _ns(part.blocked_ns),
                _ns(part.off_cpu_ns),
            )
            for m, part in lock.by_m.items()
            if part.share.hold_ns
        ]  # fmt: skip
        if lock.detail == "full":
            title = f"what Ms did while they held {lock.name}"
            section.tables.append(_table(title, "M|held|ran|blocked|off CPU", parts))
    if not longest:
        section.remarks.append("no lock was held")
    elif any(not one.split for one in longest):
        section.remarks.append("the log has releases only: what holders did is not known")
    return section


def _path(found: LogAnalysis) -> Section:
    path = found.contention.path
    section = Section("path", "Critical path")
    section.facts = [
        ("length", ns(path.length_ns)),
        ("running", f"{ns(path.run_ns)}, {ns(path.held_ns)} of it with a lock held"),
        ("on the way", f"{ns(path.handoff_ns)} in {count(path.handoffs, 'handoff')}"),
    ]
    if path.truncated:
        section.remarks.append("the path is too long to keep: its beginning was let go")
    by_m = [(_m(m), _ns(spent)) for m, spent in path.by_m.items()]
    longest = sorted(path.segments, key=lambda one: (-one.length_ns, one.start_ns))
    parts = [
        (
            _ns(one.length_ns), _text(one.kind), _m(one.m), _ns(one.start_ns), _ns(one.held_ns),
            _text(one.lock or "(none)"), _text(one.site),
        )
        for one in longest[:ROWS_MAX]
    ]  # fmt: skip
    section.tables = [
        _table("on the path by M", "M|runs", by_m),
        _table("its longest parts", "length|kind|M|from|held|lock|site", parts),
    ]
    return section


def _order(found: LogAnalysis) -> Section:
    section = Section("order", "Order of locks")
    edges = found.contention.edges()
    for cycle in found.contention.cycles():
        guard = f"; {cycle.guarded_by} keeps them apart" if cycle.guarded_by else ": may deadlock"
        circle = " -> ".join((*cycle.locks, cycle.locks[0]))
        section.remarks.append(f"taken in a circle: {circle}{guard}")
    rows = [
        (_text(e.held), _text(e.wanted), _int(e.count), _m(e.m), _text(e.site), _int(e.seq))
        for e in edges
    ]
    section.tables = [_table("taken while held", "held|taken|times|first by|site|event", rows)]
    if not edges:
        section.remarks.append("no lock was taken while another was held")
    return section


def _memory(found: LogAnalysis) -> Section:
    use = found.memory
    end, peak = use.end, use.peak
    section = Section("memory", "Memory")
    section.facts = [
        ("at the end", f"{count(end.pages, 'page')} of 64 KiB, {size(end.live)} live"),
        ("at most", f"{size(use.peak_top)} of memory, {size(use.peak_live)} live"),
        ("growths", f"{use.growths_seen:,}, {use.refused:,} refused"),
        ("frees that lowered the break", f"{use.end_frees:,}, {size(use.end_free_bytes)}"),
    ]
    if use.noop_bytes:
        section.facts.append(("freed for nothing", f"{size(use.noop_bytes)} (up to go1.20)"))
    if use.unrounded_end_frees:
        text = f"{use.unrounded_end_frees:,}, {size(use.unrounded_end_bytes)}"
        section.facts.append(("frees of an unrounded size at the end", text))
    discard = use.discard()
    if discard is not None:
        text = f"{count(discard.pages, 'page')}: {discard.free_pages:,} free, "
        section.facts.append(
            ("memory.discard could give back", text + f"{discard.slack_pages:,} slack")
        )
    section.remarks = [reason.text for reason in use.reasons()]
    if use.unknown_frees:
        section.remarks.append(f"{count(use.unknown_frees, 'free')} of what was not handed out")
    parts = _parts(peak, end)
    rows = [(_text(name), _size(p), _size(e)) for name, p, e in parts if p or e]
    section.tables.append(_table("where it is", "part|most live|end", rows))
    calls = [
        (
            _text(name), _int(one.count), _int(one.failed), _size(one.bytes),
            _text(", ".join(f"{path} {n:,}" for path, n in sorted(one.paths.items()))),
        )
        for name, one in sorted(found.summary.calls.items())
    ]  # fmt: skip
    section.tables.append(_table("calls", "function|calls|failed|bytes|by", calls))
    return section


def _parts(peak: Layout, end: Layout) -> list[tuple[str, int, int]]:
    """(part, bytes when most was live, bytes at the end); they add up to the top."""
    purposes = sorted({*peak.held, *end.held})
    return [
        ("static data", peak.static, end.static),
        *((name, peak.held.get(name, 0), end.held.get(name, 0)) for name in purposes),
        ("free list", peak.free, end.free),
        ("slack below the highest break", peak.slack, end.slack),
        ("never used", peak.never_used, end.never_used),
        *([("the host's", peak.host, end.host)] if peak.host or end.host else []),
        ("lost", peak.lost, end.lost),
        ("in all", peak.top, end.top),
    ]


def _growths(found: LogAnalysis) -> Section:
    use = found.memory
    section = Section("growths", "Growths")
    section.facts = [("growths", f"{use.growths_seen:,}, {use.refused:,} refused")]
    causes = [
        (_text(c.fn), _text(c.purpose), _int(c.count), _size(c.bytes), _int(c.refused))
        for c in use.causes
    ]
    section.tables = [
        _table("by what they were for", "function|purpose|growths|bytes|refused", causes),
        _table(
            "growths",
            "at|from|to|granted|for|needed|was free|largest|slack|why|event",
            [_growth_row(one) for one in use.growths if _is_in(found, one.t_ns)],
        ),
    ]
    return section


def _growth_row(one: Growth) -> tuple[TableCell, ...]:
    return (
        _ns(one.t_ns), _size(one.before), _size(one.after), _text("yes" if one.ok else "no"),
        _text(str(one.cause) if one.cause else ""), _size(one.need), _size(one.free),
        _size(one.largest), _size(one.slack), _text(one.verdict), _int(one.seq),
    )  # fmt: skip


def _hints(found: LogAnalysis) -> Section:
    use = found.memory
    section = Section("hints", "Arena hints")
    said = found.summary  # a log without the heap's events has these, too
    section.facts = [("hit", f"{said.hint_hits:,}"), ("missed", f"{said.hint_misses:,}")]
    rows = [
        (
            _ns(m.t_ns), _addr(m.hint_addr), _addr(m.bloc), _size(m.gap_bytes), _text(m.why),
            _int(m.seq),
        )
        for m in use.hint_misses
        if _is_in(found, m.t_ns)
    ]  # fmt: skip
    section.tables = [_table("missed", "at|hint|break|apart|why|event", rows)]
    return section


def _fragmentation(found: LogAnalysis) -> Section:
    frag = found.fragmentation
    last, ratios, steps = frag.last, frag.ratios, frag.search_steps
    section = Section("fragmentation", "Fragmentation")
    worst, at = frag.external_max
    section.facts = [
        (
            "free list at the end",
            f"{count(last.blocks, 'block')} of {size(last.free)}, the largest {size(last.largest)}",
        ),
        ("most free blocks", f"{frag.blocks_max:,}"),
        ("external, 1 - largest/free", f"{last.external:.3f} at the end, {worst:.3f} at {ns(at)}"),
    ]
    if frag.sawicki_max is not None and last.sawicki is not None:
        worst, at = frag.sawicki_max
        text = f"{last.sawicki:.3f} at the end, {worst:.3f} at {ns(at)}"
        section.facts.append(("Sawicki, 1 - sqrt(sum of squares)/free", text))
    section.facts += [
        ("heap over live, on average", f"{ratios.average:.3f}"),
        ("heap over live, at most live", f"{ratios.at_peak_live:.3f}"),
        ("heap over live, at the largest heap", f"{ratios.at_peak_heap:.3f}"),
        ("largest heap over most live", f"{ratios.peak_over_peak:.3f}"),
        (
            "rounding to pages",
            f"{size(frag.rounding_bytes)} above {size(frag.asked_bytes)} asked for",
        ),
        ("headers looked at in a call", f"p50 {steps.p50:,}, p99 {steps.p99:,}, max {steps.max:,}"),
    ]
    rows = [
        (
            _ns(f.t_ns), _m(f.m), _text(f.fn), _text(f.purpose), _size(f.need), _size(f.free),
            _size(f.largest), _int(f.blocks), _size(f.slack),
            _ratio(f.unusable if f.unusable is not None else -1),
            _ratio(f.index if f.index is not None else -1), _text(f.verdict), _int(f.seq),
        )
        for f in frag.failures
        if _is_in(found, f.t_ns)
    ]  # fmt: skip
    columns = (
        "at|M|function|purpose|needed|free|largest|blocks|slack|unusable|index|for want of|event"
    )
    section.tables = [_table("requests that failed", columns, rows)]
    return section


def _budget(found: LogAnalysis, pages: int | None = None) -> Section:
    use = found.memory
    if pages is None:
        pages = use.start.max_pages if use.start is not None else 65536
    section = Section("budget", "Budget")
    answer = use.budget(pages)
    section.facts = [
        ("pages needed", f"{answer.needed:,} of 64 KiB"),
        (f"fits into {count(pages, 'page')}", budget_text(answer)),
    ]
    rows = []
    for each in _budgets(found, answer.needed):
        one = use.budget(each)
        failure = one.failure or one.unknown
        fits = "as far as known" if one.unknown else "yes" if one.fits else "no"
        rows.append(
            (
                _int(each), _text(fits),
                _text(one.verdict), _text(str(failure.cause) if failure and failure.cause else ""),
                _ns(failure.t_ns) if failure else TableCell("-", -1),
            )
        )  # fmt: skip
    columns = "pages|fits|for want of|the first that fails, or was refused in this run|at"
    section.tables = [_table("other budgets", columns, rows)]
    if not answer.exact:
        section.remarks.append("growths are too many to keep: the first failure is among the first")
    return section


def _budgets(found: LogAnalysis, needed: int) -> list[int]:
    """Budgets that tell something: those at which the first growth that fails is another one."""
    tops = sorted({-(-one.after // 65536) for one in found.memory.growths if one.may_be_granted})
    step = max(1, len(tops) // 20)
    chosen = {needed, *tops[::step]}
    return sorted({max(1, needed - 1), *chosen})


def budget_text(answer: Budget) -> str:
    """Whether it fits, in a sentence."""
    if answer.unknown is not None:
        at = ns(answer.unknown.t_ns)
        return f"yes up to {at}, where a growth was refused that these pages allow; then unknown"
    if answer.fits:
        return "yes"
    if answer.verdict == "host":
        return "no: the host's growth does not fit"
    if answer.failure is None:
        return (
            f"no: it cannot be instantiated, for it starts with {count(answer.start_pages, 'page')}"
        )
    cause = f": {answer.failure.cause}" if answer.failure.cause else ""
    want = f", for want of {answer.verdict}" if answer.verdict else ""
    return f"no, at {ns(answer.failure.t_ns)}{want}{cause}"


SECTIONS: Final[dict[str, Callable[[LogAnalysis], Section]]] = {
    "contention": _contention,
    "convoys": _convoys,
    "blame": _blame,
    "holds": _holds,
    "path": _path,
    "order": _order,
    "memory": _memory,
    "growths": _growths,
    "hints": _hints,
    "fragmentation": _fragmentation,
    "budget": _budget,
}
"""Name -> what makes it, in the order of a whole report."""

"""The sections of a report that are about locks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gorun_mem.analysis.locks import Blame, BusyPeriod, LockReport, Part
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.report.tables import (
    ROWS_MAX,
    Section,
    Table,
    TableCell,
    int_cell,
    m_cell,
    ns_cell,
    ns_or_more_cell,
    table_of,
    text_cell,
)
from gorun_mem.report.units import count, ns, share

LOCKS_MAX: Final = 8
"""Locks that have tables of their own: those that were waited for longest."""


def contention_section(found: LogAnalysis) -> Section:
    """Who waited for which lock, how long."""
    section = Section("contention", "Contention")
    locks = found.contention.locks
    if not locks:
        section.remarks.append("no lock was taken in this log")
    section.tables.append(
        table_of(
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
            _by(lock, "M", ((m_cell(m), part) for m, part in lock.by_m.items())),
            _by(lock, "site", ((text_cell(site), part) for site, part in lock.by_site.items())),
        ]
        section.remarks += _open_remarks(lock)
    if any(lock.detail != "full" for lock in shown):
        section.remarks.append(
            "the log has no beginnings of waits: queues, bypasses and handoffs are not known"
        )
    slowest = [
        (
            ns_or_more_cell(w.wait_ns, w.ended),
            m_cell(w.m),
            text_cell(w.lock),
            text_cell(w.site),
            ns_cell(w.since_ns),
            int_cell(w.seq),
        )
        for w in found.summary.slowest
    ]
    section.tables.append(table_of("slowest waits", "wait|M|lock|site|since|event", slowest))
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
        text_cell(lock.name),
        int_cell(lock.acquisitions),
        int_cell(lock.contended),
        rate,
        *(ns_or_more_cell(n, waited) for n in (wait.p50, wait.p90, wait.p99, wait.max, wait.total)),
        *(ns_or_more_cell(n, held) for n in (hold.p50, hold.p99, hold.max, hold.total)),
    )


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
                name,
                int_cell(sums.acquisitions),
                int_cell(sums.contended),
                *map(ns_cell, (waits.p50, waits.p99, waits.max, sums.wait_ns)),
                *map(ns_cell, (holds.p50, holds.max, sums.hold_ns)),
                int_cell(part.spins),
                int_cell(part.sleeps),
            )
        )
    if len(rows) > ROWS_MAX:  # those are left out that waited least
        rows.sort(key=lambda row: -float(row[_WAITED].key))
    columns = "acquired|contended|wait p50|p99|max|in all|hold p50|max|in all|spins|sleeps"
    return table_of(f"{lock.name} by {what}", f"{what}|{columns}", rows)


def convoys_section(found: LogAnalysis) -> Section:
    """Busy periods and convoys."""
    section = Section("convoys", "Convoys")
    if any(lock.detail != "full" for lock in _locks(found)):
        section.remarks.append("the log has no beginnings of waits: convoys are not known")
    for lock in _locks(found):
        busy = count(lock.busy_periods, "busy period")
        section.facts.append((lock.name, f"{count(lock.convoys, 'convoy')} in {busy}"))
        for what, periods in (
            ("convoys", lock.convoys_longest),
            ("busy periods", lock.busy_longest),
        ):
            rows = [_busy_row(one) for one in periods]
            columns = (
                "length|outlasted|began|acquired|waiting|waited|formed by|most to blame|ended|event"
            )
            section.tables.append(table_of(f"longest {what} of {lock.name}", columns, rows))
    section.remarks.append(
        "busy: somebody waits; a convoy: Ms come to wait after the end of the hold that formed "
        "the queue"
    )
    return section


def _busy_row(one: BusyPeriod) -> tuple[TableCell, ...]:
    return (
        ns_or_more_cell(one.length_ns, one.ended),
        ns_or_more_cell(one.outlasted_ns, one.ended),
        ns_cell(one.start_ns),
        int_cell(one.acquisitions),
        int_cell(one.depth_max),
        ns_or_more_cell(one.wait_ns, one.ended),
        text_cell(_who(one.began_with.m, one.began_with.site)),
        text_cell(_first_cause(one.causes)),
        text_cell("yes" if one.ended else "no"),
        int_cell(one.start_seq),
    )


def _who(m: int, site: str) -> str:
    return (f"M{m} {site}" if site else f"M{m}") if m else "nobody known"


def _first_cause(causes: tuple[Blame, ...]) -> str:
    if not causes:
        return ""
    return f"{_who(causes[0].m, causes[0].site)} ({ns(causes[0].total_ns)})"


def blame_section(found: LogAnalysis) -> Section:
    """Who made others wait."""
    section = Section("blame", "Who made others wait")
    for lock in _locks(found):
        rows = [
            (
                m_cell(one.m),
                _site(one),
                text_cell(one.lock),
                ns_cell(one.held_ns),
                ns_cell(one.off_cpu_ns),
                ns_cell(one.circle_ns),
                ns_cell(one.handoff_ns),
                ns_cell(one.total_ns),
                int_cell(one.holds),
            )
            for one in lock.blame
        ]
        columns = "M|site|held|while it ran|off CPU|in a circle|on the way|in all|holds"
        section.tables.append(table_of(f"waits for {lock.name} by culprit", columns, rows))
        if any(one.lock != lock.name for one in lock.blame):
            direct = [
                (
                    m_cell(one.m),
                    _site(one),
                    ns_cell(one.held_ns),
                    ns_cell(one.handoff_ns),
                    ns_cell(one.total_ns),
                    int_cell(one.holds),
                )
                for one in lock.direct
            ]
            columns = "M|site|while it held|on the way|in all|holds"
            section.tables.append(table_of(f"the same by who held {lock.name}", columns, direct))
    if not any(table.rows for table in section.tables):
        section.remarks.append("nobody waited for a lock")
    return section


def _site(one: Blame) -> TableCell:
    return text_cell(one.site if one.m else one.site or "nobody known")


def holds_section(found: LogAnalysis) -> Section:
    """The longest holds."""
    section = Section("holds", "Longest holds")
    longest = found.contention.holds.found()
    rows = [
        (
            ns_or_more_cell(one.hold_ns, one.ended),
            text_cell(one.lock),
            m_cell(one.m),
            text_cell(one.site),
            ns_cell(one.since_ns),
            *(
                ns_cell(part) if one.split else TableCell("-", -1)
                for part in (one.running_ns, one.blocked_ns, one.off_cpu_ns)
            ),
            ns_or_more_cell(one.waited_ns, one.ended),
            text_cell("yes" if one.ended else "no"),
            int_cell(one.seq),
        )
        for one in longest
    ]
    columns = "hold|lock|M|site|since|ran|blocked|off CPU|others waited|ended|event"
    section.tables = [table_of("longest holds", columns, rows)]
    for lock in _locks(found):
        parts = [
            (
                m_cell(m),
                *map(ns_cell, (part.share.hold_ns, part.running_ns)),
                ns_cell(part.blocked_ns),
                ns_cell(part.off_cpu_ns),
            )
            for m, part in lock.by_m.items()
            if part.share.hold_ns
        ]
        if lock.detail == "full":
            title = f"what Ms did while they held {lock.name}"
            section.tables.append(table_of(title, "M|held|ran|blocked|off CPU", parts))
    if not longest:
        section.remarks.append("no lock was held")
    elif any(not one.split for one in longest):
        section.remarks.append("the log has releases only: what holders did is not known")
    return section


def path_section(found: LogAnalysis) -> Section:
    """The critical path."""
    path = found.contention.path
    section = Section("path", "Critical path")
    section.facts = [
        ("length", ns(path.length_ns)),
        ("running", f"{ns(path.run_ns)}, {ns(path.held_ns)} of it with a lock held"),
        ("on the way", f"{ns(path.handoff_ns)} in {count(path.handoffs, 'handoff')}"),
    ]
    if path.truncated:
        section.remarks.append("the path is too long to keep: its beginning was let go")
    by_m = [(m_cell(m), ns_cell(spent)) for m, spent in path.by_m.items()]
    longest = sorted(path.segments, key=lambda one: (-one.length_ns, one.start_ns))
    parts = [
        (
            ns_cell(one.length_ns),
            text_cell(one.kind),
            m_cell(one.m),
            ns_cell(one.start_ns),
            ns_cell(one.held_ns),
            text_cell(one.lock or "(none)"),
            text_cell(one.site),
        )
        for one in longest[:ROWS_MAX]
    ]
    section.tables = [
        table_of("on the path by M", "M|runs", by_m),
        table_of("its longest parts", "length|kind|M|from|held|lock|site", parts),
    ]
    return section


def order_section(found: LogAnalysis) -> Section:
    """Which locks are taken while which are held."""
    section = Section("order", "Order of locks")
    edges = found.contention.edges()
    for cycle in found.contention.cycles():
        guard = f"; {cycle.guarded_by} keeps them apart" if cycle.guarded_by else ": may deadlock"
        circle = " -> ".join((*cycle.locks, cycle.locks[0]))
        section.remarks.append(f"taken in a circle: {circle}{guard}")
    rows = [
        (
            text_cell(e.held),
            text_cell(e.wanted),
            int_cell(e.count),
            m_cell(e.m),
            text_cell(e.site),
            int_cell(e.seq),
        )
        for e in edges
    ]
    section.tables = [table_of("taken while held", "held|taken|times|first by|site|event", rows)]
    if not edges:
        section.remarks.append("no lock was taken while another was held")
    return section
